//! Where a hex digit stands in a message, and how it is written there.

use crate::puzzle::Encoding;

/// The place of one hex digit in the message: a whole character in `text`, half a byte in `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digit {
    encoding: Encoding,
    /// Counted in digits from the start of the message.
    position: usize,
}

impl Digit {
    pub(super) fn new(encoding: Encoding, position: usize) -> Self {
        Self { encoding, position }
    }

    /// How the digit is written.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// The message byte that holds the digit.
    pub fn byte(self) -> usize {
        match self.encoding {
            Encoding::Text => self.position,
            Encoding::Bytes => self.position / 2,
        }
    }

    /// The message word (of four bytes, counted through all blocks) that holds the digit.
    pub fn word(self) -> usize {
        self.byte() / 4
    }

    /// The digit's index in its word: 0..4 in `text`, 0..8 in `bytes`, first in the message first.
    pub fn index_in_word(self) -> usize {
        match self.encoding {
            Encoding::Text => self.position % 4,
            Encoding::Bytes => self.position % 8,
        }
    }

    /// The bits of the little-endian message word that belong to the digit.
    pub fn mask(self) -> u32 {
        match self.encoding {
            Encoding::Text => 0xff << (8 * (self.byte() % 4)),
            Encoding::Bytes => 0xf << self.bytes_shift(),
        }
    }

    /// The digit `value` (0..16) as it stands in its word.
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

/// The lower-case character of a digit.
fn character(value: u32) -> u8 {
    b"0123456789abcdef"[value as usize % 16]
}

/// The bytes of `characters`: themselves in `text`; decoded, two digits a byte, in `bytes`.
pub(super) fn message(encoding: Encoding, characters: &str) -> Vec<u8> {
    let value = |c: u8| char::from(c).to_digit(16).unwrap_or_default() as u8;
    match encoding {
        Encoding::Text => characters.as_bytes().to_vec(),
        Encoding::Bytes => characters
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| value(pair[0]) << 4 | value(pair[1]))
            .collect(),
    }
}

/// The value of lower-case hex digits as [`message`] and the layouts write them.
pub(super) fn parse(digits: &str) -> Option<u128> {
    let written_here = digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    if written_here { u128::from_str_radix(digits, 16).ok() } else { None }
}
