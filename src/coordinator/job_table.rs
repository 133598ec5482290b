//! The jobs: those under way with their coverage, and those that ended lately.

use super::api::{ClientId, JobEnd, JobId, JobState, LeaseId};
use super::coverage::Coverage;
use super::facts::Submitted;
use super::leftovers::Leftovers;
use super::places::{Places, Submitter};
use crate::jobs::{Job, JobKind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// A job and its coverage.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    /// The submitter's key, so that a repeated submission is the same job.
    pub(super) key: u128,
    pub(super) submitter: Submitter,
    pub(super) priority: u32,
    pub(super) submitted: Duration,
    pub(super) ended: Option<(Duration, JobEnd)>,
    pub(super) coverage: Coverage,
    pub(super) leftovers: Leftovers,
    /// Audits of its leases that are under way.
    pub(super) audits: u32,
    /// Clients that have had a lease of it, and are here.
    pub(super) workers: BTreeSet<ClientId>,
    /// Its leases that are not late, by the time at which they should be through.
    pub(super) due: BTreeSet<(Duration, LeaseId)>,
    /// Its place among the jobs that take turns.
    pub(super) turn: Turn,
}

/// The place of a job among those that take turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// How much of its turns the job has had.
    pub(super) pass: u64,
    /// True while it is in the queue for the next.
    pub(super) queued: bool,
}

impl Entry {
    pub(super) fn state(&self) -> JobState {
        match self.ended {
            Some((_, end)) => JobState::Ended(end),
            None if self.coverage.is_all_reported() => JobState::Checking,
            None if self.due.is_empty() && self.coverage.confirmed.is_empty() => JobState::Waiting,
            None => JobState::Running,
        }
    }

    /// Returns the entry as it was submitted.
    pub(super) fn submitted(&self, job: JobId) -> Submitted {
        Submitted {
            job,
            at: self.submitted,
            key: self.key,
            submitter: self.submitter,
            priority: self.priority,
            spec: self.job.spec().clone(),
        }
    }

    pub(super) fn kind(&self) -> JobKind {
        self.job.spec().kind()
    }
}

/// Every job that is under way, or ended lately.
#[derive(Clone, Debug, Default)]
pub(super) struct JobTable {
    jobs: BTreeMap<JobId, Entry>,
    keys: BTreeMap<u128, JobId>,
    /// Jobs that have not ended.
    active: BTreeSet<JobId>,
    places: Places,
    last: u64,
}

impl JobTable {
    /// Returns the last number that is used.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Counts all numbers up to `last` as used.
    pub(super) fn skip_to(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// Enters a job, whose number and key are new.
    pub(super) fn insert(&mut self, submitted: Submitted) {
        let Submitted { job: id, at, key, submitter, priority, spec } = submitted;
        debug_assert!(id.0 > self.last && !self.keys.contains_key(&key), "job {id} is not new");
        self.places.begin(submitter);
        self.skip_to(id.0);
        let coverage = Coverage::new(spec.whole());
        let entry = Entry {
            job: Job::new(spec),
            key,
            submitter,
            priority,
            submitted: at,
            ended: None,
            coverage,
            leftovers: Leftovers::default(),
            audits: 0,
            workers: BTreeSet::new(),
            due: BTreeSet::new(),
            turn: Turn::default(),
        };
        self.jobs.insert(id, entry);
        self.keys.insert(key, id);
        self.active.insert(id);
    }

    /// Returns the jobs that have ended, each submitter's in the order of their ends. The server's
    /// own come first; nothing depends on their order.
    pub(super) fn ended(&self) -> impl Iterator<Item = (JobId, &Entry)> {
        let own = |&(_, entry): &(JobId, &Entry)| {
            entry.submitter == Submitter::Server && entry.ended.is_some()
        };
        let others = self.places.ended().filter_map(|id| Some((id, self.find(id)?)));
        self.iter().filter(own).chain(others)
    }

    pub(super) fn by_key(&self, key: u128) -> Option<JobId> {
        self.keys.get(&key).copied()
    }

    pub(super) fn find(&self, id: JobId) -> Option<&Entry> {
        self.jobs.get(&id)
    }

    pub(super) fn find_mut(&mut self, id: JobId) -> Option<&mut Entry> {
        self.jobs.get_mut(&id)
    }

    /// Returns the number of jobs, those that have ended included.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &Entry)> {
        self.iter_from(JobId(0))
    }

    pub(super) fn iter_from(&self, from: JobId) -> impl Iterator<Item = (JobId, &Entry)> {
        self.jobs.range(from..).map(|(&id, entry)| (id, entry))
    }

    /// Returns the jobs that have not ended.
    pub(super) fn active(&self) -> &BTreeSet<JobId> {
        &self.active
    }

    /// Returns whether `submitter` may have one more job under way, of `most` in all.
    pub(super) fn has_room(&self, submitter: Submitter, most: usize) -> bool {
        self.places.has_room(submitter, most)
    }

    /// Marks a job as ended.
    pub(super) fn end(&mut self, now: Duration, id: JobId, end: JobEnd) {
        self[id].ended = Some((now, end));
        self.active.remove(&id);
    }

    /// Counts a job, of which nothing is leased any more, among the ended ones; of too many one is
    /// forgotten.
    pub(super) fn retire(&mut self, id: JobId) {
        let forgotten = self.places.end(self[id].submitter, id);
        if let Some(entry) = forgotten.and_then(|id| self.jobs.remove(&id)) {
            self.keys.remove(&entry.key);
        }
    }
}

/// For jobs that the coordinator itself names: of those that it holds something of, none is
/// forgotten.
impl Index<JobId> for JobTable {
    type Output = Entry;

    fn index(&self, id: JobId) -> &Entry {
        &self.jobs[&id]
    }
}

impl IndexMut<JobId> for JobTable {
    fn index_mut(&mut self, id: JobId) -> &mut Entry {
        self.jobs.get_mut(&id).expect("a job that is not forgotten")
    }
}
