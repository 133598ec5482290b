//! The problem that a server sends, and the lines that clients answer.

use crate::net::limits::MAX_LINE;
use crate::puzzle::{Difficulty, Encoding, Puzzle};

/// A puzzle that the plain-text protocol can express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    bytes: u32,
    puzzle: Puzzle,
}

impl Problem {
    /// Expresses a puzzle.
    ///
    /// # Errors
    /// The protocol has only whole zero bytes and the text encoding.
    pub fn new(puzzle: &Puzzle) -> Result<Self, String> {
        let bits = puzzle.difficulty().bits();
        if puzzle.encoding() != Encoding::Text || !bits.is_multiple_of(8) {
            return Err("the classic protocol needs whole zero bytes and the text encoding".into());
        }
        Ok(Self { bytes: bits / 8, puzzle: puzzle.clone() })
    }

    /// Returns the segment for the client with number `id`.
    pub(super) fn segment(&self, id: u64) -> String {
        format!("{id},{},{}", self.bytes, self.puzzle.string())
    }

    /// Judges a seed as old programs write it.
    pub(super) fn is_solved_by(&self, seed: &str) -> bool {
        let written = self.puzzle.written_seed(seed);
        written.is_ok_and(|seed| self.puzzle.is_solved_by(&seed))
    }

    /// Reads a segment: the client's number and the puzzle.
    pub(super) fn parse(segment: &str) -> Option<(u64, Puzzle)> {
        let mut words = segment.trim_end().splitn(3, ',');
        let id = words.next()?.trim().parse().ok()?;
        let difficulty = Difficulty::from_bytes(words.next()?.trim().parse().ok()?).ok()?;
        let puzzle = Puzzle::new(words.next()?, difficulty, Encoding::Text).ok()?;
        Some((id, puzzle.with_seed_prefix().ok()?))
    }
}

/// Returns the seed in a claim.
pub(super) fn claimed_seed(line: &str) -> Option<&str> {
    line.strip_prefix("ok,")?.split(',').next()
}

/// Returns the number of hashes in a progress line.
pub(crate) fn tested(line: &str) -> Option<u64> {
    line.split_whitespace().find_map(|word| word.parse().ok())
}

/// Returns `Some` if `text` says stop, with the winner if it names one.
pub(super) fn stop_in(text: &str) -> Option<Option<u64>> {
    let (_, winner) = text.split_once("stop,")?;
    let digits: String = winner.chars().take_while(char::is_ascii_digit).collect();
    Some(digits.parse().ok())
}

/// Cuts a stream into lines. A claim counts as soon as it is complete, also without a line feed.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
}

impl Lines {
    /// Returns the lines that are complete now; `None` once a line exceeds [`MAX_LINE`].
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<Vec<String>> {
        self.buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        // Old clients may leave out the line feed before a claim, too.
        if let Some(at) = find(&self.buffer, b"ok,") {
            let claim = String::from_utf8_lossy(&self.buffer[at..]).into_owned();
            if is_whole_claim(&claim) {
                self.buffer.clear();
                lines.push(claim);
            }
        }
        (self.buffer.len() <= MAX_LINE).then_some(lines)
    }

    /// Returns the bytes after the last line feed: in a datagram a line needs none.
    pub(super) fn rest(self) -> Option<String> {
        let rest = String::from_utf8_lossy(&self.buffer).trim_end().to_owned();
        (!rest.is_empty()).then_some(rest)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Returns true if the digest at the end of `ok,SEED,DIGEST` has all of its 32 digits.
fn is_whole_claim(claim: &str) -> bool {
    claim.rsplit(',').next().is_some_and(|digest| {
        claim.matches(',').count() >= 2
            && digest.len() == 32
            && digest.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_read_as_it_is_written() {
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
    fn puzzles_that_the_protocol_cannot_express_are_refused() {
        let difficulty = |bits| Difficulty::from_bits(bits).unwrap();
        let odd = Puzzle::new("ab", difficulty(12), Encoding::Text).unwrap();
        let bytes = Puzzle::new("ab", difficulty(16), Encoding::Bytes).unwrap();
        assert!(Problem::new(&odd).is_err() && Problem::new(&bytes).is_err());
    }

    #[test]
    fn a_stop_is_found_anywhere_in_the_text() {
        assert_eq!(stop_in("7,3,ab"), None);
        assert_eq!(stop_in("stop,12"), Some(Some(12)));
        assert_eq!(stop_in("7,3,abstop,"), Some(None));
    }

    #[test]
    fn lines_arrive_in_any_pieces_and_claims_without_an_end() {
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
