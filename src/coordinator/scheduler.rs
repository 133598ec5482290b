//! Requests for work: which job, and how much of it.

use super::api::{Assignment, ClientId, Grant, JobId, LeaseId, Refusal};
use super::client::Client;
use super::config::FEW_CLIENTS;
use super::job_table::Entry;
use super::lease::Lease;
use super::pace::{Supply, aligned_end};
use super::trust::Evidence;
use super::{Coordinator, Duration, Span};
use crate::jobs::{JobSpec, SHARES_PER_LEASE, SHORTEST_PROVABLE};

/// A job is near its end when its free units take the team less than this. Then clients about which
/// nothing is known get nothing of it: they could only hold it up.
const TAIL: Duration = Duration::from_secs(5);

/// Leases of a client about which nothing is known: one to work on and one in reserve.
const UNPROVEN_LEASES: usize = 2;

/// A lease that takes so many times what it should, and the patience, is lent again whatever its
/// client does.
const SLOWEST: u32 = 4;

/// The shortest pause that a client is told to make.
const SHORTEST_WAIT: Duration = Duration::from_millis(50);

impl Coordinator {
    /// A client wants a lease. `request` numbers are the client's own, rising from 1; the same
    /// number gives the same lease. A client may hold several and so have the next one ready when
    /// it ends the first.
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
        let known = self.clients.known_mut(client)?;
        known.seen(now);
        known.check_standing()?;
        self.drop_late(now, client);
        let known = self.clients.known_mut(client)?;
        if known.requests.is_spent(request) {
            let same = |id: &LeaseId| self.leases.find(*id).is_some_and(|l| l.request == request);
            let held = known.leases.iter().copied().find(same).and_then(|id| self.grant(id));
            return Ok(held.unwrap_or(Assignment::Spent));
        }
        let most = self.config.leases_per_client;
        let most = if known.is_proven() { most } else { most.min(UNPROVEN_LEASES) };
        if known.leases.len() >= most {
            return Ok(Assignment::Wait(self.config.retry_after));
        }
        if self.started {
            let mut found = self.free_span(client);
            if found.is_none() && self.free_stalled(now, client) {
                found = self.free_span(client);
            }
            if let Some((job, span)) = found.or_else(|| self.cut_tail(now, client)) {
                let lease = self.lend(now, client, request, job, span);
                return self.grant(lease).ok_or(Refusal::UnknownJob);
            }
        }
        self.park(client);
        Ok(Assignment::Wait(self.wait(now)))
    }

    /// How long a client without work should wait: until the earliest moment at which a lease could
    /// be lent again, if that is soon.
    fn wait(&self, now: Duration) -> Duration {
        let retry = self.config.retry_after;
        let Some(&(since, _)) = self.holders.first() else { return retry };
        match (since + self.config.tail_patience).checked_sub(now) {
            Some(soon) => soon.clamp(SHORTEST_WAIT.min(retry), retry),
            None => retry,
        }
    }

    /// A span off the job whose turn it is.
    fn free_span(&mut self, client: ClientId) -> Option<(JobId, Span)> {
        let contended = self.jobs.is_contended();
        let time = self.lease_time(contended);
        let known = self.clients.find(client)?;
        let fit = |id, entry: &Entry| known.can(entry.kind()) && self.may_begin(known, id, entry);
        let job = self.jobs.next_turn(fit)?;
        let team_rate = self.team_rate(self.jobs.find(job)?);
        let entry = self.jobs.find_mut(job)?;
        let spec = entry.job.spec();
        let (kind, cost) = (spec.kind(), spec.unit_cost());
        let elsewhere = known.proved_rate(job, kind, cost);
        let supply = Supply {
            free: entry.coverage.free.len(),
            team_rate,
            first: match elsewhere {
                Some(rate) => (rate * self.config.first_lease.as_secs_f64()) as u128,
                None => self.config.first_units / u128::from(cost),
            }
            .max(1),
            time,
            unshared: spec.longest_unshared(),
        };
        let pace = known.known_pace(job).cloned().unwrap_or_default();
        let len = pace.next_len(&self.config, &supply, known.suspect);
        let len = lendable(spec, len.min(spec.longest_lease()));
        let first = entry.coverage.free.first()?;
        let end = aligned_end(first.start(), len);
        let mut len = end.saturating_sub(first.start()).max(1);
        if first.len() < SHORTEST_PROVABLE {
            // A piece between others, too short for shares.
            len = len.min(spec.longest_unshared());
        }
        let taken = Span::with_len(first.start(), len).intersect(first);
        if taken.len() < 2 * SHORTEST_PROVABLE && entry.short.pieces(taken).next().is_some() {
            len = len.min(spec.longest_unshared());
        }
        let span = entry.coverage.lend(len)?;
        Some((job, span))
    }

    /// Units a second of a job that its team does, as far as is proved.
    fn team_rate(&self, entry: &Entry) -> f64 {
        let (kind, cost) = (entry.kind(), entry.job.spec().unit_cost());
        self.team.proved[kind.index()] as f64 / cost as f64
    }

    /// Whether a client may have something of a job: near its end only if it has proved itself, or if
    /// nobody has.
    fn may_begin(&self, known: &Client, job: JobId, entry: &Entry) -> bool {
        let team = self.team_rate(entry);
        let proven = known.proved_rate(job, entry.kind(), entry.job.spec().unit_cost()).is_some();
        proven || team == 0.0 || entry.coverage.free.len() as f64 > team * TAIL.as_secs_f64()
    }

    /// What a lease should take.
    pub(super) fn lease_time(&self, contended: bool) -> Duration {
        if !contended {
            return self.config.lease_time;
        }
        // The more clients, the more often one of them comes to an end.
        let times = u32::try_from(self.clients.len() / (FEW_CLIENTS / 2)).unwrap_or(u32::MAX);
        self.config.lease_time.min(self.config.turn.saturating_mul(times.max(1)))
    }

    /// Units a second that a client has proved that it does.
    pub(super) fn rate(&self, client: ClientId, job: JobId) -> Option<f64> {
        let (known, entry) = (self.clients.find(client)?, self.jobs.find(job)?);
        known.proved_rate(job, entry.kind(), entry.job.spec().unit_cost())
    }

    /// Records a span, which is counted as leased already, as lent.
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
        let suspect = self.clients.find(client).is_some_and(|known| known.suspect);
        let short = self.jobs.find_mut(job).map(|entry| entry.short.remove(span));
        let again = short.is_some_and(|units| units > 0);
        let entry = self.jobs.find(job);
        let shares = if suspect || again { 2 * SHARES_PER_LEASE } else { SHARES_PER_LEASE };
        let spec = entry.map(|entry| entry.job.spec());
        let share_bits = spec.and_then(|spec| spec.share_bits(span.len(), shares));
        // There are no more shares than at one bit: the judge looks at all of it.
        let share_bits = share_bits.filter(|&bits| !again || bits > 1);
        let spots = self.draw_spots(client, span, share_bits);
        let (queued, takes) = self.takes(client, job, span);
        let due = now + queued + takes;
        // However slow it is, its job does not pay for more than others do.
        let charged = takes.min(self.config.lease_time);
        let id = self.leases.insert(Lease {
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
            overdue: due + SLOWEST * takes + self.config.patience,
            charged,
            worked: Duration::ZERO,
        });
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.insert((due, id));
            entry.workers.insert(client);
        }
        self.jobs.charge(job, charged);
        self.unpark(client);
        self.enlist(now, client, id);
        id
    }

    /// Enters a lease with its client.
    fn enlist(&mut self, now: Duration, client: ClientId, lease: LeaseId) {
        let leases = &self.leases;
        let Some(known) = self.clients.find_mut(client) else { return };
        // Nothing was expected of a client that held nothing but what others may have taken.
        if known.leases.iter().all(|&id| leases.find(id).is_none_or(|lease| lease.late)) {
            known.begin(now);
            known.diligence.resume(now);
        }
        known.leases.push(lease);
        if let Some(lease) = self.leases.find(lease) {
            known.requests.spend(lease.request);
        }
        self.set_timer(client);
    }

    /// How long a client should take for all that it holds, and then for `span`. One about which
    /// nothing is known is taken to need as long as a first lease.
    fn takes(&self, client: ClientId, job: JobId, span: Span) -> (Duration, Duration) {
        let time = |job, len: u128| match self.rate(client, job) {
            Some(rate) => seconds(len as f64 / rate),
            None => self.config.first_lease,
        };
        let Some(known) = self.clients.find(client) else { return Default::default() };
        let queued = known.leases.iter().filter_map(|&id| self.leases.find(id));
        let queued = queued.filter(|lease| !lease.late);
        (queued.map(|lease| time(lease.job, lease.rest().len())).sum(), time(job, span.len()))
    }

    pub(super) fn grant(&self, id: LeaseId) -> Option<Assignment> {
        let lease = self.leases.find(id)?;
        let job = &self.jobs.find(lease.job)?.job;
        let grant = Grant {
            lease: id,
            epoch: lease.epoch,
            job: lease.job,
            span: lease.rest(),
            share_bits: lease.share_bits,
            wanted: job.still_wanted(),
            patience: self.config.patience,
        };
        Some(Assignment::Lease(grant, job.spec().clone()))
    }
}

/// `len`, or less where a lease of it would be too short for shares and too long to be searched
/// again.
pub(super) fn lendable(spec: &JobSpec, len: u128) -> u128 {
    if len < SHORTEST_PROVABLE { len.min(spec.longest_unshared()) } else { len }
}

/// A duration that may be absurdly long.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}
