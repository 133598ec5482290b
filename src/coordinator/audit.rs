//! Audits: the coordinator's own recomputation of a small random part of a finished lease.

use super::Coordinator;
use super::config::PENDING_AUDITS;
use super::event::{ClientId, Event, JobId};
use super::lease::Lease;
use super::trust::{Reason, Standing};
use crate::jobs::Sample;
use crate::span::Span;

/// A task for the driver: find the first share at or after a random nonce that the client claims
/// to have searched, and see whether the client had reported it.
///
/// [`Audit::run`] does it with the judge. A driver with a fast backend may search the
/// [`Audit::sample`] itself and pass what it found to [`Audit::compare`]; then a larger
/// [`audit_budget`](super::Config::audit_budget) makes audits conclusive for long leases too.
/// Every audit must be handed back: while too many are out there are no new ones.
#[derive(Clone, Debug)]
pub struct Audit {
    pub(super) id: u64,
    pub(super) client: ClientId,
    pub(super) job: JobId,
    pub(super) sample: Sample,
    /// What the client reported inside the sample, ascending.
    pub(super) reported: Vec<u128>,
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

impl Audit {
    /// Whose lease it was.
    pub fn client(&self) -> ClientId {
        self.client
    }

    /// What to search, until the first share is found; at most the audit budget of nonces.
    pub fn sample(&self) -> &Sample {
        &self.sample
    }

    /// Does it, with the judge: up to the audit budget of digests.
    pub fn run(&self) -> AuditResult {
        self.compare(self.sample.first_share())
    }

    /// The result, where `exists` are shares found in the sample. Each is judged again.
    pub fn compare(&self, exists: impl IntoIterator<Item = u128>) -> AuditResult {
        let mut result = AuditResult { id: self.id, conclusive: false, missed: None };
        for nonce in exists.into_iter().filter(|&nonce| self.sample.is_share(nonce)) {
            result.conclusive = true;
            if self.reported.binary_search(&nonce).is_err() {
                result.missed = Some(nonce);
            }
        }
        result
    }
}

impl Coordinator {
    /// Whether an audit could still change anything: its client is here and trusted, and its job
    /// goes on. If not it need not be run, only handed back.
    pub fn still_wants(&self, audit: &Audit) -> bool {
        let client = self.clients.find(audit.client);
        let job = self.jobs.find(audit.job);
        client.is_some_and(|client| client.check_standing().is_ok())
            && job.is_some_and(|entry| entry.ended.is_none())
    }

    /// An audit is done.
    pub fn audited(&mut self, result: &AuditResult) {
        let Some(client) = self.audits.remove(&result.id) else { return };
        if result.missed.is_some() {
            self.lower(client, Standing::Distrusted(Reason::MissedShare));
        }
    }

    /// Chooses whether and where a lease that has ended is audited.
    pub(super) fn plan_audit(&mut self, lease: &Lease) {
        let (Some(share_bits), finished) = (lease.share_bits, lease.finished()) else { return };
        let Some(known) = self.clients.find(lease.client) else { return };
        let one_in = u128::from(known.trust.audit_one_in(&self.config));
        let Some(entry) = self.jobs.find(lease.job).filter(|entry| entry.ended.is_none()) else {
            return;
        };
        let trusted = known.check_standing().is_ok() && !finished.is_empty();
        // The driver's queue must not grow when leases end faster than audits do.
        let room = self.audits.len() < PENDING_AUDITS;
        if !trusted || !room || self.random.below(one_in) != 0 {
            return;
        }
        let start = finished.start() + self.random.below(finished.len());
        let len = u128::from(self.config.audit_budget).min(finished.end() - start);
        let span = Span::with_len(start, len);
        let Some(sample) = entry.job.spec().sample(span, share_bits) else { return };
        let reported = lease.shares.iter().copied().filter(|&share| span.contains(share)).collect();
        self.last_audit += 1;
        let (id, client, job) = (self.last_audit, lease.client, lease.job);
        self.audits.insert(id, client);
        self.events.push_back(Event::Audit(Audit { id, client, job, sample, reported }));
    }
}
