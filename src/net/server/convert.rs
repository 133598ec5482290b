//! Turns requests into calls of the coordinator, and its results into answers.

use crate::coordinator::{Coordinator, Refusal, Report, Submitter};
use crate::jobs::JobSpec;
use crate::lease::{ClientId, Epoch, Held, JobEnd, JobId, LeaseId, LeaseState, Verdict};
use crate::proto::{self, Answer, MAX_PART_DIGITS, Progress, RefusalReason, Work, refused};
use std::time::Duration;

/// Describes a job, from digit `offset` of its string on.
pub(super) fn describe(coordinator: &Coordinator, job: JobId, offset: usize) -> Answer {
    let Some(spec) = coordinator.spec(job) else {
        return refused(RefusalReason::Unknown, &format!("there is no job {job}"));
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
        Err(error) => refused(RefusalReason::Full, &error.to_string()),
    }
}

pub(super) fn report(
    coordinator: &mut Coordinator,
    now: Duration,
    client: ClientId,
    progress: Progress,
) -> Answer {
    let job = progress.job;
    let Some(kind) = coordinator.spec(job).map(JobSpec::kind) else {
        // The job was forgotten long ago, or never existed: the lease is over in any case.
        return Answer::Verdict(Verdict {
            counted: 0,
            lease: LeaseState::Over,
            solutions: 0,
            false_hits: 0,
            job_end: Some(JobEnd::Cancelled),
        });
    };
    let report = Report {
        lease: progress.lease,
        epoch: progress.epoch,
        job,
        span: progress.done,
        last: progress.finished,
        outcome: progress.outcome(kind),
    };
    match coordinator.report(now, client, &report) {
        Ok(verdict) => Answer::Verdict(verdict),
        Err(refused) => refusal(refused),
    }
}

/// Names a lease that was revoked.
pub(super) fn revoked(lease: LeaseId, epoch: Epoch) -> Held {
    Held { lease, epoch, job: JobId(0), done: 0, end: 0 }
}

/// Names a lease that was trimmed, and its new end.
pub(super) fn trimmed(lease: LeaseId, epoch: Epoch, end: u128) -> Held {
    Held { end, ..revoked(lease, epoch) }
}

pub(super) fn refusal(refusal: Refusal) -> Answer {
    let reason = match refusal {
        Refusal::UnknownClient => RefusalReason::Session,
        Refusal::UnknownJob => RefusalReason::Unknown,
        Refusal::Distrusted(_) | Refusal::Banned(_) => RefusalReason::Banned,
        Refusal::Full => RefusalReason::Full,
    };
    refused(reason, &refusal.to_string())
}

/// Returns the end of a job as its clients are told of it.
pub(super) fn over(coordinator: &Coordinator, job: JobId, end: JobEnd) -> proto::Over {
    proto::Over {
        job: job.0,
        end: Some(end),
        seed: coordinator.seeds(job, 0).next().unwrap_or_default(),
    }
}
