//! Leases: the table of those that are out, what is known about each, and how they end.

use super::Coordinator;
use super::event::{ClientId, Epoch, Event, Held, JobId, LeaseId};
use crate::span::Span;
use std::time::Duration;

/// A lease that is out. `start..done` counts as done already; `done..end` is what is leased.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) client: ClientId,
    pub(super) job: JobId,
    pub(super) epoch: Epoch,
    /// The request that it answers.
    pub(super) request: u64,
    pub(super) start: u128,
    pub(super) done: u128,
    pub(super) end: u128,
    pub(super) share_bits: Option<u32>,
    /// Shares before `done`, ascending.
    pub(super) shares: Vec<u128>,
    /// When it ends unless progress renews it.
    pub(super) deadline: Duration,
    /// Whether the deadline has passed: the rest is free for others, but the lease can go on if it
    /// is still free when its client is heard of again.
    pub(super) lapsed: bool,
    /// When its client should be through with it.
    pub(super) due: Duration,
}

impl Lease {
    /// What is leased.
    pub(super) fn rest(&self) -> Span {
        Span::new(self.done, self.end)
    }

    /// What is done of it.
    pub(super) fn finished(&self) -> Span {
        Span::new(self.start, self.done)
    }

    pub(super) fn held(&self, lease: LeaseId) -> Held {
        Held { lease, epoch: self.epoch, job: self.job, done: self.done, end: self.end }
    }
}

/// Leases by number. Numbers are used again, epochs never, so the table is as large as the most
/// leases that were ever out at once, and every look-up is one index.
#[derive(Clone, Debug, Default)]
pub(super) struct LeaseTable {
    slots: Vec<Option<Lease>>,
    vacant: Vec<u32>,
    last_epoch: u64,
}

impl LeaseTable {
    /// An empty table whose epochs come after `epoch`.
    pub(super) fn after(epoch: u64) -> Self {
        Self { last_epoch: epoch, ..Self::default() }
    }

    /// The token for the next grant.
    pub(super) fn next_epoch(&mut self) -> Epoch {
        self.last_epoch += 1;
        Epoch(self.last_epoch)
    }

    pub(super) fn insert(&mut self, lease: Lease) -> LeaseId {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // Memory ends long before 2^32 leases do; then the last slot would be shared, and the
            // epochs would still tell its leases apart.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(lease);
        }
        LeaseId(slot)
    }

    pub(super) fn remove(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.slots.get_mut(id.0 as usize)?.take()?;
        self.vacant.push(id.0);
        Some(lease)
    }

    pub(super) fn find(&self, id: LeaseId) -> Option<&Lease> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn find_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }
}

impl Coordinator {
    /// Ends a lease: what is not done of it is free again, what is done is its client's word.
    pub(super) fn close(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(id)?;
        let rest = if lease.lapsed { Span::new(0, 0) } else { lease.rest() };
        if let Some(entry) = self.jobs.find_mut(lease.job) {
            entry.due.remove(&(lease.due, id));
            entry.give_back(rest);
        }
        if let Some(client) = self.clients.find_mut(lease.client) {
            client.leases.retain(|&other| other != id);
            client.finished_leases += 1;
            if lease.share_bits.is_some() {
                client.trust.note_finished(lease.job, lease.finished());
            }
        }
        self.offer(lease.job, rest);
        self.plan_audit(&lease);
        Some(lease)
    }

    /// Takes a lease away and tells its client.
    pub(super) fn revoke(&mut self, id: LeaseId) {
        if let Some(lease) = self.close(id) {
            let (client, epoch) = (lease.client, lease.epoch);
            self.events.push_back(Event::Revoked { client, lease: id, epoch });
        }
    }

    /// The deadline of a lease has passed: what is not done of it is free for others.
    ///
    /// The lease stays, without a claim on anything. When the server was out of reach for a while,
    /// nobody else has taken its span, and what its client has done meanwhile need not be lost.
    pub(super) fn lapse(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.find_mut(id).filter(|lease| !lease.lapsed) else { return };
        lease.lapsed = true;
        let (job, rest) = (lease.job, lease.rest());
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.remove(&(lease.due, id));
            entry.give_back(rest);
        }
        self.offer(job, rest);
    }

    /// A client with a lapsed lease is heard of again: the lease goes on if nobody has taken any of
    /// it, else it is over.
    pub(super) fn revive(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.leases.find_mut(id).filter(|lease| lease.lapsed) else { return };
        let (client, job, rest) = (lease.client, lease.job, lease.rest());
        let entry = self.jobs.find_mut(job).filter(|entry| entry.ended.is_none());
        let Some(entry) = entry.filter(|entry| entry.free.covers(rest)) else {
            self.close(id);
            return;
        };
        entry.free.remove(rest);
        entry.leased += rest.len();
        // It is through when it was to be, or by its deadline; its next report tells.
        lease.lapsed = false;
        lease.deadline = now.saturating_add(self.config.patience);
        lease.due = lease.due.max(now);
        entry.due.insert((lease.due, id));
        self.jobs.requeue(job);
        self.set_timer(client);
    }

    /// Revives what a client may still be working on.
    pub(super) fn revive_all(&mut self, now: Duration, client: ClientId) {
        let leases = self.clients.find(client).map(|known| known.leases.clone());
        leases.into_iter().flatten().for_each(|id| self.revive(now, id));
    }

    /// Ends the lapsed leases of a client that asks for other work instead of going on with them.
    pub(super) fn drop_lapsed(&mut self, client: ClientId) {
        let leases = self.clients.find(client).map(|known| known.leases.clone());
        for id in leases.into_iter().flatten() {
            if self.leases.find(id).is_some_and(|lease| lease.lapsed) {
                self.close(id);
            }
        }
    }
}
