//! `counting`: 0, 1, 2, .. in hex without leading zeros. The nonce is the seed's value.

use super::segment::{Segment, Surroundings, number_segment};
use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;

#[derive(Clone, Debug)]
pub(super) struct Counting {
    around: Surroundings,
}

impl Counting {
    pub(super) fn new(puzzle: &Puzzle) -> Self {
        Self { around: Surroundings::of(puzzle) }
    }

    pub(super) fn seed(&self, nonce: u128) -> String {
        let digits = self.digits(nonce);
        format!("{}{nonce:0digits$x}", self.around.prefix)
    }

    /// Returns a nonce whose seed may be `seed`; the caller writes its seed and compares.
    pub(super) fn nonce(&self, seed: &str) -> Option<u128> {
        u128::from_str_radix(seed.strip_prefix(self.around.prefix)?, 16).ok()
    }

    /// Returns the length in bytes of the message with the seed of `nonce`.
    pub(super) fn message_len(&self, nonce: u128) -> usize {
        self.around.message(&format!("{nonce:0digits$x}", digits = self.digits(nonce))).len()
    }

    pub(super) fn segment(&self, nonce: u128) -> Segment {
        let digits = self.digits(nonce);
        let fewer = match self.around.encoding {
            Encoding::Text => digits - 1,
            Encoding::Bytes => digits.saturating_sub(2),
        };
        let start = if fewer == 0 { 0 } else { 1 << (4 * fewer) };
        let end = 1u128.checked_shl(4 * digits as u32).unwrap_or(u128::MAX);
        number_segment(&self.around, digits, Span::new(start, end), nonce)
    }

    /// Returns the number of digits of the seed: as few as possible, one more where `bytes` needs
    /// an even total.
    fn digits(&self, nonce: u128) -> usize {
        let least = (128 - nonce.leading_zeros()).div_ceil(4).max(1) as usize;
        match self.around.encoding {
            Encoding::Text => least,
            Encoding::Bytes => least + (least + self.around.string.len()) % 2,
        }
    }
}
