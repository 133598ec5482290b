//! Places of hex digits in a message, and their bits there.

use crate::puzzle::Encoding;

/// The place of one hex digit in the message: a whole character in `text`, half a byte in `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    encoding: Encoding,
    /// Index in digits from the start of the message.
    position: usize,
}

impl Digit {
    pub(super) fn new(encoding: Encoding, position: usize) -> Self {
        Self { encoding, position }
    }

    /// Returns the encoding of the digit.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// Returns the index of the message byte that holds the digit.
    pub fn byte(self) -> usize {
        match self.encoding {
            Encoding::Text => self.position,
            Encoding::Bytes => self.position / 2,
        }
    }

    /// Returns the index of the message word (four bytes, counted through all blocks) that holds
    /// the digit.
    pub fn word(self) -> usize {
        self.byte() / 4
    }

    /// Returns the index of the digit in its word, in message order: 0..4 in `text`, 0..8 in `bytes`.
    pub fn index_in_word(self) -> usize {
        match self.encoding {
            Encoding::Text => self.position % 4,
            Encoding::Bytes => self.position % 8,
        }
    }

    /// Returns the bits of the little-endian message word that belong to the digit.
    pub fn mask(self) -> u32 {
        match self.encoding {
            Encoding::Text => 0xff << (8 * (self.byte() % 4)),
            Encoding::Bytes => 0xf << self.bytes_shift(),
        }
    }

    /// Returns the bits that the digit `value` (0..16) sets in its word.
    pub fn spell(self, value: u32) -> u32 {
        match self.encoding {
            Encoding::Text => u32::from(character(value)) << (8 * (self.byte() % 4)),
            Encoding::Bytes => value << self.bytes_shift(),
        }
    }

    /// Clears the digit's bits in `message`.
    pub(super) fn clear(self, message: &mut [u8]) {
        let shift = 8 * (self.byte() % 4);
        message[self.byte()] &= !((self.mask() >> shift) as u8);
    }

    fn bytes_shift(self) -> usize {
        8 * (self.byte() % 4) + if self.position.is_multiple_of(2) { 4 } else { 0 }
    }
}

/// Returns the lower-case character of a digit.
fn character(value: u32) -> u8 {
    b"0123456789abcdef"[value as usize % 16]
}
