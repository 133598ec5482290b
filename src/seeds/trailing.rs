//! `trailing`: seeds of one length, as long as the one block allows, written as the nonce with
//! leading zeros. The seed ends with a message word, so the last digits vary a late word and every
//! step before it is the base's.

use super::{LayoutError, Segment, Surroundings, digits, number_segment};
use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;

/// Bytes of a block that hold message: padding takes a 1 bit and an eight-byte length.
const BLOCK_ROOM: usize = 55;

/// More digits would not fit a nonce.
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
        let digits = match around.encoding {
            Encoding::Text => (4 * words).saturating_sub(around.prefix.len()),
            Encoding::Bytes => (8 * words).saturating_sub(around.string.len() % 2),
        };
        if words == 0 {
            let most = match around.encoding {
                Encoding::Text => BLOCK_ROOM - 4,
                Encoding::Bytes => 2 * (BLOCK_ROOM - 4) + 1,
            };
            return Err(LayoutError::StringTooLong { digits: around.string.len(), most });
        }
        Ok(Self { around, digits, words })
    }

    pub(super) fn room(&self) -> u128 {
        1 << (4 * self.digits.min(MOST_VARYING))
    }

    /// The message word that members vary.
    pub(super) fn family_word(&self) -> usize {
        self.words - 1
    }

    pub(super) fn seed(&self, nonce: u128) -> String {
        format!("{}{nonce:0digits$x}", self.around.prefix, digits = self.digits)
    }

    pub(super) fn nonce(&self, seed: &str) -> Option<u128> {
        let digits = seed.strip_prefix(self.around.prefix)?;
        let (zeros, varying) =
            digits.split_at_checked(digits.len().saturating_sub(MOST_VARYING))?;
        zeros.bytes().all(|c| c == b'0').then(|| digits::parse(varying))?
    }

    pub(super) fn segment(&self, nonce: u128) -> Segment {
        number_segment(&self.around, self.digits, Span::new(0, self.room()), nonce)
    }
}
