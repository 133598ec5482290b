//! One plain-text connection on the server, over any stream.

use super::problem::{Lines, Problem, claimed_seed, tested};
use crate::coordinator::ClientId;
use crate::net::limits::{ALIVE, HANG_UP_TIME, IDLE_TIME, NATIVE_TIME, SEGMENT_TIME, START_POLL};
use crate::net::server::admission::Seat;
use crate::net::server::service::{Origin, Service};
use crate::net::server::sessions::Waker;
use crate::proto;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Returns true if the peer begins to send as native clients do. Its first bytes stay in the buffer.
pub(in crate::net) async fn is_native(stream: &mut (impl AsyncBufRead + Unpin)) -> bool {
    // Frames begin with the high byte of a small length.
    matches!(timeout(NATIVE_TIME, stream.fill_buf()).await, Ok(Ok([0, ..])))
}

/// Serves a plain-text client until the search is over or the client is gone.
pub(in crate::net) async fn serve<S: AsyncBufRead + AsyncWrite + Unpin>(
    stream: S,
    address: SocketAddr,
    seat: &Seat,
    service: &Service,
    problem: &Problem,
) {
    let waker = Arc::new(Notify::new());
    let origin = Origin { address, waker: Waker::Connection(waker.clone()) };
    let Ok(client) = service.join_plaintext(&origin) else { return };
    let mut connection = Connection { stream, service, client, seat, lines: Lines::default() };
    tokio::select! {
        // An error is the peer's or the network's; either way the connection is over.
        _ = connection.run(&waker, problem) => {}
        () = seat.evicted() => {}
    }
    if service.closing().is_none() {
        service.leave(client);
    }
    service.disconnected(client, &waker);
}

struct Connection<'a, S> {
    stream: S,
    service: &'a Service,
    client: ClientId,
    seat: &'a Seat,
    lines: Lines,
}

impl<S: AsyncBufRead + AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn run(&mut self, waker: &Notify, problem: &Problem) -> io::Result<()> {
        self.wait_for_start().await?;
        self.stream.write_all(problem.segment(self.client.0).as_bytes()).await?;
        // Nothing marks the end of the problem, so the next message needs a segment of its own.
        tokio::time::sleep(2 * SEGMENT_TIME).await;
        let mut buffer = [0; 1024];
        loop {
            if let Some(over) = self.service.closing() {
                return self.stop(over.winner()).await;
            }
            tokio::select! {
                read = timeout(IDLE_TIME, self.stream.read(&mut buffer)) => {
                    let length = read??;
                    if length == 0 || !self.take(&buffer[..length]) {
                        return Ok(());
                    }
                }
                () = waker.notified() => {}
            }
        }
    }

    /// Waits until enough clients have joined. Bytes that arrive meanwhile stay in the buffer.
    async fn wait_for_start(&mut self) -> io::Result<()> {
        let mut alive = tokio::time::interval(ALIVE);
        while !self.service.read(|coordinator| coordinator.totals().started) {
            tokio::select! {
                () = tokio::time::sleep(START_POLL) => {}
                _ = alive.tick() => self.service.alive(self.client),
                arrived = self.stream.fill_buf() => match arrived? {
                    [] => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => tokio::time::sleep(START_POLL).await,
                }
            }
        }
        Ok(())
    }

    /// Says stop, and waits for the client to hang up.
    async fn stop(&mut self, winner: u64) -> io::Result<()> {
        self.stream.write_all(format!("stop,{winner}").as_bytes()).await?;
        self.stream.shutdown().await?;
        // If this side closed with something unread, the peer's system could discard the stop.
        let mut buffer = [0; 1024];
        let rest = async { while self.stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
        let _ = timeout(HANG_UP_TIME, rest).await;
        Ok(())
    }

    /// Takes bytes from the client; returns false if the connection must end.
    fn take(&mut self, bytes: &[u8]) -> bool {
        // Until now the connection was silent, and held the seat of a stranger.
        if !self.seat.greeted() {
            return false;
        }
        self.seat.worked();
        let Some(lines) = self.lines.push(bytes) else { return false };
        lines.iter().all(|line| self.take_line(line))
    }

    fn take_line(&self, line: &str) -> bool {
        if let Some(seed) = claimed_seed(line) {
            // One false claim may be a mistake; after some the coordinator bans the client.
            return self.service.claim(self.client, seed).is_ok();
        }
        if let Some(tested) = tested(line)
            && self.service.note_tested(self.client, tested).is_err()
        {
            return false;
        }
        if !line.is_empty() {
            self.service.emit_line(self.client, proto::cleaned(line, proto::MAX_TEXT));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::Config;
    use crate::jobs::{JobSpec, Md5Search};
    use crate::net::server::admission::{Admission, SeatLimits};
    use crate::net::server::service::Outlets;
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::Layout;
    use std::time::Duration;
    use tokio::io::{BufReader, DuplexStream, duplex};
    use tokio::time::Instant;

    fn service(min_clients: usize) -> (Arc<Service>, Outlets, Problem) {
        let puzzle = Puzzle::new("ab", Difficulty::from_bytes(2).unwrap(), Encoding::Text).unwrap();
        let (service, outlets) = Service::new(Config { min_clients, ..Config::default() });
        let search = Md5Search::new(&puzzle, Layout::Counting, 1).unwrap();
        service.submit_main(JobSpec::Md5Search(search)).unwrap();
        (service, outlets, Problem::new(&puzzle).unwrap())
    }

    /// Serves one peer to its end; returns how long that took.
    async fn time_served(min_clients: usize, act: impl AsyncFnOnce(&mut DuplexStream)) -> Duration {
        let (service, _outlets, problem) = service(min_clients);
        let (mut peer, ours) = duplex(1 << 16);
        let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let seat = Admission::new(SeatLimits::new(64)).enter(address.ip());
        let began = Instant::now();
        let serving = serve(BufReader::new(ours), address, &seat, &service, &problem);
        let ((), ()) = tokio::join!(serving, act(&mut peer));
        assert_eq!(service.read(|coordinator| coordinator.totals().clients), 0, "it has left");
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_native_client_is_recognised_by_its_first_byte() {
        for (first, native) in [(&[0, 0, 1][..], true), (b"Computed", false), (b"", false)] {
            let (mut peer, ours) = duplex(64);
            peer.write_all(first).await.unwrap();
            let mut stream = BufReader::new(ours);
            assert_eq!(is_native(&mut stream).await, native, "{first:?}");
            assert_eq!(stream.buffer(), first, "nothing is lost");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_falls_silent_is_cut_off() {
        assert_eq!(time_served(1, async |_| {}).await, 2 * SEGMENT_TIME + IDLE_TIME);
        let later = Duration::from_secs(20);
        let once = async |peer: &mut DuplexStream| {
            tokio::time::sleep(later).await;
            peer.write_all(b"Computed 5 hashes\n").await.unwrap();
        };
        assert_eq!(time_served(1, once).await, later + IDLE_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_be_silent_until_the_start_and_may_hang_up() {
        let patience = 2 * IDLE_TIME;
        let waits = async |peer: &mut DuplexStream| {
            tokio::time::sleep(patience).await;
            peer.shutdown().await.unwrap();
        };
        let served = time_served(2, waits).await;
        assert!((patience..patience + START_POLL).contains(&served), "{served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_without_an_end_costs_no_more_than_its_limit() {
        let flood = async |peer: &mut DuplexStream| {
            while peer.write_all(&[b'x'; 1024]).await.is_ok() {}
        };
        assert_eq!(time_served(1, flood).await, 2 * SEGMENT_TIME);
    }
}
