//! Reports of progress, with what each kind of job puts into them.

use super::fields::{narrow, wide, wrong};
use super::{MAX_HITS, MAX_SHARES, ProtoError, wire};
use crate::jobs::{JobKind, Outcome, SearchOutcome};
use crate::lease::{Epoch, Grant, JobId, LeaseId};
use crate::span::Span;
use num_bigint::BigUint;

/// Maximum length of a partial sum, in bytes.
const MAX_SUM: usize = 32;

/// A report of what was done of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The lease.
    pub lease: LeaseId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// The job.
    pub job: JobId,
    /// Units done since the last verdict.
    pub done: Span,
    /// Set when the client gives up what is left of the lease.
    pub finished: bool,
    /// Solutions, none of them before `done`.
    pub hits: Vec<u128>,
    /// Shares in `done`.
    pub shares: Vec<u128>,
    /// Sum over `done`, big-endian, for jobs that add up.
    pub sum: Vec<u8>,
}

impl Progress {
    /// Makes the report that all of `done` is searched and came to `outcome`.
    pub fn new(grant: &Grant, done: Span, outcome: Outcome) -> Self {
        let (lease, epoch, job) = (grant.lease, grant.epoch, grant.job);
        let (hits, shares, sum) = match outcome {
            Outcome::Md5Search(SearchOutcome { hits, shares }) => (hits, shares, Vec::new()),
            Outcome::SumOfSquares(sum) => (Vec::new(), Vec::new(), sum.to_bytes_be()),
        };
        Self { lease, epoch, job, done, finished: false, hits, shares, sum }
    }

    /// Returns the outcome of `done` in a job of this kind: the message itself does not say which.
    pub fn outcome(self, kind: JobKind) -> Outcome {
        let Self { hits, shares, sum, .. } = self;
        match kind {
            JobKind::Md5Search => Outcome::Md5Search(SearchOutcome { hits, shares }),
            JobKind::SumOfSquares => Outcome::SumOfSquares(BigUint::from_bytes_be(&sum)),
        }
    }
}

impl From<Progress> for wire::Progress {
    fn from(progress: Progress) -> Self {
        let start = progress.done.start();
        let offset = |nonce: &u128| u64::try_from(nonce.checked_sub(start)?).ok();
        let offsets = |nonces: &[u128]| nonces.iter().filter_map(offset).collect();
        Self {
            lease: progress.lease.0,
            epoch: progress.epoch.0,
            job: progress.job.0,
            done: progress.done.len() as u64,
            finished: progress.finished,
            hits: offsets(&progress.hits),
            shares: offsets(&progress.shares),
            start: wide(start),
            sum: progress.sum,
        }
    }
}

impl TryFrom<wire::Progress> for Progress {
    type Error = ProtoError;

    fn try_from(wire: wire::Progress) -> Result<Self, ProtoError> {
        if wire.hits.len() > MAX_HITS {
            return Err(wrong("hits", "more than 64"));
        }
        if wire.shares.len() > MAX_SHARES {
            return Err(wrong("shares", "more than 4096"));
        }
        if wire.sum.len() > MAX_SUM {
            return Err(wrong("sum", "too long"));
        }
        let start = narrow("start", wire.start)?;
        let beyond = |units: u64, field| {
            start.checked_add(units.into()).ok_or_else(|| wrong(field, "beyond 2^128"))
        };
        let hits: Result<_, _> = wire.hits.iter().map(|&units| beyond(units, "hits")).collect();
        let shares: Result<_, _> =
            wire.shares.iter().map(|&units| beyond(units, "shares")).collect();
        Ok(Self {
            lease: LeaseId(wire.lease),
            epoch: Epoch(wire.epoch),
            job: JobId(wire.job),
            done: Span::new(start, beyond(wire.done, "done")?),
            finished: wire.finished,
            hits: hits?,
            shares: shares?,
            sum: wire.sum,
        })
    }
}
