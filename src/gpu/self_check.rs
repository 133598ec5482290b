//! Known answers: the candidates that a kernel must find in a small slice of a plan, computed step by
//! step on this processor. Shares nothing with the shader.

use super::engine::Slice;
use super::params::Entry;
use crate::plan::Plan;
use crate::steps::{INITIAL, filter_mask, step, word_of_step};
use std::sync::Arc;

/// Filter of a check: one candidate in sixteen passes, so it has many hits and many misses.
pub(super) const BITS: u32 = 4;

/// Bases of a check, from a base with digits of all kinds.
const BASES: u64 = 64;
const FIRST_BASE: u64 = 0x9f3a_c8e1;

/// Members of each base in a check: the last ones of the family.
const MEMBERS: u32 = 16;

/// Returns the slice of `plan` to check. The spelling masks off the digits that the plan's bases do
/// not have, here and in the kernel.
pub(super) fn slice(plan: &Arc<Plan>) -> Slice {
    let family = plan.family();
    Slice {
        plan: Arc::clone(plan),
        bases: FIRST_BASE..FIRST_BASE + BASES,
        members: family - MEMBERS.min(family)..family,
    }
}

/// Returns base and member of each candidate of [`slice`] that passes, ascending.
pub(super) fn answers(slice: &Slice) -> Vec<Entry> {
    let lows = slice.bases.clone().map(|low| low as u32);
    lows.flat_map(|low| slice.members.clone().map(move |member| [low, member]))
        .filter(|&[low, member]| passes(&slice.plan, low, member, BITS))
        .collect()
}

/// Returns true if a candidate passes a filter of `bits`.
pub(super) fn passes(plan: &Plan, low: u32, member: u32, bits: u32) -> bool {
    first_digest_word(plan, low, member) & filter_mask(bits) == 0
}

/// Computes the first word of a candidate's digest.
fn first_digest_word(plan: &Plan, low: u32, member: u32) -> u32 {
    let first_block = plan.block_of(low, member);
    let blocks = [&first_block].into_iter().chain(&plan.later_blocks);
    let state = blocks.fold(INITIAL, |state, block| {
        let end = (0..64).fold(state, |q, i| step(i, q, block[word_of_step(i)]));
        std::array::from_fn(|i| end[i].wrapping_add(state[i]))
    });
    state[0]
}
