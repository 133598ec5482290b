//! `trailing`: seeds of one length, the longest that fits one block, written as the nonce with
//! leading zeros. The seed ends where a message word ends, so its last digits vary a late word, and
//! all members of a base share the steps before it.

use super::layout::LayoutError;
use super::segment::{Segment, Surroundings, number_segment};
use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;

/// Longest message of one block, in bytes: padding adds a 1 bit and an eight-byte length.
const BLOCK_ROOM: usize = 55;

/// Most digits that vary; the room of 32 digits would not fit a `u128`.
const MOST_VARYING: usize = 31;

#[derive(Clone, Debug)]
pub(super) struct Trailing {
    around: Surroundings,
    digits: usize,
    words: usize,
}

impl Trailing {
    pub(super) fn new(puzzle: &Puzzle) -> Result<Self, LayoutError> {
        let around = Surroundings::of(puzzle);
        let words = BLOCK_ROOM.saturating_sub(around.string_bytes()) / 4;
        if words == 0 {
            let most = match around.encoding {
                Encoding::Text => BLOCK_ROOM - 4,
                Encoding::Bytes => 2 * (BLOCK_ROOM - 4) + 1,
            };
            return Err(LayoutError::StringTooLong { digits: around.string.len(), most });
        }
        let digits = match around.encoding {
            Encoding::Text => 4 * words - around.prefix.len(),
            Encoding::Bytes => 8 * words - around.string.len() % 2,
        };
        Ok(Self { around, digits, words })
    }

    pub(super) fn room(&self) -> u128 {
        1 << (4 * self.digits.min(MOST_VARYING))
    }

    /// Returns the index of the message word that members vary.
    pub(super) fn family_word(&self) -> usize {
        self.words - 1
    }

    pub(super) fn seed(&self, nonce: u128) -> String {
        format!("{}{nonce:0digits$x}", self.around.prefix, digits = self.digits)
    }

    /// Returns a nonce whose seed may be `seed`; the caller writes its seed and compares.
    pub(super) fn nonce(&self, seed: &str) -> Option<u128> {
        u128::from_str_radix(seed.strip_prefix(self.around.prefix)?, 16).ok()
    }

    pub(super) fn segment(&self, nonce: u128) -> Segment {
        number_segment(&self.around, self.digits, Span::new(0, self.room()), nonce)
    }
}
