//! A puzzle search: units are the nonces of a seed space, finished at the K-th verified solution.

use super::found::{Found, Place};
use super::{Fault, JobError, JobResult, SHARES_PER_LEASE, SHORTEST_PROVABLE};
use crate::puzzle::{Digest, Encoding, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::{Span, SpanSet};
use std::fmt;
use std::sync::Arc;

/// Most solutions that one search may want: a server keeps them, 64 KB for a job at most (see
/// `found`), whatever strangers send. `mine` has no such limit.
pub const MAX_WANTED: u32 = 1_000;

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

    /// Returns the shares in `counted`, ascending, and those of them that are solutions. All must be
    /// in `reported`; what does not count is not hashed.
    pub(super) fn check_shares(
        &self,
        reported: Span,
        counted: Span,
        share_bits: u32,
        shares: &[u128],
    ) -> Result<(Vec<u128>, Vec<u128>), Fault> {
        let mut shares = shares.to_vec();
        shares.sort_unstable();
        if let Some(pair) = shares.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::FalseShare(pair[0]));
        }
        if let Some(&outside) = shares.iter().find(|&&nonce| !reported.contains(nonce)) {
            return Err(Fault::FalseShare(outside));
        }
        shares.retain(|&nonce| counted.contains(nonce));
        let mut solutions = Vec::new();
        for &nonce in &shares {
            match zero_bits(&self.space, nonce) {
                Some(bits) if bits >= self.target() => solutions.push(nonce),
                Some(bits) if bits >= share_bits => {}
                _ => return Err(Fault::FalseShare(nonce)),
            }
        }
        Ok((shares, solutions))
    }

    pub(super) fn claim_nonce(&self, found: &mut Found, nonce: u128, client: u64) -> Claim {
        let place = Place::Nonce(nonce);
        if self.is_known(found, place) {
            return Claim::Known;
        }
        match self.space.seed(nonce) {
            Some(seed) => self.keep(found, place, &seed, client),
            None => Claim::False,
        }
    }

    /// As [`Md5Search::claim_nonce`], for a seed as it is written.
    pub(super) fn claim_seed(&self, found: &mut Found, seed: &str, client: u64) -> Claim {
        let Ok(seed) = self.puzzle().written_seed(seed) else { return Claim::False };
        let place = self.space.nonce(&seed).map_or(Place::Seed(&seed), Place::Nonce);
        if self.is_known(found, place) {
            return Claim::Known;
        }
        self.keep(found, place, &seed, client)
    }

    fn is_known(&self, found: &Found, place: Place<'_>) -> bool {
        found.len() >= self.wanted || found.holds(place)
    }

    /// Judges a solution that is not known, and keeps it if it is one.
    fn keep(&self, found: &mut Found, place: Place<'_>, seed: &str, client: u64) -> Claim {
        match self.solution(place, seed.to_owned(), client) {
            Some(solution) if solution.digest.zero_bits() >= self.target() => {
                found.insert(place, client);
                Claim::New(solution)
            }
            _ => Claim::False,
        }
    }

    fn solution(&self, place: Place<'_>, seed: String, client: u64) -> Option<Solution> {
        let nonce = match place {
            Place::Nonce(nonce) => Some(nonce),
            Place::Seed(_) => None,
        };
        #[cfg(test)]
        tests::HASHED.set(tests::HASHED.get() + 1);
        let digest = self.puzzle().digest(&seed).ok()?;
        Some(Solution { seed, nonce, digest, client })
    }

    /// The seed of what was kept.
    fn seed(&self, place: Place<'_>) -> Option<String> {
        match place {
            Place::Nonce(nonce) => self.space.seed(nonce),
            Place::Seed(seed) => Some(seed.to_owned()),
        }
    }

    /// Seeds from the `offset`th solution on, each spelled when it is taken.
    pub(super) fn seeds(&self, found: &Found, offset: usize) -> impl Iterator<Item = String> {
        found.iter_from(offset).filter_map(|(place, _)| self.seed(place))
    }

    /// Solutions from the `offset`th on, each hashed when it is taken.
    pub(super) fn solutions(&self, found: &Found, offset: usize) -> impl Iterator<Item = Solution> {
        let kept = found.iter_from(offset);
        kept.filter_map(|(place, client)| self.solution(place, self.seed(place)?, client))
    }

    pub(super) fn result(&self, found: &Found, done: &SpanSet) -> JobResult {
        let below = |nonce| done.covers(Span::new(self.space.whole().start(), nonce));
        JobResult::Md5Search {
            solutions: self.solutions(found, 0).collect(),
            smallest: found.last_nonce().is_some_and(below),
        }
    }

    /// As it is displayed, made of the first `most` digits of the string only.
    pub(super) fn title(&self, most: usize) -> String {
        let string = self.puzzle().string();
        let front = string.get(..most).unwrap_or(string);
        format!("md5 {} {front}", self.puzzle().difficulty())
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

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::jobs::{Job, JobSpec};
    use std::cell::Cell;

    thread_local! {
        /// Solutions that were hashed in this thread.
        pub(super) static HASHED: Cell<usize> = const { Cell::new(0) };
    }

    fn hashes(work: impl FnOnce()) -> usize {
        let before = HASHED.get();
        work();
        HASHED.get() - before
    }

    #[test]
    fn what_is_known_is_not_hashed_again() {
        let mut job = Job::new(samples::search(0, 3));
        let claims = |job: &mut Job| {
            let claims = [job.claim(5, 1), job.claim_seed("5", 2), job.claim_seed("0x5", 3)];
            claims.map(|claim| matches!(claim, Claim::New(_)))
        };
        assert_eq!(hashes(|| assert_eq!(claims(&mut job), [true, false, true])), 2);
        assert_eq!(hashes(|| assert_eq!(claims(&mut job), [false; 3])), 0);
        assert_eq!(hashes(|| assert!(matches!(job.claim(u128::MAX, 1), Claim::False))), 0);
        assert_eq!(hashes(|| assert!(matches!(job.claim(7, 1), Claim::New(_)))), 1);
        // It has what it wants: whatever else is claimed is one too many.
        assert_eq!(hashes(|| assert_eq!(job.claim(8, 1), Claim::Known)), 0);
        assert_eq!(hashes(|| assert_eq!(job.claim_seed("9", 1), Claim::Known)), 0);
        assert_eq!(hashes(|| assert_eq!(job.seeds(1).collect::<Vec<_>>(), ["7", "0x5"])), 0);
        assert_eq!(hashes(|| assert_eq!(job.solutions(1).take(1).count(), 1)), 1);
        assert_eq!((job.solution_count(), job.last_finder()), (3, Some(1)));
    }

    #[test]
    fn a_false_solution_is_hashed_and_not_kept() {
        let mut job = Job::new(samples::search(120, 3));
        assert_eq!(hashes(|| assert_eq!(job.claim(5, 1), Claim::False)), 1);
        assert_eq!((job.solution_count(), job.solution_bytes()), (0, 0));
    }

    #[test]
    fn a_title_is_short_whatever_the_string() {
        let puzzle = samples::puzzle_of("ab".repeat(5_000), 128);
        let search = Md5Search::new(&puzzle, Layout::Counting, 1).unwrap();
        let spec = JobSpec::Md5Search(search);
        let (whole, title) = (spec.to_string(), spec.title(100));
        assert!(whole.len() > 10_000 && whole.starts_with(&title));
        assert!((100..130).contains(&title.len()), "{title}");
        assert_eq!(samples::search(8, 1).title(100), samples::search(8, 1).to_string());
    }
}
