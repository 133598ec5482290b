//! The coordinator: leases spans of jobs to clients and believes nothing that it has not checked.
//!
//! A state machine without sockets, clocks or threads. Time is an argument, a [`Duration`] since
//! any fixed moment, and never runs backwards; chance comes from a key. Drivers
//!
//! - call [`join`](Coordinator::join), [`request`](Coordinator::request),
//!   [`report`](Coordinator::report), [`heartbeat`](Coordinator::heartbeat), ... for what clients
//!   say, and send back what these return;
//! - call [`expire`](Coordinator::expire) when [`next_deadline`](Coordinator::next_deadline) has
//!   come;
//! - drain [`poll_event`](Coordinator::poll_event) after every call and act on the events.
//!
//! Every call may be repeated, late or out of order, as datagrams are: joins are known by their
//! session, requests by their number, reports by lease, epoch and place.
//!
//! The cost of a call grows with the logarithm of clients, leases and jobs, not with what is
//! finished. Only what lists clients or jobs ([`clients`](Coordinator::clients), ...) and the end of
//! a job, which must tell all its holders, take longer.

mod api;
mod audit;
mod ban;
mod client;
mod config;
mod coverage;
mod facts;
mod job_table;
mod lease;
mod lifecycle;
mod outbox;
mod pace;
mod places;
mod random;
mod report;
mod restore;
mod scheduler;
mod serial;
mod status;
mod tail;
mod trust;

pub use api::{
    Assignment, Audit, AuditResult, ClientId, Departure, Epoch, Event, Grant, Held, JobEnd, JobId,
    JobState, Join, Joined, LeaseId, LeaseState, Refusal, Report, Verdict,
};
pub use config::{Config, MAX_FALSE_CLAIMS, MAX_NAME, MAX_PRIORITY};
pub use coverage::Coverage;
pub use facts::{Accused, Fact, Numbers, RestoreError, Submitted};
pub use lifecycle::{CancelError, SubmitError};
pub use places::Submitter;
pub use status::{ClientStatus, JobStatus, Totals};
pub use trust::{Reason, Standing};

use audit::Pending;
use client::{Client, ClientTable, Rates};
use config::MOST_LIARS;
use job_table::JobTable;
use lease::LeaseTable;
use outbox::Outbox;
use random::Random;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::jobs::JobKind;
use crate::span::Span;

#[cfg(test)]
mod tests;

/// See the [module](self).
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    instance: u64,
    random: Random,
    clients: ClientTable,
    jobs: JobTable,
    leases: LeaseTable,
    /// One entry per client: the earliest moment at which something of it may be over.
    timers: BTreeSet<(Duration, ClientId)>,
    /// Clients that hold leases which are not late, by when they last did enough.
    holders: BTreeSet<(Duration, ClientId)>,
    /// Clients without trust, the one that lost it first in front.
    liars: VecDeque<ClientId>,
    /// The latest moment that was heard of.
    now: Duration,
    /// Clients that were told to wait, the one that waits longest first.
    parked: BTreeSet<(u64, ClientId)>,
    last_parked: u64,
    team: Team,
    audits: BTreeMap<u64, Pending>,
    /// Nonces that these are expected to take.
    audit_backlog: u128,
    last_audit: u64,
    outbox: Outbox,
    started: bool,
    /// Numbers that a coordinator restored from the facts so far would not give out.
    numbers: Numbers,
}

/// What all clients do together.
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

impl Coordinator {
    /// A coordinator without clients or jobs; `key` decides what is audited, so it must come from
    /// the system's randomness.
    pub fn new(config: Config, key: [u8; 32]) -> Self {
        let mut new = Self::empty(config, key);
        // Tokens of a coordinator that ran here before are not those of this one.
        new.leases.skip_to(new.instance >> 24);
        new.reserve_numbers();
        new
    }

    /// Returns a coordinator of which nothing is recorded.
    fn empty(config: Config, key: [u8; 32]) -> Self {
        let mut random = Random::new(key);
        let instance = random.next();
        Self {
            outbox: Outbox::new(config.facts),
            config,
            instance,
            leases: LeaseTable::default(),
            random,
            clients: ClientTable::default(),
            jobs: JobTable::default(),
            timers: BTreeSet::new(),
            parked: BTreeSet::new(),
            holders: BTreeSet::new(),
            liars: VecDeque::new(),
            now: Duration::ZERO,
            last_parked: 0,
            team: Team::default(),
            audits: BTreeMap::new(),
            audit_backlog: 0,
            last_audit: 0,
            started: false,
            numbers: Numbers::default(),
        }
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A number that tells this coordinator from others, among them those that ran in this place
    /// before. Clients that see another one drop what they hold: its numbers mean other things.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// The next event that a driver has not seen.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.next_event()
    }

    /// Returns the next fact that the driver has not taken; none unless [`Config::facts`] is set.
    /// Such a driver takes them after every call, as it does with events, and stores them before it
    /// sends the answer.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        self.outbox.next_fact()
    }

    /// When [`Coordinator::expire`] should be called next. May be early, never late.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Whether a client with this session is here.
    pub fn knows(&self, session: u128) -> bool {
        self.clients.by_session(session).is_some()
    }

    /// A client joins, or joins again.
    ///
    /// # Errors
    /// It is banned, or there are too many clients.
    pub fn join(&mut self, now: Duration, join: Join) -> Result<Joined, Refusal> {
        if let Some(client) = self.clients.by_session(join.session) {
            self.revive_all(now, client);
            let held = self.heartbeat(now, client)?;
            return Ok(Joined { client, resumed: true, held });
        }
        if self.clients.len() >= self.config.max_clients {
            return Err(Refusal::Full);
        }
        let client = Client::new(now, join);
        let id = self.clients.insert(client);
        self.reserve_numbers();
        self.timers.insert((now, id));
        self.set_timer(id);
        self.outbox.push(Event::Joined(id));
        if !self.started && self.clients.len() >= self.config.min_clients {
            self.started = true;
            self.outbox.push(Event::Started);
            self.outbox.record(|| Fact::Started);
            self.wake_all();
        }
        Ok(Joined { client: id, resumed: false, held: Vec::new() })
    }

    /// A client says that it is there. Returns what it holds; this renews no lease, since it is no
    /// progress.
    ///
    /// # Errors
    /// It is unknown or banned.
    pub fn heartbeat(&mut self, now: Duration, client: ClientId) -> Result<Vec<Held>, Refusal> {
        let known = self.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let leases = known.leases.iter().filter_map(|&id| Some((id, self.leases.find(id)?)));
        Ok(leases.filter(|(_, lease)| !lease.late).map(|(id, lease)| lease.held(id)).collect())
    }

    /// The connection to a client is lost. It keeps its leases until they end by themselves, for
    /// it may come back.
    pub fn disconnected(&mut self, client: ClientId) {
        if let Some(known) = self.clients.find_mut(client) {
            known.connected = false;
        }
        self.unpark(client);
    }

    /// A client says good-bye: what it holds is free at once. One without trust is remembered, or it would come back as another.
    pub fn leave(&mut self, client: ClientId) {
        match self.clients.find(client).map(Client::check_standing) {
            Some(Ok(())) => self.remove_client(client, Departure::Left),
            _ => self.disconnected(client),
        }
    }

    /// Ends what is over: leases without progress, clients that are silent.
    pub fn expire(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.forget_liars();
        while let Some(&(at, id)) = self.timers.first().filter(|&&(at, _)| at <= now) {
            let Some(client) = self.clients.find(id) else {
                self.timers.remove(&(at, id));
                continue;
            };
            if self.silent_at(client) <= now {
                self.remove_client(id, Departure::Silent);
                continue;
            }
            // One that waits is not to blame for having nothing to do.
            let waits = client.parked.is_some() && client.holding.is_none();
            if client.diligence.since() + self.config.patience <= now && !waits {
                for lease in client.leases.clone() {
                    self.lapse(lease);
                }
                self.unprove(id);
            } else if waits && let Some(client) = self.clients.find_mut(id) {
                client.diligence.begin(now);
            }
            self.set_timer(id);
        }
    }

    /// Forgets those that lied first, where there are too many to remember: they come back under
    /// another name anyway.
    fn forget_liars(&mut self) {
        while self.liars.len() > MOST_LIARS
            && let Some(&oldest) = self.liars.front()
        {
            self.remove_client(oldest, Departure::Silent);
        }
    }

    /// A client whose leases have all ended, or are late, has nothing to do.
    fn pause(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else { return };
        let leases = &self.leases;
        if client.leases.iter().all(|&id| leases.find(id).is_none_or(|lease| lease.late)) {
            client.diligence.pause(self.now);
        }
    }

    /// Something of a job has become free: let the queue and those who wait know.
    fn offer(&mut self, job: JobId, span: Span) {
        self.jobs.requeue(job);
        let Some(entry) = self.jobs.find(job).filter(|entry| entry.ended.is_none()) else { return };
        if span.is_empty() || !self.started {
            return;
        }
        // One client for every second of an average client's work, and no stampede.
        let cost = u128::from(entry.job.spec().unit_cost());
        let team = (self.team.proved[entry.kind().index()] / cost).max(1);
        let clients = self.clients.len() as u128;
        let pieces = (span.len() / (team / clients.max(1)).max(1)).saturating_add(1);
        for _ in 0..pieces.min(self.parked.len() as u128) {
            let Some(&(_, client)) = self.parked.first() else { return };
            self.wake(client);
        }
    }

    fn wake_all(&mut self) {
        while let Some(&(_, client)) = self.parked.first() {
            self.wake(client);
        }
    }

    fn wake(&mut self, client: ClientId) {
        self.unpark(client);
        self.outbox.push(Event::Wake(client));
    }

    /// Enters a client among those that wait; one that asks again keeps its place.
    fn park(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id).filter(|client| client.parked.is_none())
        else {
            return;
        };
        self.last_parked += 1;
        client.parked = Some(self.last_parked);
        self.parked.insert((self.last_parked, id));
    }

    fn unpark(&mut self, id: ClientId) {
        if let Some(place) = self.clients.find_mut(id).and_then(|client| client.parked.take()) {
            self.parked.remove(&(place, id));
        }
    }

    fn remove_client(&mut self, id: ClientId, why: Departure) {
        let Some(client) = self.clients.find(id) else { return };
        for lease in client.leases.clone() {
            self.close(lease);
        }
        for job in self.jobs.active().clone() {
            if let Some(entry) = self.jobs.find_mut(job) {
                entry.workers.remove(&id);
            }
        }
        self.unpark(id);
        self.unprove(id);
        if let Some(client) = self.clients.remove(id) {
            if client.check_standing().is_err() {
                self.liars.retain(|&liar| liar != id);
                self.outbox.record(|| Fact::Forgotten { client: id });
            }
            self.timers.remove(&(client.timer, id));
            client.holding.map(|since| self.holders.remove(&(since, id)));
            self.outbox.push(Event::Left(id, why));
        }
    }

    /// When a client is gone unless it is heard of.
    fn silent_at(&self, client: &Client) -> Duration {
        let patience = match client.check_standing() {
            Ok(()) => self.config.client_timeout,
            Err(_) => self.config.suspicion_time,
        };
        client.last_seen.saturating_add(patience)
    }

    /// A client is no longer part of the team, until it proves itself again.
    fn unprove(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else { return };
        self.team.remove(&client.unprove());
    }

    /// Moves the client's timer to when something of it can be over at the earliest.
    fn set_timer(&mut self, id: ClientId) {
        let Some(client) = self.clients.find(id) else { return };
        let held = |&lease: &LeaseId| self.leases.find(lease).is_some_and(|lease| !lease.late);
        let mut at = self.silent_at(client);
        // Who does nothing for long is no part of the team, also if it holds nothing.
        let holding = client.leases.iter().any(held).then(|| client.diligence.since());
        if client.is_proven() || holding.is_some() {
            at = at.min(client.diligence.since().saturating_add(self.config.patience));
        }
        let Some(client) = self.clients.find_mut(id) else { return };
        if client.holding != holding {
            client.holding.map(|since| self.holders.remove(&(since, id)));
            client.holding = holding;
            self.holders.extend(holding.map(|since| (since, id)));
        }
        if client.timer != at {
            self.timers.remove(&(client.timer, id));
            client.timer = at;
        }
        self.timers.insert((at, id));
    }
}
