//! Leases: the table of those that are out, and what is known about each.

use super::event::{ClientId, Epoch, Held, JobId, LeaseId};
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

    /// Leases that are out.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }
}
