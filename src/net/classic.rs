//! The plain-text protocol of the first programs of this kind, both sides of it.
//!
//! The flow
//! - The client connects and says nothing. Once enough clients are there the server sends each
//!   `ID,N,STRING`, in ASCII, without an end, in one segment.
//! - Clients send progress lines, such as `Computed 100000 hashes`, each with a line feed, and
//!   `ok,SEED,DIGEST`, with or without one. SEED may begin with `0x`; DIGEST is the MD5 of the
//!   characters of SEED, then STRING.
//! - The server verifies, sends `stop,ID` to all, with the winner's id, and closes.
//!
//! The old server reads from one client after the other and waits for each, so a client must say
//! something at least every second. Servers know native clients by their first byte.

use super::hub::{Hub, Sender, ServerEvent};
use super::visitors::Doorbell;
use super::{CONNECT_TIME, tcp};
use crate::backend::{Backend, Control};
use crate::coordinator::ClientId;
use crate::jobs::Claim;
use crate::proto;
use crate::puzzle::{Difficulty, Digest, Encoding, MAX_SEED_CHARACTERS, MAX_STRING_DIGITS, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::Span;
use std::future::Future;
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

/// How often it is looked whether enough clients are there.
const START_POLL: Duration = Duration::from_millis(50);

/// Longest line: nothing that anyone has to say is nearly as long.
const MAX_LINE: usize = 4096;

/// How often a client says how far it is. The old server waits for it.
const SPEAK: Duration = Duration::from_millis(500);

/// The ends of a segment are not marked: what belongs to it comes within this.
const SEGMENT_TIME: Duration = Duration::from_millis(100);

/// Silence of a client after which the coordinator is told that it is still connected.
const ALIVE: Duration = Duration::from_secs(20);

/// A puzzle that the plain-text protocol can express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    bytes: u32,
    string: String,
}

impl Problem {
    /// The problem of a puzzle.
    ///
    /// # Errors
    /// The protocol knows whole zero bytes and the text encoding only.
    pub fn new(puzzle: &Puzzle) -> Result<Self, String> {
        let bits = puzzle.difficulty().bits();
        if puzzle.encoding() != Encoding::Text || !bits.is_multiple_of(8) {
            return Err("--classic needs whole zero bytes and the text encoding".into());
        }
        Ok(Self { bytes: bits / 8, string: puzzle.string().to_owned() })
    }

    fn segment(&self, id: u64) -> String {
        format!("{id},{},{}", self.bytes, self.string)
    }

    fn parse(segment: &str) -> Option<(u64, Puzzle)> {
        let mut words = segment.trim_end().splitn(3, ',');
        let id = words.next()?.trim().parse().ok()?;
        let difficulty = Difficulty::from_bytes(words.next()?.trim().parse().ok()?).ok()?;
        let puzzle = Puzzle::new(words.next()?, difficulty, Encoding::Text).ok()?;
        Some((id, puzzle.with_seed_prefix().ok()?))
    }
}

/// Whether the other side speaks first, as native clients do.
pub(super) async fn is_native(stream: &TcpStream) -> bool {
    let mut first = [0; 1];
    // Frames begin with the high byte of a small length.
    matches!(timeout(NATIVE_TIME, stream.peek(&mut first)).await, Ok(Ok(1)) if first[0] == 0)
}

/// Serves an old client until the search is over or it is gone.
pub(super) async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    hub: &Hub,
    problem: &Problem,
) {
    tcp::prepare(&stream);
    let bell = Arc::new(Notify::new());
    let sender = Sender { address, doorbell: Doorbell::Own(bell.clone()) };
    let Ok(client) = hub.join_classic(&sender) else { return };
    let mut session = Session { hub, client, lines: Lines::default() };
    // An error is the peer's or the network's; either way the connection is over.
    let _ = session.run(&mut stream, &bell, problem).await;
    if hub.closing().is_none() {
        hub.with(|coordinator, _| coordinator.leave(client));
    }
    hub.disconnected(client, &bell);
}

struct Session<'a> {
    hub: &'a Hub,
    client: ClientId,
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
        let mut alive = tokio::time::interval(ALIVE);
        loop {
            if let Some(over) = self.hub.closing() {
                stream.write_all(format!("stop,{}", over.winner).as_bytes()).await?;
                return stream.shutdown().await;
            }
            tokio::select! {
                read = stream.read(&mut buffer) => {
                    let length = read?;
                    if length == 0 || !self.heard(&buffer[..length]) {
                        return Ok(());
                    }
                }
                _ = alive.tick() => self.show_alive(),
                () = bell.notified() => {}
            }
        }
    }

    async fn wait_for_start(&self, stream: &TcpStream) -> io::Result<()> {
        let mut first = [0; 1];
        let mut alive = tokio::time::interval(ALIVE);
        while !self.hub.with(|coordinator, _| coordinator.totals().started) {
            tokio::select! {
                () = tokio::time::sleep(START_POLL) => {}
                _ = alive.tick() => self.show_alive(),
                // Whatever it says now is read later; but it may hang up.
                peeked = stream.peek(&mut first) => match peeked? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => tokio::time::sleep(START_POLL).await,
                }
            }
        }
        Ok(())
    }

    fn show_alive(&self) {
        // A client that the coordinator does not know any more still gets its stop.
        let _ = self.hub.with(|coordinator, now| coordinator.heartbeat(now, self.client));
    }

    /// Takes what came; whether the client is to be listened to any longer.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        let Some(lines) = self.lines.push(bytes) else { return false };
        lines.iter().all(|line| self.line(line))
    }

    fn line(&self, line: &str) -> bool {
        if let Some(claim) = line.strip_prefix("ok,") {
            let seed = claim.split(',').next().unwrap_or_default();
            return !matches!(self.hub.claim(self.client, seed), Ok(Claim::False) | Err(_));
        }
        if let Some(tested) = tested(line) {
            let note = |c: &mut crate::coordinator::Coordinator, now| {
                c.note_tested(now, self.client, tested)
            };
            if self.hub.with(note).is_err() {
                return false;
            }
        }
        let line = proto::cleaned(line, proto::MAX_TEXT);
        self.hub.show(ServerEvent::Said(self.client.0, line));
        true
    }
}

/// The number in a progress line.
fn tested(line: &str) -> Option<u64> {
    line.split_whitespace().find_map(|word| word.parse().ok())
}

/// Cuts a stream into lines. A claim counts as soon as it is complete, also without a line feed.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    /// The lines that are complete now; `None` when one is longer than a line may be.
    fn push(&mut self, bytes: &[u8]) -> Option<Vec<String>> {
        self.buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        // An old client may also leave the line feed away before a claim.
        if let Some(at) = find(&self.buffer, b"ok,") {
            let claim = String::from_utf8_lossy(&self.buffer[at..]).into_owned();
            if is_whole_claim(&claim) {
                self.buffer.clear();
                lines.push(claim);
            }
        }
        (self.buffer.len() <= MAX_LINE).then_some(lines)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Whether the digest at the end of `ok,SEED,DIGEST` has all of its 32 digits.
fn is_whole_claim(claim: &str) -> bool {
    claim.rsplit(',').next().is_some_and(|digest| {
        claim.matches(',').count() >= 2
            && digest.len() == 32
            && digest.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// How an old server's search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server said so: this client was the winner, or another.
    Finished {
        /// Whose seed it was.
        winner: Option<u64>,
        /// This client's id.
        client: u64,
    },
    /// It was not there, or something else was.
    Unreachable(String),
    /// Someone said stop.
    Stopped,
}

/// Runs against a server that speaks the plain-text protocol. `show` is told the client's id and
/// the problem, and then what has been tested.
pub async fn run(
    addresses: &[SocketAddr],
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
    show: impl Fn(u64, &Puzzle, u64),
) -> Ending {
    tokio::pin!(shutdown);
    tokio::select! {
        ending = converse(addresses, backend, show) => {
            ending.unwrap_or_else(|error| Ending::Unreachable(error.to_string()))
        }
        () = &mut shutdown => Ending::Stopped,
    }
}

async fn converse(
    addresses: &[SocketAddr],
    backend: Arc<dyn Backend>,
    show: impl Fn(u64, &Puzzle, u64),
) -> io::Result<Ending> {
    let mut stream = timeout(CONNECT_TIME, TcpStream::connect(addresses)).await??;
    tcp::prepare(&stream);
    let segment = read_segment(&mut stream).await?;
    // Where the search was over at once, the stop stands right behind the problem.
    let (problem, stop) = segment.split_at(segment.find("stop,").unwrap_or(segment.len()));
    let Some((client, puzzle)) = Problem::parse(problem) else {
        return Ok(Ending::Unreachable(format!("no problem of the classic protocol: {segment:?}")));
    };
    if let Some(winner) = stop_in(stop) {
        return Ok(Ending::Finished { winner, client });
    }
    show(client, &puzzle, 0);
    let space = SeedSpace::new(&puzzle, Layout::Counting).map_err(io::Error::other)?;
    let space = Arc::new(space);
    // The old server divides nothing: who starts at a place of its own does not do what others do.
    let span = Span::new(u128::from(client) << 48, u128::MAX);
    let control = Arc::new(Control::new(space, span, puzzle.difficulty().bits(), 1));
    let searching = control.clone();
    let search = tokio::task::spawn_blocking(move || backend.search(&searching));
    let ending = exchange(&mut stream, &control, client, &puzzle, show).await;
    control.stop();
    // The search ends within milliseconds, and its failure with it.
    let _ = search.await;
    ending
}

/// All that belongs to one segment of the server.
async fn read_segment(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    let mut read = stream.read(&mut buffer).await?;
    while read > 0 && bytes.len() < MAX_STRING_DIGITS + 64 {
        bytes.extend_from_slice(&buffer[..read]);
        read = match timeout(SEGMENT_TIME, stream.read(&mut buffer)).await {
            Ok(more) => more?,
            Err(_) => 0,
        };
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether `text` says stop, and who has won where it says so too.
fn stop_in(text: &str) -> Option<Option<u64>> {
    let (_, winner) = text.split_once("stop,")?;
    let digits: String = winner.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().ok())
}

/// Says how far the search is, and what it has found, until the server says stop.
async fn exchange(
    stream: &mut TcpStream,
    control: &Control,
    client: u64,
    puzzle: &Puzzle,
    show: impl Fn(u64, &Puzzle, u64),
) -> io::Result<Ending> {
    let mut speak = tokio::time::interval(SPEAK);
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    let mut claimed = false;
    let mut told = 0;
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => {
                let length = read?;
                heard.extend_from_slice(&buffer[..length]);
                if let Some(winner) = stop_in(&String::from_utf8_lossy(&heard)) {
                    return Ok(Ending::Finished { winner, client });
                }
                if length == 0 || heard.len() > MAX_LINE {
                    return Ok(Ending::Finished { winner: None, client });
                }
            }
            _ = speak.tick() => {
                let tested = control.tested();
                let line = format!("Computed {} hashes\n", tested - told);
                told = tested;
                stream.write_all(line.as_bytes()).await?;
                show(client, puzzle, tested);
            }
            () = tokio::time::sleep(Duration::from_millis(10)), if !claimed => {
                if let Some(claim) = claim_of(control) {
                    claimed = true;
                    stream.write_all(claim.as_bytes()).await?;
                }
            }
        }
    }
}

/// `ok,SEED,DIGEST` for the first solution there is.
fn claim_of(control: &Control) -> Option<String> {
    let hit = control.hits().first().copied()?;
    let seed = control.space().seed(hit.nonce)?;
    let digest: Digest = control.space().puzzle().digest(&seed).ok()?;
    debug_assert!(seed.len() <= MAX_SEED_CHARACTERS);
    Some(format!("ok,{seed},{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_is_read_as_it_is_written() {
        let puzzle = Puzzle::new("aBc", Difficulty::from_bytes(3).unwrap(), Encoding::Text);
        let problem = Problem::new(&puzzle.unwrap()).unwrap();
        assert_eq!(problem.segment(7), "7,3,aBc");
        let (id, read) = Problem::parse("7,3,aBc").unwrap();
        assert_eq!((id, read.string(), read.difficulty().bits()), (7, "aBc", 24));
        assert!(read.seed_prefix());
        for bad in ["", "7", "7,3", "x,3,ab", "7,17,ab", "7,3,xy", "7,3,ab,cd"] {
            assert_eq!(Problem::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_stop_is_found_wherever_it_stands() {
        assert_eq!(stop_in("7,3,ab"), None);
        assert_eq!(stop_in("stop,12"), Some(Some(12)));
        assert_eq!(stop_in("7,3,abstop,"), Some(None));
    }

    #[test]
    fn lines_come_in_any_pieces_and_claims_without_an_end() {
        let text = format!("Computed 5 hashes\nok,0x1f,{}", "0".repeat(32));
        for step in 1..text.len() {
            let mut lines = Lines::default();
            let got: Vec<String> =
                text.as_bytes().chunks(step).flat_map(|piece| lines.push(piece).unwrap()).collect();
            assert_eq!(got, [&text[..17], &text[18..]]);
        }
        assert_eq!(Lines::default().push(&[b'x'; MAX_LINE + 1]), None);
        assert_eq!(tested("Computed 100000 hashes"), Some(100_000));
    }
}
