//! Divisible work: the closed set of job kinds and the contract that each of them keeps.
//!
//! A kind is a file. It says what its space is, how an outcome of a span is checked, how outcomes
//! fold, when the job is finished and what its result is. This module knows nothing of clients,
//! leases or time; the coordinator knows nothing of what a unit means.

mod found;
mod md5_search;
mod sum_of_squares;

pub use found::{MAX_OUTSIDE, MOST_BYTES};
pub use md5_search::{Claim, MAX_WANTED, Md5Search, Sample, Solution};
pub use sum_of_squares::SumOfSquares;

use crate::puzzle::PuzzleError;
use crate::seeds::LayoutError;
use crate::span::{Span, SpanSet};
use num_bigint::BigUint;
use std::fmt;

/// Shares that a lease is expected to hold, at least; at most twice as many.
///
/// Enough that nearly every honest lease proves itself, see the module of trust in
/// [`crate::coordinator`]: 2,048 shares give evidence of 77 where 23 are asked for. The judge takes
/// about a quarter of a microsecond for each (docs/performance.md).
pub const SHARES_PER_LEASE: u32 = 2048;

/// Leases shorter than this have no shares: the judge searches them again. It takes about as long
/// as to judge the shares of a longer one.
pub const SHORTEST_PROVABLE: u128 = 4096;

/// Blocks of MD5 that the judge may hash for a lease without shares: about a millisecond.
const MOST_RECOMPUTED: u128 = 1 << 13;

/// Most hits that one outcome may carry; a client with more sends several reports.
pub const MAX_HITS: usize = 64;

/// Most shares that one outcome may carry: the judge takes about a millisecond for them.
pub const MAX_SHARES: usize = 4096;

/// Why a description is not a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The puzzle is none.
    #[error(transparent)]
    Puzzle(#[from] PuzzleError),
    /// The puzzle has no such seed space.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The number of solutions wanted is out of range.
    #[error("{0} solutions wanted: choose from 1 to {MAX_WANTED}")]
    Wanted(u32),
    /// The range is reversed, or reaches beyond 2^64.
    #[error("the range {first} to {last} is none: the first number comes first, 2^64 is the last")]
    Range {
        /// First number.
        first: u128,
        /// Last number.
        last: u128,
    },
}

/// The kinds of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// [`Md5Search`].
    Md5Search,
    /// [`SumOfSquares`].
    SumOfSquares,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [JobKind; 2] = [JobKind::Md5Search, JobKind::SumOfSquares];

    /// Place of this kind in [`JobKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Md5Search => "md5",
            Self::SumOfSquares => "sum-of-squares",
        })
    }
}

/// What a job is: all that a client needs to work on it. Never changes.
#[derive(Clone, Debug)]
pub enum JobSpec {
    /// A puzzle search.
    Md5Search(Md5Search),
    /// An exact sum.
    SumOfSquares(SumOfSquares),
}

impl JobSpec {
    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Md5Search(_) => JobKind::Md5Search,
            Self::SumOfSquares(_) => JobKind::SumOfSquares,
        }
    }

    /// All units.
    pub fn whole(&self) -> Span {
        match self {
            Self::Md5Search(search) => search.space().whole(),
            Self::SumOfSquares(sum) => sum.whole(),
        }
    }

    /// The part `span` of the job as something to search again; `None` for kinds without shares.
    pub fn sample(&self, span: Span, share_bits: u32) -> Option<Sample> {
        match self {
            Self::Md5Search(search) => Some(Sample::new(search.space(), span, share_bits)),
            Self::SumOfSquares(_) => None,
        }
    }

    /// Its description in at most some `most` + 30 characters, whatever the length of its string.
    pub fn title(&self, most: usize) -> String {
        match self {
            Self::Md5Search(search) => search.title(most),
            Self::SumOfSquares(sum) => sum.to_string(),
        }
    }

    /// The chance that what was wanted is found once within `done` units; `None` for kinds in which
    /// nothing is left to chance.
    pub fn chance(&self, done: u128) -> Option<f64> {
        match self {
            Self::Md5Search(search) => Some(search.puzzle().difficulty().chance(done as f64)),
            Self::SumOfSquares(_) => None,
        }
    }

    /// Zero bits of the shares that prove a lease of `len` units and of which it is expected to hold
    /// `shares` or more; `None` where outcomes are checked without shares.
    pub fn share_bits(&self, len: u128, shares: u32) -> Option<u32> {
        match self {
            Self::Md5Search(search) => search.share_bits(len, shares),
            Self::SumOfSquares(_) => None,
        }
    }

    /// What a unit costs a client, in blocks of MD5 for a search: rates of jobs of one kind are
    /// compared by it.
    pub fn unit_cost(&self) -> u64 {
        match self {
            Self::Md5Search(search) => search.blocks(),
            Self::SumOfSquares(_) => 1,
        }
    }

    /// The most units of a lease that is too short for shares, where the judge must hash them all.
    pub fn longest_unshared(&self) -> u128 {
        match self {
            Self::Md5Search(search) => (MOST_RECOMPUTED / u128::from(search.blocks())).max(1),
            Self::SumOfSquares(_) => u128::MAX,
        }
    }

    /// Whether the outcome of a span tells the outcome of a part of it. A search has its shares and
    /// hits one by one; a sum is one number.
    pub fn outcome_divides(&self) -> bool {
        matches!(self, Self::Md5Search(_))
    }

    /// The longest lease whose outcome still fits the limits of a report.
    pub fn longest_lease(&self) -> u128 {
        match self {
            Self::Md5Search(search) => search.longest_lease(),
            Self::SumOfSquares(_) => u128::from(u64::MAX),
        }
    }
}

impl fmt::Display for JobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Md5Search(search) => search.fmt(f),
            Self::SumOfSquares(sum) => sum.fmt(f),
        }
    }
}

/// What a client found in a span, by the kind of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of [`JobKind::Md5Search`].
    Md5Search {
        /// Nonces of solutions, wherever in the job they lie, each sent as soon as it is found.
        hits: Vec<u128>,
        /// Nonces of the span with at least the lease's share bits, solutions included.
        shares: Vec<u128>,
    },
    /// Of [`JobKind::SumOfSquares`]: the sum over the span.
    SumOfSquares(BigUint),
}

impl Outcome {
    /// Whether the lists are short enough to be looked at.
    pub fn is_within_limits(&self) -> bool {
        match self {
            Self::Md5Search { hits, shares } => {
                hits.len() <= MAX_HITS && shares.len() <= MAX_SHARES
            }
            // A sum over 2^64 squares has at most 191 bits.
            Self::SumOfSquares(sum) => sum.bits() <= 256,
        }
    }
}

/// What is wrong with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The outcome belongs to another kind of job.
    #[error("the outcome belongs to another kind of job")]
    WrongKind,
    /// The lists are longer than a report may be.
    #[error("the outcome is longer than a report may be")]
    TooLong,
    /// The sum is wrong.
    #[error("the sum is wrong")]
    WrongSum,
    /// This share is none: not in the span, not difficult enough, or named twice.
    #[error("nonce {0} is no share of its lease")]
    FalseShare(u128),
}

/// What a checked outcome proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is right, whoever sent it.
    Proved {
        /// Solutions that the judge came across.
        solutions: Vec<u128>,
    },
    /// There are shares. How much they prove is for the coordinator to say.
    Shares {
        /// Those of the units that count, ascending.
        shares: Vec<u128>,
        /// Solutions among them, whether or not they were named as hits too.
        solutions: Vec<u128>,
    },
}

impl Checked {
    /// Returns the solutions that came to light.
    pub fn solutions(&self) -> &[u128] {
        match self {
            Self::Proved { solutions } | Self::Shares { solutions, .. } => solutions,
        }
    }
}

/// What the combined outcomes of a finished job come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// Solutions, the one with the smallest nonce first.
    Md5Search {
        /// Verified seeds.
        solutions: Vec<Solution>,
        /// Whether every nonce below the last of them was searched, so that there is certainly
        /// no smaller seed in the order of the space. What `counting` promises only then.
        smallest: bool,
    },
    /// The sum.
    SumOfSquares(BigUint),
}

/// A job in progress: its description and what has been folded so far.
#[derive(Clone, Debug)]
pub struct Job {
    spec: JobSpec,
    folded: Folded,
}

#[derive(Clone, Debug)]
enum Folded {
    Md5Search(found::Found),
    SumOfSquares(BigUint),
}

impl Job {
    /// A job of which nothing is done.
    pub fn new(spec: JobSpec) -> Self {
        let folded = match &spec {
            JobSpec::Md5Search(_) => Folded::Md5Search(found::Found::default()),
            JobSpec::SumOfSquares(_) => Folded::SumOfSquares(BigUint::ZERO),
        };
        Self { spec, folded }
    }

    /// What it is.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// Solutions still wanted from a lease; 0 where a lease has no early end.
    pub fn still_wanted(&self) -> u32 {
        match (&self.spec, &self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found)) => {
                search.wanted().saturating_sub(found.len())
            }
            _ => 0,
        }
    }

    /// Checks the outcome of `reported`, of which `counted` is new. Hits are not looked at here:
    /// they count for themselves, see [`Job::claim`].
    ///
    /// # Errors
    /// The outcome is not the one of `reported`; nothing in it may be folded.
    pub fn check(
        &self,
        reported: Span,
        counted: Span,
        share_bits: Option<u32>,
        outcome: &Outcome,
    ) -> Result<Checked, Fault> {
        if !outcome.is_within_limits() {
            return Err(Fault::TooLong);
        }
        match (&self.spec, outcome, share_bits) {
            (JobSpec::Md5Search(search), Outcome::Md5Search { shares, .. }, Some(bits)) => {
                let (shares, solutions) = search.check_shares(reported, counted, bits, shares)?;
                Ok(Checked::Shares { shares, solutions })
            }
            (JobSpec::Md5Search(search), Outcome::Md5Search { .. }, None) => {
                Ok(Checked::Proved { solutions: search.search_again(counted) })
            }
            (JobSpec::SumOfSquares(job), Outcome::SumOfSquares(sum), _) => {
                if *sum != job.closed_form(reported) {
                    return Err(Fault::WrongSum);
                }
                Ok(Checked::Proved { solutions: Vec::new() })
            }
            _ => Err(Fault::WrongKind),
        }
    }

    /// Folds the checked outcome of a span. Must be called once for every unit that is done.
    pub fn fold(&mut self, outcome: &Outcome) {
        // What a search folds are its solutions, which come through `claim`.
        if let (Folded::SumOfSquares(total), Outcome::SumOfSquares(sum)) =
            (&mut self.folded, outcome)
        {
            *total += sum;
        }
    }

    /// Judges the claim that `nonce` is a solution, and keeps it if it is a new one.
    pub fn claim(&mut self, nonce: u128, client: u64) -> Claim {
        match (&self.spec, &mut self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found)) => {
                search.claim_nonce(found, nonce, client)
            }
            _ => Claim::False,
        }
    }

    /// As [`Job::claim`], for a seed as it is written, whether or not the space holds it.
    pub fn claim_seed(&mut self, seed: &str, client: u64) -> Claim {
        match (&self.spec, &mut self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found)) => {
                search.claim_seed(found, seed, client)
            }
            _ => Claim::False,
        }
    }

    /// Whether there is nothing left to do, where `done` is what has been done.
    pub fn is_finished(&self, done: &SpanSet) -> bool {
        match (&self.spec, &self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found))
                if found.len() >= search.wanted() =>
            {
                true
            }
            _ => done.len() == self.spec.whole().len(),
        }
    }

    /// What there is so far, where `done` is what has been done. Hashes every solution.
    pub fn result(&self, done: &SpanSet) -> JobResult {
        match (&self.spec, &self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found)) => search.result(found, done),
            (_, Folded::SumOfSquares(total)) => JobResult::SumOfSquares(total.clone()),
            // Unreachable: what is folded is of the job's own kind.
            (_, Folded::Md5Search(_)) => {
                JobResult::Md5Search { solutions: Vec::new(), smallest: false }
            }
        }
    }

    /// Number of solutions so far.
    pub fn solution_count(&self) -> u32 {
        self.found().map_or(0, |(_, found)| found.len())
    }

    /// Solutions from the `offset`th on: in the order of their nonces, then those without one. Each
    /// is hashed when it is taken.
    pub fn solutions(&self, offset: usize) -> impl Iterator<Item = Solution> {
        self.found().into_iter().flat_map(move |(search, found)| search.solutions(found, offset))
    }

    /// Their seeds; nothing is hashed.
    pub fn seeds(&self, offset: usize) -> impl Iterator<Item = String> {
        self.found().into_iter().flat_map(move |(search, found)| search.seeds(found, offset))
    }

    /// The client that claimed the newest solution.
    pub fn last_finder(&self) -> Option<u64> {
        self.found()?.1.last_client()
    }

    fn found(&self) -> Option<(&Md5Search, &found::Found)> {
        match (&self.spec, &self.folded) {
            (JobSpec::Md5Search(search), Folded::Md5Search(found)) => Some((search, found)),
            _ => None,
        }
    }

    /// Memory behind its solutions.
    #[cfg(test)]
    pub(crate) fn solution_bytes(&self) -> usize {
        self.found().map_or(0, |(_, found)| found.bytes())
    }
}

/// Jobs for tests, here because those who know nothing of puzzles need some.
#[cfg(test)]
pub(crate) mod samples {
    use super::{JobSpec, Md5Search};
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::Layout;

    /// A search in the order 0, 1, 2, .. for `wanted` solutions with `bits` zero bits.
    pub(crate) fn search(bits: u32, wanted: u32) -> JobSpec {
        let difficulty = Difficulty::from_bits(bits).unwrap();
        let puzzle = Puzzle::new("A7C02215FC", difficulty, Encoding::Text).unwrap();
        JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, wanted).unwrap())
    }

    /// A search of just 65,536 nonces, for a string that leaves room for four digits of seed.
    pub(crate) fn small_search(bits: u32, wanted: u32) -> JobSpec {
        let difficulty = Difficulty::from_bits(bits).unwrap();
        let puzzle = Puzzle::new("A".repeat(51), difficulty, Encoding::Text).unwrap();
        JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Trailing, wanted).unwrap())
    }

    /// A search without end whose candidates take 157 blocks each.
    pub(crate) fn long_search(bits: u32) -> JobSpec {
        let difficulty = Difficulty::from_bits(bits).unwrap();
        let puzzle = Puzzle::new("A".repeat(10_000), difficulty, Encoding::Text).unwrap();
        JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, 1).unwrap())
    }

    /// A puzzle of this string.
    pub(crate) fn puzzle_of(string: String, bits: u32) -> Puzzle {
        Puzzle::new(string, Difficulty::from_bits(bits).unwrap(), Encoding::Text).unwrap()
    }

    /// A hopeless search whose string leaves room for one word of seed: few enough nonces for a
    /// single lease.
    pub(crate) fn search_of_one_word() -> JobSpec {
        let difficulty = Difficulty::from_bits(120).unwrap();
        let puzzle = Puzzle::new("A".repeat(102), difficulty, Encoding::Bytes).unwrap();
        JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Trailing, 1).unwrap())
    }
}
