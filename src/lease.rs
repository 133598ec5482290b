//! Leases and what is said of them: ids and messages that the coordinator and the protocol share.
//!
//! Plain data. The coordinator makes and reads it, `proto` puts it on the wire, and clients work by
//! it; nothing here knows how it travels, or what a job is.

use crate::span::Span;
use std::fmt;
use std::time::Duration;

/// Number of a client, from 1, in the order of joining. Never used twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct ClientId(pub u64);

/// Number of a job, from 1. Never used twice.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct JobId(pub u64);

/// Number of a lease. Later leases use it again: it names one only together with its [`Epoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u32);

/// Fencing token of a lease: each grant has a larger one than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

macro_rules! display_as_number {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(ClientId, JobId, LeaseId, Epoch);

/// A span of a job, lent to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Number of the lease.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// The job.
    pub job: JobId,
    /// Units to search: at least one, fewer than 2^64. After a repeated request, those that are
    /// left.
    pub span: Span,
    /// Zero bits from which on a nonce is a share and must be reported, at most those of a
    /// solution; `None` where the job has no shares.
    pub share_bits: Option<u32>,
    /// Solutions after which the client may end the lease early; 0 for never.
    pub wanted: u32,
    /// Time without counted progress after which the span is free for others. A later report still
    /// goes on if nobody has taken it.
    pub patience: Duration,
}

/// A lease that a client holds, as the coordinator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Number of the lease.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// The job.
    pub job: JobId,
    /// The unit before which everything in the lease is counted as done.
    pub done: u128,
    /// One past the last unit; may be lower than at the grant.
    pub end: u128,
}

/// A lease after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It goes on: reports continue at `done`, and the client need not go beyond `end`.
    Held(Held),
    /// It is over, now or since before: the client forgets it. Only hits still count.
    Over,
}

/// The coordinator's answer to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Units that were not claimed before and are now, or are confirmed at once. Stays on the
    /// server, since clients go by `lease`: 0 in a verdict that was received.
    pub counted: u128,
    /// The lease after the report.
    pub lease: LeaseState,
    /// Hits that are solutions nobody had reported before.
    pub solutions: u32,
    /// Hits that are no solutions.
    pub false_hits: u32,
    /// Set when the job has ended: the client stops working on it.
    pub job_end: Option<JobEnd>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    /// Everything that was wanted is there.
    Finished {
        /// The client whose solution ended the job; `None` for jobs without solutions, and in a
        /// verdict that was received: the notice of the job's end names the winner.
        winner: Option<ClientId>,
    },
    /// Everything is confirmed, and there are fewer solutions than were wanted.
    Exhausted,
    /// Someone cancelled it.
    Cancelled,
}
