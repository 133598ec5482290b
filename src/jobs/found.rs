//! The solutions of a search, kept small and in order.
//!
//! Of a seed in the space only its nonce is kept: seed and digest are computed when someone asks.
//! With [`MAX_WANTED`] solutions a search keeps [`MOST_BYTES`] at most, however often and by
//! whomever they are sent.

use super::limits::MAX_WANTED;
use crate::puzzle::MAX_SEED_CHARACTERS;

/// Maximum number of seeds outside its space that a search keeps. Only clients of the classic
/// protocol claim such seeds, most of them one in their life.
pub const MAX_OUTSIDE: u32 = 128;

/// Maximum memory for the solutions of one search: 2^10 nonces (a vector doubles), and the
/// longest seeds, `0x` included, with what the allocator adds.
pub const MOST_BYTES: usize = (MAX_WANTED as usize).next_power_of_two() * size_of::<Inside>()
    + MAX_OUTSIDE as usize * (size_of::<Outside>() + MAX_SEED_CHARACTERS + 2 + ALLOCATION);

/// Overhead of an allocation, rounded up.
const ALLOCATION: usize = 32;

const _: () = assert!(MOST_BYTES <= 64 * 1024);

/// A solution in the space.
#[derive(Clone, Copy, Debug)]
struct Inside {
    nonce: u128,
    client: u64,
}

/// A solution that the space does not hold.
#[derive(Clone, Debug)]
struct Outside {
    seed: Box<str>,
    client: u64,
}

/// How a solution is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// By its nonce.
    Nonce(u128),
    /// By its seed, which has no nonce.
    Seed(&'a str),
}

/// The solutions so far, each once: those in the space in its order, then the others.
#[derive(Clone, Debug, Default)]
pub struct Found {
    inside: Vec<Inside>,
    outside: Vec<Outside>,
    last_client: Option<u64>,
}

impl Found {
    pub(super) fn len(&self) -> u32 {
        // Never more than are wanted.
        (self.inside.len() + self.outside.len()) as u32
    }

    /// Returns true if this solution is known, or there is no room for more of its kind.
    pub(super) fn holds(&self, place: Place<'_>) -> bool {
        match place {
            Place::Nonce(nonce) => self.inside.binary_search_by_key(&nonce, |i| i.nonce).is_ok(),
            Place::Seed(seed) => {
                self.outside.len() >= MAX_OUTSIDE as usize
                    || self.outside.binary_search_by_key(&seed, |o| &*o.seed).is_ok()
            }
        }
    }

    /// Keeps a solution that is not known yet.
    pub(super) fn insert(&mut self, place: Place<'_>, client: u64) {
        match place {
            Place::Nonce(nonce) => {
                if let Err(at) = self.inside.binary_search_by_key(&nonce, |i| i.nonce) {
                    self.inside.insert(at, Inside { nonce, client });
                }
            }
            Place::Seed(seed) => {
                if let Err(at) = self.outside.binary_search_by_key(&seed, |o| &*o.seed) {
                    self.outside.insert(at, Outside { seed: seed.into(), client });
                }
            }
        }
        self.last_client = Some(client);
    }

    /// Returns the solutions from number `offset` on, each with the client that claimed it first.
    pub(super) fn iter_from(&self, offset: usize) -> impl Iterator<Item = (Place<'_>, u64)> {
        let inside = self.inside.get(offset..).unwrap_or_default();
        let offset = offset.saturating_sub(self.inside.len());
        let outside = self.outside.get(offset..).unwrap_or_default();
        let inside = inside.iter().map(|i| (Place::Nonce(i.nonce), i.client));
        inside.chain(outside.iter().map(|o| (Place::Seed(&o.seed), o.client)))
    }

    /// Returns the largest nonce, unless there are seeds without one.
    pub(super) fn last_nonce(&self) -> Option<u128> {
        self.inside.last().filter(|_| self.outside.is_empty()).map(|last| last.nonce)
    }

    /// Returns the client that claimed the newest solution.
    pub(super) fn last_client(&self) -> Option<u64> {
        self.last_client
    }

    /// Returns the memory behind it.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let seeds = self.outside.iter().map(|outside| outside.seed.len() + ALLOCATION);
        self.inside.capacity() * size_of::<Inside>()
            + self.outside.capacity() * size_of::<Outside>()
            + seeds.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_are_sorted_and_unique() {
        let mut found = Found::default();
        for (nonce, client) in [(9, 1), (3, 2), (5, 3), (3, 4)] {
            found.insert(Place::Nonce(nonce), client);
        }
        assert_eq!(found.last_nonce(), Some(9));
        for seed in ["0x2", "0x1"] {
            assert!(!found.holds(Place::Seed(seed)));
            found.insert(Place::Seed(seed), 5);
            assert!(found.holds(Place::Seed(seed)));
        }
        assert!(found.holds(Place::Nonce(5)) && !found.holds(Place::Nonce(4)));
        let from = |offset| found.iter_from(offset).collect::<Vec<_>>();
        use Place::{Nonce, Seed};
        let all = [(Nonce(3), 2), (Nonce(5), 3), (Nonce(9), 1), (Seed("0x1"), 5), (Seed("0x2"), 5)];
        for offset in 0..=all.len() {
            assert_eq!(from(offset), all[offset..]);
        }
        assert_eq!(from(6), []);
        assert_eq!((found.len(), found.last_client(), found.last_nonce()), (5, Some(5), None));
    }

    #[test]
    fn a_full_search_stays_below_64_kilobytes() {
        let mut found = Found::default();
        for n in 0..MAX_WANTED - MAX_OUTSIDE {
            found.insert(Place::Nonce(u128::from(n) << 90), 1);
        }
        for n in 0.. {
            let seed = format!("0x{n:0>width$}", width = MAX_SEED_CHARACTERS);
            if found.holds(Place::Seed(&seed)) {
                break;
            }
            found.insert(Place::Seed(&seed), 1);
        }
        assert_eq!(found.len(), MAX_WANTED);
        assert!(found.bytes() <= MOST_BYTES, "{} bytes", found.bytes());
    }
}
