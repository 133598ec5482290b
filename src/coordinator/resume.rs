//! Takes up a job where an earlier server left it.

use super::api::JobId;
use super::{Coordinator, Duration};
use crate::span::Span;

/// Finder of solutions that an earlier server had: no client of this one.
const EARLIER: u64 = 0;

impl Coordinator {
    /// Counts `confirmed` of a new job as confirmed, and `seeds` as its solutions. The judge checks
    /// the seeds again. Returns how many of them count.
    pub fn resume(
        &mut self,
        now: Duration,
        job: JobId,
        confirmed: impl IntoIterator<Item = Span>,
        seeds: &[String],
    ) -> u32 {
        let Some(entry) = self.tables.jobs.find_mut(job) else { return 0 };
        let whole = entry.job.spec().whole();
        for span in confirmed {
            let span = span.intersect(whole);
            entry.coverage.confirm(span);
            entry.job.refold(span);
        }
        for seed in seeds {
            entry.job.claim_seed(seed, EARLIER);
        }
        let solutions = entry.job.solution_count();
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        self.end_if_finished(now, job);
        solutions
    }
}
