//! Searches for prefixes of the `tunnel` layout in `text`: `tunnel_prefixes COUNT [FRONT]`.
//!
//! Prints COUNT lines of 24 characters, words 0 to 5, each beginning with FRONT (0x for seeds with
//! that prefix). `src/seeds/tunnel.rs` holds the result; its tests recompute every member.

use seedrush::steps::{INITIAL, K, boolean, step};

const TOGGLES: [u32; 7] = [3, 8, 11, 16, 19, 24, 27];
const HEX: &[u8] = b"0123456789abcdefABCDEF";

/// Characters with which every member's words stay hex digits, for each byte.
const WORD_3: [&[u8]; 4] = [b"AB", b"ABCDEF", b"AB", b"AB"];
const WORD_4: [&[u8]; 4] = [b"CDEF", b"CDEF", b"CDEF", b"ABCDEF"];
const WORD_5: [&[u8]; 4] = [HEX; 4];

/// The generator xorshift64*; its quality hardly matters here.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|word| word.parse().ok()).unwrap_or(16);
    let front = arguments.next().unwrap_or_default();
    let mut random = Random(0x5eed);
    for _ in 0..count {
        println!(
            "{}",
            std::iter::repeat_with(|| attempt(&mut random, &front))
                .flatten()
                .next()
                .unwrap_or_default()
        );
    }
}

/// Returns a mask of the bits `b + turn` for every toggle `b`.
fn bits(turn: u32) -> u32 {
    TOGGLES.iter().fold(0, |mask, b| mask | 1u32.rotate_left(b + turn))
}

fn word(characters: &[u8]) -> u32 {
    characters.iter().rev().fold(0, |word, &c| word << 8 | u32::from(c))
}

/// Draws three words that begin with `front`, and looks for words 3, 4 and 5 that fit them.
fn attempt(random: &mut Random, front: &str) -> Option<String> {
    let mut text = front.as_bytes().to_vec();
    text.resize_with(12, || HEX[random.below(HEX.len())]);
    let state = (0..3).fold(INITIAL, |state, i| step(i, state, word(&text[4 * i..4 * i + 4])));
    let [_, _, q1, q2] = state;
    if (q1 ^ q2) & bits(0) != 0 {
        return None;
    }
    let (three, four, state) = choices(&WORD_3)
        .filter(|three| {
            let after = step(3, state, word(three))[3];
            (sum(3, state, word(three)) & bits(10)) | (after & bits(0)) == 0
        })
        .find_map(|three| {
            let state = step(3, state, word(&three));
            let four = choices(&WORD_4).find(|four| {
                let after = step(4, state, word(four))[3];
                (!sum(4, state, word(four)) & bits(25)) | (after & bits(0)) == 0
            })?;
            Some((three, four, step(4, state, word(&four))))
        })?;
    let skipped = random.below(500);
    let five = choices(&WORD_5)
        .filter(|five| !step(5, state, word(five))[3] & bits(0) == 0)
        .nth(skipped)?;
    text.extend([three, four, five].concat());
    String::from_utf8(text).ok()
}

/// Returns the sum that step `i` rotates.
fn sum(i: usize, [q4, q3, q2, q1]: [u32; 4], word: u32) -> u32 {
    boolean(i, q1, q2, q3).wrapping_add(q4).wrapping_add(word).wrapping_add(K[i])
}

fn choices(places: &[&'static [u8]; 4]) -> impl Iterator<Item = [u8; 4]> + use<> {
    let [a, b, c, d] = *places;
    a.iter().flat_map(move |&a| {
        b.iter()
            .flat_map(move |&b| c.iter().flat_map(move |&c| d.iter().map(move |&d| [a, b, c, d])))
    })
}
