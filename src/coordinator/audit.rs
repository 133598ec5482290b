//! Audits: the coordinator's own recomputation of a small random part of a finished lease.

use super::event::ClientId;
use crate::puzzle::Digest;
use crate::seeds::SeedSpace;
use crate::span::Span;
use std::sync::Arc;

/// A task for the driver: search for the first share at or after a random nonce that the client
/// claims to have searched, and see whether the client had reported it.
///
/// [`Audit::run`] does it with the judge. A driver with a fast backend may search
/// [`Audit::span`] itself and pass what it found to [`Audit::compare`].
#[derive(Clone, Debug)]
pub struct Audit {
    pub(super) id: u64,
    pub(super) client: ClientId,
    pub(super) space: Arc<SeedSpace>,
    pub(super) span: Span,
    pub(super) share_bits: u32,
    /// What the client reported inside `span`, ascending.
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

    /// The seeds.
    pub fn space(&self) -> &Arc<SeedSpace> {
        &self.space
    }

    /// What to search, from the front, until the first share is found; at most the audit budget.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Zero bits of a share.
    pub fn share_bits(&self) -> u32 {
        self.share_bits
    }

    /// Does it, with the judge: up to the audit budget of digests.
    pub fn run(&self) -> AuditResult {
        let first = (self.span.start()..self.span.end()).find(|&nonce| self.is_share(nonce));
        self.compare(first)
    }

    /// The result, where `exists` are shares found in the span. Each is judged again.
    pub fn compare(&self, exists: impl IntoIterator<Item = u128>) -> AuditResult {
        let mut result = AuditResult { id: self.id, conclusive: false, missed: None };
        for nonce in exists {
            if self.span.contains(nonce) && self.is_share(nonce) {
                result.conclusive = true;
                if self.reported.binary_search(&nonce).is_err() {
                    result.missed = Some(nonce);
                }
            }
        }
        result
    }

    fn is_share(&self, nonce: u128) -> bool {
        let digest = self.space.seed(nonce).and_then(|seed| self.space.puzzle().digest(&seed).ok());
        digest.is_some_and(|digest: Digest| digest.zero_bits() >= self.share_bits)
    }
}
