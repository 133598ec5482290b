//! Audits: the coordinator's own recomputation of a few random places of a lease.

use super::Coordinator;
use super::api::{ClientId, Event, JobId, JobState};
use super::config::{AUDIT_BACKLOG, AUDITS_PER_CLIENT, PENDING_AUDITS, SPOTS};
use super::facts::Fact;
use super::lease::Lease;
use super::trust::{Reason, Standing};
use crate::jobs::Sample;
use crate::span::Span;
use std::time::Duration;

/// A random place of a lease, drawn when it is granted and told to nobody, and the first share from
/// there on that its client has reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    at: u128,
    share: Option<u128>,
}

impl Spot {
    /// Takes note of shares that continue those before.
    pub(super) fn note(&mut self, shares: &[u128]) {
        if self.share.is_none() {
            let from = shares.partition_point(|&share| share < self.at);
            self.share = shares.get(from).copied();
        }
    }
}

/// A task for the driver: for each of a few random places that a client claims to have searched,
/// find the first share from there on, and see whether the client had reported it.
///
/// [`Audit::run`] does it with the judge. A driver with a fast backend may search the
/// [`Audit::samples`] itself and pass what it found to [`Audit::compare`]; then a larger
/// [`audit_budget`](super::Config::audit_budget) makes audits conclusive for long leases too.
/// Every audit must be handed back: while too many are out there are no new ones.
#[derive(Clone, Debug)]
pub struct Audit {
    pub(super) id: u64,
    pub(super) job: JobId,
    samples: Vec<Sample>,
    /// The share that the client reported in each sample.
    reported: Vec<Option<u128>>,
}

/// What an audit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditResult {
    pub(super) id: u64,
    /// Whether there was a share at all; without one nothing is proved.
    pub conclusive: bool,
    /// A share that exists and was not reported.
    pub missed: Option<u128>,
}

/// An audit that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    client: ClientId,
    job: JobId,
    /// What was confirmed of the lease, also after its client has left.
    span: Span,
    /// Blocks of MD5 that it is expected to take.
    cost: u128,
}

impl Audit {
    /// What to search, each until its first share is found; at most the audit budget of nonces.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Its job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Does it, with the judge: up to the audit budget of digests for each sample.
    pub fn run(&self) -> AuditResult {
        self.compare(&self.samples.iter().map(Sample::first_share).collect::<Vec<_>>())
    }

    /// Returns the result, where `exist` are the first shares of the samples, as far as they were
    /// searched. Each is judged again.
    pub fn compare(&self, exist: &[Option<u128>]) -> AuditResult {
        let mut result = AuditResult { id: self.id, conclusive: false, missed: None };
        for ((sample, reported), &exists) in self.samples.iter().zip(&self.reported).zip(exist) {
            let Some(nonce) = exists.filter(|&nonce| sample.is_share(nonce)) else { continue };
            result.conclusive = true;
            // One behind the reported share is none that was missed.
            if reported.is_none_or(|reported| nonce < reported) {
                result.missed = Some(nonce);
            }
        }
        result
    }
}

impl Coordinator {
    /// Returns whether an audit could still change anything. If not it need not be run, only handed
    /// back. Its client may have left: what it had confirmed stands or falls with the audit.
    pub fn still_wants(&self, audit: &Audit) -> bool {
        self.audits.contains_key(&audit.id)
            && self.jobs.find(audit.job).is_some_and(|entry| entry.ended.is_none())
    }

    /// Returns whether a job waits for nothing but evidence: then audits are urgent.
    pub fn waits_for_audits(&self) -> bool {
        let mut active = self.jobs.active().iter().filter_map(|&job| self.jobs.find(job));
        active.any(|entry| entry.audits > 0 && entry.state() == JobState::Checking)
    }

    /// Takes the result of an audit.
    pub fn audited(&mut self, now: Duration, result: &AuditResult) {
        let Some(pending) = self.audits.remove(&result.id) else { return };
        self.audit_backlog -= pending.cost;
        if let Some(known) = self.clients.find_mut(pending.client) {
            known.audits -= 1;
        }
        if let Some(entry) = self.jobs.find_mut(pending.job) {
            entry.audits -= 1;
            if result.missed.is_some() && entry.ended.is_none() {
                entry.coverage.undo(pending.span);
                let Pending { job, span, .. } = pending;
                self.outbox.record(|| Fact::Returned { job, span });
            }
        }
        if result.missed.is_some() {
            self.offer(pending.job, pending.span);
            self.lower(pending.client, Standing::Distrusted(Reason::MissedShare));
        }
        self.end_if_finished(now, pending.job);
    }

    /// Draws the places at which a new lease of `span` may be audited.
    pub(super) fn draw_spots(
        &mut self,
        client: ClientId,
        span: Span,
        bits: Option<u32>,
    ) -> Vec<Spot> {
        let Some(known) = self.clients.find(client).filter(|_| bits.is_some()) else {
            return Vec::new();
        };
        let one_in = if known.suspect { 1 } else { known.trust.audit_one_in(&self.config) };
        let most = if known.suspect { 2 * SPOTS } else { SPOTS };
        if self.random.below(one_in.into()) != 0 {
            return Vec::new();
        }
        let mut spots: Vec<Spot> = (0..most)
            .map(|_| Spot { at: span.start() + self.random.below(span.len()), share: None })
            .collect();
        spots.sort_unstable_by_key(|spot| spot.at);
        spots
    }

    /// Audits a lease that has ended, if it was chosen and there is room.
    pub(super) fn plan_audit(&mut self, lease: &Lease) {
        let Some(share_bits) = lease.share_bits.filter(|_| lease.confirmed > lease.start) else {
            return;
        };
        let Some(known) = self.clients.find_mut(lease.client) else { return };
        let trusted = known.check_standing().is_ok();
        let room = self.audits.len() < PENDING_AUDITS && known.audits < AUDITS_PER_CLIENT;
        let Some(entry) = self.jobs.find_mut(lease.job).filter(|entry| entry.ended.is_none())
        else {
            return;
        };
        if !trusted || !room || lease.spots.is_empty() {
            return;
        }
        let budget = u128::from(self.config.audit_budget.max(1));
        let each = 1u128.checked_shl(share_bits).unwrap_or(u128::MAX).min(budget);
        // As many places as the backlog has room for: a job's end waits for its audits.
        let blocks = u128::from(entry.job.spec().unit_cost());
        let room = AUDIT_BACKLOG - self.audit_backlog.min(AUDIT_BACKLOG);
        let most = room / (each * blocks);
        let (mut samples, mut reported) = (Vec::new(), Vec::new());
        let searched = lease.spots.iter().filter(|spot| spot.at < lease.confirmed);
        for spot in searched.take(most.min(64) as usize) {
            let end = spot.share.map_or(lease.confirmed, |share| share + 1).min(lease.confirmed);
            let span = Span::with_len(spot.at, budget.min(end - spot.at));
            let Some(sample) = entry.job.spec().sample(span, share_bits) else { return };
            samples.push(sample);
            reported.push(spot.share.filter(|&share| span.contains(share)));
        }
        if samples.is_empty() {
            return;
        }
        let cost = each * blocks * samples.len() as u128;
        entry.audits += 1;
        known.audits += 1;
        self.audit_backlog += cost;
        self.last_audit += 1;
        let (id, client, job) = (self.last_audit, lease.client, lease.job);
        let span = Span::new(lease.start, lease.confirmed);
        self.audits.insert(id, Pending { client, job, span, cost });
        self.outbox.push(Event::Audit(Audit { id, job, samples, reported }));
    }
}
