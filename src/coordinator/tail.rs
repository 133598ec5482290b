//! The ends of jobs, and room for new ones: leases that are lent a second time, and tails that are
//! cut off.

use super::api::{ClientId, Event, JobId, LeaseId};
use super::config::FEW_CLIENTS;
use super::pace::aligned_end;
use super::scheduler::{lendable, seconds};
use super::{Coordinator, Duration, Span};
use crate::jobs::JobKind;

/// A tail is lent again when its holder is this far from its end, in units of the shortest lease:
/// below that the message comes too late to save anything.
const WORTH_CUTTING: u32 = 4;

/// Jobs that a client without work looks at for tails. There are rarely more than one.
const JOBS_FOR_TAILS: usize = 8;

/// Clients that a client without work looks at for leases that have come to a stop.
const CLIENTS_FOR_TAILS: usize = 64;

/// A client about which nothing is known has this part of the patience for its first leases, which
/// take milliseconds, before they are lent again.
const UNPROVEN_PATIENCE: u32 = 3;

impl Coordinator {
    /// With nothing free: frees the leases of clients that are silent or much slower than they can
    /// be; returns whether there are any. They are lent a second time, and what is confirmed first
    /// counts.
    pub(super) fn free_stalled(&mut self, now: Duration, client: ClientId) -> bool {
        let Some(known) = self.clients.find(client) else { return false };
        // Those that have proved nothing could take from each other without end.
        let may = known.is_proven() || self.team.proved.iter().all(|&rate| rate == 0);
        // Those that have done nothing for the longest time come first.
        let stalled: Vec<LeaseId> = self
            .holders
            .iter()
            .filter(|&&(_, other)| other != client)
            .take(CLIENTS_FOR_TAILS)
            .filter_map(|&(_, other)| self.clients.find(other))
            .flat_map(|other| other.leases.iter().copied())
            .filter(|&id| {
                let stalled = || self.is_stalled(now, id) || self.has_stalled_before(id);
                self.is_overdue(now, id) || (may && stalled())
            })
            .filter(|&id| self.kind_of(id).is_some_and(|kind| known.can(kind)))
            .collect();
        for &id in &stalled {
            let to_blame = self.is_stalled(now, id) || self.is_overdue(now, id);
            let holder = self.leases.find(id).map(|lease| lease.client);
            self.lapse(id);
            if let Some(holder) = holder.filter(|_| to_blame) {
                self.note_stalled(id);
                self.unprove(holder);
            }
        }
        !stalled.is_empty()
    }

    fn kind_of(&self, lease: LeaseId) -> Option<JobKind> {
        let job = self.leases.find(lease)?.job;
        self.jobs.find(job).filter(|entry| entry.ended.is_none()).map(|entry| entry.kind())
    }

    /// Whether others should search a lease too.
    fn is_stalled(&self, now: Duration, id: LeaseId) -> bool {
        let Some(lease) = self.leases.find(id).filter(|lease| !lease.late) else { return false };
        let Some(known) = self.clients.find(lease.client) else { return true };
        let patience = self.config.tail_patience;
        let patience = if known.is_proven() { patience } else { patience / UNPROVEN_PATIENCE };
        now > known.diligence.since() + patience
    }

    /// Whether others held a part of a lease before and did not do it: nobody is waited for a second
    /// time, or many could take turns at it.
    fn has_stalled_before(&self, id: LeaseId) -> bool {
        let Some(lease) = self.leases.find(id).filter(|lease| !lease.late) else { return false };
        let entry = self.jobs.find(lease.job);
        entry.is_some_and(|entry| entry.stalled.pieces(lease.rest()).next().is_some())
    }

    /// Remembers what is left of a lease as stalled.
    pub(super) fn note_stalled(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.find(id) else { return };
        if let Some(entry) = self.jobs.find_mut(lease.job) {
            entry.note_stalled(lease.rest());
        }
    }

    /// Whether a lease has taken too long, however steady its client is.
    fn is_overdue(&self, now: Duration, id: LeaseId) -> bool {
        self.leases.find(id).is_some_and(|lease| !lease.late && now > lease.overdue)
    }

    /// With nothing free: the tail of the lease that would be through last, cut so that both
    /// clients end together.
    pub(super) fn cut_tail(&mut self, now: Duration, client: ClientId) -> Option<(JobId, Span)> {
        let known = self.clients.find(client)?;
        let own = known.leases.iter().filter_map(|&id| self.leases.find(id));
        // When this client could begin with it.
        let begin = own.map(|lease| lease.due).fold(now, Duration::max);
        let jobs = self.jobs.active().iter().take(JOBS_FOR_TAILS);
        let tails = jobs.filter_map(|&job| {
            let entry = self.jobs.find(job).filter(|entry| known.can(entry.kind()))?;
            let mut latest = entry.due.iter().rev().take(self.config.leases_per_client + 1);
            let others = |id| self.leases.find(id).is_some_and(|lease| lease.client != client);
            latest.find(|&&(_, id)| others(id))
        });
        let &(_, victim) = tails.max_by_key(|&&(due, _)| due.saturating_sub(begin))?;
        let tail = self.tail_for(begin, client, victim)?;
        let job = self.leases.find(victim)?.job;
        self.trim(victim, tail);
        Some((job, tail))
    }

    /// The tail of `victim` that `client`, beginning at `begin`, should take; `None` if that saves
    /// no time, or if either has proved nothing yet: then nobody knows.
    fn tail_for(&self, begin: Duration, client: ClientId, victim: LeaseId) -> Option<Span> {
        let lease = self.leases.find(victim)?;
        let entry = self.jobs.find(lease.job)?;
        let (theirs, mine) = (self.rate(lease.client, lease.job)?, self.rate(client, lease.job)?);
        let worth = self.config.shortest_lease * WORTH_CUTTING;
        let gain = lease.due.checked_sub(begin).filter(|&gain| gain > worth)?;
        let rest = lease.rest();
        let left = ((gain.as_secs_f64() * theirs) as u128).min(rest.len());
        // Not more than there is, whatever rounding makes of the largest numbers.
        let tail = ((left as f64 * (mine / (mine + theirs))) as u128).min(left);
        // Cuts near which a kernel would have ended anyway.
        let aligned = rest.end() - aligned_end(0, lendable(entry.job.spec(), tail));
        // What the holder does must be enough to be proved.
        let aligned = aligned.max(lease.provable_end());
        let (head, tail) = rest.split_at(aligned - rest.start());
        (!head.is_empty() && !tail.is_empty()).then_some(tail)
    }

    /// Takes `tail` off the end of a lease and tells its holder.
    fn trim(&mut self, id: LeaseId, tail: Span) {
        let Some((client, job)) = self.leases.find(id).map(|lease| (lease.client, lease.job))
        else {
            return;
        };
        let saved =
            self.rate(client, job).map_or(Duration::ZERO, |rate| seconds(tail.len() as f64 / rate));
        let Some(lease) = self.leases.find_mut(id) else { return };
        let due = lease.due.saturating_sub(saved);
        let end = tail.start();
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.remove(&(lease.due, id));
            entry.due.insert((due, id));
        }
        (lease.end, lease.due) = (end, due);
        let paid_back = saved.min(lease.charged);
        lease.charged -= paid_back;
        self.outbox.push(Event::Trimmed { client, lease: id, epoch: lease.epoch, end });
        self.jobs.settle(job, paid_back, Duration::ZERO);
    }

    /// Cuts what is lent so that a job that has just come has its turn soon. Where many clients are
    /// here one of them ends a lease soon anyway.
    pub(super) fn make_room(&mut self, now: Duration) {
        if !self.jobs.is_contended() || self.clients.len() > FEW_CLIENTS {
            return;
        }
        let turn = self.lease_time(true);
        let clients: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for client in clients {
            let leases = self.clients.find(client).map(|known| known.leases.clone());
            let held = |id: &LeaseId| self.leases.find(*id).is_some_and(|lease| !lease.late);
            let held: Vec<LeaseId> = leases.into_iter().flatten().filter(held).collect();
            let Some((&first, later)) = held.split_first() else { continue };
            if let Some(tail) = self.beyond_turn(now, first, turn) {
                self.free_tail(first, tail);
            }
            // What waits behind the first has not been begun.
            later.iter().for_each(|&id| self.revoke(id));
        }
    }

    /// What of a lease its client does not reach within `turn`, and need not to prove what it did.
    fn beyond_turn(&self, now: Duration, id: LeaseId, turn: Duration) -> Option<Span> {
        let lease = self.leases.find(id)?;
        let rate = self.rate(lease.client, lease.job)?;
        let since = now.saturating_sub(lease.touched) + turn;
        let done = lease.done.saturating_add((since.as_secs_f64() * rate) as u128);
        let keep = done.max(lease.provable_end());
        let (_, tail) = lease.rest().split_at(keep.saturating_sub(lease.done));
        (!tail.is_empty()).then_some(tail)
    }

    /// Takes `tail` off a lease, for whoever has the next turn.
    fn free_tail(&mut self, id: LeaseId, tail: Span) {
        self.trim(id, tail);
        let Some(job) = self.leases.find(id).map(|lease| lease.job) else { return };
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.coverage.give_back(tail);
        }
        self.offer(job, tail);
    }
}
