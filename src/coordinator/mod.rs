//! The coordinator: leases spans of jobs to clients, and trusts no result that it has not checked.
//!
//! A state machine without sockets, clocks or threads. Time is an argument, a [`Duration`] since
//! any fixed moment, and never runs backwards; chance comes from a key. Drivers
//!
//! - call [`join`](Coordinator::join), [`request`](Coordinator::request),
//!   [`report`](Coordinator::report), [`heartbeat`](Coordinator::heartbeat), ... for what clients
//!   say, and send back what these return;
//! - call [`expire`](Coordinator::expire) when [`next_deadline`](Coordinator::next_deadline) has
//!   come;
//! - drain [`poll_event`](Coordinator::poll_event) after every call and act on the events;
//! - where the state must outlive the process, drain [`poll_fact`](Coordinator::poll_fact) too and
//!   store the facts before they send an answer: [`restore`](Coordinator::restore) starts from
//!   them.
//!
//! Every call may be repeated, late or out of order, as datagrams are: joins are known by their
//! session, requests by their number, reports by lease, epoch and place.
//!
//! Three parts have a state of their own, and work on the same tables of clients and jobs:
//! `scheduler` (who works on which job), `lease_book` (leases and deadlines) and `trust` (audits and
//! liars). [`Coordinator`] is the front that joins them: clients here, requests for work in
//! `requests`, reports in `report`, jobs in `lifecycle`, liars in `verdicts`, the end of a job in
//! `rescue`, questions in `status`, facts in `restore`.
//!
//! An id that a peer has named is looked up with `find`, and may be wrong. An id that the
//! coordinator has kept is an index: what it names is there, or the code is wrong.
//!
//! The cost of a call grows with the logarithm of clients, leases and jobs, not with what is
//! finished. Only what lists clients or jobs ([`clients`](Coordinator::clients), ...) and the end of
//! a job, which must tell all its holders, take longer.

mod api;
mod audit;
mod client;
mod config;
mod coverage;
mod evidence;
mod facts;
mod job_table;
mod lease_book;
mod leftovers;
mod lifecycle;
mod outbox;
mod pace;
mod places;
mod random;
mod report;
mod requests;
mod rescue;
mod restore;
mod scheduler;
mod serial;
mod standing;
mod status;
mod tables;
mod tails;
mod trust;
mod turns;
mod verdicts;

pub use api::{
    Assignment, Audit, AuditResult, CancelError, ClientId, Departure, Epoch, Event, Grant, Held,
    JobEnd, JobId, JobState, Join, Joined, LeaseId, LeaseState, Refusal, Report, SubmitError,
    Verdict,
};
pub use config::{Config, MAX_FALSE_CLAIMS, MAX_NAME, MAX_PRIORITY};
pub use coverage::Coverage;
pub use facts::{Accused, Fact, Numbers, RestoreError, Submitted};
pub use places::Submitter;
pub use standing::{Reason, Standing};
pub use status::{ClientStatus, JobStatus, Totals};

use client::Client;
use lease_book::{Lease, LeaseBook};
use outbox::Outbox;
use random::Random;
use scheduler::Scheduler;
use std::time::Duration;
use tables::Tables;
use trust::Trust;

use crate::span::Span;

#[cfg(test)]
mod tests;

/// See the [module](self).
#[derive(Debug)]
pub struct Coordinator {
    instance: u64,
    /// The latest moment that was heard of.
    now: Duration,
    tables: Tables,
    leases: LeaseBook,
    scheduler: Scheduler,
    trust: Trust,
    outbox: Outbox,
    /// Numbers that a coordinator restored from the facts so far would not give out.
    numbers: Numbers,
}

impl Coordinator {
    /// Returns a coordinator without clients or jobs; `key` decides what is audited, so it must come
    /// from the system's randomness.
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
        Self {
            instance: random.next(),
            now: Duration::ZERO,
            outbox: Outbox::new(config.facts),
            tables: Tables::new(config),
            leases: LeaseBook::default(),
            scheduler: Scheduler::default(),
            trust: Trust::new(random),
            numbers: Numbers::default(),
        }
    }

    /// Returns the time of the latest call; of a restored coordinator, at least that of its facts.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.tables.config
    }

    /// Returns a number that tells this coordinator from others, among them those that ran in this
    /// place before. Clients that see another one drop what they hold: its numbers mean other
    /// things.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// Returns the next event that the driver has not taken.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.outbox.next_event()
    }

    /// Returns the next fact that the driver has not taken; none unless [`Config::facts`] is set.
    /// Such a driver takes them after every call, as it does with events, and stores them before it
    /// sends the answer.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        self.outbox.next_fact()
    }

    /// Returns when [`Coordinator::expire`] should be called next. May be early, never late.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.leases.next_deadline()
    }

    /// Returns whether a client with this session is here.
    pub fn knows(&self, session: u128) -> bool {
        self.tables.clients.by_session(session).is_some()
    }

    /// Returns the session of a client: its credential, by which it is known again after it was
    /// forgotten.
    pub(crate) fn session(&self, client: ClientId) -> Option<u128> {
        self.tables.clients.find(client).map(|known| known.session)
    }

    /// Lets a client join, or join again.
    ///
    /// # Errors
    /// It is banned, or there are too many clients.
    pub fn join(&mut self, now: Duration, join: Join) -> Result<Joined, Refusal> {
        if let Some(client) = self.tables.clients.by_session(join.session) {
            self.revive_all(now, client);
            let held = self.heartbeat(now, client)?;
            return Ok(Joined { client, resumed: true, held });
        }
        if self.tables.clients.len() >= self.tables.config.max_clients {
            return Err(Refusal::Full);
        }
        let id = self.tables.clients.insert(Client::new(now, join));
        self.reserve_numbers();
        self.leases.set_timer(&mut self.tables, id);
        self.outbox.push(Event::Joined(id));
        self.start_if_enough();
        Ok(Joined { client: id, resumed: false, held: Vec::new() })
    }

    /// Lets work begin, if it has not, once enough clients are here.
    fn start_if_enough(&mut self) {
        if self.scheduler.started || self.trusted_clients() < self.tables.config.min_clients {
            return;
        }
        self.scheduler.started = true;
        self.outbox.push(Event::Started);
        self.outbox.record(|| Fact::Started);
        self.scheduler.wake(&mut self.tables, &mut self.outbox, usize::MAX);
    }

    /// Returns the number of clients without those that have lost their trust, which get no work.
    fn trusted_clients(&self) -> usize {
        self.tables.clients.len() - self.trust.liar_count()
    }

    /// Notes that a client is there. Returns what it holds; this renews no lease, since it is no
    /// progress.
    ///
    /// # Errors
    /// It is unknown or banned.
    pub fn heartbeat(&mut self, now: Duration, client: ClientId) -> Result<Vec<Held>, Refusal> {
        let known = self.tables.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let leases = known.leases.iter().map(|&id| (id, &self.leases[id]));
        Ok(leases.filter(|(_, lease)| !lease.late).map(|(id, lease)| lease.held(id)).collect())
    }

    /// Notes that the connection to a client is lost. It keeps its leases until they end by
    /// themselves, for it may come back.
    pub fn disconnected(&mut self, client: ClientId) {
        if let Some(known) = self.tables.clients.find_mut(client) {
            known.connected = false;
            self.scheduler.unpark(known, client);
        }
    }

    /// Lets a client leave: what it holds is free at once. One without trust is remembered, or it
    /// would come back as another.
    pub fn leave(&mut self, client: ClientId) {
        match self.tables.clients.find(client).map(Client::check_standing) {
            Some(Ok(())) => self.remove_client(client, Departure::Left),
            _ => self.disconnected(client),
        }
    }

    /// Ends what is over: leases without progress, clients that are silent.
    pub fn expire(&mut self, now: Duration) {
        self.now = self.now.max(now);
        while let Some(liar) = self.trust.one_liar_too_many() {
            self.remove_client(liar, Departure::Silent);
        }
        while let Some(id) = self.leases.next_due(now) {
            let client = &self.tables.clients[id];
            if self.tables.silent_at(client) <= now {
                self.remove_client(id, Departure::Silent);
                continue;
            }
            if client.parked.is_some() && client.holding.is_none() {
                // It waits, and is not to blame for having nothing to do.
                self.tables.clients[id].diligence.begin(now);
            } else if client.diligence.since() + self.tables.config.patience <= now {
                self.lapse_all(id);
                self.scheduler.unprove(&mut self.tables.clients[id]);
            }
            self.leases.set_timer(&mut self.tables, id);
        }
    }

    /// Ends a lease: what is not confirmed of it is free again.
    fn close(&mut self, id: LeaseId) -> Lease {
        let (lease, freed) = self.leases.close(&mut self.tables, self.now, id);
        let (charged, worked) = (lease.charged, lease.worked);
        self.scheduler.turns.settle(&mut self.tables.jobs, lease.job, charged, worked);
        self.scheduler.offer(&mut self.tables, &mut self.outbox, lease.job, freed);
        self.trust.plan_audit(&mut self.tables, &mut self.outbox, &lease);
        lease
    }

    /// Takes a lease away and tells its client.
    fn revoke(&mut self, id: LeaseId) {
        let Lease { client, epoch, .. } = self.close(id);
        self.outbox.push(Event::Revoked { client, lease: id, epoch });
    }

    fn remove_client(&mut self, id: ClientId, why: Departure) {
        for lease in self.tables.clients[id].leases.clone() {
            self.close(lease);
        }
        for job in self.tables.jobs.active().clone() {
            self.tables.jobs[job].workers.remove(&id);
        }
        let client = &mut self.tables.clients[id];
        self.scheduler.unpark(client, id);
        self.scheduler.unprove(client);
        self.leases.unset_timer(client, id);
        if client.check_standing().is_err() {
            self.trust.forget_liar(id);
            self.outbox.record(|| Fact::Forgotten { client: id });
        }
        self.tables.clients.remove(id);
        self.outbox.push(Event::Left(id, why));
    }
}
