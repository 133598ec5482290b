//! `tunnel`: 32-byte prefixes whose words 3, 4 and 7 change together without any effect on the
//! steps before the 23rd (message modification; Klima, "Tunnels in Hash Functions", 2006).
//!
//! `Q3` differs between members. Words 3, 4 and 7 compensate for it in the steps that use `Q3`
//! directly, and conditions on `Q4` and `Q5` hide it from the boolean functions of steps 5 and 6.
//! In `bytes` any word is allowed, hence any `Q3`. In `text` every byte must stay a hex digit, so
//! members toggle seven single bits of `Q3`, starting from prefixes that a search found
//! (`examples/tunnel_prefixes.rs`).

use super::digits::Digit;
use super::segment::{Family, SEGMENT_DIGITS, Segment, Surroundings};
use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;
use crate::steps::{INITIAL, step, word_for};
use std::sync::{Arc, OnceLock};

/// First step that adds a member's word.
pub const TUNNEL_START: usize = 23;

/// Length of the prefix in bytes, without extra digits.
const PREFIX_BYTES: usize = 32;

/// The bits of `Q3` that members toggle in `text`.
pub(super) const TOGGLES: [u32; 7] = [3, 8, 11, 16, 19, 24, 27];

/// Word 7 of member 0 in `text`: the characters 9999.
const TEXT_WORD_7: u32 = u32::from_le_bytes(*b"9999");

/// Number of word 5s used with each prefix in `text`; more of the 22^4 would fit each prefix.
pub(super) const WORD_5_CHOICES: usize = 512;

/// All characters that are hex digits.
const HEX_CHARACTERS: &[u8; 22] = b"0123456789abcdefABCDEF";

/// Most extra digits; with more, the room would not fit a `u128`.
const MOST_EXTRA: usize = 21;

/// Words 0 to 5 for `text`; `tests` recomputes every member of each.
pub(super) const PREFIXES: [&[u8; 24]; 16] = [
    b"e8efbf69df16BBBAEEEBA90F",
    b"D2Ad4B2B5bF5AAAACDCDBadD",
    b"e733eB54fac1ACABECDD9Cb5",
    b"FE0AaDe57aDBABBBCCFFaDa7",
    b"F5420fEf77ceAAAAFCFBCa10",
    b"9e08CF5Ef7FeBFBACFFEfbEF",
    b"07bF9906EAfCAFAACCEA608D",
    b"DAd40Fd1c74fBAABFFDAFc9a",
    b"B50c397Da1a3AABAEDDB7c54",
    b"F0aC7B665af4AAAADFDAef9F",
    b"C0582FD8c03BBFBAFEEEbcb7",
    b"6e8cbC03085FBDBACCFEdfbb",
    b"8B4E44BDc754AABACEDC4E07",
    b"9924b89ac1a1AAAADDDAdcef",
    b"c851D78DfBBaACBAFCDAc7c7",
    b"C42bFAE578BbAABADCEA9aa4",
];

/// Words 0 to 5 for seeds that start with 0x.
pub(super) const PREFIXES_0X: [&[u8; 24]; 16] = [
    b"0xA32Bfa5ef3AFABCFDA0c87",
    b"0xf44C17a6dbBAAAEDCA00A9",
    b"0x7956Df07ebAFAADFCDbCec",
    b"0xbA9CC4DA52BFABDDDD52A0",
    b"0xbB3C2030cBBFAADDEA76dc",
    b"0xCF32faee7DAAAAFEDA00aD",
    b"0xdD270129E2BFAACCDC0B7A",
    b"0xCD0F68bCbeBAAAEDEA8d5E",
    b"0xB8B76281edBFBACEDA2215",
    b"0xAB3BBaCEEcBFAACFEAbb9F",
    b"0xB8B6fDFE3fBAABCDDAAe40",
    b"0xBD46baeE7EAAAADCEA011F",
    b"0xbDFC4210CBBFABCDDA2fac",
    b"0xA97bfe0EC4BFAAEDDA140d",
    b"0xB27Cfd7E8bAFABDDCA2Bea",
    b"0xc47EE4798cAFABCFCEa5d9",
];

/// Number of members of a family in `bytes`.
const BYTES_MEMBERS: u32 = 256;

/// Word 2, and the sum of `Q3` and word 7, in `bytes`; both are arbitrary.
const BYTES_WORD_2: u32 = 0;
const BYTES_SUM_7: u32 = 0x5eed_5eed;

#[derive(Clone, Debug)]
pub(super) struct Tunnel {
    around: Surroundings,
    prefixes: &'static [&'static [u8; 24]],
    /// Number of the seed's digits between prefix and string.
    extra: usize,
    /// The word 5s of each prefix, searched on first use.
    words_5: Arc<[OnceLock<Box<[u32]>>]>,
}

/// The parts of a nonce in `text`, fastest first.
struct TextNonce {
    member: u32,
    word_6: u32,
    extra: u128,
    choice: usize,
    prefix: usize,
}

impl Tunnel {
    pub(super) fn new(puzzle: &Puzzle) -> Self {
        let around = Surroundings::of(puzzle);
        let length = PREFIX_BYTES + around.string.len();
        let extra = match around.encoding {
            // As many as need no further block; padding takes nine bytes at least.
            Encoding::Text => ((length + 9).next_multiple_of(64) - 9 - length).min(MOST_EXTRA),
            // Words give enough room; one digit may be needed for an even total.
            Encoding::Bytes => around.string.len() % 2,
        };
        let prefixes: &[_] = if puzzle.seed_prefix() { &PREFIXES_0X } else { &PREFIXES };
        let words_5 = prefixes.iter().map(|_| OnceLock::new()).collect();
        Self { around, prefixes, extra, words_5 }
    }

    pub(super) fn room(&self) -> u128 {
        match self.around.encoding {
            Encoding::Text => {
                let choices = (self.prefixes.len() * WORD_5_CHOICES) as u128;
                choices << (TOGGLES.len() + 16 + 4 * self.extra)
            }
            Encoding::Bytes => u128::from(BYTES_MEMBERS) << (32 + 64),
        }
    }

    pub(super) fn message_len(&self) -> usize {
        match self.around.encoding {
            Encoding::Text => PREFIX_BYTES + self.extra + self.around.string.len(),
            Encoding::Bytes => PREFIX_BYTES + self.around.string.len().div_ceil(2),
        }
    }

    pub(super) fn seed(&self, nonce: u128) -> String {
        let (words, extra) = match self.around.encoding {
            Encoding::Text => {
                let parts = self.split(nonce);
                (self.text_words(&parts), digits_of(parts.extra, self.extra))
            }
            Encoding::Bytes => (bytes_words(nonce), digits_of(0, self.extra)),
        };
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        let prefix: String = match self.around.encoding {
            Encoding::Text => bytes.map(char::from).collect(),
            Encoding::Bytes => bytes.map(|byte| format!("{byte:02x}")).collect(),
        };
        prefix + &extra
    }

    /// Returns a nonce whose seed may be `seed`; the caller writes its seed and compares.
    pub(super) fn nonce(&self, seed: &str) -> Option<u128> {
        let characters = if self.around.encoding == Encoding::Text { 32 } else { 64 };
        let (prefix, extra) = seed.split_at_checked(characters)?;
        let bytes = self.around.encoding.message(prefix.to_owned());
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        match self.around.encoding {
            Encoding::Text => self.text_nonce(&words, extra),
            Encoding::Bytes => bytes_nonce(&words),
        }
    }

    pub(super) fn segment(&self, nonce: u128) -> Segment {
        match self.around.encoding {
            Encoding::Text => {
                let parts = self.split(nonce);
                let words = self.text_words(&TextNonce { member: 0, ..parts });
                let members = text_members(&words);
                let base_digits = (24..28)
                    .rev()
                    .chain((PREFIX_BYTES..PREFIX_BYTES + self.extra).rev())
                    .take(SEGMENT_DIGITS);
                self.cut(nonce, base_digits.collect(), members)
            }
            Encoding::Bytes => {
                self.cut(nonce, (48..56).rev().collect(), bytes_members(&bytes_words(nonce)))
            }
        }
    }

    /// Returns the segment around `nonce` in which the digits at `places` vary.
    fn cut(&self, nonce: u128, places: Vec<usize>, members: Vec<[u32; 3]>) -> Segment {
        let size = (members.len() as u128) << (4 * places.len());
        let first = nonce - nonce % size;
        let seed = self.seed(first);
        let mut message = self.around.encoding.message(seed + &self.around.string);
        let base_digits: Vec<_> =
            places.into_iter().map(|place| Digit::new(self.around.encoding, place)).collect();
        for digit in &base_digits {
            digit.clear(&mut message);
        }
        for word in [3, 4, 7] {
            message[4 * word..4 * word + 4].fill(0);
        }
        Segment {
            span: Span::with_len(first, size),
            first_base: first / members.len() as u128,
            message,
            base_digits,
            family: Family::Tunnel(members),
        }
    }

    fn split(&self, nonce: u128) -> TextNonce {
        let mut rest = nonce;
        let mut take = |bits: usize| {
            let low = rest & ((1 << bits) - 1);
            rest >>= bits;
            low
        };
        TextNonce {
            member: take(TOGGLES.len()) as u32,
            word_6: take(16) as u32,
            extra: take(4 * self.extra),
            choice: take(WORD_5_CHOICES.ilog2() as usize) as usize,
            prefix: rest as usize,
        }
    }

    fn text_words(&self, parts: &TextNonce) -> [u32; 8] {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(self.prefixes[parts.prefix].chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        words[5] = self.words_5(parts.prefix)[parts.choice];
        words[6] = text_word(digits_of(u128::from(parts.word_6), 4).as_bytes());
        words[7] = TEXT_WORD_7;
        let [three, four, seven] = text_member(&words, parts.member);
        (words[3], words[4], words[7]) = (three, four, seven);
        words
    }

    fn text_nonce(&self, words: &[u32; 8], extra: &str) -> Option<u128> {
        let same_front =
            |prefix: &&[u8; 24]| (0..3).all(|i| text_word(&prefix[4 * i..]) == words[i]);
        let prefix = self.prefixes.iter().position(same_front)?;
        let choice = self.words_5(prefix).iter().position(|&word| word == words[5])?;
        let word_6 = number(std::str::from_utf8(&words[6].to_le_bytes()).ok()?)?;
        let first = TextNonce { member: 0, word_6: 0, extra: 0, choice, prefix };
        let members = text_members(&self.text_words(&first));
        let member = members.iter().position(|m| *m == [words[3], words[4], words[7]])?;
        let extra = if extra.is_empty() { 0 } else { number(extra)? };
        let fast = (word_6 << TOGGLES.len()) + member as u128;
        let slow = (prefix * WORD_5_CHOICES + choice) as u128;
        // Strangers write as many extra digits as they like; a sum could overflow.
        let slow = slow << (4 * self.extra) | extra;
        Some((slow << (16 + TOGGLES.len())) + fast)
    }

    /// Returns the word 5s of a prefix: its own, then others in order of their characters.
    fn words_5(&self, prefix: usize) -> &[u32] {
        self.words_5[prefix].get_or_init(|| {
            let words: [u32; 6] =
                std::array::from_fn(|i| text_word(&self.prefixes[prefix][4 * i..]));
            let before = (0..5).fold(INITIAL, |state, i| step(i, state, words[i]));
            let toggles = TOGGLES.iter().fold(0, |mask, bit| mask | 1 << bit);
            let others = (0..22u32.pow(4))
                .map(nth_text_word)
                .filter(|&word| word != words[5] && step(5, before, word)[3] & toggles == toggles);
            std::iter::once(words[5]).chain(others).take(WORD_5_CHOICES).collect()
        })
    }
}

/// Returns the word of the four hex characters, of either case, with this `index`.
fn nth_text_word(index: u32) -> u32 {
    let characters = HEX_CHARACTERS.len() as u32;
    let place = |n: u32| HEX_CHARACTERS[(index / characters.pow(n) % characters) as usize];
    u32::from_le_bytes([place(3), place(2), place(1), place(0)])
}

fn text_word(characters: &[u8]) -> u32 {
    u32::from_le_bytes([characters[0], characters[1], characters[2], characters[3]])
}

/// Returns `value` with `digits` digits; none if `digits` is 0.
fn digits_of(value: u128, digits: usize) -> String {
    if digits == 0 { String::new() } else { format!("{value:0digits$x}") }
}

fn number(digits: &str) -> Option<u128> {
    u128::from_str_radix(digits, 16).ok()
}

/// Returns words 3, 4 and 7 of one member, from those of member 0.
fn text_member(words: &[u32; 8], member: u32) -> [u32; 3] {
    let toggled = || TOGGLES.iter().enumerate().filter(|(n, _)| member >> n & 1 == 1);
    let sum = |turn: u32| {
        toggled().fold(0u32, |sum, (_, bit)| sum.wrapping_add(1u32.rotate_left(bit + turn)))
    };
    [words[3].wrapping_add(sum(10)), words[4].wrapping_sub(sum(25)), words[7].wrapping_sub(sum(0))]
}

fn text_members(words: &[u32; 8]) -> Vec<[u32; 3]> {
    (0..1 << TOGGLES.len()).map(|member| text_member(words, member)).collect()
}

/// Returns words 0 to 7 of a nonce in `bytes`: words 0 and 1 count segments, word 6 bases.
fn bytes_words(nonce: u128) -> [u32; 8] {
    let base = nonce / u128::from(BYTES_MEMBERS);
    let member = (nonce % u128::from(BYTES_MEMBERS)) as u32;
    let mut words =
        [(base >> 32) as u32, (base >> 64) as u32, BYTES_WORD_2, 0, 0, 0, (base as u32).to_be(), 0];
    let [three, four, seven] = bytes_member(before_3(&words), member);
    (words[3], words[4], words[7]) = (three, four, seven);
    words[5] = bytes_word_5(&words);
    words
}

fn bytes_nonce(words: &[u32; 8]) -> Option<u128> {
    let members = bytes_members(words);
    let member = members.iter().position(|m| *m == [words[3], words[4], words[7]])?;
    let base = (u128::from(words[1]) << 64)
        + (u128::from(words[0]) << 32)
        + u128::from(u32::from_be(words[6]));
    Some(base * u128::from(BYTES_MEMBERS) + member as u128)
}

/// Returns the state before step 3.
fn before_3(words: &[u32; 8]) -> [u32; 4] {
    (0..3).fold(INITIAL, |state, i| step(i, state, words[i]))
}

/// Returns words 3, 4 and 7 of one member: `Q3` is its number, `Q4` is always 0.
fn bytes_member(before_3: [u32; 4], q3: u32) -> [u32; 3] {
    let three = word_for(3, before_3, q3);
    let four = word_for(4, step(3, before_3, three), 0);
    [three, four, BYTES_SUM_7.wrapping_sub(q3)]
}

fn bytes_members(words: &[u32; 8]) -> Vec<[u32; 3]> {
    let before = before_3(words);
    (0..BYTES_MEMBERS).map(|q3| bytes_member(before, q3)).collect()
}

/// Returns the word 5 that makes `Q5` all ones; it does not depend on `Q3`, because `Q4` is 0.
fn bytes_word_5(words: &[u32; 8]) -> u32 {
    let before = (0..5).fold(INITIAL, |state, i| step(i, state, words[i]));
    word_for(5, before, !0)
}
