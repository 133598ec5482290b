//! Requests for work: which job, how much of it, and whose tail when nothing is free.

use super::client::Client;
use super::config::{FEW_CLIENTS, SHARES_KEPT};
use super::entry::Entry;
use super::event::{Assignment, ClientId, Event, Grant, JobId, LeaseId, Refusal};
use super::lease::Lease;
use super::pace::{Supply, aligned_end};
use super::trust::Evidence;
use super::{Coordinator, Duration, Span};
use crate::jobs::{JobSpec, SHARES_PER_LEASE, SHORTEST_PROVABLE};

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

/// A job is near its end when its free units take the team less than this. Then clients about which
/// nothing is known get nothing of it: they could only hold it up.
const TAIL: Duration = Duration::from_secs(5);

/// Leases of a client about which nothing is known: one to work on and one in reserve.
const UNPROVEN_LEASES: usize = 2;

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
        let known = self.clients.known_mut(client)?;
        known.seen(now);
        known.check_standing()?;
        self.drop_late(now, client);
        let known = self.clients.known_mut(client)?;
        if known.requests.is_spent(request) {
            let same = |id: &LeaseId| self.leases.find(*id).is_some_and(|l| l.request == request);
            let held = known.leases.iter().copied().find(same).and_then(|id| self.grant(id));
            return Ok(held.map_or(Assignment::Spent, Assignment::Lease));
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
                return self.grant(lease).map(Assignment::Lease).ok_or(Refusal::UnknownJob);
            }
        }
        self.park(client);
        Ok(Assignment::Wait(self.wait(now)))
    }

    /// How long a client without work should wait: until the earliest moment at which a lease could
    /// be lent again, if that is soon.
    fn wait(&self, now: Duration) -> Duration {
        let retry = self.config.retry_after;
        let Some(&(at, _)) = self.timers.first() else { return retry };
        // Timers stand at the end of the longer patience.
        let stalls = (at + self.config.tail_patience).saturating_sub(self.config.patience);
        match stalls.checked_sub(now) {
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
    fn lease_time(&self, contended: bool) -> Duration {
        if !contended {
            return self.config.lease_time;
        }
        // The more clients, the more often one of them comes to an end.
        let times = u32::try_from(self.clients.len() / (FEW_CLIENTS / 2)).unwrap_or(u32::MAX);
        self.config.lease_time.min(self.config.turn.saturating_mul(times.max(1)))
    }

    /// With nothing free: frees the leases of clients that are silent or much slower than they can
    /// be; returns whether there are any. They are lent a second time, and what is confirmed first
    /// counts.
    fn free_stalled(&mut self, now: Duration, client: ClientId) -> bool {
        let Some(known) = self.clients.find(client) else { return false };
        // Those that have proved nothing could take from each other without end.
        if !known.is_proven() && self.team.proved.iter().any(|&rate| rate > 0) {
            return false;
        }
        let until = now + self.config.patience;
        // Those that have done nothing for the longest time come first.
        let stalled: Vec<LeaseId> = self
            .timers
            .iter()
            .take_while(|&&(at, _)| at <= until)
            .filter(|&&(_, other)| other != client)
            .take(CLIENTS_FOR_TAILS)
            .filter_map(|&(_, other)| self.clients.find(other))
            .flat_map(|other| other.leases.iter().copied())
            .filter(|&id| self.is_stalled(now, id))
            .filter(|&id| self.kind_of(id).is_some_and(|kind| known.can(kind)))
            .collect();
        for &id in &stalled {
            self.lapse(id);
            if let Some(holder) = self.leases.find(id).map(|lease| lease.client) {
                self.unprove(holder);
            }
        }
        !stalled.is_empty()
    }

    fn kind_of(&self, lease: LeaseId) -> Option<crate::jobs::JobKind> {
        let job = self.leases.find(lease)?.job;
        self.jobs.find(job).filter(|entry| entry.ended.is_none()).map(|entry| entry.kind())
    }

    /// Whether others should search a lease too.
    fn is_stalled(&self, now: Duration, id: LeaseId) -> bool {
        let Some(lease) = self.leases.find(id).filter(|lease| !lease.late) else { return false };
        let Some(known) = self.clients.find(lease.client) else { return true };
        let patience = self.config.tail_patience;
        if known.is_proven() {
            now > known.diligence.since() + patience
        } else {
            now > lease.granted + patience / UNPROVEN_PATIENCE
        }
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
            let mut latest = entry.due.iter().rev().take(self.config.leases_per_client + 1);
            let others = |id| self.leases.find(id).is_some_and(|lease| lease.client != client);
            latest.find(|&&(_, id)| others(id))
        });
        let &(_, victim) = tails.max_by_key(|&&(due, _)| begin.abs_diff(due))?;
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
        let (head, tail) = rest.split_at(aligned - rest.start());
        (!head.is_empty() && !tail.is_empty()).then_some(tail)
    }

    /// Units a second that a client has proved that it does.
    fn rate(&self, client: ClientId, job: JobId) -> Option<f64> {
        let (known, entry) = (self.clients.find(client)?, self.jobs.find(job)?);
        known.proved_rate(job, entry.kind(), entry.job.spec().unit_cost())
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
        self.events.push_back(Event::Trimmed { client, lease: id, epoch: lease.epoch, end });
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
        let needed = lease.share_bits.map_or(0, |bits| u128::from(SHARES_KEPT) << bits.min(100));
        let keep = done.max(lease.start.saturating_add(needed));
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
        let suspect = self.clients.find(client).is_some_and(|known| known.suspect);
        let shares = if suspect { 2 * SHARES_PER_LEASE } else { SHARES_PER_LEASE };
        let spec = self.jobs.find(job).map(|entry| entry.job.spec());
        let share_bits = spec.and_then(|spec| spec.share_bits(span.len(), shares));
        let spots = self.draw_spots(client, span, share_bits);
        let (queued, takes) = self.takes(client, job, span);
        let due = now + queued + takes;
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
            granted: now,
            touched: now,
            due,
            late: false,
            revived: false,
            charged: takes,
            worked: Duration::ZERO,
        });
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.insert((due, id));
            entry.workers.insert(client);
        }
        self.jobs.charge(job, takes);
        self.unpark(client);
        self.enlist(now, client, id);
        id
    }

    /// Enters a lease with its client.
    fn enlist(&mut self, now: Duration, client: ClientId, lease: LeaseId) {
        let leases = &self.leases;
        let Some(known) = self.clients.find_mut(client) else { return };
        // Nothing is expected of a client that holds nothing but what others may have taken.
        if known.leases.iter().all(|&id| leases.find(id).is_none_or(|lease| lease.late)) {
            known.begin(now);
            known.diligence.begin(now);
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

/// `len`, or less where a lease of it would be too short for shares and too long to be searched
/// again.
fn lendable(spec: &JobSpec, len: u128) -> u128 {
    if len < SHORTEST_PROVABLE { len.min(spec.longest_unshared()) } else { len }
}

/// A duration that may be absurdly long.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e9))
}
