//! A puzzle search: units are the nonces of a seed space; it finishes at the K-th verified solution.

use super::found::{Found, Place};
use super::kind::{Checked, Claim, JobError, Kind, OutcomeError, Solution};
use super::limits::{
    MAX_HITS, MAX_SHARES, MAX_WANTED, MOST_RECOMPUTED, SHARES_PER_LEASE, SHORTEST_PROVABLE,
};
use super::sample::{Sample, zero_bits};
use crate::puzzle::{Encoding, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::{Span, SpanSet};
use std::fmt;
use std::sync::Arc;

/// A puzzle, the order in which its seeds are tried, and the number of solutions wanted.
#[derive(Clone, Debug)]
pub struct Md5Search {
    space: Arc<SeedSpace>,
    wanted: u32,
    /// Blocks of MD5 that a candidate takes.
    blocks: u64,
}

impl Md5Search {
    /// Describes a search for the `wanted` first solutions of `puzzle` in the order of `layout`.
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

    /// Returns the seeds.
    pub fn space(&self) -> &Arc<SeedSpace> {
        &self.space
    }

    /// Returns the puzzle.
    pub fn puzzle(&self) -> &Puzzle {
        self.space.puzzle()
    }

    /// Returns the number of solutions wanted.
    pub fn wanted(&self) -> u32 {
        self.wanted
    }

    fn target(&self) -> u32 {
        self.puzzle().difficulty().bits()
    }

    /// Returns the solutions in `span`, found by the judge: slow, so only for short spans.
    fn search_again(&self, span: Span) -> Vec<u128> {
        let solves = |&nonce: &u128| zero_bits(&self.space, nonce) >= Some(self.target());
        (span.start()..span.end()).filter(solves).collect()
    }

    /// Returns the shares in `counted`, ascending, and those of them that are solutions. All must be
    /// in `reported`; what does not count is not hashed.
    fn check_shares(
        &self,
        reported: Span,
        counted: Span,
        share_bits: u32,
        shares: &[u128],
    ) -> Result<(Vec<u128>, Vec<u128>), OutcomeError> {
        let mut shares = shares.to_vec();
        shares.sort_unstable();
        if let Some(pair) = shares.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(OutcomeError::FalseShare(pair[0]));
        }
        if let Some(&outside) = shares.iter().find(|&&nonce| !reported.contains(nonce)) {
            return Err(OutcomeError::FalseShare(outside));
        }
        shares.retain(|&nonce| counted.contains(nonce));
        let mut solutions = Vec::new();
        for &nonce in &shares {
            match zero_bits(&self.space, nonce) {
                Some(bits) if bits >= self.target() => solutions.push(nonce),
                Some(bits) if bits >= share_bits => {}
                _ => return Err(OutcomeError::FalseShare(nonce)),
            }
        }
        Ok((shares, solutions))
    }

    fn is_known(&self, found: &Found, place: Place<'_>) -> bool {
        found.len() >= self.wanted || found.holds(place)
    }

    /// Judges a claim that is not known, and keeps it if it is a solution.
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

    /// Spells the seed of a solution that was kept.
    fn seed(&self, place: Place<'_>) -> Option<String> {
        match place {
            Place::Nonce(nonce) => self.space.seed(nonce),
            Place::Seed(seed) => Some(seed.to_owned()),
        }
    }
}

impl Kind for Md5Search {
    type Outcome = SearchOutcome;
    type State = Found;
    type Result = SearchResult;

    fn whole(&self) -> Span {
        self.space.whole()
    }

    fn expected_work(&self) -> f64 {
        self.puzzle().difficulty().expected_work()
    }

    fn chance(&self, done: u128) -> Option<f64> {
        Some(self.puzzle().difficulty().chance(done as f64))
    }

    /// Names the first `most` digits of the string only.
    fn title(&self, most: usize) -> String {
        let string = self.puzzle().string();
        let front = string.get(..most).unwrap_or(string);
        format!("md5 {} {front}", self.puzzle().difficulty())
    }

    fn unit_cost(&self) -> u64 {
        self.blocks
    }

    /// Returns as many nonces as are expected to hold so many solutions that these are shares
    /// enough. Where everything is a solution there are no shares.
    fn longest_lease(&self) -> u128 {
        if self.target() == 0 {
            return SHORTEST_PROVABLE - 1;
        }
        let most = u128::from(u64::MAX);
        let shares = u128::from(2 * SHARES_PER_LEASE);
        1u128.checked_shl(self.target()).map_or(most, |work| work.saturating_mul(shares).min(most))
    }

    fn longest_unshared(&self) -> u128 {
        (MOST_RECOMPUTED / u128::from(self.blocks)).max(1)
    }

    fn outcome_divides(&self) -> bool {
        true
    }

    fn share_bits(&self, len: u128, shares: u32) -> Option<u32> {
        if len < SHORTEST_PROVABLE || self.target() == 0 {
            return None;
        }
        let per_share = len / u128::from(shares);
        Some(per_share.checked_ilog2().unwrap_or(0).clamp(1, self.target()))
    }

    fn sample(&self, span: Span, share_bits: u32) -> Option<Sample> {
        Some(Sample::new(&self.space, span, share_bits))
    }

    fn is_within_limits(outcome: &SearchOutcome) -> bool {
        outcome.hits.len() <= MAX_HITS && outcome.shares.len() <= MAX_SHARES
    }

    fn hits(outcome: &SearchOutcome) -> &[u128] {
        &outcome.hits
    }

    fn check(
        &self,
        reported: Span,
        counted: Span,
        share_bits: Option<u32>,
        outcome: &SearchOutcome,
    ) -> Result<Checked, OutcomeError> {
        let Some(bits) = share_bits else {
            return Ok(Checked::Proved { solutions: self.search_again(counted) });
        };
        let (shares, solutions) = self.check_shares(reported, counted, bits, &outcome.shares)?;
        Ok(Checked::Shares { shares, solutions })
    }

    fn is_finished(&self, found: &Found, done: &SpanSet) -> bool {
        found.len() >= self.wanted || done.len() == self.whole().len()
    }

    fn result(&self, found: &Found, done: &SpanSet) -> SearchResult {
        let below = |nonce| done.covers(Span::new(self.whole().start(), nonce));
        SearchResult {
            solutions: self.solutions(found, 0).collect(),
            smallest: found.last_nonce().is_some_and(below),
        }
    }

    fn has_solutions(&self) -> bool {
        true
    }

    fn still_wanted(&self, found: &Found) -> u32 {
        self.wanted.saturating_sub(found.len())
    }

    fn claim(&self, found: &mut Found, nonce: u128, client: u64) -> Claim {
        let place = Place::Nonce(nonce);
        if self.is_known(found, place) {
            return Claim::Known;
        }
        match self.space.seed(nonce) {
            Some(seed) => self.keep(found, place, &seed, client),
            None => Claim::False,
        }
    }

    fn claim_seed(&self, found: &mut Found, seed: &str, client: u64) -> Claim {
        let Ok(seed) = self.puzzle().written_seed(seed) else { return Claim::False };
        let place = self.space.nonce(&seed).map_or(Place::Seed(&seed), Place::Nonce);
        if self.is_known(found, place) {
            return Claim::Known;
        }
        self.keep(found, place, &seed, client)
    }

    fn solution_count(&self, found: &Found) -> u32 {
        found.len()
    }

    fn solutions<'a>(
        &'a self,
        found: &'a Found,
        offset: usize,
    ) -> Box<dyn Iterator<Item = Solution> + 'a> {
        let kept = found.iter_from(offset);
        Box::new(kept.filter_map(|(place, client)| self.solution(place, self.seed(place)?, client)))
    }

    fn seeds<'a>(
        &'a self,
        found: &'a Found,
        offset: usize,
    ) -> Box<dyn Iterator<Item = String> + 'a> {
        Box::new(found.iter_from(offset).filter_map(|(place, _)| self.seed(place)))
    }

    fn last_finder(&self, found: &Found) -> Option<u64> {
        found.last_client()
    }
}

impl fmt::Display for Md5Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "md5 {} {}", self.puzzle().difficulty(), self.puzzle().string())
    }
}

/// Returns the number of MD5 blocks of the first candidate; nearly all others have as many.
fn blocks(space: &SeedSpace) -> u64 {
    let digits = space.seed(0).map_or(0, |seed| seed.len()) + space.puzzle().string().len();
    let bytes = match space.puzzle().encoding() {
        Encoding::Text => digits,
        Encoding::Bytes => digits / 2,
    };
    // One byte and the length are added, and the last block is filled up.
    (bytes as u64 + 9).div_ceil(64)
}

/// Findings of a client in a span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchOutcome {
    /// Nonces of solutions, wherever in the job they lie, each sent as soon as it is found.
    pub hits: Vec<u128>,
    /// Nonces of the span with at least the lease's share bits, solutions included.
    pub shares: Vec<u128>,
}

/// Result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchResult {
    /// Verified seeds, the one with the smallest nonce first.
    pub solutions: Vec<Solution>,
    /// True if every nonce below the last of them was searched, so that there is certainly no
    /// smaller seed in the order of the space. `counting` promises the smallest only then.
    pub smallest: bool,
}

impl fmt::Display for SearchResult {
    /// Writes the seeds, with blanks between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, solution) in self.solutions.iter().enumerate() {
            let blank = if n == 0 { "" } else { " " };
            write!(f, "{blank}{}", solution.seed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::samples;
    use crate::jobs::{Job, JobResult, JobSpec};
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
    fn known_claims_are_not_hashed_again() {
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
    fn two_solutions_are_the_smallest_once_all_below_the_second_is_searched() {
        let spec = samples::search(8, 2);
        let JobSpec::Md5Search(search) = &spec else { panic!("a search") };
        let found = search.search_again(Span::new(0, 1 << 12));
        let [first, second, third] = found[..3] else { panic!("{found:?}") };
        let result = |claims: &[u128], done: &[Span]| {
            let mut job = Job::new(spec.clone());
            for &nonce in claims {
                assert!(matches!(job.claim(nonce, 1), Claim::New(_)));
            }
            let mut set = SpanSet::new();
            for &span in done {
                set.insert(span);
            }
            assert!(job.is_finished(&set));
            let JobResult::Md5Search(result) = job.result(&set) else { panic!("a sum") };
            let nonces = result.solutions.iter().map(|solution| solution.nonce.unwrap());
            (nonces.collect::<Vec<_>>(), result.smallest)
        };
        let below = |end| [Span::new(0, end)];
        for claims in [[first, second], [second, first]] {
            assert_eq!(result(&claims, &below(second)), (vec![first, second], true));
            assert_eq!(result(&claims, &below(second - 1)), (vec![first, second], false));
            let gap = [Span::new(0, first), Span::new(first + 1, second)];
            assert_eq!(result(&claims, &gap), (vec![first, second], false));
        }
        // Every nonce below the third is known, so the second would have been found.
        assert_eq!(result(&[third, first], &below(second)), (vec![first, third], false));
    }

    #[test]
    fn titles_of_long_strings_are_short() {
        let puzzle = samples::puzzle_of("ab".repeat(5_000), 128);
        let search = Md5Search::new(&puzzle, Layout::Counting, 1).unwrap();
        let spec = JobSpec::Md5Search(search);
        let (whole, title) = (spec.to_string(), spec.title(100));
        assert!(whole.len() > 10_000 && whole.starts_with(&title));
        assert!((100..130).contains(&title.len()), "{title}");
        assert_eq!(samples::search(8, 1).title(100), samples::search(8, 1).to_string());
    }
}
