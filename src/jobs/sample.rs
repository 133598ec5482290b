//! Parts of a search that audits search again.

use crate::puzzle::Digest;
use crate::seeds::SeedSpace;
use crate::span::Span;
use std::sync::Arc;

/// A small part of a search, to be searched again to see if its shares were reported.
#[derive(Clone, Debug)]
pub struct Sample {
    space: Arc<SeedSpace>,
    span: Span,
    share_bits: u32,
}

impl Sample {
    pub(super) fn new(space: &Arc<SeedSpace>, span: Span, share_bits: u32) -> Self {
        Self { space: Arc::clone(space), span, share_bits }
    }

    /// Returns the seeds.
    pub fn space(&self) -> &Arc<SeedSpace> {
        &self.space
    }

    /// Returns the span to search, from the front.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the zero bits of a share.
    pub fn share_bits(&self) -> u32 {
        self.share_bits
    }

    /// Returns true if the judge takes this nonce of the sample for a share.
    pub fn is_share(&self, nonce: u128) -> bool {
        self.span.contains(nonce) && zero_bits(&self.space, nonce) >= Some(self.share_bits)
    }

    /// Returns the first share, found by the judge: slow, so only for short samples.
    pub fn first_share(&self) -> Option<u128> {
        (self.span.start()..self.span.end()).find(|&nonce| self.is_share(nonce))
    }
}

/// Returns the zero bits of the digest of `nonce`; `None` outside the space.
pub(super) fn zero_bits(space: &SeedSpace, nonce: u128) -> Option<u32> {
    let seed = space.seed(nonce)?;
    space.puzzle().digest(&seed).ok().map(Digest::zero_bits)
}
