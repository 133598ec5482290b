//! The coordinator: leases spans of jobs to clients and believes nothing that it has not checked.
//!
//! A state machine without sockets, clocks or threads. Time is an argument, a [`Duration`] since
//! any fixed moment, and never runs backwards; chance comes from a seed. Drivers
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

mod audit;
mod ban;
mod client;
mod config;
mod entry;
mod event;
mod jobs;
mod lease;
mod pace;
mod places;
mod report;
mod status;
mod trust;
mod work;

pub use config::{Config, MAX_FALSE_CLAIMS, MAX_NAME, MAX_PRIORITY};
pub use event::{
    Assignment, Audit, AuditResult, ClientId, Departure, Epoch, Event, Grant, Held, JobEnd, JobId,
    Join, Joined, LeaseId, LeaseState, Refusal, Report, Verdict,
};
pub use jobs::{CancelError, SubmitError};
pub use places::Submitter;
pub use status::{ClientStatus, Coverage, JobStatus, Totals};
pub use trust::{Reason, Standing};

use client::{Client, ClientTable};
use entry::JobTable;
use lease::LeaseTable;
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
    /// Clients that were told to wait.
    parked: BTreeSet<ClientId>,
    /// What all clients do together, by kind, in units a second.
    team_rates: [u128; JobKind::ALL.len()],
    audits: BTreeMap<u64, ClientId>,
    last_audit: u64,
    events: VecDeque<Event>,
    started: bool,
}

impl Coordinator {
    /// A coordinator without clients or jobs; `seed` decides what is audited, so it must not be
    /// guessable.
    pub fn new(config: Config, seed: u64) -> Self {
        let mut random = Random(seed);
        let instance = random.next();
        Self {
            config,
            instance,
            // Tokens of a coordinator that ran here before are not those of this one.
            leases: LeaseTable::after(instance >> 24),
            random,
            clients: ClientTable::default(),
            jobs: JobTable::default(),
            timers: BTreeSet::new(),
            parked: BTreeSet::new(),
            team_rates: [0; JobKind::ALL.len()],
            audits: BTreeMap::new(),
            last_audit: 0,
            events: VecDeque::new(),
            started: false,
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
        self.events.pop_front()
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
        for kind in JobKind::ALL {
            self.team_rates[kind.index()] += u128::from(client.rate(kind));
        }
        let id = self.clients.insert(client);
        self.timers.insert((now, id));
        self.set_timer(id);
        self.events.push_back(Event::Joined(id));
        if !self.started && self.clients.len() >= self.config.min_clients {
            self.started = true;
            self.events.push_back(Event::Started);
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
        Ok(leases.filter(|(_, lease)| !lease.lapsed).map(|(id, lease)| lease.held(id)).collect())
    }

    /// The connection to a client is lost. It keeps its leases until they end by themselves, for
    /// it may come back.
    pub fn disconnected(&mut self, client: ClientId) {
        if let Some(known) = self.clients.find_mut(client) {
            known.connected = false;
        }
        self.parked.remove(&client);
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
        while let Some(&(at, id)) = self.timers.first().filter(|&&(at, _)| at <= now) {
            let Some(client) = self.clients.find(id) else {
                self.timers.remove(&(at, id));
                continue;
            };
            if self.silent_at(client) <= now {
                self.remove_client(id, Departure::Silent);
                continue;
            }
            for lease in client.leases.clone() {
                if self.leases.find(lease).is_some_and(|lease| lease.deadline <= now) {
                    self.lapse(lease);
                }
            }
            self.set_timer(id);
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
        let team = self.team_rates[entry.kind().index()].max(1);
        let clients = self.clients.len() as u128;
        let pieces = (span.len() / (team / clients.max(1)).max(1)).saturating_add(1);
        for _ in 0..pieces.min(self.parked.len() as u128) {
            let Some(client) = self.parked.pop_first() else { return };
            self.events.push_back(Event::Wake(client));
        }
    }

    fn wake_all(&mut self) {
        for client in std::mem::take(&mut self.parked) {
            self.events.push_back(Event::Wake(client));
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
        self.parked.remove(&id);
        self.drop_rates(id);
        if let Some(client) = self.clients.remove(id) {
            self.timers.remove(&(client.timer, id));
            self.events.push_back(Event::Left(id, why));
        }
    }

    /// When a client is gone unless it is heard of.
    fn silent_at(&self, client: &Client) -> Duration {
        let patience = match client.check_standing() {
            Ok(()) => self.config.client_timeout,
            Err(_) => self.config.grudge,
        };
        client.last_seen.saturating_add(patience)
    }

    /// A client is no longer part of the team.
    fn drop_rates(&mut self, id: ClientId) {
        let Some(client) = self.clients.find_mut(id) else { return };
        for (team, rate) in self.team_rates.iter_mut().zip(client.drop_rates()) {
            *team -= u128::from(rate);
        }
    }

    /// Moves the client's timer to when something of it can be over at the earliest.
    fn set_timer(&mut self, id: ClientId) {
        let Some(silent) = self.clients.find(id).map(|client| self.silent_at(client)) else {
            return;
        };
        let Some(client) = self.clients.find_mut(id) else { return };
        let leases = client.leases.iter();
        let at = leases
            .filter_map(|&lease| self.leases.find(lease).filter(|lease| !lease.lapsed))
            .map(|lease| lease.deadline)
            .fold(silent, Duration::min);
        self.timers.remove(&(client.timer, id));
        client.timer = at;
        self.timers.insert((at, id));
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose what is audited.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0; off from uniform by less than 2^-64 of `end`.
    fn below(&mut self, end: u128) -> u128 {
        (u128::from(self.next()) << 64 | u128::from(self.next())) % end
    }
}
