//! The server's side of one TCP connection.

use super::admission::Seat;
use super::service::{Handled, Sender, Service};
use super::sessions::Waker;
use crate::coordinator::ClientId;
use crate::lease::LeaseState;
use crate::net::framing::Codec;
use crate::net::{HANDSHAKE_TIME, IDLE_TIME};
use crate::proto::{Answer, Call, RefusalReason, Refused, Reply, Request, refused};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::Framed;

/// Serves one native connection until it ends.
pub(in crate::net) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    frames: Framed<S, Codec>,
    address: SocketAddr,
    seat: &Seat,
    service: &Service,
) {
    let bell = Arc::new(Notify::new());
    let sender = Sender { address, waker: Waker::Own(bell.clone()) };
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let mut connection = Connection { frames, seat, client: None, told: 0, deadline };
    tokio::select! {
        // An error is the peer's or the network's; either way the connection is over.
        _ = connection.run(service, &sender, &bell) => {}
        () = seat.evicted() => {}
    }
    if let Some(client) = connection.client {
        service.disconnected(client, &bell);
    }
}

struct Connection<'a, S> {
    frames: Framed<S, Codec>,
    seat: &'a Seat,
    client: Option<ClientId>,
    /// The last notice that went out here.
    told: u64,
    /// Until when a whole message must come. What is no use to anyone does not move it.
    deadline: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, service: &Service, sender: &Sender, bell: &Notify) -> io::Result<()> {
        loop {
            tokio::select! {
                frame = timeout_at(self.deadline, self.frames.next()) => {
                    let Ok(Some(frame)) = frame else { return Ok(()) };
                    if !self.handle(service, sender, &frame?).await? {
                        // The last answer may still wait for one to a request that nobody reads.
                        let flushing = SinkExt::<&[u8]>::flush(&mut self.frames);
                        return timeout(HANDSHAKE_TIME, flushing).await?;
                    }
                    // Who sends much at once has one request answered, then it is another's turn.
                    if Codec::holds_frame(self.frames.read_buffer()) {
                        tokio::task::yield_now().await;
                    }
                }
                () = bell.notified() => if !self.tell(service).await? {
                    return Ok(());
                },
            }
        }
    }

    /// Answers one frame; whether the connection goes on.
    async fn handle(
        &mut self,
        service: &Service,
        sender: &Sender,
        frame: &[u8],
    ) -> io::Result<bool> {
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(error) => {
                let answer = Some(refused(RefusalReason::Malformed, &error.to_string()));
                self.send(&Reply { number: 0, notice: None, answer }).await?;
                return Ok(false);
            }
        };
        let hello = self.client.is_none() && matches!(request.call, Call::Hello(_));
        // Without an answer: over UDP there may be room.
        if hello && !self.seat.spoke() {
            return Ok(false);
        }
        let Handled { reply, last } = service.handle(sender, &mut self.client, request);
        self.note(&reply.answer);
        let refused = matches!(
            reply.answer,
            Some(Answer::Refused(Refused {
                reason: RefusalReason::Banned | RefusalReason::Version,
                ..
            }))
        );
        // Who was not let in keeps no seat among those who were.
        let refused = refused || (hello && self.client.is_none());
        self.told = reply.notice.as_ref().map_or(self.told, |n| self.told.max(n.number));
        self.send(&reply).await?;
        Ok(!refused && !last)
    }

    /// Notes what the connection is good for by what it was answered.
    fn note(&mut self, answer: &Option<Answer>) {
        if self.client.is_some() {
            self.deadline = Instant::now() + IDLE_TIME;
        } else if !matches!(answer, None | Some(Answer::Refused(_))) {
            // Who only asks, as `submit` does while it waits, may go on.
            self.deadline = Instant::now() + HANDSHAKE_TIME;
        }
        let works = match answer {
            Some(Answer::Grant(_)) => true,
            Some(Answer::Verdict(word)) => word.lease != LeaseState::Over || word.solutions > 0,
            _ => false,
        };
        if works {
            self.seat.works();
        }
    }

    /// Pushes what the client has not been told here; whether the connection goes on.
    async fn tell(&mut self, service: &Service) -> io::Result<bool> {
        let Some(client) = self.client else { return Ok(true) };
        if let Some(refusal) = service.dismissal(client) {
            self.send(&Reply { number: 0, notice: None, answer: Some(refusal) }).await?;
            return Ok(false);
        }
        for notice in service.notices(client) {
            if notice.number == 0 || notice.number > self.told {
                self.told = self.told.max(notice.number);
                self.send(&Reply { number: 0, notice: Some(notice), answer: None }).await?;
            }
        }
        Ok(true)
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let message = reply.encode();
        let sending = async {
            // Clients report one lease and ask for the next at once: both answers go together.
            if Codec::holds_frame(self.frames.read_buffer()) {
                self.frames.feed(&message[..]).await
            } else {
                self.frames.send(&message[..]).await
            }
        };
        // A peer that does not read what it asked for is as good as gone.
        timeout(HANDSHAKE_TIME, sending).await?
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::{Admission, Limits};
    use super::*;
    use crate::coordinator::Config;
    use bytes::BytesMut;
    use std::time::Duration;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio_util::codec::Encoder;

    /// A connection whose peer does something every three seconds; how long it is served.
    async fn served(mut sends: impl AsyncFnMut(&mut DuplexStream)) -> Duration {
        let (mut peer, ours) = duplex(1 << 20);
        let (service, _outlets) = Service::new(Config::default());
        let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let seat = Admission::new(Limits::new(64)).enter(address.ip());
        let began = Instant::now();
        let serving = serve(Framed::new(ours, Codec), address, &seat, &service);
        tokio::pin!(serving);
        loop {
            tokio::select! {
                () = &mut serving => return began.elapsed(),
                () = tokio::time::sleep(Duration::from_secs(3)) => sends(&mut peer).await,
            }
            if began.elapsed() > Duration::from_secs(1000) {
                return Duration::MAX;
            }
        }
    }

    async fn sends(peer: &mut DuplexStream, call: Call) {
        let request = Request { number: 1, session: 0, notices_seen: 0, cookie: Vec::new(), call };
        let mut wire = BytesMut::new();
        Codec.encode(&request.encode(0), &mut wire).unwrap();
        peer.write_all(&wire).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_hello_does_not_put_off_its_deadline() {
        assert_eq!(served(async |_| {}).await, HANDSHAKE_TIME);
        assert_eq!(served(async |peer| sends(peer, Call::Heartbeat).await).await, HANDSHAKE_TIME);
        let cancel = async |peer: &mut DuplexStream| sends(peer, Call::Cancel(99)).await;
        assert_eq!(served(cancel).await, HANDSHAKE_TIME);
        let drip = async |peer: &mut DuplexStream| peer.write_all(&[0]).await.unwrap();
        assert_eq!(served(drip).await, HANDSHAKE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_asks_is_answered_as_long_as_it_asks() {
        assert_eq!(served(async |peer| sends(peer, Call::Jobs(0)).await).await, Duration::MAX);
        let mut left = 5;
        let some = async |peer: &mut DuplexStream| {
            if left > 0 {
                left -= 1;
                sends(peer, Call::Jobs(0)).await;
            }
        };
        assert_eq!(served(some).await, Duration::from_secs(15) + HANDSHAKE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_message_is_cut_off() {
        let mut greeted = false;
        let drip = async |peer: &mut DuplexStream| {
            if std::mem::replace(&mut greeted, true) {
                // A header, and by and by what it announces.
                return peer.write_all(&[0, 0, 1, 0]).await.unwrap();
            }
            let hello = crate::proto::Hello {
                oldest_version: 1,
                newest_version: 1,
                key: [1; 16],
                name: "box".into(),
                backend: "none".into(),
                threads: 1,
                rate_hint: 0,
                kinds: Vec::new(),
            };
            sends(peer, Call::Hello(hello)).await;
        };
        assert_eq!(served(drip).await, Duration::from_secs(3) + IDLE_TIME);
    }
}
