//! Jobs for tests, here because those who know nothing of puzzles need some.

use super::kinds::JobSpec;
use super::md5_search::Md5Search;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use crate::seeds::Layout;

/// Returns a search in the order 0, 1, 2, .. for `wanted` solutions with `bits` zero bits.
pub(crate) fn search(bits: u32, wanted: u32) -> JobSpec {
    let difficulty = Difficulty::from_bits(bits).unwrap();
    let puzzle = Puzzle::new("A7C02215FC", difficulty, Encoding::Text).unwrap();
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, wanted).unwrap())
}

/// Returns a search of just 65,536 nonces, for a string that leaves room for four digits of seed.
pub(crate) fn small_search(bits: u32, wanted: u32) -> JobSpec {
    let difficulty = Difficulty::from_bits(bits).unwrap();
    let puzzle = Puzzle::new("A".repeat(51), difficulty, Encoding::Text).unwrap();
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Trailing, wanted).unwrap())
}

/// Returns a search without end whose candidates take 157 blocks each.
pub(crate) fn long_search(bits: u32) -> JobSpec {
    let difficulty = Difficulty::from_bits(bits).unwrap();
    let puzzle = Puzzle::new("A".repeat(10_000), difficulty, Encoding::Text).unwrap();
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, 1).unwrap())
}

/// Returns a puzzle of this string.
pub(crate) fn puzzle_of(string: String, bits: u32) -> Puzzle {
    Puzzle::new(string, Difficulty::from_bits(bits).unwrap(), Encoding::Text).unwrap()
}

/// Returns a hopeless search whose string leaves room for one word of seed: few enough nonces for a
/// single lease.
pub(crate) fn search_of_one_word() -> JobSpec {
    let difficulty = Difficulty::from_bits(120).unwrap();
    let puzzle = Puzzle::new("A".repeat(102), difficulty, Encoding::Bytes).unwrap();
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Trailing, 1).unwrap())
}
