//! One connection of a link, over TCP or any other stream.

use super::core::{Core, End};
use crate::net::framing::{Frames, frames};
use crate::net::limits::{CONNECT_TIME, DRAIN_TIME, HEARTBEAT, SERVER_SILENCE};
use crate::net::sockets;
use crate::proto::{Call, Reply, Request};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Connects, says hello, and carries messages until one side is gone.
pub(super) async fn run(core: &mut Core, address: SocketAddr) -> End {
    match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            sockets::prepare(&stream);
            converse(core, stream, address).await
        }
        Ok(Err(error)) => End::Unreachable(format!("{address}: {error}")),
        Err(_) => End::Unreachable(format!("{address}: no answer")),
    }
}

/// Says hello on a new stream, and carries messages until one side is gone.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    core: &mut Core,
    stream: S,
    address: SocketAddr,
) -> End {
    let mut connection = Connection { frames: frames(stream, &[]), core };
    if let Err(end) = connection.greet(address).await {
        return end;
    }
    connection.core.connected(Instant::now());
    match connection.carry().await {
        Err(Failure::End(end)) => end,
        Err(Failure::Io) => match connection.drain().await {
            Err(end) => end,
            Ok(()) => connection.core.fallen_silent(address),
        },
        Ok(()) => End::Done,
    }
}

enum Failure {
    End(End),
    Io,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

struct Connection<'a, S> {
    frames: Frames<S>,
    core: &'a mut Core,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn greet(&mut self, address: SocketAddr) -> Result<(), End> {
        // Without a hello, the first answer shows that a server is there.
        let Some(hello) = self.core.hello.clone() else { return Ok(()) };
        let number = self.core.next_number();
        self.core.session = 0;
        let request = self.core.request(number, Call::Hello(hello)).encode(0);
        let exchange = async {
            self.frames.send(&request[..]).await.ok()?;
            self.frames.next().await?.ok()
        };
        let reply = timeout(CONNECT_TIME, exchange).await.ok().flatten();
        match reply.map(|frame| Reply::decode(&frame)) {
            Some(Ok(reply)) => self.core.greeted(reply),
            Some(Err(error)) => {
                Err(End::Unreachable(format!("{address}: no seedrush-server there: {error}")))
            }
            None => Err(End::Unreachable(format!("{address}: something is there, but it hung up"))),
        }
    }

    /// Carries messages until all users of the link are gone.
    async fn carry(&mut self) -> Result<(), Failure> {
        let numbers: Vec<u64> = self.core.pending.keys().copied().collect();
        for number in numbers {
            self.send_pending(number).await?;
        }
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        let mut last_received = Instant::now();
        loop {
            let overdue = self.core.overdue();
            tokio::select! {
                outgoing = self.core.requests.recv() => {
                    let Some(outgoing) = outgoing else {
                        let number = self.core.next_number();
                        return Ok(self.send(&self.core.request(number, Call::Goodbye)).await?);
                    };
                    if let Some(number) = self.core.admit(outgoing, Instant::now()) {
                        self.send_pending(number).await?;
                    }
                }
                frame = timeout_at(last_received + SERVER_SILENCE, self.frames.next()) => {
                    let Ok(Some(frame)) = frame else { return Err(Failure::Io) };
                    last_received = Instant::now();
                    let reply = Reply::decode(&frame?).map_err(|_| Failure::Io)?;
                    if self.core.receive(reply, last_received).map_err(Failure::End)? {
                        self.beat().await?;
                    }
                }
                _ = heartbeat.tick() => self.beat().await?,
                () = reached(overdue) => return Err(Failure::Io),
            }
        }
    }

    /// Takes what arrived before the connection failed. A server that ends says so and hangs up: if
    /// that makes a request fail, the server's last message still waits to be read.
    async fn drain(&mut self) -> Result<(), End> {
        // One deadline for all of it: a peer may go on talking for ever.
        let until = Instant::now() + DRAIN_TIME;
        while let Ok(Some(Ok(frame))) = timeout_at(until, self.frames.next()).await {
            let Ok(reply) = Reply::decode(&frame) else { break };
            self.core.receive(reply, Instant::now())?;
        }
        Ok(())
    }

    /// Shows that the client is there, and which notices it has seen.
    async fn beat(&mut self) -> io::Result<()> {
        if self.core.hello.is_none() {
            return Ok(());
        }
        let number = self.core.next_number();
        self.send(&self.core.request(number, Call::Heartbeat)).await
    }

    async fn send_pending(&mut self, number: u64) -> io::Result<()> {
        match self.core.pending_request(number) {
            Some(request) => self.send(&request).await,
            None => Ok(()),
        }
    }

    async fn send(&mut self, request: &Request) -> io::Result<()> {
        timeout(CONNECT_TIME, self.frames.send(&request.encode(0)[..])).await?
    }
}

/// Waits until a time, or for ever.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::super::core::Outgoing;
    use super::super::{Link, Route, Status, Target, Transport};
    use super::*;
    use crate::net::framing::Codec;
    use crate::proto::{Answer, Hello, Notice, Notification, Over, Welcome};
    use bytes::BytesMut;
    use std::io::{Read, Write};
    use std::time::Duration;
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::{mpsc, oneshot};
    use tokio_util::codec::Encoder;

    fn hello() -> Hello {
        Hello {
            oldest_version: 1,
            newest_version: 1,
            key: [1; 16],
            name: "box".into(),
            backend: "none".into(),
            threads: 1,
            rate_hint: 0,
            kinds: Vec::new(),
        }
    }

    fn welcome(number: u64) -> Reply {
        let welcome = Welcome { version: 1, client: 1, session: 1, server: 1, held: Vec::new() };
        Reply { number, notice: None, answer: Some(Answer::Welcome(welcome)) }
    }

    fn address() -> SocketAddr {
        "192.0.2.1:1800".parse().unwrap()
    }

    /// Connects a core to a server that a test writes; returns the end of the connection and when.
    async fn converse_with(
        hello: Option<Hello>,
        ask: Option<Call>,
        server: impl AsyncFnOnce(&mut Frames<DuplexStream>),
    ) -> (End, Duration) {
        let (requests, receiver) = mpsc::channel(4);
        let (mut core, ..) = Core::new(hello, receiver, CONNECT_TIME);
        let _answer = match ask {
            Some(call) => {
                let (answer, answered) = oneshot::channel();
                requests.try_send(Outgoing { call, server: None, answer }).ok().unwrap();
                Some(answered)
            }
            None => None,
        };
        let (near, far) = duplex(1 << 16);
        let mut far = frames(far, &[]);
        let began = Instant::now();
        let (end, ()) = tokio::join!(converse(&mut core, near, address()), server(&mut far));
        (end, began.elapsed())
    }

    async fn next_request(frames: &mut Frames<DuplexStream>) -> Option<Request> {
        Some(Request::decode(&frames.next().await?.unwrap()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_falls_silent_is_lost_though_heartbeats_go_out() {
        let mut beats = 0;
        let greets = async |frames: &mut Frames<DuplexStream>| {
            let request = next_request(frames).await.unwrap();
            frames.send(&welcome(request.number).encode()[..]).await.unwrap();
            while let Ok(Some(request)) = timeout(SERVER_SILENCE, next_request(frames)).await {
                assert_eq!(request.call, Call::Heartbeat);
                beats += 1;
            }
        };
        let (end, time) = converse_with(Some(hello()), None, greets).await;
        assert_eq!(end, End::Lost);
        assert!(time >= SERVER_SILENCE && time < SERVER_SILENCE + HEARTBEAT, "{time:?}");
        assert!(beats >= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_heartbeats_is_kept() {
        let answers = async |frames: &mut Frames<DuplexStream>| {
            let request = next_request(frames).await.unwrap();
            frames.send(&welcome(request.number).encode()[..]).await.unwrap();
            for _ in 0..20 {
                let number = next_request(frames).await.unwrap().number;
                let reply = Reply { number, notice: None, answer: Some(Answer::Ok) };
                frames.send(&reply.encode()[..]).await.unwrap();
            }
        };
        let (end, time) = converse_with(Some(hello()), None, answers).await;
        let silence = SERVER_SILENCE + DRAIN_TIME;
        assert_eq!((end, time), (End::Lost, 20 * HEARTBEAT + silence));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_answers_is_no_server() {
        let (end, time) = converse_with(Some(hello()), None, async |_| {}).await;
        assert!(matches!(end, End::Unreachable(_)), "{end:?}");
        assert_eq!(time, CONNECT_TIME);
        let (end, time) = converse_with(None, Some(Call::Jobs(0)), async |_| {}).await;
        assert!(matches!(end, End::Unreachable(_)), "{end:?}");
        assert_eq!(time, CONNECT_TIME + DRAIN_TIME);
    }

    fn send_blocking(stream: &mut std::net::TcpStream, reply: &Reply) {
        let mut wire = BytesMut::new();
        Codec.encode(&reply.encode()[..], &mut wire).unwrap();
        stream.write_all(&wire).unwrap();
    }

    /// A server says that it ends and hangs up while a request is on its way to it. Over a real
    /// socket, since the connection must be reset.
    #[tokio::test]
    async fn the_last_message_of_a_server_arrives_though_a_request_fails() {
        for _ in 0..20 {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let route = Route {
                target: Target { host: "127.0.0.1".into(), port: Some(port) },
                port: 0,
                transport: Transport::Tcp,
                retry_for: Duration::ZERO,
            };
            let (link, mut notifications) = Link::start(route, Some(hello()));
            let accepted = tokio::task::spawn_blocking(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                send_blocking(&mut stream, &welcome(1));
                stream
            });
            let mut stream = accepted.await.unwrap();
            let mut status = link.status();
            status.wait_for(|now| matches!(now, Status::Up(_))).await.unwrap();
            // The link does not run until the call below. Then it finds the message, the end of the
            // connection and a request of its own at once.
            let notice = Notice { number: 1, what: Notification::Over(Over::default()) };
            send_blocking(&mut stream, &Reply { number: 0, notice: Some(notice), answer: None });
            // Most of the hello was not read, so that this resets the connection.
            drop(stream);
            let asking = tokio::spawn(async move { link.call(Call::Heartbeat).await });
            let told = timeout(Duration::from_secs(20), notifications.recv()).await;
            assert!(matches!(told, Ok(Some(Notification::Over(_)))), "{told:?}");
            asking.abort();
        }
    }
}
