//! The end of a job: three rules by which spans are searched a second time.
//!
//! - **Late.** A client that is silent, or much slower than it has shown to be, loses its claim on
//!   what is not confirmed of its leases: all of that is free. The lease stays. Its client may go
//!   on with it, once, if nobody has taken any of it ([`Coordinator::revive`]), and what it confirms
//!   before others do counts in any case. So nothing is lost when the server was out of reach for a
//!   while, or when two clients search the end of a job.
//! - **Stalled.** With nothing free, leases become late sooner, after
//!   [`tail_patience`](super::Config::tail_patience), and what their holders left undone is noted:
//!   nobody waits for its next holder at all, or many could take turns at holding it.
//! - **Short.** A span that was searched, and by bad luck holds too few shares to prove it, will
//!   hold the same ones next time. It is noted, and its next lease has more shares, or none and is
//!   searched again by the judge. Nobody is accused for its shares a second time.
//!
//! Spans are noted in `leftovers`; a lease knows whether it is late, was revived, or is
//! searched again.

use super::api::{ClientId, LeaseId, Report};
use super::{Coordinator, Duration};
use crate::span::Span;

/// Clients that a client without work looks at for leases that have come to a stop.
const CLIENTS_FOR_TAILS: usize = 64;

/// A client about which nothing is known has this part of the patience for its first leases, which
/// take milliseconds, before they are leased again.
const UNPROVEN_PATIENCE: u32 = 3;

impl Coordinator {
    /// Makes a lease late, if it is not.
    pub(super) fn lapse(&mut self, id: LeaseId) {
        let lease = &mut self.leases[id];
        if lease.late {
            return;
        }
        lease.late = true;
        let (client, job, unconfirmed) = (lease.client, lease.job, lease.unconfirmed());
        let charged = std::mem::take(&mut lease.charged);
        let worked = std::mem::take(&mut lease.worked);
        let entry = &mut self.tables.jobs[job];
        entry.due.remove(&(lease.due, id));
        entry.coverage.give_back(unconfirmed);
        self.scheduler.turns.settle(&mut self.tables.jobs, job, charged, worked);
        self.leases.pause(&mut self.tables, self.now, client);
        self.leases.set_timer(&mut self.tables, client);
        self.scheduler.offer(&mut self.tables, &mut self.outbox, job, unconfirmed);
    }

    /// Makes all leases of a client late.
    pub(super) fn lapse_all(&mut self, client: ClientId) {
        for id in self.tables.clients[client].leases.clone() {
            self.lapse(id);
        }
    }

    /// Goes on with a late lease whose client was heard of again, if nobody has taken any of it.
    pub(super) fn revive(&mut self, now: Duration, id: LeaseId) {
        let lease = &mut self.leases[id];
        let (client, job) = (lease.client, lease.job);
        let coverage = &mut self.tables.jobs[job].coverage;
        let may = lease.late && !lease.revived;
        if !may || !coverage.lend_again(lease.unconfirmed(), lease.done) {
            return;
        }
        // It is through when it was to be, or soon; its next report tells.
        (lease.late, lease.revived) = (false, true);
        let due = lease.due.max(now);
        self.leases.set_due(&mut self.tables, id, due);
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        self.tables.clients[client].diligence.begin(now);
        self.leases.set_timer(&mut self.tables, client);
    }

    /// Revives what a client may still be working on.
    pub(super) fn revive_all(&mut self, now: Duration, client: ClientId) {
        for id in self.tables.clients[client].leases.clone() {
            self.revive(now, id);
        }
    }

    /// Ends the late leases of a client that asks for other work and has not gone on with them.
    pub(super) fn drop_late(&mut self, now: Duration, client: ClientId) {
        let patience = self.tables.config.patience;
        for id in self.tables.clients[client].leases.clone() {
            let lease = &self.leases[id];
            if lease.late && now >= lease.touched + patience {
                self.close(id);
            }
        }
    }

    /// With nothing free: makes the leases late of clients that are silent or much slower than they
    /// can be; returns whether there are any.
    pub(super) fn free_stalled(&mut self, now: Duration, client: ClientId) -> bool {
        let stalled = self.stalled(now, client);
        for &id in &stalled {
            let to_blame = self.is_stalled(now, id) || self.is_overdue(now, id);
            self.lapse(id);
            if to_blame {
                self.note_stalled(id);
            }
        }
        !stalled.is_empty()
    }

    /// Returns the leases that `client` may search too, those of the client that did nothing for the
    /// longest time first.
    fn stalled(&self, now: Duration, client: ClientId) -> Vec<LeaseId> {
        let known = &self.tables.clients[client];
        // Those that have proved nothing could take from each other without end.
        let may = known.is_proven() || self.scheduler.is_unproven();
        let others = self.leases.holders().filter(|&(_, other)| other != client);
        others
            .take(CLIENTS_FOR_TAILS)
            .flat_map(|(_, other)| self.tables.clients[other].leases.iter().copied())
            .filter(|&id| {
                let stalled = || self.is_stalled(now, id) || self.has_stalled_before(id);
                self.is_overdue(now, id) || (may && stalled())
            })
            .filter(|&id| known.can(self.tables.jobs[self.leases[id].job].kind()))
            .collect()
    }

    /// Returns whether others should search a lease too.
    fn is_stalled(&self, now: Duration, id: LeaseId) -> bool {
        let lease = &self.leases[id];
        let holder = &self.tables.clients[lease.client];
        let patience = self.tables.config.tail_patience;
        let patience = if holder.is_proven() { patience } else { patience / UNPROVEN_PATIENCE };
        !lease.late && now > holder.diligence.since() + patience
    }

    /// Returns whether others held a part of a lease before and left it undone.
    fn has_stalled_before(&self, id: LeaseId) -> bool {
        let lease = &self.leases[id];
        !lease.late && self.tables.jobs[lease.job].leftovers.is_stalled(lease.rest())
    }

    /// Returns whether a lease has taken too long, however steady its client is.
    fn is_overdue(&self, now: Duration, id: LeaseId) -> bool {
        let lease = &self.leases[id];
        !lease.late && now > lease.overdue
    }

    /// Notes what is left of a lease as stalled. Its client must prove itself again.
    fn note_stalled(&mut self, id: LeaseId) {
        let lease = &self.leases[id];
        self.tables.jobs[lease.job].leftovers.note_stalled(lease.rest());
        self.scheduler.unprove(&mut self.tables.clients[lease.client]);
    }

    /// Notes that a client gives a lease up: with hardly anything done of it that is no better than
    /// leaving it undone.
    pub(super) fn note_given_up(&mut self, id: LeaseId) {
        let lease = &self.leases[id];
        let (done, whole) = (lease.done - lease.start, lease.end - lease.start);
        if !lease.late && done < whole / 4 {
            self.note_stalled(id);
        }
    }

    /// Moves the lease of a report past what others have confirmed of it meanwhile, and off what
    /// they have confirmed further on, where an outcome cannot be divided: nothing is folded twice.
    pub(super) fn skip_confirmed(&mut self, report: &Report) {
        let lease = &mut self.leases[report.lease];
        let entry = &mut self.tables.jobs[lease.job];
        if entry.job.spec().outcome_divides() {
            return;
        }
        let others: Vec<Span> = entry.coverage.confirmed.pieces(lease.rest()).take(2).collect();
        for piece in others {
            if piece.start() == lease.done {
                (lease.done, lease.confirmed) = (piece.end(), piece.end());
                continue;
            }
            let tail = Span::new(piece.start(), lease.end);
            lease.end = piece.start();
            if !lease.late {
                entry.coverage.give_back(tail);
                let job = lease.job;
                self.scheduler.offer(&mut self.tables, &mut self.outbox, job, tail);
            }
            return;
        }
    }
}
