//! Chance that nobody can guess: what is audited rests on it.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A cipher's key stream: whoever has seen some of it knows nothing of the rest.
#[derive(Clone, Debug)]
pub(super) struct Random(ChaCha20Rng);

impl Random {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(key))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `end`, which is not 0; off from uniform by less than 2^-64 of `end`.
    pub(super) fn below(&mut self, end: u128) -> u128 {
        (u128::from(self.next()) << 64 | u128::from(self.next())) % end
    }
}
