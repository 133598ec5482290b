//! Known answers: what a kernel must find in a few candidates of a plan, computed from the plan
//! step by step on this processor. Shares nothing with the shader.

use super::engine::Slice;
use super::params::Entry;
use crate::plan::{Members, Plan, TUNNEL_WORDS};
use crate::steps::{INITIAL, filter_mask, step, word_of_step};
use std::sync::Arc;

/// One candidate in sixteen passes this filter: a check has hits and misses in plenty.
pub(super) const BITS: u32 = 4;

/// Candidates of a check are these many bases, from a base with all kinds of digits.
const BASES: u64 = 64;
const FIRST_BASE: u64 = 0x9f3a_c8e1;

/// Members of each base in a check, the last ones of the family.
const MEMBERS: u32 = 16;

/// A few candidates of `plan`; the digits of bases that its segment does not have are masked away,
/// here as in the kernel.
pub(super) fn slice(plan: &Arc<Plan>) -> Slice {
    let family = plan.family();
    Slice {
        plan: Arc::clone(plan),
        bases: FIRST_BASE..FIRST_BASE + BASES,
        members: family - MEMBERS.min(family)..family,
    }
}

/// Base and member of all that pass the filter in [`slice`], ascending.
pub(super) fn answers(slice: &Slice) -> Vec<Entry> {
    let lows = slice.bases.clone().map(|low| low as u32);
    lows.flat_map(|low| slice.members.clone().map(move |member| [low, member]))
        .filter(|&[low, member]| passes(&slice.plan, low, member, BITS))
        .collect()
}

/// Whether a candidate passes a filter of `bits`.
pub(super) fn passes(plan: &Plan, low: u32, member: u32, bits: u32) -> bool {
    first_digest_word(plan, low, member) & filter_mask(bits) == 0
}

/// The first word of a candidate's digest.
fn first_digest_word(plan: &Plan, low: u32, member: u32) -> u32 {
    let mut block = plan.block;
    for word in &plan.base_words {
        block[word.word] |= word.value(plan.encoding, low);
    }
    match &plan.members {
        Members::Word { word, values } => {
            block[*word] = block[*word].wrapping_add(values[member as usize]);
        }
        Members::Tunnel(words) => {
            for (at, word) in TUNNEL_WORDS.into_iter().zip(words[member as usize]) {
                block[at] = word;
            }
        }
    }
    let blocks = [&block].into_iter().chain(&plan.later_blocks);
    let state = blocks.fold(INITIAL, |state, block| {
        let end = (0..64).fold(state, |q, i| step(i, q, block[word_of_step(i)]));
        std::array::from_fn(|i| end[i].wrapping_add(state[i]))
    });
    state[0]
}
