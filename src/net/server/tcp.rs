//! One native connection on the server, over any stream.

use super::admission::Seat;
use super::service::{Handled, Origin, Service};
use super::sessions::Waker;
use crate::coordinator::ClientId;
use crate::lease::LeaseState;
use crate::net::framing::{Codec, Frames};
use crate::net::limits::{HANDSHAKE_TIME, IDLE_TIME};
use crate::proto::{Answer, Call, RefusalReason, Refused, Reply, Request, refused};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// Serves one native connection until it ends.
pub(in crate::net) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    frames: Frames<S>,
    address: SocketAddr,
    seat: &Seat,
    service: &Service,
) {
    let waker = Arc::new(Notify::new());
    let origin = Origin { address, waker: Waker::Connection(waker.clone()) };
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let mut connection = Connection { frames, seat, client: None, last_sent: 0, deadline };
    tokio::select! {
        // An error is the peer's or the network's; either way the connection is over.
        _ = connection.run(service, &origin, &waker) => {}
        () = seat.evicted() => {}
    }
    if let Some(client) = connection.client {
        service.disconnected(client, &waker);
    }
}

struct Connection<'a, S> {
    frames: Frames<S>,
    seat: &'a Seat,
    client: Option<ClientId>,
    /// Number of the last notice that was sent on this connection.
    last_sent: u64,
    /// The connection is closed unless a whole message arrives before this. Useless messages do not
    /// move it.
    deadline: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, service: &Service, origin: &Origin, waker: &Notify) -> io::Result<()> {
        loop {
            tokio::select! {
                frame = timeout_at(self.deadline, self.frames.next()) => {
                    let Ok(Some(frame)) = frame else { return Ok(()) };
                    if !self.handle(service, origin, &frame?).await? {
                        // The last answer may still be buffered behind requests that nobody will read.
                        let flushing = SinkExt::<&[u8]>::flush(&mut self.frames);
                        return timeout(HANDSHAKE_TIME, flushing).await?;
                    }
                    // A peer that sends many requests at once lets others have their turn between two.
                    if Codec::holds_frame(self.frames.read_buffer()) {
                        tokio::task::yield_now().await;
                    }
                }
                () = waker.notified() => if !self.push_notices(service).await? {
                    return Ok(());
                },
            }
        }
    }

    /// Answers one frame; returns false if the connection must end.
    async fn handle(
        &mut self,
        service: &Service,
        origin: &Origin,
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
        // Hangs up without an answer, so that the client tries UDP.
        if hello && !self.seat.greeted() {
            return Ok(false);
        }
        let Handled { reply, last } = service.handle(origin, &mut self.client, request);
        self.note_use(&reply.answer);
        let refused = matches!(
            reply.answer,
            Some(Answer::Refused(Refused {
                reason: RefusalReason::Banned | RefusalReason::Version,
                ..
            }))
        );
        // A client that was not admitted keeps no seat among those that were.
        let refused = refused || (hello && self.client.is_none());
        let sent = reply.notice.as_ref().map_or(0, |notice| notice.number);
        self.last_sent = self.last_sent.max(sent);
        self.send(&reply).await?;
        Ok(!refused && !last)
    }

    /// Moves the deadline and keeps the seat as far as the answer shows that the connection is useful.
    fn note_use(&mut self, answer: &Option<Answer>) {
        if self.client.is_some() {
            self.deadline = Instant::now() + IDLE_TIME;
        } else if !matches!(answer, None | Some(Answer::Refused(_))) {
            // Peers that only ask, as `submit` does while it waits, may go on.
            self.deadline = Instant::now() + HANDSHAKE_TIME;
        }
        let works = match answer {
            Some(Answer::Grant(_)) => true,
            Some(Answer::Verdict(verdict)) => {
                verdict.lease != LeaseState::Over || verdict.solutions > 0
            }
            _ => false,
        };
        if works {
            self.seat.worked();
        }
    }

    /// Sends the notices that are new on this connection; returns false if it must end.
    async fn push_notices(&mut self, service: &Service) -> io::Result<bool> {
        let Some(client) = self.client else { return Ok(true) };
        if let Some(refusal) = service.dismissal(client) {
            self.send(&Reply { number: 0, notice: None, answer: Some(refusal) }).await?;
            return Ok(false);
        }
        for notice in service.notices(client) {
            if notice.number == 0 || notice.number > self.last_sent {
                self.last_sent = self.last_sent.max(notice.number);
                self.send(&Reply { number: 0, notice: Some(notice), answer: None }).await?;
            }
        }
        Ok(true)
    }

    async fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let message = reply.encode();
        let sending = async {
            // Clients report one lease and ask for the next together: both answers share a segment.
            if Codec::holds_frame(self.frames.read_buffer()) {
                self.frames.feed(&message[..]).await
            } else {
                self.frames.send(&message[..]).await
            }
        };
        // A peer that does not read the answer it asked for is as good as gone.
        timeout(HANDSHAKE_TIME, sending).await?
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::{Admission, SeatLimits};
    use super::*;
    use crate::coordinator::Config;
    use crate::net::framing::frames;
    use bytes::BytesMut;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_util::codec::Encoder;

    /// Pause between two messages of the peers below.
    const PAUSE: Duration = Duration::from_secs(3);

    /// Serves a peer that does something every [`PAUSE`]; returns how long, `MAX` for a long time.
    async fn time_served(mut act: impl AsyncFnMut(&mut DuplexStream)) -> Duration {
        let (mut peer, ours) = duplex(1 << 20);
        let (service, _outlets) = Service::new(Config::default());
        let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let seat = Admission::new(SeatLimits::new(64)).enter(address.ip());
        let began = Instant::now();
        let serving = serve(frames(ours, &[]), address, &seat, &service);
        tokio::pin!(serving);
        loop {
            tokio::select! {
                () = &mut serving => return began.elapsed(),
                () = tokio::time::sleep(PAUSE) => act(&mut peer).await,
            }
            if began.elapsed() > Duration::from_secs(1000) {
                return Duration::MAX;
            }
        }
    }

    async fn send(peer: &mut DuplexStream, call: Call) {
        let request = Request { number: 1, session: 0, notices_seen: 0, cookie: Vec::new(), call };
        let mut wire = BytesMut::new();
        Codec.encode(&request.encode(0), &mut wire).unwrap();
        peer.write_all(&wire).await.unwrap();
    }

    fn hello() -> Call {
        Call::Hello(crate::proto::Hello {
            oldest_version: 1,
            newest_version: 1,
            key: [1; 16],
            name: "box".into(),
            backend: "none".into(),
            threads: 1,
            rate_hint: 0,
            kinds: Vec::new(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_useful_message_moves_the_deadline_of_the_hello() {
        assert_eq!(time_served(async |_| {}).await, HANDSHAKE_TIME, "silent");
        let beat = async |peer: &mut DuplexStream| send(peer, Call::Heartbeat).await;
        assert_eq!(time_served(beat).await, HANDSHAKE_TIME);
        let cancel = async |peer: &mut DuplexStream| send(peer, Call::Cancel(99)).await;
        assert_eq!(time_served(cancel).await, HANDSHAKE_TIME);
        let drip = async |peer: &mut DuplexStream| peer.write_all(&[0]).await.unwrap();
        assert_eq!(time_served(drip).await, HANDSHAKE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_only_asks_is_served_as_long_as_it_asks() {
        let ask = async |peer: &mut DuplexStream| send(peer, Call::Jobs(0)).await;
        assert_eq!(time_served(ask).await, Duration::MAX);
        let mut left = 5;
        let some = async |peer: &mut DuplexStream| {
            if left > 0 {
                left -= 1;
                send(peer, Call::Jobs(0)).await;
            }
        };
        assert_eq!(time_served(some).await, 5 * PAUSE + HANDSHAKE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_falls_silent_is_cut_off() {
        let mut greeted = false;
        let silent = async |peer: &mut DuplexStream| {
            if !std::mem::replace(&mut greeted, true) {
                send(peer, hello()).await;
            }
        };
        assert_eq!(time_served(silent).await, PAUSE + IDLE_TIME);
        let mut greeted = false;
        let beats = async |peer: &mut DuplexStream| {
            let first = !std::mem::replace(&mut greeted, true);
            send(peer, if first { hello() } else { Call::Heartbeat }).await;
        };
        assert_eq!(time_served(beats).await, Duration::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_message_is_cut_off() {
        let mut greeted = false;
        let drip = async |peer: &mut DuplexStream| {
            if std::mem::replace(&mut greeted, true) {
                // A header, and then slowly the bytes that it announces.
                return peer.write_all(&[0, 0, 1, 0]).await.unwrap();
            }
            send(peer, hello()).await;
        };
        assert_eq!(time_served(drip).await, PAUSE + IDLE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_its_answers_is_cut_off() {
        let (mut peer, ours) = duplex(64);
        let (service, _outlets) = Service::new(Config::default());
        let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let seat = Admission::new(SeatLimits::new(64)).enter(address.ip());
        let serving = serve(frames(ours, &[]), address, &seat, &service);
        let flood = async {
            for _ in 0..100 {
                let job = Call::Job { job: 1, offset: 0 };
                let request =
                    Request { number: 1, session: 0, notices_seen: 0, cookie: vec![], call: job };
                let mut wire = BytesMut::new();
                Codec.encode(&request.encode(0), &mut wire).unwrap();
                if peer.write_all(&wire).await.is_err() {
                    break;
                }
            }
        };
        let began = Instant::now();
        tokio::join!(serving, flood);
        assert!(began.elapsed() <= 2 * HANDSHAKE_TIME, "{:?}", began.elapsed());
        let mut answers = Vec::new();
        peer.read_to_end(&mut answers).await.unwrap();
        assert!(answers.len() <= 64);
    }
}
