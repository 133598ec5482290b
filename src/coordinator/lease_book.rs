//! The leases that are out, what is known about each, and when something of them is over.

use super::api::{ClientId, Epoch, Event, Held, JobId, LeaseId};
use super::audit::Spot;
use super::client::Client;
use super::config::SHARES_KEPT;
use super::evidence::Evidence;
use super::outbox::Outbox;
use super::tables::Tables;
use crate::span::Span;
use slab::Slab;
use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// A lease that is out. `start..confirmed` is confirmed, `confirmed..done` claimed, `done..end` yet
/// to be searched.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) client: ClientId,
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    /// The request that it answers.
    pub(super) request: u64,
    pub(super) start: u128,
    pub(super) confirmed: u128,
    pub(super) done: u128,
    pub(super) end: u128,
    pub(super) share_bits: Option<u32>,
    pub(super) evidence: Evidence,
    /// Where it may be audited, ascending.
    pub(super) spots: Vec<Spot>,
    /// When its client last made progress on it.
    pub(super) touched: Duration,
    /// When its client should be through with it.
    pub(super) due: Duration,
    /// True once its client was too slow or silent; see the module `rescue`.
    pub(super) late: bool,
    /// True once it was late and went on, which it does only once.
    pub(super) revived: bool,
    /// True when some of it was searched before, and held too few shares by bad luck.
    pub(super) again: bool,
    /// When it has taken too long, however steady its client is.
    pub(super) overdue: Duration,
    /// Time for which the job's turns were charged, and that its client has worked.
    pub(super) charged: Duration,
    pub(super) worked: Duration,
}

impl Lease {
    /// Returns what is yet to be searched.
    pub(super) fn rest(&self) -> Span {
        Span::new(self.done, self.end)
    }

    /// Returns what is claimed and not confirmed.
    pub(super) fn claimed(&self) -> Span {
        Span::new(self.confirmed, self.done)
    }

    /// Returns all that is not confirmed.
    pub(super) fn unconfirmed(&self) -> Span {
        Span::new(self.confirmed, self.end)
    }

    /// Returns the first place at which it may be cut: what its client does before can be proved.
    pub(super) fn provable_end(&self) -> u128 {
        let needed = self.share_bits.map_or(0, |bits| u128::from(SHARES_KEPT) << bits.min(100));
        self.start.saturating_add(needed).min(self.end).max(self.done)
    }

    pub(super) fn held(&self, lease: LeaseId) -> Held {
        Held { lease, epoch: self.epoch, job: self.job, done: self.done, end: self.end }
    }

    /// Enters new shares in the evidence, and at the places where the lease may be audited.
    pub(super) fn note_shares(&mut self, shares: &[u128], units: f64) {
        let bits = self.share_bits.unwrap_or(0);
        self.evidence.add(shares.len(), units / f64::from(bits).exp2());
        self.spots.iter_mut().for_each(|spot| spot.note(shares));
    }
}

/// Every lease, and the deadlines of those who hold them. Numbers of leases are used again, epochs
/// never.
#[derive(Debug, Default)]
pub(super) struct LeaseBook {
    leases: Slab<Lease>,
    last_epoch: u64,
    /// One entry per client: the earliest moment at which something of it may be over.
    timers: BTreeSet<(Duration, ClientId)>,
    /// Clients that hold leases which are not late, by when they last did enough.
    holders: BTreeSet<(Duration, ClientId)>,
}

impl LeaseBook {
    /// Returns the token of the last grant.
    pub(super) fn last_epoch(&self) -> u64 {
        self.last_epoch
    }

    /// Counts all tokens up to `epoch` as used.
    pub(super) fn skip_to(&mut self, epoch: u64) {
        self.last_epoch = self.last_epoch.max(epoch);
    }

    /// Returns the token for the next grant.
    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.last_epoch += 1;
        Epoch(self.last_epoch)
    }

    /// Returns a lease that a peer has named, or that may have ended.
    pub(super) fn find(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(id.0 as usize)
    }

    /// Returns when something may be over next. May be early, never late.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.timers.first().map(|&(at, _)| at)
    }

    /// Returns the client whose deadline came first, if it has come.
    pub(super) fn next_due(&self, now: Duration) -> Option<ClientId> {
        self.timers.first().filter(|&&(at, _)| at <= now).map(|&(_, id)| id)
    }

    /// Returns the clients that hold something, the one that did nothing for the longest time first,
    /// with when it last did enough.
    pub(super) fn holders(&self) -> impl Iterator<Item = (Duration, ClientId)> {
        self.holders.iter().copied()
    }

    /// Returns whether `client` holds no lease that is not late.
    pub(super) fn is_idle(&self, client: &Client) -> bool {
        client.leases.iter().all(|&id| self[id].late)
    }

    /// Enters a lease of a span that is counted as leased already.
    pub(super) fn open(&mut self, tables: &mut Tables, now: Duration, lease: Lease) -> LeaseId {
        let (client, job, request, due) = (lease.client, lease.job, lease.request, lease.due);
        // Nothing was expected of a client that held nothing but what others may have taken.
        let idle = self.is_idle(&tables.clients[client]);
        // Memory ends long before 2^32 leases are out.
        let id = LeaseId(self.leases.insert(lease) as u32);
        tables.jobs[job].due.insert((due, id));
        tables.jobs[job].workers.insert(client);
        let known = &mut tables.clients[client];
        if idle {
            known.begin(now);
            known.diligence.resume(now);
        }
        known.leases.push(id);
        known.requests.spend(request);
        self.set_timer(tables, client);
        id
    }

    /// Ends a lease; returns it, and what is free again of it: all that is not confirmed.
    pub(super) fn close(
        &mut self,
        tables: &mut Tables,
        now: Duration,
        id: LeaseId,
    ) -> (Lease, Span) {
        let lease = self.leases.remove(id.0 as usize);
        let freed = if lease.late { Span::new(0, 0) } else { lease.unconfirmed() };
        let entry = &mut tables.jobs[lease.job];
        entry.due.remove(&(lease.due, id));
        entry.coverage.give_back(freed);
        if lease.rest().is_empty() && lease.evidence.is_plausible() {
            entry.leftovers.note_short(lease.claimed());
        }
        let confirmed = Span::new(lease.start, lease.confirmed);
        let client = &mut tables.clients[lease.client];
        client.leases.retain(|&other| other != id);
        client.finished_leases += 1;
        if lease.share_bits.is_some() {
            client.conduct.note_confirmed(lease.job, confirmed);
        }
        if !confirmed.is_empty() && lease.confirmed == lease.done {
            client.pace(lease.job).note_confirmed(confirmed.len());
        }
        self.pause(tables, now, lease.client);
        self.set_timer(tables, lease.client);
        (lease, freed)
    }

    /// Takes `tail`, which should take the holder `saved`, off the end of a lease and tells its
    /// holder. Returns the job and the time that it is paid back. The tail stays leased.
    pub(super) fn trim(
        &mut self,
        tables: &mut Tables,
        outbox: &mut Outbox,
        id: LeaseId,
        tail: Span,
        saved: Duration,
    ) -> (JobId, Duration) {
        let lease = &mut self[id];
        let due = lease.due.saturating_sub(saved);
        let entry = &mut tables.jobs[lease.job];
        entry.due.remove(&(lease.due, id));
        entry.due.insert((due, id));
        (lease.end, lease.due) = (tail.start(), due);
        let paid_back = saved.min(lease.charged);
        lease.charged -= paid_back;
        let (client, epoch, end) = (lease.client, lease.epoch, lease.end);
        outbox.push(Event::Trimmed { client, lease: id, epoch, end });
        (lease.job, paid_back)
    }

    /// Moves the time at which a lease should be through.
    pub(super) fn set_due(&mut self, tables: &mut Tables, id: LeaseId, due: Duration) {
        let lease = &mut self[id];
        if !lease.late {
            let entry = &mut tables.jobs[lease.job];
            entry.due.remove(&(lease.due, id));
            entry.due.insert((due, id));
        }
        lease.due = due;
    }

    /// Notes that a client has nothing to do, if its leases have all ended or are late.
    pub(super) fn pause(&self, tables: &mut Tables, now: Duration, id: ClientId) {
        let client = &mut tables.clients[id];
        if self.is_idle(client) {
            client.diligence.pause(now);
        }
    }

    /// Moves a client's timer to when something of it can be over at the earliest.
    pub(super) fn set_timer(&mut self, tables: &mut Tables, id: ClientId) {
        let client = &tables.clients[id];
        let mut at = tables.silent_at(client);
        // A client that does nothing for long is no part of the team, also if it holds nothing.
        let holding = (!self.is_idle(client)).then(|| client.diligence.since());
        if client.is_proven() || holding.is_some() {
            at = at.min(client.diligence.since().saturating_add(tables.config.patience));
        }
        self.unset_timer(client, id);
        self.timers.insert((at, id));
        self.holders.extend(holding.map(|since| (since, id)));
        let client = &mut tables.clients[id];
        (client.timer, client.holding) = (at, holding);
    }

    /// Removes the deadlines of a client.
    pub(super) fn unset_timer(&mut self, client: &Client, id: ClientId) {
        self.timers.remove(&(client.timer, id));
        if let Some(since) = client.holding {
            self.holders.remove(&(since, id));
        }
    }
}

/// For leases that the coordinator itself names: those that a client holds are here.
impl Index<LeaseId> for LeaseBook {
    type Output = Lease;

    fn index(&self, id: LeaseId) -> &Lease {
        &self.leases[id.0 as usize]
    }
}

impl IndexMut<LeaseId> for LeaseBook {
    fn index_mut(&mut self, id: LeaseId) -> &mut Lease {
        &mut self.leases[id.0 as usize]
    }
}
