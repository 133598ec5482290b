//! Turns: jobs share the time of clients by priority.
//!
//! Stride scheduling (Waldspurger and Weihl, 1995): each job has a pass, the time of clients that it
//! had divided by its priority, and the lowest pass is next.

use super::api::JobId;
use super::job_table::{Entry, JobTable};
use std::collections::BTreeSet;
use std::time::Duration;

/// The jobs with something free, by pass.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: BTreeSet<(u64, JobId)>,
    /// The pass of the last turn: where jobs that come, or come back, begin.
    now: u64,
}

impl Turns {
    /// Returns the job whose turn it is among those that are `fit`.
    pub(super) fn next(
        &self,
        jobs: &JobTable,
        fit: impl Fn(JobId, &Entry) -> bool,
    ) -> Option<JobId> {
        self.queue.iter().map(|&(_, id)| id).find(|&id| fit(id, &jobs[id]))
    }

    /// Returns whether several jobs have something free.
    pub(super) fn is_contended(&self) -> bool {
        self.queue.len() > 1
    }

    /// Charges a job for a turn that should take a client `time`. A job of priority p pays the p-th
    /// part.
    pub(super) fn charge(&mut self, jobs: &mut JobTable, id: JobId, time: Duration) {
        self.now = self.now.max(jobs[id].turn.pass);
        self.move_pass(jobs, id, |pass, priority| pass.saturating_add(cost(time, priority)));
    }

    /// Lets a job begin level with the others, which have been paid back what they were charged too
    /// much.
    pub(super) fn level(&mut self, jobs: &mut JobTable, id: JobId) {
        let others = self.queue.iter().find(|&&(_, other)| other != id);
        if let Some(&(lowest, _)) = others {
            self.move_pass(jobs, id, |_, _| lowest);
        }
    }

    /// Corrects the charge for a turn that took a client another time.
    pub(super) fn settle(
        &mut self,
        jobs: &mut JobTable,
        id: JobId,
        charged: Duration,
        worked: Duration,
    ) {
        self.move_pass(jobs, id, |pass, priority| {
            let paid = pass.saturating_add(cost(worked, priority));
            paid.saturating_sub(cost(charged, priority))
        });
    }

    fn move_pass(&mut self, jobs: &mut JobTable, id: JobId, to: impl Fn(u64, u32) -> u64) {
        let entry = &mut jobs[id];
        if entry.turn.queued {
            self.queue.remove(&(entry.turn.pass, id));
        }
        entry.turn.pass = to(entry.turn.pass, entry.priority);
        if entry.turn.queued {
            self.queue.insert((entry.turn.pass, id));
        }
        self.requeue(jobs, id);
    }

    /// Brings the queue up to date with what is free of a job.
    pub(super) fn requeue(&mut self, jobs: &mut JobTable, id: JobId) {
        let entry = &mut jobs[id];
        let wanted = entry.ended.is_none() && !entry.coverage.free.is_empty();
        if wanted && !entry.turn.queued {
            // Time in which it had nothing free is not made up for.
            entry.turn.pass = entry.turn.pass.max(self.now);
            self.queue.insert((entry.turn.pass, id));
        } else if !wanted && entry.turn.queued {
            self.queue.remove(&(entry.turn.pass, id));
        }
        entry.turn.queued = wanted;
    }
}

/// Returns what a turn of a client's `time` costs, in microseconds; never nothing.
fn cost(time: Duration, priority: u32) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    (micros / u64::from(priority.max(1))).max(1)
}
