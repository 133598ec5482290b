//! The plain-text protocol of the first programs of this kind, both sides of it, over TCP and, with
//! the same lines, over UDP.
//!
//! The flow
//! - The client connects and says nothing; over UDP its first datagram, whatever it says, lets it in.
//!   Once enough clients are there the server sends each `ID,N,STRING`, in ASCII, without an end, in
//!   one segment or datagram; over UDP not before as many bytes came from it; `datagrams` says why.
//! - Clients send progress lines, such as `Computed 100000 hashes`, each with a line feed, and
//!   `ok,SEED,DIGEST`, with or without one. SEED may begin with `0x`; DIGEST is the MD5 of the
//!   characters of SEED, then STRING.
//! - The server verifies, sends `stop,ID` to all, with the winner's id, and closes.
//!
//! The old server reads from one client after the other and waits for each, so a client must say
//! something at least every second. Servers know native clients by their first byte.

mod allowance;
mod client;
mod datagrams;
mod stream;

pub use client::{Ending, run};
pub(super) use datagrams::UdpPeers;
pub(super) use stream::{is_native, serve};

use crate::coordinator::ClientId;
use crate::net::server::service::{ServerEvent, Service};

use crate::proto;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use std::time::Duration;

/// Longest line: nothing that anyone has to say is nearly as long.
const MAX_LINE: usize = 4096;

/// Silence of a client after which the coordinator is told that it is still connected.
const ALIVE: Duration = Duration::from_secs(20);

/// The ends of a segment are not marked: what belongs to it comes within this.
const SEGMENT_TIME: Duration = Duration::from_millis(100);

/// A puzzle that the plain-text protocol can express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    bytes: u32,
    puzzle: Puzzle,
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
        Ok(Self { bytes: bits / 8, puzzle: puzzle.clone() })
    }

    fn segment(&self, id: u64) -> String {
        format!("{id},{},{}", self.bytes, self.puzzle.string())
    }

    /// Judges a seed as old programs write it.
    fn is_solved_by(&self, seed: &str) -> bool {
        let written = self.puzzle.written_seed(seed);
        written.is_ok_and(|seed| self.puzzle.is_solved_by(&seed))
    }

    fn parse(segment: &str) -> Option<(u64, Puzzle)> {
        let mut words = segment.trim_end().splitn(3, ',');
        let id = words.next()?.trim().parse().ok()?;
        let difficulty = Difficulty::from_bytes(words.next()?.trim().parse().ok()?).ok()?;
        let puzzle = Puzzle::new(words.next()?, difficulty, Encoding::Text).ok()?;
        Some((id, puzzle.with_seed_prefix().ok()?))
    }
}

/// What a server makes of one line of an old client; whether the client is to be listened to any
/// longer.
fn take_line(service: &Service, client: ClientId, line: &str) -> bool {
    if let Some(seed) = claimed_seed(line) {
        // One false claim may be a mistake; after some the coordinator bans its client.
        return service.claim(client, seed).is_ok();
    }
    if let Some(tested) = tested(line)
        && service.with(|coordinator, now| coordinator.note_tested(now, client, tested)).is_err()
    {
        return false;
    }
    if !line.is_empty() {
        service.show(ServerEvent::Said(client.0, proto::cleaned(line, proto::MAX_TEXT)));
    }
    true
}

/// The seed in a claim.
fn claimed_seed(line: &str) -> Option<&str> {
    line.strip_prefix("ok,")?.split(',').next()
}

/// Returns the number in a progress line.
pub(crate) fn tested(line: &str) -> Option<u64> {
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

    /// What stands behind the last line feed: over UDP a line needs none.
    fn rest(self) -> Option<String> {
        let rest = String::from_utf8_lossy(&self.buffer).trim_end().to_owned();
        (!rest.is_empty()).then_some(rest)
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

/// Whether `text` says stop, and who has won where it says so too.
fn stop_in(text: &str) -> Option<Option<u64>> {
    let (_, winner) = text.split_once("stop,")?;
    let digits: String = winner.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().ok())
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
