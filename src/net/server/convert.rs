//! The coordinator's words in the protocol's, and back.

use crate::coordinator::{
    ClientId, Coordinator, Epoch, Grant, Held, JobEnd, JobId, LeaseId, LeaseState, Refusal, Report,
    Submitter, Verdict,
};
use crate::jobs::{JobKind, JobSpec, Outcome};
use crate::proto::{self, Answer, MAX_PART_DIGITS, Progress, Reason, Work, refused};
use num_bigint::BigUint;
use std::time::Duration;

/// A job's description from digit `offset` of its string on.
pub(super) fn describe(coordinator: &Coordinator, job: JobId, offset: usize) -> Answer {
    let Some(spec) = coordinator.spec(job) else {
        return refused(Reason::Unknown, &format!("there is no job {job}"));
    };
    Answer::Description { job: job.0, work: Work::of(spec, offset, MAX_PART_DIGITS) }
}

pub(super) fn submit(
    coordinator: &mut Coordinator,
    now: Duration,
    submitter: Submitter,
    submit: proto::Submit,
    spec: JobSpec,
) -> Answer {
    let (key, priority) = (u128::from_be_bytes(submit.key), submit.priority);
    match coordinator.submit_as(now, submitter, key, spec, priority) {
        Ok(job) => Answer::Submitted { job: job.0, server: coordinator.instance() },
        Err(error) => refused(Reason::Full, &error.to_string()),
    }
}

pub(super) fn report(
    coordinator: &mut Coordinator,
    now: Duration,
    client: ClientId,
    progress: Progress,
) -> Answer {
    let job = JobId(progress.job);
    let Some(kind) = coordinator.spec(job).map(JobSpec::kind) else {
        // Forgotten long ago, or never there: whatever the lease was, it is over.
        return Answer::Verdict(proto::Verdict {
            lease: None,
            solutions: 0,
            false_hits: 0,
            job_end: Some(proto::JobEnd::Cancelled),
        });
    };
    let outcome = match kind {
        JobKind::Md5Search => Outcome::Md5Search { hits: progress.hits, shares: progress.shares },
        JobKind::SumOfSquares => Outcome::SumOfSquares(BigUint::from_bytes_be(&progress.sum)),
    };
    let report = Report {
        lease: LeaseId(progress.lease),
        epoch: Epoch(progress.epoch),
        job,
        span: progress.done,
        outcome,
        last: progress.finished,
    };
    match coordinator.report(now, client, &report) {
        Ok(word) => Answer::Verdict(verdict(&report, word)),
        Err(refused) => refusal(refused),
    }
}

fn verdict(report: &Report, word: Verdict) -> proto::Verdict {
    let lease = match word.lease {
        LeaseState::Held { done, end } => Some(proto::Held {
            lease: report.lease.0,
            epoch: report.epoch.0,
            job: report.job.0,
            done,
            end,
        }),
        LeaseState::Over => None,
    };
    proto::Verdict {
        lease,
        solutions: word.solutions,
        false_hits: word.false_hits,
        job_end: word.job_end.map(end_of),
    }
}

pub(super) fn grant(grant: Grant) -> proto::Grant {
    proto::Grant {
        lease: grant.lease.0,
        epoch: grant.epoch.0,
        job: grant.job.0,
        span: grant.span,
        share_bits: grant.share_bits,
        wanted: grant.wanted,
        patience: grant.patience,
    }
}

pub(super) fn held(held: Held) -> proto::Held {
    proto::Held {
        lease: held.lease.0,
        epoch: held.epoch.0,
        job: held.job.0,
        done: held.done,
        end: held.end,
    }
}

pub(super) fn lost(lease: LeaseId, epoch: Epoch) -> proto::Held {
    proto::Held { lease: lease.0, epoch: epoch.0, job: 0, done: 0, end: 0 }
}

pub(super) fn trimmed(lease: LeaseId, epoch: Epoch, end: u128) -> proto::Held {
    proto::Held { end, ..lost(lease, epoch) }
}

pub(super) fn refusal(refusal: Refusal) -> Answer {
    let reason = match refusal {
        Refusal::UnknownClient => Reason::Session,
        Refusal::UnknownJob => Reason::Unknown,
        Refusal::Distrusted(_) | Refusal::Banned(_) => Reason::Banned,
        Refusal::Full => Reason::Full,
    };
    refused(reason, &refusal.to_string())
}

fn end_of(end: JobEnd) -> proto::JobEnd {
    match end {
        JobEnd::Finished { .. } => proto::JobEnd::Finished,
        JobEnd::Exhausted => proto::JobEnd::Exhausted,
        JobEnd::Cancelled => proto::JobEnd::Cancelled,
    }
}

/// The end of a job, for those who worked on it.
pub(super) fn over(coordinator: &Coordinator, job: JobId, end: JobEnd) -> proto::Over {
    let winner = match end {
        JobEnd::Finished { winner: Some(winner) } => winner.0,
        _ => 0,
    };
    proto::Over {
        job: job.0,
        end: Some(end_of(end)),
        winner,
        seed: coordinator.seeds(job, 0).next().unwrap_or_default(),
    }
}
