//! Requests for work: which job, how much of it, and whose tail when nothing is free.

use super::event::{Assignment, ClientId, Event, Grant, JobId, LeaseId, Refusal};
use super::lease::Lease;
use super::pace::aligned_end;
use super::{Coordinator, Duration, Span};

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
        known.check_standing()?;
        known.seen(now);
        if known.requests.is_spent(request) {
            let same = |id: &LeaseId| self.leases.find(*id).is_some_and(|l| l.request == request);
            let held = known.leases.iter().copied().find(same).and_then(|id| self.grant(id));
            return Ok(held.map_or(Assignment::Spent, Assignment::Lease));
        }
        if self.started && known.leases.len() < self.config.leases_per_client {
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
        let (kind, longest, usual) = (spec.kind(), spec.longest_lease(), spec.usual_rate());
        let usual = usual.saturating_mul(u64::from(known.threads.clamp(1, 1024)));
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
        let jobs = self.jobs.active().iter().take(JOBS_FOR_TAILS);
        let candidates = jobs.filter_map(|&job| {
            let entry = self.jobs.find(job).filter(|entry| known.can(entry.kind()))?;
            // A lease that should be through and is not may be lost: its tail is the most urgent.
            let first = entry.due.first().filter(|(due, _)| *due + self.worth_cutting() < now);
            Some(*first.or(entry.due.last())?)
        });
        let (_, victim) = candidates.max_by_key(|&(due, _)| now.abs_diff(due))?;
        self.cut(now, client, victim)
    }

    fn worth_cutting(&self) -> Duration {
        self.config.shortest_lease * WORTH_CUTTING
    }

    /// Cuts the tail off `victim` for `client`, if that saves time.
    fn cut(&mut self, now: Duration, client: ClientId, victim: LeaseId) -> Option<(JobId, Span)> {
        let lease = self.leases.find(victim)?;
        let (job, rest, holder) = (lease.job, lease.rest(), lease.client);
        let due_in = now.abs_diff(lease.due);
        if holder == client || due_in < self.worth_cutting() {
            return None;
        }
        let kind = self.jobs.find(job)?.kind();
        let rate = |id| self.clients.find(id).map_or(0, |c| c.rate(kind)).max(1);
        let (theirs, mine) = (u128::from(rate(holder)), u128::from(rate(client)));
        // Where the holder is by now, if it works on this lease and has not reported for a while.
        let ahead = if lease.due > now {
            (due_in.as_secs_f64() * theirs as f64) as u128
        } else {
            // Overdue: nothing is known of where it is. Half of it, and the deadline for the rest.
            rest.len() / 2
        };
        let ahead = ahead.min(rest.len());
        let tail = (ahead as f64 * (mine as f64 / (mine + theirs) as f64)) as u128;
        let cut = aligned_end(rest.end() - tail, tail.min(1 << 22)).max(rest.end() - tail);
        let (_, tail) = rest.split_at(cut.min(rest.end()) - rest.start());
        if tail.is_empty() || tail == rest {
            return None;
        }
        self.trim(victim, tail.start());
        Some((job, tail))
    }

    /// Moves the end of a lease down and tells its holder.
    fn trim(&mut self, id: LeaseId, end: u128) {
        let Some(lease) = self.leases.find_mut(id) else { return };
        lease.end = end;
        let (client, epoch) = (lease.client, lease.epoch);
        self.events.push_back(Event::Trimmed { client, lease: id, epoch, end });
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
            due,
        });
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.insert((due, id));
        }
        self.parked.remove(&client);
        self.enlist(now, client, job, id);
        id
    }

    /// Enters a lease with its client.
    fn enlist(&mut self, now: Duration, client: ClientId, job: JobId, lease: LeaseId) {
        let kind = self.jobs.find(job).map(|entry| entry.kind());
        let Some(known) = self.clients.find_mut(client) else { return };
        if let (true, Some(kind)) = (known.leases.is_empty(), kind) {
            known.pace(kind).begin(now);
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
        let Some(entry) = self.jobs.find(job) else { return Duration::ZERO };
        let queued = known.leases.iter().filter_map(|&id| self.leases.find(id));
        let units = queued.map(|lease| lease.rest().len()).sum::<u128>() + span.len();
        seconds(units as f64 / known.rate(entry.kind()).max(1) as f64)
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

/// A duration that may be absurdly long.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}
