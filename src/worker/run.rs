//! The contract of a run: a lease under work on this machine.

use crate::backend::{Backend, BackendError};
use crate::jobs::Outcome;
use crate::span::Span;
use std::sync::Arc;

/// Called from any thread when a run has found what it must report at once.
pub type OnHit = Arc<dyn Fn() + Send + Sync>;

/// A lease under work. One thread runs it, others look at it meanwhile.
pub trait Run: Send + Sync {
    /// Works until the lease is done, cut to what is done, or stopped.
    ///
    /// # Errors
    /// The backend has failed; what is done stays done.
    fn run(
        self: Arc<Self>,
        backend: &dyn Backend,
        threads: u32,
        on_hit: OnHit,
    ) -> Result<(), BackendError>;

    /// Ends the work soon: nothing of the lease is wanted any more.
    fn stop(&self);

    /// Leaves out the units from `end` on: they are not wanted any more.
    fn cut(&self, end: u128);

    /// Returns the number of units done so far.
    fn tested(&self) -> u64;

    /// Takes a report of `rest`, the part of the lease that the server has not
    /// counted. Unless all is done, it is a part from the front.
    ///
    /// The outcome fits a message with `room` bytes for numbers, each written as a varint of its
    /// distance from the start of `rest`.
    fn take(&self, rest: Span, room: usize) -> Taken;
}

/// A part of a lease to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Units done, without a gap. May be empty where there are only hits.
    pub span: Span,
    /// Outcome of these units.
    pub outcome: Outcome,
    /// True if nothing that is done is left for a later report.
    pub all: bool,
}

impl Taken {
    /// Returns true if there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.span.is_empty() && self.outcome.hits().is_empty()
    }
}
