//! Plans: what every kernel, CPU or GPU, needs to search one segment of a seed space.
//!
//! A kernel takes bases in its lanes or invocations and walks the family in its inner loop:
//!
//! - once per plan, constant words are known ([`Plan::block`], [`Plan::later_blocks`]);
//! - once per base, [`BaseWord`]s are spelled from the low 32 bits of the base, the steps before
//!   [`Plan::start`] are computed, and each base word is added to the constants of its later steps;
//! - once per candidate, the steps from `start` to 60 run, and the first digest word is filtered.
//!
//! A nonce is `base * F + member`, whatever the layout. See docs/performance.md for the costs.

use crate::puzzle::Encoding;
pub use crate::seeds::TUNNEL_START;
use crate::seeds::{Digit, Family, SeedSpace, Segment};
use crate::span::Span;
use crate::steps::{LAST_FILTER_STEP, word_of_step};

/// Message words that a tunnel's members change.
pub const TUNNEL_WORDS: [usize; 3] = [3, 4, 7];

/// Slots of a tunnel member's row: one for each of its steps that adds one of [`TUNNEL_WORDS`].
pub const TUNNEL_SLOTS: usize = tunnel_slots_before(64);

/// Input of every kernel: a segment of a seed space in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Nonces that the plan covers.
    pub span: Span,
    /// Base that kernels number 0.
    pub first_base: u128,
    /// Spelling of the digits.
    pub encoding: Encoding,
    /// First block; bits that belong to base digits or members are zero.
    pub block: [u32; 16],
    /// Words that hold digits of the base; at most three.
    pub base_words: Vec<BaseWord>,
    /// Words that members change.
    pub members: Members,
    /// First step that adds a member's word.
    pub start: usize,
    /// Constant blocks after the first.
    pub later_blocks: Vec<[u32; 16]>,
}

/// A message word that depends on the low 32 bits of the base, `low`:
/// `block[word] | spell((low >> right) << left) & mask`, where `spell` writes 4 hex characters of
/// the low 16 bits (text), or reverses the bytes (bytes), first digit first in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseWord {
    /// Index in the first block.
    pub word: usize,
    /// First shift, towards less significant digits.
    pub right: u32,
    /// Second shift.
    pub left: u32,
    /// Bits of the word that hold digits of the base.
    pub mask: u32,
}

/// Words in which the members of a family differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Each member adds its own value to this word of the block.
    Word {
        /// Index in the first block; also the start step.
        word: usize,
        /// One value for each member.
        values: Vec<u32>,
    },
    /// Each member has its own words 3, 4 and 7.
    Tunnel(Vec<[u32; 3]>),
}

impl Members {
    /// Returns the number of members of the family.
    pub fn size(&self) -> u32 {
        match self {
            Self::Word { values, .. } => values.len() as u32,
            Self::Tunnel(words) => words.len() as u32,
        }
    }
}

impl BaseWord {
    /// Returns the bits of this word for the base whose low 32 bits are `low`.
    pub fn value(self, encoding: Encoding, low: u32) -> u32 {
        let field = low.checked_shr(self.right).unwrap_or(0) << self.left;
        let spelled = match encoding {
            Encoding::Text => spell_text(field),
            Encoding::Bytes => field.swap_bytes(),
        };
        spelled & self.mask
    }
}

/// Spells the low four digits of `field` as characters, most significant first in memory.
///
/// Uses only operations that vector lanes and shaders have too; the kernels repeat it.
pub fn spell_text(field: u32) -> u32 {
    let pairs = (field >> 8 & 0xff) | (field << 16 & 0x00ff_0000);
    let digits = (pairs >> 4 & 0x000f_000f) | (pairs << 8 & 0x0f00_0f00);
    // 1 in every byte whose digit is above 9: letters lie 39 further on than digits.
    let letters = (digits + 0x0606_0606) >> 4 & 0x0101_0101;
    digits + 0x3030_3030 + letters * 39
}

impl Plan {
    /// Returns the plan of the segment that holds `nonce`; `None` outside the room of `space`.
    pub fn new(space: &SeedSpace, nonce: u128) -> Option<Self> {
        Some(Self::of_segment(space.puzzle().encoding(), &space.segment(nonce)?))
    }

    fn of_segment(encoding: Encoding, segment: &Segment) -> Self {
        let mut blocks = padded_blocks(&segment.message);
        let later_blocks = blocks.split_off(1);
        let members = match &segment.family {
            Family::Tunnel(words) => Members::Tunnel(words.clone()),
            Family::Digits(digits) => {
                let values = (0..segment.family.size()).map(|member| spelled(digits, member));
                Members::Word { word: digits[0].word(), values: values.collect() }
            }
        };
        let start = match members {
            Members::Word { word, .. } => word,
            Members::Tunnel(_) => TUNNEL_START,
        };
        Self {
            span: segment.span,
            first_base: segment.first_base,
            encoding,
            block: blocks[0],
            base_words: base_words(encoding, &segment.base_digits),
            members,
            start,
            later_blocks,
        }
    }

    /// Returns the number of members of each base.
    pub fn family(&self) -> u32 {
        self.members.size()
    }

    /// Returns the nonce of a member of the base whose low bits are `low`.
    pub fn nonce(&self, low: u32, member: u32) -> u128 {
        (self.first_base + u128::from(low)) * u128::from(self.family()) + u128::from(member)
    }

    /// Returns the first block without the base's digits. A tunnel's words are those of its first
    /// member: the steps before the start give the same state with any member's words.
    pub fn first_block(&self) -> [u32; 16] {
        let mut block = self.block;
        if let Members::Tunnel(words) = &self.members {
            set_tunnel_words(&mut block, words[0]);
        }
        block
    }

    /// Returns the first block of one candidate, complete.
    pub fn block_of(&self, low: u32, member: u32) -> [u32; 16] {
        let mut block = self.block;
        for word in &self.base_words {
            block[word.word] |= word.value(self.encoding, low);
        }
        match &self.members {
            Members::Word { word, values } => block[*word] |= values[member as usize],
            Members::Tunnel(words) => set_tunnel_words(&mut block, words[member as usize]),
        }
        block
    }

    /// Returns the number of MD5 steps that one candidate costs.
    pub fn steps(&self) -> usize {
        64 * self.later_blocks.len() + LAST_FILTER_STEP + 1 - self.start
    }

    /// Cuts the part of `span` that lies in this plan into tiles: bases times members.
    pub fn tiles(&self, span: Span) -> impl Iterator<Item = Tile> + use<> {
        let family = u128::from(self.family());
        let first = self.first_base * family;
        let span = span.intersect(self.span);
        let (start, end) =
            (span.start() - first.min(span.start()), span.end() - first.min(span.end()));
        // The end of a base, whole bases, and the beginning of a base.
        let whole_from = start.next_multiple_of(family).min(end);
        let whole_to = (end - end % family).max(whole_from);
        [(start, whole_from), (whole_from, whole_to), (whole_to, end)]
            .into_iter()
            .filter(|(from, to)| from < to)
            .map(move |(from, to)| {
                let (base, member) = (from / family, (from % family) as u32);
                let members = if to - from < family {
                    member..member + (to - from) as u32
                } else {
                    0..family as u32
                };
                Tile { bases: base as u64..to.div_ceil(family) as u64, members }
            })
    }
}

fn set_tunnel_words(block: &mut [u32; 16], words: [u32; 3]) {
    for (at, word) in TUNNEL_WORDS.into_iter().zip(words) {
        block[at] = word;
    }
}

/// Returns the index in [`TUNNEL_WORDS`] of the word that step `i` adds.
pub const fn tunnel_word(i: usize) -> Option<usize> {
    let mut n = 0;
    while n < TUNNEL_WORDS.len() {
        if word_of_step(i) == TUNNEL_WORDS[n] {
            return Some(n);
        }
        n += 1;
    }
    None
}

/// Returns the slot of a member's row that step `i` adds, in a kernel that starts at step `start`.
///
/// The row of a tunnel's member has a slot for each step that adds one of its words, numbered in
/// order. Other rows have a slot for each of `words` message words from word `start` on.
pub const fn row_slot(start: usize, words: usize, i: usize) -> Option<usize> {
    let word = word_of_step(i);
    if start != TUNNEL_START {
        let varies = word >= start && word < start + words;
        return if varies { Some(word - start) } else { None };
    }
    if i >= start && tunnel_word(i).is_some() { Some(tunnel_slots_before(i)) } else { None }
}

/// Counts the steps from [`TUNNEL_START`] up to `end` that add a tunnel word.
const fn tunnel_slots_before(end: usize) -> usize {
    let (mut slots, mut i) = (0, TUNNEL_START);
    while i < end {
        if tunnel_word(i).is_some() {
            slots += 1;
        }
        i += 1;
    }
    slots
}

/// Lists the steps that fill the slots of a tunnel member's row, each with the index in
/// [`TUNNEL_WORDS`] of its word.
pub fn tunnel_slots() -> impl Iterator<Item = (usize, usize)> + Clone {
    (TUNNEL_START..64).filter_map(|i| Some((i, tunnel_word(i)?)))
}

/// Bases of a plan, each with the same members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Low parts of the bases, counted from the plan's first base; at most 2^32.
    pub bases: std::ops::Range<u64>,
    /// Members of each base.
    pub members: std::ops::Range<u32>,
}

impl Tile {
    /// Returns the number of candidates.
    pub fn len(&self) -> u64 {
        (self.bases.end - self.bases.start) * (self.members.end - self.members.start) as u64
    }

    /// Returns true if there is no candidate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Spells `value` in the word that its digits share; `digits` are least significant first.
fn spelled(digits: &[Digit], value: u32) -> u32 {
    digits.iter().enumerate().map(|(n, digit)| digit.spell(value >> (4 * n) & 15)).sum()
}

/// Returns a [`BaseWord`] for each word that holds some of `digits` (least significant first).
fn base_words(encoding: Encoding, digits: &[Digit]) -> Vec<BaseWord> {
    let mut words: Vec<BaseWord> = Vec::new();
    let digits_in_a_word = if encoding == Encoding::Text { 4 } else { 8 };
    for (n, digit) in digits.iter().enumerate() {
        match words.last_mut() {
            Some(word) if word.word == digit.word() => word.mask |= digit.mask(),
            _ => words.push(BaseWord {
                word: digit.word(),
                right: 4 * n as u32,
                left: 4 * (digits_in_a_word - 1 - digit.index_in_word()) as u32,
                mask: digit.mask(),
            }),
        }
    }
    words
}

/// Pads `message` as MD5 does and returns its blocks as words.
fn padded_blocks(message: &[u8]) -> Vec<[u32; 16]> {
    let mut bytes = message.to_vec();
    bytes.push(0x80);
    bytes.resize((bytes.len() + 8).next_multiple_of(64) - 8, 0);
    bytes.extend((message.len() as u64 * 8).to_le_bytes());
    let word = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    bytes.chunks_exact(64).map(|block| std::array::from_fn(|i| word(&block[4 * i..]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::puzzle::{Difficulty, Digest, Puzzle};
    use crate::seeds::Layout;
    use crate::steps::{INITIAL, step, word_of_step};
    use proptest::prelude::*;

    /// Computes the MD5 of one candidate from the plan alone.
    fn digest(plan: &Plan, low: u32, member: u32) -> Digest {
        let mut state = INITIAL;
        for block in [plan.block_of(low, member)].iter().chain(&plan.later_blocks) {
            let end = (0..64).fold(state, |q, i| step(i, q, block[word_of_step(i)]));
            state = std::array::from_fn(|i| state[i].wrapping_add(end[i]));
        }
        let [a, d, c, b] = state.map(u32::to_le_bytes);
        Digest([a, b, c, d].concat().try_into().unwrap())
    }

    proptest! {
        #[test]
        fn a_plan_gives_the_digests_of_its_nonces(
            string in "[0-9a-f]{0,130}", at: u128, shift in 0u32..128, low: u32, member: u32
        ) {
            for encoding in [Encoding::Text, Encoding::Bytes] {
                let puzzle =
                    Puzzle::new(string.clone(), Difficulty::from_bits(8).unwrap(), encoding).unwrap();
                for space in Layout::ALL.into_iter().filter_map(|l| SeedSpace::new(&puzzle, l).ok()) {
                    let plan = Plan::new(&space, (at >> shift) % space.room()).unwrap();
                    let digits: u32 = plan.base_words.iter().map(|w| w.mask.count_ones()).sum();
                    prop_assert!(plan.base_words.len() <= 3 && digits <= 64);
                    let family = u128::from(plan.family());
                    let bases = plan.span.end().div_ceil(family) - plan.first_base;
                    let low = (u128::from(low) % bases) as u32;
                    let member = member % plan.family();
                    let nonce = plan.nonce(low, member);
                    if plan.span.contains(nonce) {
                        let seed = space.seed(nonce).unwrap();
                        prop_assert_eq!(digest(&plan, low, member), puzzle.digest(&seed).unwrap());
                    }
                }
            }
        }

        #[test]
        fn tiles_cover_a_span_exactly(start in 0u128..5000, len in 0u128..5000) {
            let puzzle =
                Puzzle::new("abc", Difficulty::from_bits(8).unwrap(), Encoding::Text).unwrap();
            for layout in Layout::ALL {
                let space = SeedSpace::new(&puzzle, layout).unwrap();
                let span = Span::with_len(start, len);
                let mut nonces = Vec::new();
                let mut at = span.start();
                while at < span.end() {
                    let plan = Plan::new(&space, at).unwrap();
                    for tile in plan.tiles(span) {
                        prop_assert!(!tile.is_empty());
                        for low in tile.bases.clone() {
                            nonces.extend(tile.members.clone().map(|m| plan.nonce(low as u32, m)));
                        }
                    }
                    at = plan.span.end();
                }
                prop_assert!(nonces.into_iter().eq(span.start()..span.end()));
            }
        }
    }

    #[test]
    fn spelling_writes_every_digit() {
        for field in 0..=0xffffu32 {
            assert_eq!(spell_text(field).to_le_bytes(), format!("{field:04x}").as_bytes());
        }
        assert_eq!(spell_text(0xdead_beef), spell_text(0xbeef), "only the low 16 bits count");
    }
}
