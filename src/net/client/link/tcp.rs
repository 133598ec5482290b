//! One TCP connection of a link.

use super::{Core, End};
use crate::net::framing::{Frames, frames};
use crate::net::{CONNECT_TIME, HEARTBEAT, IDLE_TIME};
use crate::proto::{Call, Reply, Request};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

/// Longest time for what came before a connection failed; it is here or close. For all of it: a peer
/// that goes on talking is not heard for longer.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// Connects, says hello, and carries messages until one side is gone.
pub(super) async fn run(core: &mut Core, address: SocketAddr) -> End {
    let stream = match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return End::Unreachable(format!("{address}: {error}")),
        Err(_) => return End::Unreachable(format!("{address}: no answer")),
    };
    let mut frames = frames(stream);
    if let Err(end) = greet(core, &mut frames, address).await {
        return end;
    }
    core.connected();
    match carry(core, &mut frames).await {
        Err(Failure::End(end)) => end,
        Err(Failure::Io) => match drain(core, &mut frames).await {
            Err(end) => end,
            Ok(()) => core.fallen_silent(address),
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

async fn greet(core: &mut Core, frames: &mut Frames, address: SocketAddr) -> Result<(), End> {
    // Whether a server is there shows when it answers.
    let Some(hello) = core.hello.clone() else { return Ok(()) };
    let number = core.next_number();
    core.session = 0;
    let request = core.request(number, Call::Hello(hello)).encode(0);
    let exchange = async {
        frames.send(&request[..]).await.ok()?;
        frames.next().await?.ok()
    };
    let reply = timeout(CONNECT_TIME, exchange).await.ok().flatten();
    match reply.map(|frame| Reply::decode(&frame)) {
        Some(Ok(reply)) => core.greeted(reply),
        Some(Err(error)) => {
            Err(End::Unreachable(format!("{address}: no seedrush-server there: {error}")))
        }
        None => Err(End::Unreachable(format!("{address}: something is there, but it hung up"))),
    }
}

/// Carries messages until nobody wants it any more.
async fn carry(core: &mut Core, frames: &mut Frames) -> Result<(), Failure> {
    let numbers: Vec<u64> = core.pending.keys().copied().collect();
    for number in numbers {
        if let Some(request) = core.pending_request(number) {
            send(frames, &request).await?;
        }
    }
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.reset();
    loop {
        let overdue = core.overdue();
        tokio::select! {
            outgoing = core.requests.recv() => {
                let Some(outgoing) = outgoing else {
                    let number = core.next_number();
                    send(frames, &core.request(number, Call::Goodbye)).await?;
                    return Ok(());
                };
                let request = core.admit(outgoing).and_then(|number| core.pending_request(number));
                if let Some(request) = request {
                    send(frames, &request).await?;
                }
            }
            // Every heartbeat is answered, so this long a silence is the end.
            frame = timeout(IDLE_TIME / 2, frames.next()) => {
                let Ok(Some(frame)) = frame else { return Err(Failure::Io) };
                let reply = Reply::decode(&frame?).map_err(|_| Failure::Io)?;
                if core.receive(reply).map_err(Failure::End)? {
                    beat(core, frames).await?;
                }
            }
            _ = heartbeat.tick() => beat(core, frames).await?,
            () = at(overdue) => return Err(Failure::Io),
        }
    }
}

/// Takes what came before the connection failed. A server that ends says so and hangs up: when that
/// makes a request fail, its word still waits to be read.
async fn drain(core: &mut Core, frames: &mut Frames) -> Result<(), End> {
    let until = tokio::time::Instant::now() + DRAIN_TIME;
    while let Ok(Some(Ok(frame))) = timeout_at(until, frames.next()).await {
        let Ok(reply) = Reply::decode(&frame) else { break };
        core.receive(reply)?;
    }
    Ok(())
}

/// Ends at a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Shows that the client is there, and what it has seen. Nobody waits for the answer.
async fn beat(core: &mut Core, frames: &mut Frames) -> io::Result<()> {
    if core.hello.is_none() {
        return Ok(());
    }
    let number = core.next_number();
    send(frames, &core.request(number, Call::Heartbeat)).await
}

async fn send(frames: &mut Frames, request: &Request) -> io::Result<()> {
    timeout(CONNECT_TIME, frames.send(&request.encode(0)[..])).await?
}

#[cfg(test)]
mod tests {
    use crate::net::client::link::{Link, Route, Status, Target, Transport};
    use crate::net::framing::Codec;
    use crate::proto::{Answer, Call, Hello, Notice, Notification, Over, Reply, Welcome};
    use bytes::BytesMut;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;
    use tokio_util::codec::Encoder;

    fn says(stream: &mut TcpStream, reply: &Reply) {
        let mut wire = BytesMut::new();
        Codec.encode(&reply.encode()[..], &mut wire).unwrap();
        stream.write_all(&wire).unwrap();
    }

    /// A server says that it ends and hangs up while a request is on its way to it.
    #[tokio::test]
    async fn the_last_word_of_a_server_is_heard_though_a_request_fails() {
        for _ in 0..20 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let route = Route {
                target: Target { host: "127.0.0.1".into(), port: Some(port) },
                port: 0,
                transport: Transport::Tcp,
                retry_for: Duration::ZERO,
            };
            let hello = Hello {
                oldest_version: 1,
                newest_version: 1,
                key: [1; 16],
                name: "box".into(),
                backend: "none".into(),
                threads: 1,
                rate_hint: 0,
                kinds: Vec::new(),
            };
            let (link, mut news) = Link::start(route, Some(hello));
            let accepted = tokio::task::spawn_blocking(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                let welcome = Answer::Welcome(Welcome {
                    version: 1,
                    client: 1,
                    session: 1,
                    server: 1,
                    held: Vec::new(),
                });
                says(&mut stream, &Reply { number: 1, notice: None, answer: Some(welcome) });
                stream
            });
            let mut stream = accepted.await.unwrap();
            let mut status = link.status();
            status.wait_for(|now| matches!(now, Status::Up(_))).await.unwrap();
            // Nothing of the link runs from here to the call: it finds the word, the end of the
            // connection and a request of its own at once.
            let over = Notification::Over(Over::default());
            says(
                &mut stream,
                &Reply { number: 0, notice: Some(Notice { number: 1, what: over }), answer: None },
            );
            // Most of the hello was not read, so that this resets the connection.
            drop(stream);
            let asking = tokio::spawn(async move { link.call(Call::Heartbeat).await });
            let told = tokio::time::timeout(Duration::from_secs(20), news.recv()).await;
            assert!(matches!(told, Ok(Some(Notification::Over(_)))), "{told:?}");
            asking.abort();
        }
    }
}
