//! Facts: what has happened to the state that must outlive the process, as plain data.
//!
//! A store appends the facts of each call and, from time to time, replaces them by a snapshot
//! ([`Coordinator::snapshot`](super::Coordinator::snapshot)): both are sequences of [`Fact`], and
//! [`Coordinator::restore`](super::Coordinator::restore) takes either, or a snapshot followed by
//! the facts since then.
//!
//! Everything else is lost when the process ends, on purpose:
//!
//! - Leases, and what is claimed of them. The evidence for a claim belongs to its lease; a lease
//!   takes some twenty seconds, a claim is confirmed after some five, and writing down each grant
//!   and report would cost more than searching that little again. After a restore both are free.
//! - Clients in good standing, with their pace. They join again as newcomers: a restored
//!   coordinator has another instance number, so that they drop what they hold.
//! - Audits under way, and the doubt about what a client confirmed lately: what is confirmed
//!   stands on the shares of its lease alone then.
//! - The order of turns: jobs begin level again.

use super::api::{ClientId, JobEnd, JobId, Join};
use super::config::MAX_PRIORITY;
use super::places::Submitter;
use super::serial;
use super::standing::Standing;
use crate::jobs::{JobSpec, Outcome};
use crate::puzzle::MAX_SEED_CHARACTERS;
use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Latest moment that is restored, in 30,000 years: what is added to it later does not overflow.
const LATEST: Duration = Duration::from_secs(1 << 40);

/// Largest number of a job, client or epoch that is restored: those after it do not overflow.
const LARGEST: u64 = 1 << 62;

/// One change of the state. Their order matters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// Enough clients came, and work began.
    Started,
    /// A job was accepted.
    Submitted(Submitted),
    /// Units of a job became credible.
    Confirmed {
        /// The job.
        job: JobId,
        /// Its units. Of a search some may have been confirmed before.
        #[serde(with = "serial")]
        span: Span,
        /// Outcome that was folded into the result; in a snapshot the first span of a job carries
        /// that of all. `None` for searches, whose [`Fact::Solution`]s are their result.
        outcome: Option<Outcome>,
    },
    /// Units went back from confirmed to free, since the evidence for them was false.
    Returned {
        /// The job.
        job: JobId,
        /// Its units. Those that were not confirmed stay as they are.
        #[serde(with = "serial")]
        span: Span,
    },
    /// A new solution.
    Solution {
        /// The job.
        job: JobId,
        /// The client that reported it first.
        client: ClientId,
        /// Its place in the seed space, if the space holds it.
        nonce: Option<u128>,
        /// The seed as it is written.
        seed: String,
    },
    /// A job ended. What was confirmed of it stays.
    Ended {
        /// The job.
        job: JobId,
        /// The moment.
        at: Duration,
        /// How.
        end: JobEnd,
    },
    /// A client lost its trust or was banned; again for the same client when it is banned later.
    Accused(Accused),
    /// The operator took a client back.
    Pardoned {
        /// The client.
        client: ClientId,
    },
    /// An accused client was silent for so long, or so many were accused after it, that it is
    /// forgotten.
    Forgotten {
        /// The client.
        client: ClientId,
    },
    /// No number up to these is given out again.
    Numbers(Numbers),
}

impl Fact {
    /// Checks that no time, number or text is larger than a coordinator makes it.
    pub(super) fn check_range(&self) -> Result<(), RestoreError> {
        let none = Duration::ZERO;
        let (at, numbers) = match self {
            Self::Submitted(submitted) => {
                if !(1..=MAX_PRIORITY).contains(&submitted.priority) {
                    return Err(RestoreError::OutOfRange("priority"));
                }
                (submitted.at, [submitted.job.0, 0, 0])
            }
            Self::Solution { client, seed, .. } => {
                // The digits, and 0x in front of them.
                if seed.len() > MAX_SEED_CHARACTERS + 2 {
                    return Err(RestoreError::OutOfRange("seed"));
                }
                (none, [client.0, 0, 0])
            }
            Self::Ended { at, end: JobEnd::Finished { winner: Some(winner) }, .. } => {
                (*at, [winner.0, 0, 0])
            }
            Self::Ended { at, .. } => (*at, [0; 3]),
            Self::Accused(accused) => (accused.at, [accused.client.0, 0, 0]),
            Self::Numbers(Numbers { jobs, clients, epochs }) => (none, [*jobs, *clients, *epochs]),
            // They name jobs and clients that facts before them have brought.
            Self::Started
            | Self::Confirmed { .. }
            | Self::Returned { .. }
            | Self::Pardoned { .. }
            | Self::Forgotten { .. } => return Ok(()),
        };
        if at > LATEST {
            return Err(RestoreError::OutOfRange("time"));
        }
        if numbers.into_iter().any(|number| number > LARGEST) {
            return Err(RestoreError::OutOfRange("number"));
        }
        Ok(())
    }
}

/// A job as it was accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Submitted {
    /// Its number.
    pub job: JobId,
    /// The moment.
    pub at: Duration,
    /// The submitter's key, by which a repeated submission is known.
    pub key: u128,
    /// Its submitter.
    pub submitter: Submitter,
    /// Its priority.
    pub priority: u32,
    /// Its description.
    pub spec: JobSpec,
}

/// A client that lost its trust, with all that is kept of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accused {
    /// Its number.
    pub client: ClientId,
    /// When it was last heard of.
    pub at: Duration,
    /// How far it is trusted now; never [`Standing::Good`].
    pub standing: Standing,
    /// Its description of itself; by the session it is known when it comes back.
    pub join: Join,
}

/// The largest numbers that may have been given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Of jobs.
    pub jobs: u64,
    /// Of clients: rounded up, since not every client is a fact.
    pub clients: u64,
    /// Of epochs: rounded up, since leases are no facts.
    pub epochs: u64,
}

/// Why facts do not tell of any coordinator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A fact about a job that no fact before it has submitted.
    #[error("a fact about job {0}, which was not submitted before it")]
    UnknownJob(JobId),
    /// A job that was submitted before, or a key that names another job.
    #[error("job {0} was submitted twice")]
    RepeatedJob(JobId),
    /// Units that are not the job's, none at all, or with an outcome that cannot be folded: that of
    /// a search or of another kind, or a sum over units that were summed before.
    #[error("units {span} of job {job} cannot be confirmed")]
    Units {
        /// The job.
        job: JobId,
        /// The units.
        span: Span,
    },
    /// Units of a job whose outcomes are folded: none of them is ever free again.
    #[error("units {span} of job {job} cannot be free again")]
    Returned {
        /// The job.
        job: JobId,
        /// The units.
        span: Span,
    },
    /// Outcomes that are not those of the units that are confirmed.
    #[error("the result of job {0} is wrong")]
    WrongResult(JobId),
    /// A seed that solves nothing, or is there twice.
    #[error("seed {seed:?} is no new solution of job {job}")]
    Solution {
        /// The job.
        job: JobId,
        /// The seed.
        seed: String,
    },
    /// A job that ended twice.
    #[error("job {0} ended twice")]
    EndedTwice(JobId),
    /// A client that was accused of nothing.
    #[error("client {0} is in good standing")]
    Innocent(ClientId),
    /// A session that is another client's.
    #[error("client {0} has the session of another client")]
    RepeatedSession(ClientId),
    /// A time, number, priority or seed that no coordinator makes so large, or so small.
    #[error("a {0} is out of range")]
    OutOfRange(&'static str),
    /// More jobs or clients than a coordinator takes.
    #[error("there are too many {0}")]
    TooMany(&'static str),
}
