//! The coordinator's messages: requests, answers, and the events that drivers act on. Plain data;
//! nothing here knows how it travels.

use super::standing::Reason;
use crate::jobs::{JobKind, JobSpec, Outcome, Solution};
use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use super::audit::{Audit, AuditResult};
pub use crate::lease::{ClientId, Epoch, Grant, Held, JobEnd, JobId, LeaseId, LeaseState, Verdict};

/// A client's description of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Chosen at random by the client when it starts and kept while it runs. The same session is
    /// the same client: joining again, after a lost answer or a lost connection, gives the same id
    /// and the leases still held. It is the client's only credential: 128 random bits.
    pub session: u128,
    /// For people; cut at [`super::MAX_NAME`] characters, control characters dropped.
    pub name: String,
    /// Its address, for people; the driver fills it in. Cut as the name is.
    pub address: String,
    /// Its backend, for people. Cut as the name is.
    pub backend: String,
    /// Its threads.
    pub threads: u32,
    /// Kinds of jobs it can do; none for a client that never gets a lease (classic).
    pub kinds: Vec<JobKind>,
    /// Its own estimate of nonces a second, 0 if it has none: for people. Leases are sized by what is
    /// proved.
    pub rate_hint: u64,
    /// True when clients of its address have lied lately. Such a client must prove more: it has twice
    /// the shares, all its leases are audited, and they grow slowly.
    pub suspect: bool,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its id.
    pub client: ClientId,
    /// True when this session was known.
    pub resumed: bool,
    /// Leases that it still holds; it must drop all others.
    pub held: Vec<Held>,
}

/// The answer to a request for work.
#[derive(Clone, Debug)]
pub enum Assignment {
    /// A lease, with its job for clients in this process. The same request id gives the same lease
    /// as long as it lasts.
    Lease(Grant, JobSpec),
    /// Nothing to lease now; ask again (the same id will do) after this time, or when woken by
    /// [`Event::Wake`].
    Wait(Duration),
    /// This request was answered with a lease that has ended since: a duplicate, late.
    Spent,
}

/// Progress on a lease, or its final report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of the lease.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Its job: hits count even when the lease is over.
    pub job: JobId,
    /// Searched completely since the last acknowledged report. Starts at the acknowledged `done`,
    /// or before it where an answer was lost; may be empty to deliver hits. For a sum it must start
    /// exactly there and not go beyond the acknowledged `end`.
    pub span: Span,
    /// The findings in it.
    pub outcome: Outcome,
    /// True when the client gives up what is left of the lease. A lease whose end is reached is
    /// over without it.
    pub last: bool,
}

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// None of it was ever leased.
    Waiting,
    /// Something is to be leased or searched.
    Running,
    /// Everything was searched, as clients say; the evidence is not complete.
    Checking,
    /// It is over.
    Ended(JobEnd),
}

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such client, or no longer: it has to join again.
    #[error("unknown client: join again")]
    UnknownClient,
    /// There is no such job, or no longer.
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

/// How a client left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said good-bye.
    Left,
    /// It was silent for too long.
    Silent,
}

/// Something that drivers must act on or may show. Kept until
/// [`super::Coordinator::poll_event`] takes it; a driver takes all after every call.
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
        /// The job.
        job: JobId,
        /// How it ended.
        end: JobEnd,
        /// Every client that is here and has held a lease of it.
        holders: Vec<ClientId>,
    },
    /// Push: this lease is over, stop working on it.
    Revoked {
        /// The holder.
        client: ClientId,
        /// The lease.
        lease: LeaseId,
        /// Its fencing token.
        epoch: Epoch,
    },
    /// Push: this lease ends earlier now, since others get its tail.
    Trimmed {
        /// The holder.
        client: ClientId,
        /// The lease.
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

/// Why a job is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// There are too many.
    #[error("the server has as many jobs as it takes")]
    TooMany,
    /// There are too many of this network, or of all networks.
    #[error("the server has as many jobs as it takes from your network: wait until one has ended")]
    TooManyOfYours,
}

/// Why a job is not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// The job has ended by itself, or was cancelled before.
    #[error("job {0} has ended already")]
    Ended(JobId),
    /// It is someone else's.
    #[error(
        "job {0} was submitted from elsewhere: only from there, or from the server's own machine, \
         can it be ended"
    )]
    NotYours(JobId),
}
