//! The structs of `md5.wgsl` in memory, and how a plan fills them.

use super::limits::{MOST_BASE_WORDS, MOST_MEMBERS};
use crate::plan::{Members, Plan, TUNNEL_SLOTS, tunnel_slots};
use crate::steps::{K, filter_mask, word_of_step};
use bytemuck::{Pod, Zeroable};
use std::ops::Range;

/// Vectors that a tunnel's member takes in the table.
const TUNNEL_VECTORS: usize = TUNNEL_SLOTS.div_ceil(4);

/// `Params` of `md5.wgsl`, which explains the fields.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Params {
    pub(super) first: u32,
    pub(super) bases: u32,
    pub(super) from_member: u32,
    pub(super) to_member: u32,
    pub(super) mask: u32,
    pub(super) capacity: u32,
    pub(super) tag: u32,
    pub(super) blocks: u32,
    pub(super) constants: [u32; 64],
    pub(super) base_words: [[u32; 4]; MOST_BASE_WORDS],
    pub(super) rows: [[[u32; 4]; TUNNEL_VECTORS]; MOST_MEMBERS],
}

/// Bytes of `Found` of `md5.wgsl` before its list.
pub(super) const FOUND_HEADER: usize = 8;

/// Element of the list: base (low part), and tag with member.
pub(super) type Entry = [u32; 2];

/// Bits of an entry's second word that hold the member; the tag is above them.
pub(super) const MEMBER_BITS: u32 = 16;

impl Params {
    /// Returns the params that all slices of `plan` share; `None` if the plan exceeds the shader's
    /// tables, which no layout's plan does.
    pub(super) fn of_plan(plan: &Plan) -> Option<Box<Self>> {
        let shifts_fit = plan.base_words.iter().all(|word| word.right < 32 && word.left < 32);
        let members_fit = (1..=MOST_MEMBERS as u32).contains(&plan.family());
        if !(shifts_fit && members_fit && plan.base_words.len() <= MOST_BASE_WORDS) {
            return None;
        }
        let mut params: Box<Self> = bytemuck::zeroed_box();
        params.blocks = plan.later_blocks.len() as u32;
        params.constants = constants(&plan.first_block());
        for (mirror, word) in params.base_words.iter_mut().zip(&plan.base_words) {
            *mirror = [word.right, word.left, word.mask, 0];
        }
        match &plan.members {
            Members::Word { values, .. } => {
                let vectors: &mut [[u32; 4]] = bytemuck::cast_slice_mut(&mut params.rows);
                for (vector, value) in vectors.iter_mut().zip(values) {
                    vector[0] = *value;
                }
            }
            Members::Tunnel(words) => {
                for (row, words) in params.rows.iter_mut().zip(words) {
                    let slots: &mut [u32] = bytemuck::cast_slice_mut(row);
                    for (slot, (i, word)) in slots.iter_mut().zip(tunnel_slots()) {
                        *slot = K[i].wrapping_add(words[word]);
                    }
                }
            }
        }
        Some(params)
    }

    /// Sets the slice: `count` bases from `first` with `members`, and a filter of `bits`.
    pub(super) fn slice(&mut self, first: u32, count: u32, members: &Range<u32>, bits: u32) {
        (self.first, self.bases) = (first, count);
        (self.from_member, self.to_member) = (members.start, members.end);
        self.mask = filter_mask(bits);
    }
}

/// Returns the addend of each step of a block.
pub(super) fn constants(block: &[u32; 16]) -> [u32; 64] {
    std::array::from_fn(|i| K[i].wrapping_add(block[word_of_step(i)]))
}
