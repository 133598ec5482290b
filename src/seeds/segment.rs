//! Segments: the runs of a seed space that kernels search, and what all layouts need to cut them.

use super::digits::Digit;
use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;

/// Most digits of a base that vary inside one segment: eight fit a `u32`.
pub(super) const SEGMENT_DIGITS: usize = 8;

/// A run of nonces that one plan serves, where nonce = base * F + member. Bases of one segment
/// differ only in `base_digits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The nonces of the segment. Its first and last base may be cut; the others are complete.
    pub span: Span,
    /// The base whose varying digits are all zero; a multiple of 16^(number of base digits).
    pub first_base: u128,
    /// The complete unpadded message of `first_base`, with zero bits where digits vary.
    pub message: Vec<u8>,
    /// The places of the base's varying digits, least significant first.
    pub base_digits: Vec<Digit>,
    /// The words or digits that differ between members.
    pub family: Family,
}

/// The members of every base; kernels try them in the inner loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// The last digits of the seed, all in one message word; 16^n members.
    Digits(Vec<Digit>),
    /// Words 3, 4 and 7 of the first block for each member; all members share the other words and
    /// the state before step 23.
    Tunnel(Vec<[u32; 3]>),
}

impl Family {
    /// Returns the number of members.
    pub fn size(&self) -> u32 {
        match self {
            Self::Digits(digits) => 1 << (4 * digits.len()),
            Self::Tunnel(members) => members.len() as u32,
        }
    }
}

/// The characters before and after the seed's digits, and their encoding.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) encoding: Encoding,
    pub(super) prefix: &'static str,
    pub(super) string: String,
}

impl Surroundings {
    pub(super) fn of(puzzle: &Puzzle) -> Self {
        Self {
            encoding: puzzle.encoding(),
            prefix: if puzzle.seed_prefix() { "0x" } else { "" },
            string: puzzle.string().to_owned(),
        }
    }

    /// Returns the message of `digits`, which must make the total even in `bytes`.
    pub(super) fn message(&self, digits: &str) -> Vec<u8> {
        self.encoding.message(format!("{}{digits}{}", self.prefix, self.string))
    }

    /// Returns the places of the `count` digits before digit `end` of the seed (the prefix does not
    /// count), least significant first.
    pub(super) fn places(&self, end: usize, count: usize) -> Vec<Digit> {
        (0..count).map(|n| Digit::new(self.encoding, self.prefix.len() + end - 1 - n)).collect()
    }

    /// Returns the length of the string in message bytes, without a digit that shares the seed's
    /// last byte.
    pub(super) fn string_bytes(&self) -> usize {
        match self.encoding {
            Encoding::Text => self.string.len(),
            Encoding::Bytes => self.string.len() / 2,
        }
    }
}

/// Returns how many of the `digits` of a seed form the family: the last two if they share a message
/// word, else one, so that a family never varies two words.
fn family_digits(surroundings: &Surroundings, digits: usize) -> usize {
    let last_two = surroundings.places(digits, digits.min(2));
    last_two.iter().filter(|digit| digit.word() == last_two[0].word()).count()
}

/// Returns a segment of seeds that are plain hex numbers of `digits` digits: the part of `span` whose
/// bases share all but the last eight digits with the base of `nonce`.
pub(super) fn number_segment(
    around: &Surroundings,
    digits: usize,
    span: Span,
    nonce: u128,
) -> Segment {
    let family = family_digits(around, digits);
    let low = (digits - family).min(SEGMENT_DIGITS);
    let size = 1u128 << (4 * (family + low));
    let first = nonce - nonce % size;
    let mut message = around.message(&format!("{first:0digits$x}"));
    let base_digits = around.places(digits - family, low);
    let family = around.places(digits, family);
    for digit in base_digits.iter().chain(&family) {
        digit.clear(&mut message);
    }
    Segment {
        span: span.intersect(Span::with_len(first, size)),
        first_base: first >> (4 * family.len()),
        message,
        base_digits,
        family: Family::Digits(family),
    }
}
