//! Jobs come and go.

use super::api::{ClientId, Event, JobEnd, JobId};
use super::config::MAX_PRIORITY;
use super::facts::{Fact, Submitted};
use super::places::Submitter;
use super::{Coordinator, Duration};
use crate::jobs::JobSpec;

/// Why a job is not taken.
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
    /// There is none.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// It has ended by itself, or someone was faster.
    #[error("job {0} has ended already")]
    Ended(JobId),
    /// It is another's.
    #[error(
        "job {0} was submitted from elsewhere: only from there, or from the server's own machine, \
         can it be ended"
    )]
    NotYours(JobId),
}

impl Coordinator {
    /// Takes a job. `key` is chosen at random by the submitter; the same key gives the same job.
    /// `priority` goes from 1 to [`MAX_PRIORITY`]: a job of priority 2 is
    /// given twice the time of clients that one of priority 1 gets. `submitter` has a share of the
    /// places for jobs.
    ///
    /// # Errors
    /// There are too many.
    pub fn submit_as(
        &mut self,
        now: Duration,
        submitter: Submitter,
        key: u128,
        spec: JobSpec,
        priority: u32,
    ) -> Result<JobId, SubmitError> {
        if let Some(known) = self.jobs.by_key(key) {
            return Ok(known);
        }
        if !self.jobs.has_room(submitter, self.config.max_jobs) {
            let full = self.jobs.active().len() >= self.config.max_jobs;
            return Err(if full { SubmitError::TooMany } else { SubmitError::TooManyOfYours });
        }
        let id = JobId(self.jobs.last() + 1);
        let priority = priority.clamp(1, MAX_PRIORITY);
        let submitted = Submitted { job: id, at: now, key, submitter, priority, spec };
        self.outbox.record(|| Fact::Submitted(submitted.clone()));
        self.jobs.insert(submitted);
        if self.started {
            self.make_room(now);
            self.jobs.level(id);
            self.wake_all();
        }
        Ok(id)
    }

    /// As [`Coordinator::submit_as`], for someone on this machine.
    ///
    /// # Errors
    /// There are too many.
    pub fn submit(
        &mut self,
        now: Duration,
        key: u128,
        spec: JobSpec,
        priority: u32,
    ) -> Result<JobId, SubmitError> {
        self.submit_as(now, Submitter::Here, key, spec, priority)
    }

    /// Ends a job without a result, for someone who may.
    ///
    /// # Errors
    /// There is none that could be ended, or it is another's.
    pub fn cancel_as(
        &mut self,
        now: Duration,
        submitter: Submitter,
        job: JobId,
    ) -> Result<(), CancelError> {
        let entry = self.jobs.find(job).ok_or(CancelError::Unknown(job))?;
        if entry.ended.is_some() {
            return Err(CancelError::Ended(job));
        }
        if !submitter.may_end(entry.submitter) {
            return Err(CancelError::NotYours(job));
        }
        self.end_job(now, job, JobEnd::Cancelled);
        Ok(())
    }

    /// As [`Coordinator::cancel_as`], for someone on this machine; `false` when there is none that
    /// could be ended.
    pub fn cancel(&mut self, now: Duration, job: JobId) -> bool {
        self.cancel_as(now, Submitter::Here, job).is_ok()
    }

    /// Ends a job that has all it wants, or of which everything is confirmed and no audit is under
    /// way.
    pub(super) fn end_if_finished(&mut self, now: Duration, job: JobId) {
        let Some(entry) = self.jobs.find(job).filter(|entry| entry.ended.is_none()) else { return };
        if !entry.job.is_finished(&entry.coverage.confirmed) {
            return;
        }
        let end = if entry.job.still_wanted() == 0 {
            let winner = entry.job.last_finder().map(ClientId);
            JobEnd::Finished { winner }
        } else if entry.audits == 0 {
            JobEnd::Exhausted
        } else {
            return;
        };
        self.end_job(now, job, end);
    }

    fn end_job(&mut self, now: Duration, job: JobId, end: JobEnd) {
        self.outbox.record(|| Fact::Ended { job, at: now, end });
        self.jobs.end(now, job, end);
        let workers = self.jobs.find_mut(job).map(|entry| std::mem::take(&mut entry.workers));
        let holders: Vec<ClientId> = workers.into_iter().flatten().collect();
        for &client in &holders {
            let leases = self.clients.find(client).map(|known| known.leases.clone());
            for id in leases.into_iter().flatten() {
                if self.leases.find(id).is_some_and(|lease| lease.job == job) {
                    self.close(id);
                }
            }
        }
        self.outbox.push(Event::JobEnded { job, end, holders });
    }
}
