//! Requests for work.

use super::api::{Assignment, ClientId, Grant, JobId, LeaseId, Refusal};
use super::evidence::Evidence;
use super::lease_book::Lease;
use super::scheduler::seconds;
use super::tails::Cut;
use super::{Coordinator, Duration, Span};
use crate::jobs::SHARES_PER_LEASE;

/// Leases of a client about which nothing is known: one to work on and one in reserve.
const UNPROVEN_LEASES: usize = 2;

/// A lease that takes so many times what it should, and the patience, is leased again whatever its
/// client does.
const SLOWEST: u32 = 4;

impl Coordinator {
    /// Answers a client that wants a lease. `request` numbers are the client's own, rising from 1;
    /// the same number gives the same lease. A client may hold several and so have the next one
    /// ready when it ends the first.
    ///
    /// # Errors
    /// It is unknown, or gets no more work.
    pub fn request(
        &mut self,
        now: Duration,
        client: ClientId,
        request: u64,
    ) -> Result<Assignment, Refusal> {
        self.now = self.now.max(now);
        let known = self.tables.clients.known_mut(client)?;
        known.seen(now);
        known.check_standing()?;
        self.drop_late(now, client);
        let known = &self.tables.clients[client];
        if known.requests.is_spent(request) {
            let mut held = known.leases.iter().copied();
            let same = held.find(|&id| self.leases[id].request == request);
            return Ok(same.map_or(Assignment::Spent, |id| self.grant(id)));
        }
        let most = self.tables.config.leases_per_client;
        let most = if known.is_proven() { most } else { most.min(UNPROVEN_LEASES) };
        if known.leases.len() >= most {
            return Ok(Assignment::Wait(self.tables.config.retry_after));
        }
        if let Some((job, span)) = self.find_work(now, client) {
            let lease = self.lend(now, client, request, job, span);
            return Ok(self.grant(lease));
        }
        self.scheduler.park(&mut self.tables.clients[client], client);
        Ok(Assignment::Wait(self.scheduler.wait(&self.tables.config, &self.leases, now)))
    }

    /// Returns a span for a client, which is counted as leased from here on: something free, or
    /// something that others do not get on with, or the tail of a lease.
    fn find_work(&mut self, now: Duration, client: ClientId) -> Option<(JobId, Span)> {
        if !self.scheduler.started {
            return None;
        }
        let mut found = self.scheduler.take_free(&mut self.tables, client);
        if found.is_none() && self.free_stalled(now, client) {
            found = self.scheduler.take_free(&mut self.tables, client);
        }
        found.or_else(|| self.cut_tail(now, client))
    }

    /// Opens a lease of `span`.
    fn lend(
        &mut self,
        now: Duration,
        client: ClientId,
        request: u64,
        job: JobId,
        span: Span,
    ) -> LeaseId {
        let epoch = self.leases.next_epoch();
        self.reserve_numbers();
        let again = self.tables.jobs[job].leftovers.take_short(span);
        let (config, known) = (&self.tables.config, &self.tables.clients[client]);
        let spec = self.tables.jobs[job].job.spec();
        let shares = if known.suspect || again { 2 * SHARES_PER_LEASE } else { SHARES_PER_LEASE };
        // There are no more shares than at one bit: the judge looks at all of it.
        let share_bits = spec.share_bits(span.len(), shares).filter(|&bits| !again || bits > 1);
        let spots = self.trust.draw_spots(config, known, span, share_bits);
        let (queued, takes) = self.scheduler.takes(&self.tables, &self.leases, client, job, span);
        let due = now + queued + takes;
        // However slow it is, its job does not pay for more than others do.
        let charged = takes.min(config.lease_time);
        let lease = Lease {
            client,
            job,
            epoch,
            request,
            start: span.start(),
            confirmed: span.start(),
            done: span.start(),
            end: span.end(),
            share_bits,
            evidence: Evidence::default(),
            spots,
            touched: now,
            due,
            again,
            late: false,
            revived: false,
            overdue: due + SLOWEST * takes + config.patience,
            charged,
            worked: Duration::ZERO,
        };
        self.scheduler.turns.charge(&mut self.tables.jobs, job, charged);
        self.scheduler.unpark(&mut self.tables.clients[client], client);
        self.leases.open(&mut self.tables, now, lease)
    }

    pub(super) fn grant(&self, id: LeaseId) -> Assignment {
        let lease = &self.leases[id];
        let job = &self.tables.jobs[lease.job].job;
        let grant = Grant {
            lease: id,
            epoch: lease.epoch,
            job: lease.job,
            span: lease.rest(),
            share_bits: lease.share_bits,
            wanted: job.still_wanted(),
            patience: self.tables.config.patience,
        };
        Assignment::Lease(grant, job.spec().clone())
    }

    /// Takes the tail off the lease that would be through last, for `client`.
    fn cut_tail(&mut self, now: Duration, client: ClientId) -> Option<(JobId, Span)> {
        let (tables, leases) = (&self.tables, &self.leases);
        let (victim, tail) = self.scheduler.longest_tail(tables, leases, now, client)?;
        Some((self.trim(victim, tail), tail))
    }

    /// Takes `tail`, which stays leased, off a lease; returns its job.
    fn trim(&mut self, id: LeaseId, tail: Span) -> JobId {
        let lease = &self.leases[id];
        let rate = self.tables.rate(lease.client, lease.job);
        let saved = rate.map_or(Duration::ZERO, |rate| seconds(tail.len() as f64 / rate));
        let (job, paid_back) =
            self.leases.trim(&mut self.tables, &mut self.outbox, id, tail, saved);
        self.scheduler.turns.settle(&mut self.tables.jobs, job, paid_back, Duration::ZERO);
        job
    }

    /// Cuts leases so that a job that has just come has its turn soon.
    pub(super) fn make_room(&mut self, now: Duration) {
        for cut in self.scheduler.room_for_another(&self.tables, &self.leases, now) {
            match cut {
                Cut::Tail(id, tail) => {
                    let job = self.trim(id, tail);
                    self.tables.jobs[job].coverage.give_back(tail);
                    self.scheduler.offer(&mut self.tables, &mut self.outbox, job, tail);
                }
                Cut::Whole(id) => self.revoke(id),
            }
        }
    }
}
