//! A puzzle search: units are the nonces of a seed space, finished at the K-th verified solution.

use super::{Fault, JobError, JobResult, SHARES_PER_LEASE, SHORTEST_PROVABLE};
use crate::puzzle::{Digest, Encoding, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::{Span, SpanSet};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Most solutions that one search may want.
pub const MAX_WANTED: u32 = 10_000;

/// A puzzle, the order in which its seeds are tried, and how many solutions are wanted.
#[derive(Clone, Debug)]
pub struct Md5Search {
    space: Arc<SeedSpace>,
    wanted: u32,
    /// Blocks of MD5 that a candidate takes.
    blocks: u64,
}

impl Md5Search {
    /// A search for the `wanted` first solutions of `puzzle` in the order of `layout`.
    ///
    /// # Errors
    /// The layout does not fit the string, or `wanted` is not in 1..=[`MAX_WANTED`].
    pub fn new(puzzle: &Puzzle, layout: Layout, wanted: u32) -> Result<Self, JobError> {
        if wanted == 0 || wanted > MAX_WANTED {
            return Err(JobError::Wanted(wanted));
        }
        let space = SeedSpace::new(puzzle, layout)?;
        let blocks = blocks(&space);
        Ok(Self { space: Arc::new(space), wanted, blocks })
    }

    /// The seeds.
    pub fn space(&self) -> &Arc<SeedSpace> {
        &self.space
    }

    /// The puzzle.
    pub fn puzzle(&self) -> &Puzzle {
        self.space.puzzle()
    }

    /// Solutions wanted.
    pub fn wanted(&self) -> u32 {
        self.wanted
    }

    fn target(&self) -> u32 {
        self.puzzle().difficulty().bits()
    }

    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    pub(super) fn share_bits(&self, len: u128, shares: u32) -> Option<u32> {
        if len < SHORTEST_PROVABLE || self.target() == 0 {
            return None;
        }
        let per_share = len / u128::from(shares);
        Some(per_share.checked_ilog2().unwrap_or(0).clamp(1, self.target()))
    }

    /// As many nonces as are expected to hold so many solutions that these are shares enough. Where
    /// everything is a solution there are no shares.
    pub(super) fn longest_lease(&self) -> u128 {
        if self.target() == 0 {
            return SHORTEST_PROVABLE - 1;
        }
        let most = u128::from(u64::MAX);
        let shares = u128::from(2 * SHARES_PER_LEASE);
        1u128.checked_shl(self.target()).map_or(most, |work| work.saturating_mul(shares).min(most))
    }

    /// The solutions in `span`, found by the judge: slow, but short.
    pub(super) fn search_again(&self, span: Span) -> Vec<u128> {
        let solves = |&nonce: &u128| zero_bits(&self.space, nonce) >= Some(self.target());
        (span.start()..span.end()).filter(solves).collect()
    }

    pub(super) fn check_shares(
        &self,
        span: Span,
        share_bits: u32,
        shares: &[u128],
    ) -> Result<Vec<u128>, Fault> {
        let mut shares = shares.to_vec();
        shares.sort_unstable();
        if let Some(pair) = shares.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::FalseShare(pair[0]));
        }
        let is_share =
            |nonce| span.contains(nonce) && zero_bits(&self.space, nonce) >= Some(share_bits);
        if let Some(&false_share) = shares.iter().find(|&&nonce| !is_share(nonce)) {
            return Err(Fault::FalseShare(false_share));
        }
        Ok(shares)
    }

    pub(super) fn claim_nonce(&self, found: &mut Found, nonce: u128, client: u64) -> Claim {
        match self.space.seed(nonce) {
            Some(seed) => self.keep(found, seed, Some(nonce), client),
            None => Claim::False,
        }
    }

    pub(super) fn claim_seed(&self, found: &mut Found, seed: &str, client: u64) -> Claim {
        match self.puzzle().written_seed(seed) {
            Ok(seed) => {
                let nonce = self.space.nonce(&seed);
                self.keep(found, seed, nonce, client)
            }
            Err(_) => Claim::False,
        }
    }

    fn keep(&self, found: &mut Found, seed: String, nonce: Option<u128>, client: u64) -> Claim {
        let Ok(digest) = self.puzzle().digest(&seed) else { return Claim::False };
        if digest.zero_bits() < self.target() {
            return Claim::False;
        }
        if found.len() >= self.wanted || !found.seeds.insert(seed.clone()) {
            return Claim::Known;
        }
        let solution = Solution { seed, nonce, digest, client };
        found.solutions.push(solution.clone());
        Claim::New(solution)
    }
}

impl fmt::Display for Md5Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "md5 {} {}", self.puzzle().difficulty(), self.puzzle().string())
    }
}

/// Blocks of MD5 that the first candidate takes, and so do nearly all others.
fn blocks(space: &SeedSpace) -> u64 {
    let digits = space.seed(0).map_or(0, |seed| seed.len()) + space.puzzle().string().len();
    let bytes = match space.puzzle().encoding() {
        Encoding::Text => digits,
        Encoding::Bytes => digits / 2,
    };
    // One byte and the length are added, and the last block is filled up.
    (bytes as u64 + 9).div_ceil(64)
}

/// Zero bits of the digest of `nonce`; `None` outside the room.
fn zero_bits(space: &SeedSpace, nonce: u128) -> Option<u32> {
    let seed = space.seed(nonce)?;
    space.puzzle().digest(&seed).ok().map(Digest::zero_bits)
}

/// A small part of a search that can be searched again to see whether its shares were reported.
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

    /// The seeds.
    pub fn space(&self) -> &Arc<SeedSpace> {
        &self.space
    }

    /// What is searched, from the front.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Zero bits of a share.
    pub fn share_bits(&self) -> u32 {
        self.share_bits
    }

    /// Whether the judge takes this nonce of the sample for a share.
    pub fn is_share(&self, nonce: u128) -> bool {
        self.span.contains(nonce) && zero_bits(&self.space, nonce) >= Some(self.share_bits)
    }

    /// The first share, found by the judge: slow, but short.
    pub fn first_share(&self) -> Option<u128> {
        (self.span.start()..self.span.end()).find(|&nonce| self.is_share(nonce))
    }
}

/// A verified seed and who found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// As it is written in front of the string.
    pub seed: String,
    /// Its place in the seed space; `None` where a client outside the leases found a seed that
    /// the space does not hold.
    pub nonce: Option<u128>,
    /// Its digest.
    pub digest: Digest,
    /// Number of the client that claimed it first.
    pub client: u64,
}

/// The judge's word on the claim of a solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is a solution, and the first report of it.
    New(Solution),
    /// It is a solution that is known, or one more than was wanted.
    Known,
    /// It is none.
    False,
}

/// The solutions so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    solutions: Vec<Solution>,
    seeds: BTreeSet<String>,
}

impl Found {
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.solutions.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn solutions(&self) -> &[Solution] {
        &self.solutions
    }

    pub(super) fn result(&self, whole: Span, done: &SpanSet) -> JobResult {
        let mut solutions = self.solutions.clone();
        // Seeds from outside the space come last: they have no place in its order.
        solutions.sort_by_key(|s| s.nonce.unwrap_or(u128::MAX));
        let last = solutions.iter().map(|s| s.nonce).max_by_key(|n| n.unwrap_or(u128::MAX));
        let smallest = match last {
            Some(Some(nonce)) => done.covers(Span::new(whole.start(), nonce)),
            _ => false,
        };
        JobResult::Md5Search { solutions, smallest }
    }
}
