//! Requests for work: which job, how much of it, and whose tail when nothing is free.

use super::event::{Assignment, ClientId, Event, Grant, JobId, LeaseId, Refusal};
use super::lease::Lease;
use super::pace::aligned_end;
use super::{Coordinator, Duration, Span};
use crate::jobs::JobSpec;

/// A tail is lent again when its holder is this far from its end, in units of the shortest lease:
/// below that the message comes too late to save anything.
const WORTH_CUTTING: u32 = 4;

/// Jobs that a client without work looks at for tails. There are rarely more than one.
const JOBS_FOR_TAILS: usize = 8;

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
        let known = self.clients.known_mut(client)?;
        known.seen(now);
        known.check_standing()?;
        self.drop_lapsed(client);
        let known = self.clients.known_mut(client)?;
        if known.requests.is_spent(request) {
            let same = |id: &LeaseId| self.leases.find(*id).is_some_and(|l| l.request == request);
            let held = known.leases.iter().copied().find(same).and_then(|id| self.grant(id));
            return Ok(held.map_or(Assignment::Spent, Assignment::Lease));
        }
        if known.leases.len() >= self.config.leases_per_client {
            return Ok(Assignment::Wait(self.config.retry_after));
        }
        if self.started {
            let found = self.free_span(client).or_else(|| self.cut_tail(now, client));
            if let Some((job, span)) = found {
                let lease = self.lend(now, client, request, job, span);
                return self.grant(lease).map(Assignment::Lease).ok_or(Refusal::UnknownJob);
            }
        }
        self.parked.insert(client);
        Ok(Assignment::Wait(self.config.retry_after))
    }

    /// A span off the job whose turn it is.
    fn free_span(&mut self, client: ClientId) -> Option<(JobId, Span)> {
        let known = self.clients.find_mut(client)?;
        let job = self.jobs.next_turn(|kind| known.can(kind))?;
        let entry = self.jobs.find_mut(job)?;
        let spec = entry.job.spec();
        let (kind, longest) = (spec.kind(), spec.longest_lease());
        let usual = usual_rate(spec, known.threads);
        let remaining = entry.free.len();
        let team = self.team_rates[kind.index()];
        let pace = known.pace(kind);
        let len = pace.next_len(&self.config, usual, remaining, team).min(longest);
        let first = entry.free.first()?;
        let end = aligned_end(first.start(), len);
        let span = entry.free.take(end.saturating_sub(first.start()).max(1))?;
        pace.note_lease(span.len());
        entry.leased += span.len();
        self.jobs.charge(job);
        Some((job, span))
    }

    /// With nothing free: the tail of the lease that would be through last, cut so that both
    /// clients end together.
    fn cut_tail(&mut self, now: Duration, client: ClientId) -> Option<(JobId, Span)> {
        let known = self.clients.find(client)?;
        let own = known.leases.iter().filter_map(|&id| self.leases.find(id));
        // When this client could begin with it.
        let begin = own.map(|lease| lease.due).fold(now, Duration::max);
        let jobs = self.jobs.active().iter().take(JOBS_FOR_TAILS);
        let tails = jobs.filter_map(|&job| {
            let entry = self.jobs.find(job).filter(|entry| known.can(entry.kind()))?;
            // A lease that should be through and is not may be lost: its tail is the most urgent.
            let overdue = entry.due.first().filter(|(due, _)| *due + self.worth_cutting() < now);
            let mut latest = entry.due.iter().rev().take(self.config.leases_per_client + 1);
            let others = |id| self.leases.find(id).is_some_and(|lease| lease.client != client);
            overdue.filter(|&&(_, id)| others(id)).or_else(|| latest.find(|&&(_, id)| others(id)))
        });
        let &(_, victim) = tails.max_by_key(|&&(due, _)| begin.abs_diff(due))?;
        let tail = self.tail_for(now, begin, client, victim)?;
        let job = self.leases.find(victim)?.job;
        self.trim(victim, tail);
        Some((job, tail))
    }

    fn worth_cutting(&self) -> Duration {
        self.config.shortest_lease * WORTH_CUTTING
    }

    /// The tail of `victim` that `client`, beginning at `begin`, should take; `None` if that saves
    /// no time.
    fn tail_for(
        &self,
        now: Duration,
        begin: Duration,
        client: ClientId,
        victim: LeaseId,
    ) -> Option<Span> {
        let lease = self.leases.find(victim)?;
        let rest = lease.rest();
        let (theirs, mine) = (self.rate(lease.client, lease.job), self.rate(client, lease.job));
        let left = if lease.due + self.worth_cutting() < now {
            // Overdue: nothing is known of where the holder is. Half now, half at the deadline.
            rest.len() / 2
        } else {
            let gain = lease.due.checked_sub(begin).filter(|&gain| gain > self.worth_cutting())?;
            ((gain.as_secs_f64() * theirs) as u128).min(rest.len())
        };
        // Not more than there is, whatever rounding makes of the largest numbers.
        let tail = ((left as f64 * (mine / (mine + theirs))) as u128).min(left);
        // Cuts near which a kernel would have ended anyway.
        let aligned = rest.end() - aligned_end(0, tail);
        let (head, tail) = rest.split_at(aligned - rest.start());
        (!head.is_empty() && !tail.is_empty()).then_some(tail)
    }

    /// Units a second that a client can be expected to do; never 0.
    fn rate(&self, client: ClientId, job: JobId) -> f64 {
        let (Some(known), Some(entry)) = (self.clients.find(client), self.jobs.find(job)) else {
            return 1.0;
        };
        match known.rate(entry.kind()) {
            0 => usual_rate(entry.job.spec(), known.threads) as f64,
            rate => rate as f64,
        }
    }

    /// Takes `tail` off the end of a lease and tells its holder.
    fn trim(&mut self, id: LeaseId, tail: Span) {
        let Some((client, job)) = self.leases.find(id).map(|lease| (lease.client, lease.job))
        else {
            return;
        };
        let saved = seconds(tail.len() as f64 / self.rate(client, job));
        let Some(lease) = self.leases.find_mut(id) else { return };
        let due = lease.due.saturating_sub(saved);
        let end = tail.start();
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.remove(&(lease.due, id));
            entry.due.insert((due, id));
        }
        (lease.end, lease.due) = (end, due);
        self.events.push_back(Event::Trimmed { client, lease: id, epoch: lease.epoch, end });
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
        let entry = self.jobs.find_mut(job);
        let share_bits = entry.as_ref().and_then(|e| e.job.spec().share_bits(span.len()));
        let due = now + self.takes(client, job, span);
        let id = self.leases.insert(Lease {
            client,
            job,
            epoch,
            request,
            start: span.start(),
            done: span.start(),
            end: span.end(),
            share_bits,
            shares: Vec::new(),
            deadline: now.saturating_add(self.config.patience),
            lapsed: false,
            due,
        });
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.insert((due, id));
            entry.workers.insert(client);
        }
        self.parked.remove(&client);
        self.enlist(now, client, id);
        id
    }

    /// Enters a lease with its client.
    fn enlist(&mut self, now: Duration, client: ClientId, lease: LeaseId) {
        let Some(known) = self.clients.find_mut(client) else { return };
        if known.leases.is_empty() {
            known.begin(now);
        }
        known.leases.push(lease);
        if let Some(lease) = self.leases.find(lease) {
            known.requests.spend(lease.request);
        }
        self.set_timer(client);
    }

    /// How long a client should take for `span` after all that it holds.
    fn takes(&self, client: ClientId, job: JobId, span: Span) -> Duration {
        let Some(known) = self.clients.find(client) else { return Duration::ZERO };
        let queued = known.leases.iter().filter_map(|&id| self.leases.find(id));
        // Leases of other jobs count at that job's rate.
        let queued = queued.map(|lease| lease.rest().len() as f64 / self.rate(client, lease.job));
        seconds(queued.sum::<f64>() + span.len() as f64 / self.rate(client, job))
    }

    pub(super) fn grant(&self, id: LeaseId) -> Option<Grant> {
        let lease = self.leases.find(id)?;
        let job = &self.jobs.find(lease.job)?.job;
        Some(Grant {
            lease: id,
            epoch: lease.epoch,
            job: lease.job,
            spec: job.spec().clone(),
            span: lease.rest(),
            share_bits: lease.share_bits,
            wanted: job.still_wanted(),
            patience: self.config.patience,
        })
    }
}

/// Units a second of a client about which nothing but its threads is known.
fn usual_rate(spec: &JobSpec, threads: u32) -> u64 {
    spec.usual_rate().saturating_mul(u64::from(threads.clamp(1, 1024)))
}

/// A duration that may be absurdly long.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}
