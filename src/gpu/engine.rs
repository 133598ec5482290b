//! The [`Engine`] trait: runs dispatches for the host loop.
//!
//! An engine takes submissions in order, keeps a few in flight, and returns their outcomes in the
//! same order. It knows plans and parameters; it does not know spans, claims or judges.

use super::fault::DeviceFault;
use super::params::Entry;
use super::shader::Shape;
use crate::plan::Plan;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Bases of a plan, each with the same members: one dispatch.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) plan: Arc<Plan>,
    pub(super) bases: Range<u64>,
    pub(super) members: Range<u32>,
}

impl Slice {
    /// Returns the number of candidates.
    pub(super) fn len(&self) -> u64 {
        (self.bases.end - self.bases.start) * self.members.len() as u64
    }

    /// Returns true if one pipeline and one table of later blocks serve both.
    pub(super) fn goes_with(&self, other: &Slice) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
            || (Shape::of(&self.plan) == Shape::of(&other.plan)
                && self.plan.later_blocks == other.plan.later_blocks)
    }
}

/// Slices that go with each other and run as one submission.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) slices: Vec<Slice>,
    /// Zero bits that pass the filter.
    pub(super) bits: u32,
    /// Invocations of a workgroup.
    pub(super) workgroup: u32,
}

/// Result of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Number of candidates that passed; larger than `list` where the list was too small.
    pub(super) count: u32,
    /// Base (low part), and slice (above `MEMBER_BITS`) with member.
    pub(super) list: Vec<Entry>,
}

impl Outcome {
    /// Returns true if the list was too small.
    pub(super) fn overflowed(&self) -> bool {
        self.count as usize > self.list.len()
    }
}

/// Runs the dispatches of one device.
pub(super) trait Engine: Send + 'static {
    /// Returns the size of the largest workgroup.
    fn most_invocations(&self) -> u32;

    /// Returns the number of candidates that the list of one submission holds.
    fn capacity(&self) -> u32;

    /// Returns the number of submissions whose outcome was not taken yet.
    fn in_flight(&self) -> usize;

    /// Queues a batch behind those in flight, of which there are fewer than `DEPTH`.
    fn submit(&mut self, batch: &Batch) -> Result<(), DeviceFault>;

    /// Waits for the oldest submission.
    fn finish(&mut self, patience: Duration) -> Result<Outcome, DeviceFault>;
}
