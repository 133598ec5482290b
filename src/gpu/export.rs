//! The shader and its parameters for hosts other than this one, such as a browser.

use super::params::{Params, constants};
use super::shader::Shape;
use crate::plan::Plan;
use std::ops::Range;

/// One dispatch of `md5.wgsl`: core WGSL, entry point `search`, and what its buffers hold.
///
/// The list of what is found is binding 1, a storage buffer: the true count, a word that is not
/// used, then for each candidate that passed the low 32 bits of its base, and its member.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The shader.
    pub wgsl: String,
    /// Binding 0, uniform: little-endian words.
    pub params: Vec<u32>,
    /// Binding 2, read-only storage: little-endian words; empty where the shader does not have it.
    pub later: Vec<u32>,
    /// Workgroups to dispatch.
    pub workgroups: u32,
}

impl Kernel {
    /// What searches `members` of `bases` of `plan` for candidates with `bits` zero bits, in
    /// workgroups of `workgroup` invocations; the list has room for `capacity` candidates.
    ///
    /// `None` where there are no such members, more bases than 2^16 workgroups take, or where the
    /// plan is larger than the shader's tables, which no layout makes.
    pub fn new(
        plan: &Plan,
        bases: Range<u64>,
        members: Range<u32>,
        bits: u32,
        workgroup: u32,
        capacity: u32,
    ) -> Option<Self> {
        let count = u32::try_from(bases.end.checked_sub(bases.start)?).ok()?;
        let workgroups = count.div_ceil(workgroup.max(1));
        if members.end > plan.family() || workgroups > u32::from(u16::MAX) {
            return None;
        }
        let mut params = Params::of_plan(plan)?;
        params.slice(bases.start as u32, count, &members, bits);
        params.capacity = capacity;
        Some(Self {
            wgsl: Shape::of(plan).wgsl(workgroup),
            params: bytemuck::cast_slice(bytemuck::bytes_of(&*params)).to_vec(),
            later: plan.later_blocks.iter().flat_map(constants).collect(),
            workgroups,
        })
    }
}
