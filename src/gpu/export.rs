//! The shader and its parameters for other hosts, such as a browser.

use super::params::{Params, constants};
use super::shader::Shape;
use crate::plan::Plan;
use std::ops::Range;

/// One dispatch of `md5.wgsl`: core WGSL, entry point `search`, and the contents of its buffers.
///
/// The results are in binding 1, a storage buffer: the true count, an unused word, then for each
/// candidate that passed the low 32 bits of its base and its member.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The shader.
    pub wgsl: String,
    /// Binding 0, uniform: little-endian words.
    pub params: Vec<u32>,
    /// Binding 2, read-only storage: little-endian words; empty if the shader does not declare it.
    pub later: Vec<u32>,
    /// Workgroups to dispatch.
    pub workgroups: u32,
}

impl Kernel {
    /// Returns the dispatch that searches `members` of `bases` of `plan` for candidates with `bits`
    /// zero bits, in workgroups of `workgroup` invocations; the list has room for `capacity`
    /// candidates.
    ///
    /// `None` if there are no such members, if the bases take 2^16 workgroups or more, or if the plan
    /// exceeds the shader's tables, which no layout's plan does.
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
