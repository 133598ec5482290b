//! Random numbers that nobody can predict: audits rest on them.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A cipher's key stream: some of it tells nothing of the rest.
#[derive(Clone, Debug)]
pub(super) struct Random(ChaCha20Rng);

impl Random {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(key))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `end`, which is not 0; biased by less than 2^-64 of `end`.
    pub(super) fn below(&mut self, end: u128) -> u128 {
        (u128::from(self.next()) << 64 | u128::from(self.next())) % end
    }
}
