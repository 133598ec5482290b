//! The kernel: filters candidates on the first digest word. Written once for all levels; the
//! shader `gpu/md5.wgsl` has the same parts under the same names, in the same order.
//!
//! It knows plans and lanes. It does not know seeds, puzzles or threads, and it decides nothing:
//! the judge checks what passes.

use super::lanes::Lanes;
use crate::plan::{BaseWord, Members, Plan, TUNNEL_SLOTS, TUNNEL_START, row_slot, tunnel_slots};
use crate::puzzle::Encoding;
use crate::steps::{INITIAL, K, LAST_FILTER_STEP, filter_mask, word_of_step};
use std::ops::Range;

/// A candidate that passed the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Low part of the base.
    pub(super) low: u32,
    pub(super) member: u32,
}

/// A plan with its constants and words already added up.
#[derive(Debug)]
pub(super) struct Prepared {
    encoding: Encoding,
    block: [u32; 16],
    base_words: Vec<BaseWord>,
    start: usize,
    /// Addend of each step of the first block, the same for all bases.
    constants: [u32; 64],
    /// A row for each member: in a word family its word; in a tunnel, constant + word for every
    /// step that adds a word of the member.
    rows: Vec<u32>,
    later: Vec<[u32; 64]>,
    mask: u32,
}

/// Slots of a row in [`Prepared::rows`].
const fn row_len(start: usize) -> usize {
    if start == TUNNEL_START { TUNNEL_SLOTS } else { 1 }
}

impl Prepared {
    /// Prepares `plan` for a filter of `bits`, on lanes whose `add_i` adds `bias` too much.
    pub(super) fn new(plan: &Plan, bits: u32, bias: u32) -> Self {
        let constant = |i: usize| K[i].wrapping_sub(if i < 48 { 0 } else { bias });
        let with_block = |block: &[u32; 16]| {
            std::array::from_fn(|i| constant(i).wrapping_add(block[word_of_step(i)]))
        };
        let rows = match &plan.members {
            Members::Word { values, .. } => values.clone(),
            Members::Tunnel(words) => {
                let row = |words: &[u32; 3]| {
                    let words = *words;
                    tunnel_slots().map(move |(i, n)| constant(i).wrapping_add(words[n]))
                };
                words.iter().flat_map(row).collect()
            }
        };
        Self {
            encoding: plan.encoding,
            block: plan.block,
            base_words: plan.base_words.clone(),
            start: plan.start,
            constants: with_block(&plan.first_block()),
            rows,
            later: plan.later_blocks.iter().map(with_block).collect(),
            mask: filter_mask(bits),
        }
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    pub(super) fn has_later_blocks(&self) -> bool {
        !self.later.is_empty()
    }
}

/// Calls `$step!(index, round function, rotation)` for the steps of MD5 in order.
macro_rules! steps_to_60 {
    ($step:ident) => {
        $step!(0, add_f, 7);
        $step!(1, add_f, 12);
        $step!(2, add_f, 17);
        $step!(3, add_f, 22);
        $step!(4, add_f, 7);
        $step!(5, add_f, 12);
        $step!(6, add_f, 17);
        $step!(7, add_f, 22);
        $step!(8, add_f, 7);
        $step!(9, add_f, 12);
        $step!(10, add_f, 17);
        $step!(11, add_f, 22);
        $step!(12, add_f, 7);
        $step!(13, add_f, 12);
        $step!(14, add_f, 17);
        $step!(15, add_f, 22);
        $step!(16, add_g, 5);
        $step!(17, add_g, 9);
        $step!(18, add_g, 14);
        $step!(19, add_g, 20);
        $step!(20, add_g, 5);
        $step!(21, add_g, 9);
        $step!(22, add_g, 14);
        $step!(23, add_g, 20);
        $step!(24, add_g, 5);
        $step!(25, add_g, 9);
        $step!(26, add_g, 14);
        $step!(27, add_g, 20);
        $step!(28, add_g, 5);
        $step!(29, add_g, 9);
        $step!(30, add_g, 14);
        $step!(31, add_g, 20);
        $step!(32, add_h_even, 4);
        $step!(33, add_h_odd, 11);
        $step!(34, add_h_even, 16);
        $step!(35, add_h_odd, 23);
        $step!(36, add_h_even, 4);
        $step!(37, add_h_odd, 11);
        $step!(38, add_h_even, 16);
        $step!(39, add_h_odd, 23);
        $step!(40, add_h_even, 4);
        $step!(41, add_h_odd, 11);
        $step!(42, add_h_even, 16);
        $step!(43, add_h_odd, 23);
        $step!(44, add_h_even, 4);
        $step!(45, add_h_odd, 11);
        $step!(46, add_h_even, 16);
        $step!(47, add_h_odd, 23);
        $step!(48, add_i, 6);
        $step!(49, add_i, 10);
        $step!(50, add_i, 15);
        $step!(51, add_i, 21);
        $step!(52, add_i, 6);
        $step!(53, add_i, 10);
        $step!(54, add_i, 15);
        $step!(55, add_i, 21);
        $step!(56, add_i, 6);
        $step!(57, add_i, 10);
        $step!(58, add_i, 15);
        $step!(59, add_i, 21);
        $step!(60, add_i, 6);
    };
}

/// The same for the three steps that the first digest word does not need.
macro_rules! steps_to_63 {
    ($step:ident) => {
        $step!(61, add_i, 10);
        $step!(62, add_i, 15);
        $step!(63, add_i, 21);
    };
}

/// Filters `members` of `bases` (low parts; at most 2^32) and appends what passes to `found`, base
/// batches ascending.
///
/// The kernel serves plans that start at one of the `WORDS` steps from `START` on. With more than
/// one, it runs the steps from `START` for each member, and adds each of the `WORDS` words where the
/// exact kernel adds one: all but the member's are zero. `MORE` is true for plans with later blocks;
/// `later` is this level's [`later_blocks`], a call, so that it is compiled once for all starts.
#[inline(always)]
pub(super) fn search<L: Lanes, const START: usize, const WORDS: usize, const MORE: bool>(
    token: L::Token,
    plan: &Prepared,
    bases: Range<u64>,
    members: Range<u32>,
    later: impl Fn([L; 4]) -> L,
    found: &mut Vec<Found>,
) {
    let initial = INITIAL.map(|word| L::splat(token, word));
    let mask = L::splat(token, plan.mask);
    let mut addends = plan.constants.map(|constant| L::splat(token, constant));
    let row_len = row_len(START);
    let rows = &plan.rows[members.start as usize * row_len..members.end as usize * row_len];
    let mut varies = [0; WORDS];
    if let Some(word) = varies.get_mut(plan.start - START) {
        *word = !0;
    }

    for first in bases.clone().step_by(L::COUNT) {
        let low = L::splat(token, first as u32).add(L::iota(token));
        for base_word in &plan.base_words {
            let bits = spell::<L>(token, plan.encoding, *base_word, low);
            let constant = plan.block[base_word.word];
            for (i, addend) in addends.iter_mut().enumerate() {
                if word_of_step(i) == base_word.word {
                    let rest = plan.constants[i].wrapping_sub(constant);
                    *addend = L::splat(token, rest).add(L::splat(token, constant).or(bits));
                }
            }
        }

        // The steps before the start: once for the base.
        let [mut q4, mut q3, mut q2, mut q1] = initial;
        macro_rules! base_step {
            ($i:literal, $add:ident, $rotation:literal) => {
                if $i < START {
                    let sum = q4.add(addends[$i]).$add(q1, q2, q3);
                    (q4, q3, q2, q1) = (q3, q2, q1, q1.add(sum.rotl::<$rotation>()));
                }
            };
        }
        steps_to_60!(base_step);
        // The first four member steps add a Q of the base: hoisted out of the member loop, as is
        // all of the first one but the member's word. For a tunnel the row holds the constant.
        let mut hoisted = [q4, q3, q2, q1];
        let mut n = 0;
        while n < 4 {
            let slot = row_slot(START, WORDS, START + n);
            let in_row = START == TUNNEL_START && slot.is_some();
            if !in_row {
                hoisted[n] = hoisted[n].add(addends[START + n]);
            }
            n += 1;
        }
        hoisted[0] =
            if START < 16 { hoisted[0].add_f(q1, q2, q3) } else { hoisted[0].add_g(q1, q2, q3) };
        let base = [q4, q3, q2, q1];

        for (member, row) in rows.chunks_exact(row_len).enumerate() {
            let [mut q4, mut q3, mut q2, mut q1] = base;
            macro_rules! member_step {
                ($i:literal, $add:ident, $rotation:literal) => {
                    if $i >= START {
                        let slot = const { row_slot(START, WORDS, $i) };
                        let mut sum = if $i < START + 4 {
                            hoisted[($i as usize).wrapping_sub(START) % 4]
                        } else if START == TUNNEL_START && slot.is_some() {
                            q4
                        } else {
                            q4.add(addends[$i])
                        };
                        if let Some(slot) = slot {
                            let word = if WORDS == 1 { row[slot] } else { row[0] & varies[slot] };
                            sum = sum.add(L::splat(token, word));
                        }
                        if $i != START {
                            sum = sum.$add(q1, q2, q3);
                        }
                        (q4, q3, q2, q1) = (q3, q2, q1, q1.add(sum.rotl::<$rotation>()));
                    }
                };
            }
            steps_to_60!(member_step);
            let first_word = if MORE {
                steps_to_63!(member_step);
                later([q4, q3, q2, q1])
            } else {
                initial[0].add(q1)
            };
            if L::any(first_word.zeros(mask)) {
                let lanes = first_word.zero_lanes(mask);
                record(found, lanes, first, bases.end, members.start + member as u32);
            }
        }
    }
}

/// Returns the first digest word after all blocks; `q` is the state after the first block's steps.
#[inline(always)]
pub(super) fn later_blocks<L: Lanes>(token: L::Token, plan: &Prepared, mut q: [L; 4]) -> L {
    let mut state = INITIAL.map(|word| L::splat(token, word));
    for (n, block) in plan.later.iter().enumerate() {
        let last = n + 1 == plan.later.len();
        let mut n = 0;
        while n < 4 {
            state[n] = state[n].add(q[n]);
            n += 1;
        }
        let [mut q4, mut q3, mut q2, mut q1] = state;
        macro_rules! later_step {
            ($i:literal, $add:ident, $rotation:literal) => {
                let sum = q4.add(L::splat(token, block[$i])).$add(q1, q2, q3);
                (q4, q3, q2, q1) = (q3, q2, q1, q1.add(sum.rotl::<$rotation>()));
            };
        }
        steps_to_60!(later_step);
        // After step 60 the newest Q belongs to the first word of the digest.
        q[0] = q1;
        if !last {
            steps_to_63!(later_step);
            q = [q4, q3, q2, q1];
        }
    }
    state[0].add(q[0])
}

/// Spells the bits of a base word in every lane; the lanes' form of [`BaseWord::value`].
#[inline(always)]
fn spell<L: Lanes>(token: L::Token, encoding: Encoding, word: BaseWord, low: L) -> L {
    let splat = |value| L::splat(token, value);
    let field = low.shr(word.right).shl(word.left);
    let spelled = match encoding {
        Encoding::Text => {
            let pairs = field.shr(8).and(splat(0xff)).or(field.shl(16).and(splat(0x00ff_0000)));
            let digits =
                pairs.shr(4).and(splat(0x000f_000f)).or(pairs.shl(8).and(splat(0x0f00_0f00)));
            let letters = digits.add(splat(0x0606_0606)).shr(4).and(splat(0x0101_0101));
            // letters * 39 = letters * (32 + 4 + 2 + 1)
            let jump = letters.shl(5).add(letters.shl(2)).add(letters.shl(1)).add(letters);
            digits.add(splat(0x3030_3030)).add(jump)
        }
        Encoding::Bytes => {
            let outer = field.shl(24).or(field.shr(24));
            let inner = field.shl(8).and(splat(0x00ff_0000)).or(field.shr(8).and(splat(0xff00)));
            outer.or(inner)
        }
    };
    spelled.and(splat(word.mask))
}

/// Appends the candidates of `lanes` that lie below `end`.
#[cold]
#[inline(never)]
fn record(found: &mut Vec<Found>, mut lanes: u128, first: u64, end: u64, member: u32) {
    while lanes != 0 {
        let low = first + u64::from(lanes.trailing_zeros());
        if low < end {
            found.push(Found { low: low as u32, member });
        }
        lanes &= lanes - 1;
    }
}

const _: () = assert!(LAST_FILTER_STEP == 60, "the step lists above end there");
