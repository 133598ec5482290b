//! Frames over TCP, and the server's side of one connection.

use super::admission::Seat;
use super::hub::{Handled, Hub, Sender, refused};
use super::visitors::Doorbell;
use super::{HANDSHAKE_TIME, IDLE_TIME};
use crate::coordinator::ClientId;
use crate::proto::{Answer, Call, MAX_FRAME, Reason, Refused, Reply, Request};
use bytes::{Buf, BufMut, BytesMut};
use futures_util::{SinkExt, StreamExt};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Decoder, Encoder, Framed};

/// Connections that may wait to be accepted: ten thousand clients may come at once.
const BACKLOG: i32 = 4096;

/// A dead peer is noticed after this, also when nothing is said.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// First size of a connection's buffers. Usual messages fit, and many connections are idle.
const BUFFER: usize = 256;

/// Four bytes of length, big-endian, then the message.
///
/// Not tokio-util's own length-delimited codec: that one makes room for all of an announced frame
/// at once, so a thousand peers that announce 64 KiB and go silent would cost 64 MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codec;

impl Codec {
    /// Length of the frame that begins `buffer`, if its header is there.
    fn announced(buffer: &[u8]) -> Option<usize> {
        buffer.first_chunk().map(|header| u32::from_be_bytes(*header) as usize)
    }

    /// Whether a whole frame is there.
    fn holds_frame(buffer: &[u8]) -> bool {
        Self::announced(buffer).is_some_and(|length| buffer.len() - 4 >= length)
    }
}

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(length) = Self::announced(buffer) else { return Ok(None) };
        if length > MAX_FRAME {
            let text = format!("a frame of {length} bytes; at most {MAX_FRAME} are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if !Self::holds_frame(buffer) {
            return Ok(None);
        }
        buffer.advance(4);
        Ok(Some(buffer.split_to(length)))
    }
}

impl Encoder<&[u8]> for Codec {
    type Error = io::Error;

    fn encode(&mut self, message: &[u8], buffer: &mut BytesMut) -> io::Result<()> {
        buffer.reserve(4 + message.len());
        buffer.put_u32(message.len() as u32);
        buffer.put_slice(message);
        Ok(())
    }
}

/// A connection that carries frames.
pub(super) type Frames = Framed<TcpStream, Codec>;

/// Frames on `stream`, sent at once and watched for dead peers.
pub(super) fn frames(stream: TcpStream) -> Frames {
    prepare(&stream);
    Framed::with_capacity(stream, Codec, BUFFER)
}

pub(super) fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    // A connection works without either, only less well.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keepalive);
}

/// Listens on `address`, also right after an earlier server there has ended.
///
/// # Errors
/// The address is in use, not this machine's, or not for this user.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // On Windows this would let two servers share the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves one native connection until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    frames: Framed<S, Codec>,
    address: SocketAddr,
    seat: &Seat,
    hub: &Hub,
) {
    let bell = Arc::new(Notify::new());
    let sender = Sender { address, doorbell: Doorbell::Own(bell.clone()) };
    let deadline = Instant::now() + HANDSHAKE_TIME;
    let mut connection = Connection { frames, seat, client: None, told: 0, deadline };
    tokio::select! {
        // An error is the peer's or the network's; either way the connection is over.
        _ = connection.run(hub, &sender, &bell) => {}
        () = seat.evicted() => {}
    }
    if let Some(client) = connection.client {
        hub.disconnected(client, &bell);
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
    async fn run(&mut self, hub: &Hub, sender: &Sender, bell: &Notify) -> io::Result<()> {
        loop {
            tokio::select! {
                frame = timeout_at(self.deadline, self.frames.next()) => {
                    let Ok(Some(frame)) = frame else { return Ok(()) };
                    if !self.handle(hub, sender, &frame?).await? {
                        // The last answer may still wait for one to a request that nobody reads.
                        let flushing = SinkExt::<&[u8]>::flush(&mut self.frames);
                        return timeout(HANDSHAKE_TIME, flushing).await?;
                    }
                    // Who sends much at once has one request answered, then it is another's turn.
                    if Codec::holds_frame(self.frames.read_buffer()) {
                        tokio::task::yield_now().await;
                    }
                }
                () = bell.notified() => if !self.tell(hub).await? {
                    return Ok(());
                },
            }
        }
    }

    /// Answers one frame; whether the connection goes on.
    async fn handle(&mut self, hub: &Hub, sender: &Sender, frame: &[u8]) -> io::Result<bool> {
        let request = match Request::decode(frame) {
            Ok(request) => request,
            Err(error) => {
                let answer = Some(refused(Reason::Malformed, &error.to_string()));
                self.send(&Reply { number: 0, notice: None, answer }).await?;
                return Ok(false);
            }
        };
        let hello = self.client.is_none() && matches!(request.call, Call::Hello(_));
        // Without an answer: over UDP there may be room.
        if hello && !self.seat.spoke() {
            return Ok(false);
        }
        let Handled { reply, last } = hub.handle(sender, &mut self.client, request);
        self.note(&reply.answer);
        let refused = matches!(
            reply.answer,
            Some(Answer::Refused(Refused { reason: Reason::Banned | Reason::Version, .. }))
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
            Some(Answer::Verdict(word)) => word.lease.is_some() || word.solutions > 0,
            _ => false,
        };
        if works {
            self.seat.works();
        }
    }

    /// Pushes what the client has not been told here; whether the connection goes on.
    async fn tell(&mut self, hub: &Hub) -> io::Result<bool> {
        let Some(client) = self.client else { return Ok(true) };
        if let Some(refusal) = hub.dismissal(client) {
            self.send(&Reply { number: 0, notice: None, answer: Some(refusal) }).await?;
            return Ok(false);
        }
        for notice in hub.notices(client) {
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
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    /// A connection whose peer does something every three seconds; how long it is served.
    async fn served(mut sends: impl AsyncFnMut(&mut DuplexStream)) -> Duration {
        let (mut peer, ours) = duplex(1 << 20);
        let (hub, _outlets) = Hub::new(Config::default());
        let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let seat = Admission::new(Limits::new(64)).enter(address.ip());
        let began = Instant::now();
        let serving = serve(Framed::new(ours, Codec), address, &seat, &hub);
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

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1usize..50,
        ) {
            let mut wire = BytesMut::new();
            for message in &messages {
                Codec.encode(message, &mut wire).unwrap();
            }
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = Codec.decode(&mut buffer).unwrap() {
                    got.push(frame.to_vec());
                }
            }
            prop_assert_eq!(got, messages);
        }
    }

    #[test]
    fn an_announced_frame_costs_nothing_before_it_comes() {
        let mut buffer = BytesMut::from(&[0u8, 0, 0xff, 0xff, 1][..]);
        let before = buffer.capacity();
        assert!(Codec.decode(&mut buffer).unwrap().is_none());
        assert_eq!(buffer.capacity(), before);
        let mut buffer = BytesMut::from(&[0u8, 1, 0, 1][..]);
        assert!(Codec.decode(&mut buffer).is_err());
    }
}
