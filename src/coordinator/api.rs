//! What goes in and out of the coordinator: ids, requests, answers, and the events that drivers act
//! on. Plain data; nothing here knows how it travels.

use super::trust::Reason;
use crate::jobs::{JobKind, JobSpec, Outcome, Solution};
use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

pub use super::audit::{Audit, AuditResult};

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

/// Number of a lease. Used again for later leases: only together with its [`Epoch`] does it name
/// one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u32);

/// The fencing token of a lease: every grant has a larger one than all before it.
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

/// Who wants to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Chosen at random by the client when it starts and kept while it runs. The same session is
    /// the same client: joining again, after a lost answer or a lost connection, gives the same id
    /// and the leases still held. It is the client's only credential: 128 random bits.
    pub session: u128,
    /// For people; cut at [`super::MAX_NAME`] characters, control characters dropped.
    pub name: String,
    /// Where it is, for people; the driver fills it in. Cut as the name is.
    pub address: String,
    /// What it searches with, for people. Cut as the name is.
    pub backend: String,
    /// Its threads.
    pub threads: u32,
    /// Kinds of jobs it can do; none for a client that is never to be lent anything (classic).
    #[serde(with = "super::serial::kinds")]
    pub kinds: Vec<JobKind>,
    /// Its own estimate of nonces a second, 0 if it has none: for people. Leases are sized by what is
    /// proved.
    pub rate_hint: u64,
    /// Whether clients of its address have lied lately. Such a client must prove more: it has twice
    /// the shares, all its leases are audited, and they grow slowly.
    pub suspect: bool,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub client: ClientId,
    /// Whether this session was known.
    pub resumed: bool,
    /// What it still holds; it must drop whatever else it works on.
    pub held: Vec<Held>,
}

/// A lease that a client holds, as the coordinator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Its job.
    pub job: JobId,
    /// Everything in the lease before this unit is counted as done.
    pub done: u128,
    /// The lease ends before this unit; it may have moved down since the grant.
    pub end: u128,
}

/// A span of a job lent to one client.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Which.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Its job.
    pub job: JobId,
    /// The job's description; cheap to clone.
    pub spec: JobSpec,
    /// What to search. After a repeated request: what is left of it.
    pub span: Span,
    /// Zero bits from which on a nonce is a share to be reported, never above the target; `None`
    /// where the job has no shares.
    pub share_bits: Option<u32>,
    /// Solutions still wanted: the client may end the lease early when it has found as many.
    pub wanted: u32,
    /// Without counted progress for this long the span is free for others. A later report goes on
    /// if nobody has taken it.
    pub patience: Duration,
}

/// The answer to a request for work.
#[derive(Clone, Debug)]
pub enum Assignment {
    /// A lease. The same request id gives the same lease as long as it lasts.
    Lease(Grant),
    /// Nothing to lend now; ask again (the same id will do) after this time, or when woken by
    /// [`Event::Wake`].
    Wait(Duration),
    /// This request was answered with a lease that has ended since: a duplicate, late.
    Spent,
}

/// Progress on a lease, or its final report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which lease.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Its job: hits count even when the lease is over.
    pub job: JobId,
    /// Searched completely since the last acknowledged report. Starts at the acknowledged `done`,
    /// or before it where an answer was lost; may be empty to deliver hits. For a sum it must start
    /// exactly there and not go beyond the acknowledged `end`.
    pub span: Span,
    /// What was found in it.
    pub outcome: Outcome,
    /// Whether the client gives up what is left of the lease. A lease whose end is reached is
    /// over without it.
    pub last: bool,
}

/// What the coordinator says of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Units that were not claimed before and are now, or are confirmed at once.
    pub counted: u128,
    /// The lease after the report.
    pub lease: LeaseState,
    /// Hits that are solutions nobody had reported before.
    pub solutions: u32,
    /// Hits that are none.
    pub false_hits: u32,
    /// Set when the job has ended: stop working on it.
    pub job_end: Option<JobEnd>,
}

/// A lease after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// It goes on. Reports continue at `done`; the client need not go beyond `end`.
    Held {
        /// Everything before this unit is counted.
        done: u128,
        /// One past the last unit.
        end: u128,
    },
    /// It is over, now or since before: forget it. Nothing more of it counts but hits.
    Over,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nothing of it was ever lent.
    Waiting,
    /// Something is to be lent or searched.
    Running,
    /// Everything was searched, as clients say; the evidence is not complete.
    Checking,
    /// It is over.
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    /// Everything that was wanted is there; the last solution came from `winner`.
    Finished {
        /// Who reported the solution that ended it; `None` for jobs without solutions.
        winner: Option<ClientId>,
    },
    /// Everything is confirmed and there are fewer solutions than were wanted.
    Exhausted,
    /// Someone cancelled it.
    Cancelled,
}

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such client, any more: join again.
    #[error("unknown client: join again")]
    UnknownClient,
    /// There is no such job, any more.
    #[error("unknown job")]
    UnknownJob,
    /// It has lost the coordinator's trust and gets no more work.
    #[error("no more work for you: {0}")]
    Distrusted(Reason),
    /// It is banned.
    #[error("banned: {0}")]
    Banned(Reason),
    /// There is no room for more clients.
    #[error("the server is full")]
    Full,
}

/// Why a client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said so.
    Left,
    /// Nothing was heard of it for too long.
    Silent,
}

/// What drivers must do or may show. Collected until [`super::Coordinator::poll_event`] takes them;
/// a driver drains them after every call.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new client.
    Joined(ClientId),
    /// A client is gone and so are its leases.
    Left(ClientId, Departure),
    /// Enough clients are here: work begins.
    Started,
    /// A verified solution.
    Solution(JobId, Solution),
    /// A job has ended: push `stop` to the holders.
    JobEnded {
        /// Which.
        job: JobId,
        /// How.
        end: JobEnd,
        /// Every client that is here and has ever held a lease of it.
        holders: Vec<ClientId>,
    },
    /// Push: this lease is over, stop working on it.
    Revoked {
        /// Whose.
        client: ClientId,
        /// Which.
        lease: LeaseId,
        /// Its fencing token.
        epoch: Epoch,
    },
    /// Push: this lease ends earlier now, its tail was lent to someone else.
    Trimmed {
        /// Whose.
        client: ClientId,
        /// Which.
        lease: LeaseId,
        /// Its fencing token.
        epoch: Epoch,
        /// One past its last unit.
        end: u128,
    },
    /// Push: a client that was told to wait may ask again now.
    Wake(ClientId),
    /// A client has lost its trust: push the refusal.
    Distrusted(ClientId, Reason),
    /// A client is banned: push the refusal and hang up.
    Banned(ClientId, Reason),
    /// Run this when there is time, off the hot path, and hand the result to
    /// [`super::Coordinator::audited`].
    Audit(Audit),
}
