//! Audits as data: what to search again, and what came of it.

use crate::jobs::Sample;
use crate::lease::JobId;

/// A random place of a lease, drawn when it is granted and told to nobody, and the first share from
/// there on that its client has reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) at: u128,
    pub(super) share: Option<u128>,
}

impl Spot {
    /// Notes shares that continue those before.
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
    pub(super) samples: Vec<Sample>,
    /// The share that the client reported in each sample.
    pub(super) reported: Vec<Option<u128>>,
}

/// The result of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditResult {
    pub(super) id: u64,
    /// True when there was a share at all; without one nothing is proved.
    pub conclusive: bool,
    /// A share that exists and was not reported.
    pub missed: Option<u128>,
}

impl Audit {
    /// Returns what to search, each until its first share is found; at most the audit budget of
    /// nonces.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Returns its job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Runs it with the judge: up to the audit budget of digests for each sample.
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
            // A share behind the reported one was not missed.
            if reported.is_none_or(|reported| nonce < reported) {
                result.missed = Some(nonce);
            }
        }
        result
    }
}
