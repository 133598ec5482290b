//! A job under way: its coverage, and the order in which jobs take turns.

use super::event::{ClientId, JobEnd, JobId, LeaseId};
use super::places::{Places, Submitter};
use crate::jobs::{Job, JobKind, JobSpec};
use crate::span::{Span, SpanSet};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::config::MAX_PRIORITY;

/// What a turn costs a job of priority 1; a job of priority p pays the p-th part.
const TURN: u64 = 1 << 20;

/// A job and its coverage. `free`, `done` and what is leased are the whole, always.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) job: Job,
    /// The submitter's key, so that a repeated submission is the same job.
    pub(super) key: u128,
    pub(super) submitter: Submitter,
    pub(super) priority: u32,
    pub(super) submitted: Duration,
    pub(super) ended: Option<(Duration, JobEnd)>,
    pub(super) free: SpanSet,
    pub(super) done: SpanSet,
    pub(super) leased: u128,
    /// Clients that have had a lease of it, and are here.
    pub(super) workers: BTreeSet<ClientId>,
    /// Its leases by the time at which they should be through.
    pub(super) due: BTreeSet<(Duration, LeaseId)>,
    /// How much of its turns it has had, and whether it is in the queue for the next.
    pass: u64,
    queued: bool,
}

impl Entry {
    /// Moves a leased span to done.
    pub(super) fn finish(&mut self, span: Span) {
        self.leased -= span.len();
        self.done.insert(span);
    }

    /// Moves a leased span to free.
    pub(super) fn give_back(&mut self, span: Span) {
        self.leased -= span.len();
        self.free.insert(span);
    }

    /// Moves a done span to free; for what turns out not to have been done.
    pub(super) fn undo(&mut self, span: Span) {
        // A span stays done until it is undone, and whoever finished it can be doubted once only.
        if self.done.covers(span) {
            self.done.remove(span);
            self.free.insert(span);
        }
    }

    pub(super) fn kind(&self) -> JobKind {
        self.job.spec().kind()
    }
}

/// Every job, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct JobTable {
    jobs: BTreeMap<JobId, Entry>,
    keys: BTreeMap<u128, JobId>,
    /// Jobs that have not ended.
    active: BTreeSet<JobId>,
    /// Jobs with something free, by how much they have had.
    queue: BTreeSet<(u64, JobId)>,
    places: Places,
    /// The pass of the last turn: where jobs that come, or come back, begin.
    now: u64,
    last: u64,
}

impl JobTable {
    pub(super) fn insert(
        &mut self,
        now: Duration,
        key: u128,
        spec: JobSpec,
        priority: u32,
        submitter: Submitter,
    ) -> JobId {
        self.places.begin(submitter);
        self.last += 1;
        let id = JobId(self.last);
        let free = SpanSet::from(spec.whole());
        let entry = Entry {
            job: Job::new(spec),
            key,
            submitter,
            priority: priority.clamp(1, MAX_PRIORITY),
            submitted: now,
            ended: None,
            free,
            done: SpanSet::new(),
            leased: 0,
            workers: BTreeSet::new(),
            due: BTreeSet::new(),
            pass: self.now,
            queued: false,
        };
        self.jobs.insert(id, entry);
        self.keys.insert(key, id);
        self.active.insert(id);
        self.requeue(id);
        id
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

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &Entry)> {
        self.iter_from(JobId(0))
    }

    pub(super) fn iter_from(&self, from: JobId) -> impl Iterator<Item = (JobId, &Entry)> {
        self.jobs.range(from..).map(|(&id, entry)| (id, entry))
    }

    /// Jobs that have not ended.
    pub(super) fn active(&self) -> &BTreeSet<JobId> {
        &self.active
    }

    /// The job whose turn it is among those of a kind that `can` do it.
    pub(super) fn next_turn(&self, can: impl Fn(JobKind) -> bool) -> Option<JobId> {
        let mut queue = self.queue.iter().map(|&(_, id)| id);
        queue.find(|&id| self.find(id).is_some_and(|entry| can(entry.kind())))
    }

    /// Charges a job for a turn.
    pub(super) fn charge(&mut self, id: JobId) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        self.now = self.now.max(entry.pass);
        if entry.queued {
            self.queue.remove(&(entry.pass, id));
            entry.queued = false;
        }
        entry.pass += TURN / u64::from(entry.priority);
        self.requeue(id);
    }

    /// Brings the queue up to date with what is free; whether the job is new in it.
    pub(super) fn requeue(&mut self, id: JobId) -> bool {
        let Some(entry) = self.jobs.get_mut(&id) else { return false };
        let wanted = entry.ended.is_none() && !entry.free.is_empty();
        let new = wanted && !entry.queued;
        if new {
            // Time in which it had nothing to lend is not made up for.
            entry.pass = entry.pass.max(self.now);
            self.queue.insert((entry.pass, id));
        } else if !wanted && entry.queued {
            self.queue.remove(&(entry.pass, id));
        }
        entry.queued = wanted;
        new
    }

    /// Whether `submitter` may have one more job under way, of `most` in all.
    pub(super) fn has_room(&self, submitter: Submitter, most: usize) -> bool {
        self.places.has_room(submitter, most)
    }

    /// Marks a job as ended. Of too many ended jobs one is forgotten.
    pub(super) fn end(&mut self, now: Duration, id: JobId, end: JobEnd) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        entry.ended = Some((now, end));
        let submitter = entry.submitter;
        self.active.remove(&id);
        self.requeue(id);
        let forgotten = self.places.end(submitter, id);
        if let Some(entry) = forgotten.and_then(|id| self.jobs.remove(&id)) {
            self.keys.remove(&entry.key);
        }
    }
}
