//! The scheduler decides which client works on which job, and on how much of it. It keeps the turns
//! of jobs, the rate of the team, and the clients that wait.

use super::api::{ClientId, Event, JobId};
use super::client::{Client, Rates};
use super::config::{Config, FEW_CLIENTS};
use super::job_table::Entry;
use super::lease_book::LeaseBook;
use super::outbox::Outbox;
use super::pace::{Supply, aligned_end};
use super::tables::{Tables, rate};
use super::turns::Turns;
use crate::jobs::{JobKind, JobSpec, SHORTEST_PROVABLE};
use crate::span::Span;
use std::collections::BTreeSet;
use std::time::Duration;

/// A job is near its end when its free units take the team less than this. Then clients about which
/// nothing is known get nothing of it: they could only hold it up.
const TAIL: Duration = Duration::from_secs(5);

/// The shortest pause that a client is told to make.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    pub(super) turns: Turns,
    /// True once enough clients came for work to begin.
    pub(super) started: bool,
    /// Clients that were told to wait, the one that waits longest first.
    parked: BTreeSet<(u64, ClientId)>,
    last_parked: u64,
    team: Team,
}

/// Rates of all clients together.
#[derive(Clone, Copy, Debug, Default)]
struct Team {
    /// Nonces a second, as they say.
    shown: u128,
    /// See [`Rates::proved`].
    proved: [u128; JobKind::ALL.len()],
}

impl Team {
    fn add(&mut self, rates: &Rates) {
        self.shown += u128::from(rates.shown);
        for (team, &rate) in self.proved.iter_mut().zip(&rates.proved) {
            *team += u128::from(rate);
        }
    }

    fn remove(&mut self, rates: &Rates) {
        self.shown -= u128::from(rates.shown);
        for (team, &rate) in self.proved.iter_mut().zip(&rates.proved) {
            *team -= u128::from(rate);
        }
    }
}

impl Scheduler {
    /// Returns the nonces a second of all clients, by their own word.
    pub(super) fn shown_rate(&self) -> u128 {
        self.team.shown
    }

    /// Returns whether no client has proved anything.
    pub(super) fn is_unproven(&self) -> bool {
        self.team.proved.iter().all(|&rate| rate == 0)
    }

    /// Replaces a client's part in the team's rates.
    pub(super) fn count(&mut self, before: &Rates, after: &Rates) {
        self.team.remove(before);
        self.team.add(after);
    }

    /// Takes a client out of the team, until it proves itself again.
    pub(super) fn unprove(&mut self, client: &mut Client) {
        self.team.remove(&client.unprove());
    }

    /// Puts a job in the queue of which `span` has become free, and wakes clients for it.
    pub(super) fn offer(
        &mut self,
        tables: &mut Tables,
        outbox: &mut Outbox,
        job: JobId,
        span: Span,
    ) {
        self.turns.requeue(&mut tables.jobs, job);
        let entry = &tables.jobs[job];
        if entry.ended.is_some() || span.is_empty() || !self.started {
            return;
        }
        // One client for every second of an average client's work, and no stampede.
        let cost = u128::from(entry.job.spec().unit_cost());
        let team = (self.team.proved[entry.kind().index()] / cost).max(1);
        let clients = tables.clients.len() as u128;
        let pieces = (span.len() / (team / clients.max(1)).max(1)).saturating_add(1);
        self.wake(tables, outbox, usize::try_from(pieces).unwrap_or(usize::MAX));
    }

    /// Wakes at most `most` clients, those that wait longest first.
    pub(super) fn wake(&mut self, tables: &mut Tables, outbox: &mut Outbox, most: usize) {
        for _ in 0..most {
            let Some((_, client)) = self.parked.pop_first() else { return };
            tables.clients[client].parked = None;
            outbox.push(Event::Wake(client));
        }
    }

    /// Enters a client among those that wait; one that asks again keeps its place.
    pub(super) fn park(&mut self, client: &mut Client, id: ClientId) {
        if client.parked.is_none() {
            self.last_parked += 1;
            client.parked = Some(self.last_parked);
            self.parked.insert((self.last_parked, id));
        }
    }

    pub(super) fn unpark(&mut self, client: &mut Client, id: ClientId) {
        if let Some(place) = client.parked.take() {
            self.parked.remove(&(place, id));
        }
    }

    /// Returns how long a client without work should wait: until the earliest moment at which a
    /// lease could be leased again, if that is soon.
    pub(super) fn wait(&self, config: &Config, leases: &LeaseBook, now: Duration) -> Duration {
        let retry = config.retry_after;
        let Some((since, _)) = leases.holders().next() else { return retry };
        match (since + config.tail_patience).checked_sub(now) {
            Some(soon) => soon.clamp(SHORTEST_WAIT.min(retry), retry),
            None => retry,
        }
    }

    /// Takes a span off the job whose turn it is, for `client`.
    pub(super) fn take_free(&self, tables: &mut Tables, client: ClientId) -> Option<(JobId, Span)> {
        let known = &tables.clients[client];
        let fit = |id, entry: &Entry| known.can(entry.kind()) && self.may_begin(known, id, entry);
        let job = self.turns.next(&tables.jobs, fit)?;
        let len = self.next_len(tables, known, job);
        let entry = &mut tables.jobs[job];
        let len = fitted(entry, len);
        let span = entry.coverage.lend(len);
        debug_assert!(span.is_some(), "a job in the queue has something free");
        Some((job, span?))
    }

    /// Returns the units of a job that a client should get, by its pace.
    fn next_len(&self, tables: &Tables, known: &Client, job: JobId) -> u128 {
        let (config, entry) = (&tables.config, &tables.jobs[job]);
        let spec = entry.job.spec();
        let first = match rate(known, job, entry) {
            Some(rate) => (rate * config.first_lease.as_secs_f64()) as u128,
            None => config.first_units / u128::from(spec.unit_cost()),
        };
        let supply = Supply {
            free: entry.coverage.free.len(),
            team_rate: self.team_rate(entry),
            first: first.max(1),
            time: self.lease_time(tables),
            unshared: spec.longest_unshared(),
        };
        let pace = known.known_pace(job).cloned().unwrap_or_default();
        let len = pace.next_len(config, &supply, known.suspect);
        lendable(spec, len.min(spec.longest_lease()))
    }

    /// Returns the units a second of a job that its team does, as far as is proved.
    fn team_rate(&self, entry: &Entry) -> f64 {
        let (kind, cost) = (entry.kind(), entry.job.spec().unit_cost());
        self.team.proved[kind.index()] as f64 / cost as f64
    }

    /// Returns whether a client may have something of a job: near its end only if it has proved
    /// itself, or if nobody has.
    fn may_begin(&self, known: &Client, job: JobId, entry: &Entry) -> bool {
        let team = self.team_rate(entry);
        let proven = rate(known, job, entry).is_some();
        proven || team == 0.0 || entry.coverage.free.len() as f64 > team * TAIL.as_secs_f64()
    }

    /// Returns what a lease should take.
    pub(super) fn lease_time(&self, tables: &Tables) -> Duration {
        let config = &tables.config;
        if !self.turns.is_contended() {
            return config.lease_time;
        }
        // The more clients, the more often one of them comes to an end.
        let times = u32::try_from(tables.clients.len() / (FEW_CLIENTS / 2)).unwrap_or(u32::MAX);
        config.lease_time.min(config.turn.saturating_mul(times.max(1)))
    }

    /// Returns how long a client should take for all that it holds, and then for `span`. One about
    /// which nothing is known is taken to need as long as a first lease.
    pub(super) fn takes(
        &self,
        tables: &Tables,
        leases: &LeaseBook,
        client: ClientId,
        job: JobId,
        span: Span,
    ) -> (Duration, Duration) {
        let time = |job, len: u128| match tables.rate(client, job) {
            Some(rate) => seconds(len as f64 / rate),
            None => tables.config.first_lease,
        };
        let held = tables.clients[client].leases.iter().map(|&id| &leases[id]);
        let queued = held.filter(|lease| !lease.late);
        (queued.map(|lease| time(lease.job, lease.rest().len())).sum(), time(job, span.len()))
    }
}

/// Returns how many units off the lowest free span of a job make a lease of about `len`: cut where
/// kernels like it, and short where the span is too short for shares or was short of them.
fn fitted(entry: &Entry, len: u128) -> u128 {
    let unshared = entry.job.spec().longest_unshared();
    let Some(first) = entry.coverage.free.first() else { return len };
    let end = aligned_end(first.start(), len);
    let mut len = end.saturating_sub(first.start()).max(1);
    if first.len() < SHORTEST_PROVABLE {
        len = len.min(unshared);
    }
    let taken = Span::with_len(first.start(), len).intersect(first);
    if taken.len() < 2 * SHORTEST_PROVABLE && entry.leftovers.is_short(taken) {
        len = len.min(unshared);
    }
    len
}

/// Returns `len`, or less where a lease of it would be too short for shares and too long to be
/// searched again.
pub(super) fn lendable(spec: &JobSpec, len: u128) -> u128 {
    if len < SHORTEST_PROVABLE { len.min(spec.longest_unshared()) } else { len }
}

/// Returns a duration of so many seconds; absurdly many are cut.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}
