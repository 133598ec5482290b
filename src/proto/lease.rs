//! Leases on the wire.

use super::fields::{millis, narrow, wide, wrong};
use super::{ProtoError, wire};
use crate::lease::{ClientId, Epoch, Grant, Held, JobEnd, JobId, LeaseId, LeaseState, Verdict};
use crate::span::Span;
use std::time::Duration;

impl From<Held> for wire::Held {
    fn from(held: Held) -> Self {
        Self {
            lease: held.lease.0,
            epoch: held.epoch.0,
            job: held.job.0,
            done: wide(held.done),
            end: wide(held.end),
        }
    }
}

impl TryFrom<wire::Held> for Held {
    type Error = ProtoError;

    fn try_from(wire: wire::Held) -> Result<Self, ProtoError> {
        Ok(Self {
            lease: LeaseId(wire.lease),
            epoch: Epoch(wire.epoch),
            job: JobId(wire.job),
            done: narrow("done", wire.done)?,
            end: narrow("end", wire.end)?,
        })
    }
}

impl From<Grant> for wire::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            lease: grant.lease.0,
            epoch: grant.epoch.0,
            job: grant.job.0,
            start: wide(grant.span.start()),
            length: grant.span.len() as u64,
            share_bits: grant.share_bits,
            wanted: grant.wanted,
            patience_millis: millis(grant.patience),
        }
    }
}

impl TryFrom<wire::Grant> for Grant {
    type Error = ProtoError;

    fn try_from(wire: wire::Grant) -> Result<Self, ProtoError> {
        let start = narrow("start", wire.start)?;
        let end = start.checked_add(wire.length.into());
        if wire.length == 0 {
            return Err(wrong("length", "zero"));
        }
        if wire.patience_millis == 0 {
            return Err(wrong("patience_millis", "zero"));
        }
        if wire.share_bits.is_some_and(|bits| bits > 128) {
            return Err(wrong("share_bits", "over 128"));
        }
        Ok(Self {
            lease: LeaseId(wire.lease),
            epoch: Epoch(wire.epoch),
            job: JobId(wire.job),
            span: Span::new(start, end.ok_or_else(|| wrong("length", "beyond 2^128"))?),
            share_bits: wire.share_bits,
            wanted: wire.wanted,
            patience: Duration::from_millis(wire.patience_millis.into()),
        })
    }
}

impl From<Verdict> for wire::Verdict {
    fn from(verdict: Verdict) -> Self {
        let lease = match verdict.lease {
            LeaseState::Held(held) => Some(held.into()),
            LeaseState::Over => None,
        };
        Self {
            lease,
            solutions: verdict.solutions,
            false_hits: verdict.false_hits,
            job_end: end_to_wire(verdict.job_end).into(),
        }
    }
}

impl TryFrom<wire::Verdict> for Verdict {
    type Error = ProtoError;

    fn try_from(wire: wire::Verdict) -> Result<Self, ProtoError> {
        let lease = match wire.lease {
            Some(held) => LeaseState::Held(held.try_into()?),
            None => LeaseState::Over,
        };
        Ok(Self {
            counted: 0,
            lease,
            solutions: wire.solutions,
            false_hits: wire.false_hits,
            job_end: end_from_wire("job_end", wire.job_end, 0)?,
        })
    }
}

pub(super) fn end_to_wire(end: Option<JobEnd>) -> wire::JobEnd {
    match end {
        None => wire::JobEnd::Unspecified,
        Some(JobEnd::Finished { .. }) => wire::JobEnd::Finished,
        Some(JobEnd::Exhausted) => wire::JobEnd::Exhausted,
        Some(JobEnd::Cancelled) => wire::JobEnd::Cancelled,
    }
}

/// Reads the end of a job; `winner` is 0 where nobody has won, or the message does not say who.
pub(super) fn end_from_wire(
    field: &'static str,
    end: i32,
    winner: u64,
) -> Result<Option<JobEnd>, ProtoError> {
    let end = wire::JobEnd::try_from(end).map_err(|_| wrong(field, "unknown value"))?;
    Ok(match end {
        wire::JobEnd::Unspecified => None,
        wire::JobEnd::Finished => {
            Some(JobEnd::Finished { winner: (winner > 0).then_some(ClientId(winner)) })
        }
        wire::JobEnd::Exhausted => Some(JobEnd::Exhausted),
        wire::JobEnd::Cancelled => Some(JobEnd::Cancelled),
    })
}
