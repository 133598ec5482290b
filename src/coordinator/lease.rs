//! Leases: the table of those that are out, what is known about each, and how they end.

use super::Coordinator;
use super::api::{ClientId, Epoch, Event, Held, JobId, LeaseId};
use super::audit::Spot;
use super::config::SHARES_KEPT;
use super::trust::Evidence;
use crate::span::Span;
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
    /// Whether its client has been too slow or silent: what is not confirmed of it is free for
    /// others. What the client delivers all the same counts if it is confirmed first.
    pub(super) late: bool,
    /// Whether it was late once and went on. Once is enough.
    pub(super) revived: bool,
    /// Whether some of it was searched before, and held too few shares by luck.
    pub(super) again: bool,
    /// When it has taken too long, however steadily.
    pub(super) overdue: Duration,
    /// What the job's turns were charged for it, and what its client has worked on it.
    pub(super) charged: Duration,
    pub(super) worked: Duration,
}

impl Lease {
    /// Returns what is to be searched.
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

    /// Returns where it may be cut at the earliest, so that what its client does before can be proved.
    pub(super) fn provable_end(&self) -> u128 {
        let needed = self.share_bits.map_or(0, |bits| u128::from(SHARES_KEPT) << bits.min(100));
        self.start.saturating_add(needed).min(self.end).max(self.done)
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
    /// Ends a lease: what is not confirmed of it is free again.
    pub(super) fn close(&mut self, id: LeaseId) -> Option<Lease> {
        let lease = self.leases.remove(id)?;
        let unconfirmed = if lease.late { Span::new(0, 0) } else { lease.unconfirmed() };
        if let Some(entry) = self.jobs.find_mut(lease.job) {
            entry.due.remove(&(lease.due, id));
            entry.coverage.give_back(unconfirmed);
            if lease.rest().is_empty() && lease.evidence.is_plausible() {
                entry.note_short(lease.claimed());
            }
        }
        self.jobs.settle(lease.job, lease.charged, lease.worked);
        let confirmed = Span::new(lease.start, lease.confirmed);
        if let Some(client) = self.clients.find_mut(lease.client) {
            client.leases.retain(|&other| other != id);
            client.finished_leases += 1;
            if lease.share_bits.is_some() {
                client.trust.note_confirmed(lease.job, confirmed);
            }
            if !confirmed.is_empty() && lease.confirmed == lease.done {
                client.pace(lease.job).note_confirmed(confirmed.len());
            }
        }
        self.pause(lease.client);
        self.set_timer(lease.client);
        self.offer(lease.job, unconfirmed);
        self.plan_audit(&lease);
        Some(lease)
    }

    /// Takes a lease away and tells its client.
    pub(super) fn revoke(&mut self, id: LeaseId) {
        if let Some(lease) = self.close(id) {
            let (client, epoch) = (lease.client, lease.epoch);
            self.outbox.push(Event::Revoked { client, lease: id, epoch });
        }
    }

    /// Frees what is not confirmed of a lease whose client is silent or too slow.
    ///
    /// The lease stays, without a claim on anything. Its client may go on, and what it confirms
    /// before others do counts: nothing is lost when the server was out of reach for a while, or
    /// when the end of a job is searched by two.
    pub(super) fn lapse(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.find_mut(id).filter(|lease| !lease.late) else { return };
        lease.late = true;
        let (client, job, unconfirmed) = (lease.client, lease.job, lease.unconfirmed());
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.remove(&(lease.due, id));
            entry.coverage.give_back(unconfirmed);
        }
        let (charged, worked) =
            (std::mem::take(&mut lease.charged), std::mem::take(&mut lease.worked));
        self.jobs.settle(job, charged, worked);
        self.pause(client);
        self.set_timer(client);
        self.offer(job, unconfirmed);
    }

    /// A client with a late lease is heard of again: the lease goes on if nobody has taken any of
    /// it.
    pub(super) fn revive(&mut self, now: Duration, id: LeaseId) {
        let Some(lease) = self.leases.find_mut(id).filter(|lease| lease.late && !lease.revived)
        else {
            return;
        };
        let (client, job) = (lease.client, lease.job);
        let entry = self.jobs.find_mut(job).filter(|entry| entry.ended.is_none());
        let Some(entry) = entry else { return };
        if !entry.coverage.lend_again(lease.unconfirmed(), lease.done) {
            return;
        }
        // It is through when it was to be, or soon; its next report tells.
        (lease.late, lease.revived) = (false, true);
        lease.due = lease.due.max(now);
        entry.due.insert((lease.due, id));
        self.jobs.requeue(job);
        if let Some(known) = self.clients.find_mut(client) {
            known.diligence.begin(now);
        }
        self.set_timer(client);
    }

    /// Revives what a client may still be working on.
    pub(super) fn revive_all(&mut self, now: Duration, client: ClientId) {
        let leases = self.clients.find(client).map(|known| known.leases.clone());
        leases.into_iter().flatten().for_each(|id| self.revive(now, id));
    }

    /// Ends the late leases of a client that asks for other work and has not gone on with them.
    pub(super) fn drop_late(&mut self, now: Duration, client: ClientId) {
        let leases = self.clients.find(client).map(|known| known.leases.clone());
        for id in leases.into_iter().flatten() {
            let patience = self.config.patience;
            let forgotten = |lease: &Lease| lease.late && now >= lease.touched + patience;
            if self.leases.find(id).is_some_and(forgotten) {
                self.close(id);
            }
        }
    }
}
