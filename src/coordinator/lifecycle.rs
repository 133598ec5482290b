//! Jobs: how they are submitted, and how they end.

use super::api::{CancelError, ClientId, Event, JobEnd, JobId, SubmitError};
use super::config::MAX_PRIORITY;
use super::facts::{Fact, Submitted};
use super::places::Submitter;
use super::{Coordinator, Duration};
use crate::jobs::JobSpec;

impl Coordinator {
    /// Accepts a job. `key` is chosen at random by the submitter; the same key gives the same job.
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
        if let Some(known) = self.tables.jobs.by_key(key) {
            return Ok(known);
        }
        if !self.tables.jobs.has_room(submitter, self.tables.config.max_jobs) {
            let full = self.tables.jobs.active().len() >= self.tables.config.max_jobs;
            return Err(if full { SubmitError::TooMany } else { SubmitError::TooManyOfYours });
        }
        let id = JobId(self.tables.jobs.last() + 1);
        let priority = priority.clamp(1, MAX_PRIORITY);
        let submitted = Submitted { job: id, at: now, key, submitter, priority, spec };
        self.outbox.record(|| Fact::Submitted(submitted.clone()));
        self.tables.jobs.insert(submitted);
        self.scheduler.turns.requeue(&mut self.tables.jobs, id);
        if self.scheduler.started {
            self.make_room(now);
            self.scheduler.turns.level(&mut self.tables.jobs, id);
            self.scheduler.wake(&mut self.tables, &mut self.outbox, usize::MAX);
        }
        Ok(id)
    }

    /// Accepts a job of someone on this machine; see [`Coordinator::submit_as`].
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
    /// There is no such job under way, or it is another's.
    pub fn cancel_as(
        &mut self,
        now: Duration,
        submitter: Submitter,
        job: JobId,
    ) -> Result<(), CancelError> {
        let entry = self.tables.jobs.find(job).ok_or(CancelError::Unknown(job))?;
        if entry.ended.is_some() {
            return Err(CancelError::Ended(job));
        }
        if !submitter.may_end(entry.submitter) {
            return Err(CancelError::NotYours(job));
        }
        self.end_job(now, job, JobEnd::Cancelled);
        Ok(())
    }

    /// Ends a job for someone on this machine; returns `false` when there is none that could be
    /// ended.
    pub fn cancel(&mut self, now: Duration, job: JobId) -> bool {
        self.cancel_as(now, Submitter::Here, job).is_ok()
    }

    /// Ends a job that has all it wants, or of which everything is confirmed and no audit is under
    /// way.
    pub(super) fn end_if_finished(&mut self, now: Duration, job: JobId) {
        let entry = self.tables.jobs.find(job).filter(|entry| entry.ended.is_none());
        let Some(entry) = entry.filter(|entry| entry.job.is_finished(&entry.coverage.confirmed))
        else {
            return;
        };
        if entry.job.still_wanted() == 0 {
            let winner = entry.job.last_finder().map(ClientId);
            self.end_job(now, job, JobEnd::Finished { winner });
        } else if entry.audits == 0 {
            self.end_job(now, job, JobEnd::Exhausted);
        }
    }

    fn end_job(&mut self, now: Duration, job: JobId, end: JobEnd) {
        self.outbox.record(|| Fact::Ended { job, at: now, end });
        self.tables.jobs.end(now, job, end);
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        let workers = std::mem::take(&mut self.tables.jobs[job].workers);
        let holders: Vec<ClientId> = workers.into_iter().collect();
        for &client in &holders {
            for id in self.tables.clients[client].leases.clone() {
                if self.leases[id].job == job {
                    self.close(id);
                }
            }
        }
        self.tables.jobs.retire(job);
        self.outbox.push(Event::JobEnded { job, end, holders });
    }
}
