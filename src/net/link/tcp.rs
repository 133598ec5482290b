//! One TCP connection of a link.

use super::{Core, End};
use crate::net::tcp::{Frames, frames};
use crate::net::{CONNECT_TIME, HEARTBEAT, IDLE_TIME};
use crate::proto::{Call, Reply, Request};
use futures_util::{SinkExt, StreamExt};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::time::timeout;

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
        Err(Failure::Io) => core.fallen_silent(address),
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
