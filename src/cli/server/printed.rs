//! The results that a console has printed: one that could not keep up prints the others later.

use crate::coordinator::{Coordinator, JobEnd, JobId};
use crate::jobs::Solution;
use crate::net::server::Service;
use std::collections::{BTreeMap, HashSet};

/// Jobs on record before those that the server has forgotten are dropped.
const FEWEST_JOBS: usize = 1024;

/// The solutions and ends of jobs that were printed.
#[derive(Debug, Default)]
pub(super) struct Printed {
    jobs: BTreeMap<JobId, Job>,
    /// Number of jobs at which the record is cleared of forgotten ones.
    clear_at: usize,
}

#[derive(Debug, Default)]
struct Job {
    seeds: HashSet<String>,
    ended: bool,
    /// True if it had ended before this server began: nobody asks for its end.
    ended_earlier: bool,
}

/// A job, its solutions that were not printed, and its end if that was not.
type Missed = (JobId, Vec<Solution>, Option<JobEnd>);

impl Printed {
    /// Notes the results of an earlier server, which printed them.
    pub(super) fn note_earlier(&mut self, service: &Service) {
        service.read(|coordinator| {
            for status in coordinator.jobs() {
                let job = self.jobs.entry(status.id).or_default();
                job.seeds.extend(coordinator.seeds(status.id, 0));
                job.ended_earlier = status.ended.is_some();
            }
        });
    }

    /// Notes a solution; returns false if it was printed before.
    pub(super) fn note_solution(&mut self, job: JobId, seed: &str) -> bool {
        self.jobs.entry(job).or_default().seeds.insert(seed.to_owned())
    }

    /// Notes the end of a job; returns false if it was printed before.
    pub(super) fn note_end(&mut self, job: JobId, service: &Service) -> bool {
        let is_new = !std::mem::replace(&mut self.jobs.entry(job).or_default().ended, true);
        if self.jobs.len() > self.clear_at.max(FEWEST_JOBS) {
            service.read(|coordinator| {
                self.jobs.retain(|&job, _| coordinator.spec(job).is_some());
            });
            self.clear_at = 2 * self.jobs.len();
        }
        is_new
    }

    /// Returns what the server knows and was not printed yet.
    pub(super) fn missed(&self, service: &Service) -> Vec<Missed> {
        service.read(|coordinator| {
            let jobs = coordinator.jobs().into_iter().filter_map(|status| {
                let job = self.jobs.get(&status.id);
                let ended = job.is_some_and(|job| job.ended || job.ended_earlier);
                let end = status.ended.map(|(_, end)| end).filter(|_| !ended);
                let printed = job.map_or(0, |job| job.seeds.len());
                // Each costs a digest: they are not listed in vain.
                let solutions = match status.solutions as usize > printed {
                    true => unprinted(coordinator, status.id, job),
                    false => Vec::new(),
                };
                (end.is_some() || !solutions.is_empty()).then_some((status.id, solutions, end))
            });
            jobs.collect()
        })
    }
}

fn unprinted(coordinator: &Coordinator, id: JobId, job: Option<&Job>) -> Vec<Solution> {
    let mut solutions = coordinator.solutions(id, 0, usize::MAX);
    solutions.retain(|solution| job.is_none_or(|job| !job.seeds.contains(&solution.seed)));
    solutions
}
