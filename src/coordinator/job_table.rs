//! A job under way: its coverage, and the order in which jobs take turns.

use super::api::{ClientId, JobEnd, JobId, JobState, LeaseId};
use super::coverage::Coverage;
use super::facts::Submitted;
use super::places::{Places, Submitter};
use crate::jobs::{Job, JobKind};
use crate::span::{Span, SpanSet};
use std::collections::{BTreeMap, BTreeSet};
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
    /// What was searched and held too few shares to be confirmed. The shares of a span are always the
    /// same, so the next lease of it needs others.
    pub(super) short: SpanSet,
    /// What others have held and not done: it is lent to everyone who asks, and the first one counts.
    pub(super) stalled: SpanSet,
    /// Audits of its leases that are under way.
    pub(super) audits: u32,
    /// Clients that have had a lease of it, and are here.
    pub(super) workers: BTreeSet<ClientId>,
    /// Its leases that are not late, by the time at which they should be through.
    pub(super) due: BTreeSet<(Duration, LeaseId)>,
    /// How much of its turns it has had, and whether it is in the queue for the next.
    pass: u64,
    queued: bool,
}

/// Spans that are remembered as short of shares, and as stalled. They are rare; who makes many of them
/// makes the oldest ones forgotten, which are only found out again.
const MOST_NOTED: usize = 1024;

impl Entry {
    /// Notes a span that was searched, as its client says, and holds too few shares.
    pub(super) fn note_short(&mut self, span: Span) {
        note(&mut self.short, span);
    }

    /// Notes a span that its holder has let lie.
    pub(super) fn note_stalled(&mut self, span: Span) {
        note(&mut self.stalled, span);
    }

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

/// Every job, and whose turn it is.
#[derive(Clone, Debug, Default)]
pub(super) struct JobTable {
    jobs: BTreeMap<JobId, Entry>,
    keys: BTreeMap<u128, JobId>,
    /// Jobs that have not ended.
    active: BTreeSet<JobId>,
    /// Jobs with something free, by the time of clients that they have had.
    queue: BTreeSet<(u64, JobId)>,
    places: Places,
    /// The pass of the last turn: where jobs that come, or come back, begin.
    now: u64,
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
            short: SpanSet::new(),
            stalled: SpanSet::new(),
            audits: 0,
            workers: BTreeSet::new(),
            due: BTreeSet::new(),
            pass: self.now,
            queued: false,
        };
        self.jobs.insert(id, entry);
        self.keys.insert(key, id);
        self.active.insert(id);
        self.requeue(id);
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

    /// Returns the job whose turn it is among those that are `fit`.
    pub(super) fn next_turn(&self, fit: impl Fn(JobId, &Entry) -> bool) -> Option<JobId> {
        let mut queue = self.queue.iter().map(|&(_, id)| id);
        queue.find(|&id| self.find(id).is_some_and(|entry| fit(id, entry)))
    }

    /// Whether several jobs have something to lend.
    pub(super) fn is_contended(&self) -> bool {
        self.queue.len() > 1
    }

    /// Charges a job for a turn that should take a client `time`. A job of priority p pays the p-th
    /// part.
    pub(super) fn charge(&mut self, id: JobId, time: Duration) {
        let Some(entry) = self.jobs.get(&id) else { return };
        self.now = self.now.max(entry.pass);
        self.move_pass(id, |pass, priority| pass.saturating_add(turn(time, priority)));
    }

    /// Lets a job begin level with the others, when they have been paid back what they had too much.
    pub(super) fn level(&mut self, id: JobId) {
        let others = self.queue.iter().find(|&&(_, other)| other != id);
        if let Some(&(lowest, _)) = others {
            self.move_pass(id, |_, _| lowest);
        }
    }

    /// Corrects the charge for a turn that took a client another time.
    pub(super) fn settle(&mut self, id: JobId, charged: Duration, worked: Duration) {
        self.move_pass(id, |pass, priority| {
            let paid = pass.saturating_add(turn(worked, priority));
            paid.saturating_sub(turn(charged, priority))
        });
    }

    fn move_pass(&mut self, id: JobId, to: impl Fn(u64, u32) -> u64) {
        let Some(entry) = self.jobs.get_mut(&id) else { return };
        if entry.queued {
            self.queue.remove(&(entry.pass, id));
        }
        entry.pass = to(entry.pass, entry.priority);
        if entry.queued {
            self.queue.insert((entry.pass, id));
        }
        self.requeue(id);
    }

    /// Brings the queue up to date with what is free; whether the job is new in it.
    pub(super) fn requeue(&mut self, id: JobId) -> bool {
        let Some(entry) = self.jobs.get_mut(&id) else { return false };
        let wanted = entry.ended.is_none() && !entry.coverage.free.is_empty();
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

/// What a turn of a client's `time` costs, in microseconds; never nothing.
fn turn(time: Duration, priority: u32) -> u64 {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    (micros / u64::from(priority.max(1))).max(1)
}

fn note(set: &mut SpanSet, span: Span) {
    if set.fragments() >= MOST_NOTED {
        *set = SpanSet::new();
    }
    set.insert(span);
}
