//! The server's side over TCP.

use super::{ALIVE, Lines, Problem, SEGMENT_TIME, take_line};
use crate::coordinator::ClientId;
use crate::net::server::admission::Seat;
use crate::net::server::service::{Sender, Service};
use crate::net::server::sessions::Waker;
use crate::net::{IDLE_TIME, sockets};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// A native client says hello at once; who is silent for this long is an old one.
const NATIVE_TIME: Duration = Duration::from_millis(700);

/// How long a client that was told to stop may go on talking.
const FAREWELL: Duration = Duration::from_millis(500);

/// How often it is looked whether enough clients are there.
const START_POLL: Duration = Duration::from_millis(50);

/// Whether the other side speaks first, as native clients do.
pub(in crate::net) async fn is_native(stream: &TcpStream) -> bool {
    let mut first = [0; 1];
    // Frames begin with the high byte of a small length.
    matches!(timeout(NATIVE_TIME, stream.peek(&mut first)).await, Ok(Ok(1)) if first[0] == 0)
}

/// Serves an old client until the search is over or it is gone.
pub(in crate::net) async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    seat: &Seat,
    service: &Service,
    problem: &Problem,
) {
    sockets::prepare(&stream);
    let bell = Arc::new(Notify::new());
    let sender = Sender { address, waker: Waker::Own(bell.clone()) };
    let Ok(client) = service.join_classic(&sender) else { return };
    let mut session = Session { service, client, seat, lines: Lines::default() };
    tokio::select! {
        // An error is the peer's or the network's; either way the connection is over.
        _ = session.run(&mut stream, &bell, problem) => {}
        () = seat.evicted() => {}
    }
    if service.closing().is_none() {
        service.with(|coordinator, _| coordinator.leave(client));
    }
    service.disconnected(client, &bell);
}

struct Session<'a> {
    service: &'a Service,
    client: ClientId,
    seat: &'a Seat,
    lines: Lines,
}

impl Session<'_> {
    async fn run(
        &mut self,
        stream: &mut TcpStream,
        bell: &Notify,
        problem: &Problem,
    ) -> io::Result<()> {
        self.wait_for_start(stream).await?;
        stream.write_all(problem.segment(self.client.0).as_bytes()).await?;
        // Nothing marks its end but that nothing follows: what does must come in a segment of its own.
        tokio::time::sleep(2 * SEGMENT_TIME).await;
        let mut buffer = [0; 1024];
        loop {
            if let Some(over) = self.service.closing() {
                stream.write_all(format!("stop,{}", over.winner()).as_bytes()).await?;
                stream.shutdown().await?;
                // Closed with something unread, the stop could be thrown away on the other side.
                let rest = async { while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
                let _ = timeout(FAREWELL, rest).await;
                return Ok(());
            }
            tokio::select! {
                read = timeout(IDLE_TIME, stream.read(&mut buffer)) => {
                    let length = read??;
                    if length == 0 || !self.heard(&buffer[..length]) {
                        return Ok(());
                    }
                }
                () = bell.notified() => {}
            }
        }
    }

    async fn wait_for_start(&self, stream: &TcpStream) -> io::Result<()> {
        let mut first = [0; 1];
        let mut alive = tokio::time::interval(ALIVE);
        while !self.service.with(|coordinator, _| coordinator.totals().started) {
            tokio::select! {
                () = tokio::time::sleep(START_POLL) => {}
                _ = alive.tick() => self.service.alive(self.client),
                // Whatever it says now is read later; but it may hang up.
                peeked = stream.peek(&mut first) => match peeked? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => tokio::time::sleep(START_POLL).await,
                }
            }
        }
        Ok(())
    }

    /// Takes what came; whether the client is to be listened to any longer.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        // Before, it was one of those that only connect.
        if !self.seat.spoke() {
            return false;
        }
        self.seat.works();
        let Some(lines) = self.lines.push(bytes) else { return false };
        lines.iter().all(|line| take_line(self.service, self.client, line))
    }
}
