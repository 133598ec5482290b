//! The contract of a kind of jobs, as the coordinator needs it.

use super::limits::MAX_WANTED;
use super::sample::Sample;
use crate::puzzle::{Digest, PuzzleError};
use crate::seeds::LayoutError;
use crate::span::{Span, SpanSet};
use std::fmt;

/// One kind of divisible work: its units, what the outcome of a span must prove, and what all
/// outcomes come to. The type itself describes one job of the kind, and never changes.
///
/// The methods with a default are for kinds that have shares, solutions, or both.
pub trait Kind: fmt::Display {
    /// Findings of a client in a span.
    type Outcome;
    /// State that outcomes are folded into.
    type State: Default;
    /// Result of the folded outcomes.
    type Result: fmt::Display;

    /// Returns all units.
    fn whole(&self) -> Span;

    /// Returns the number of units that are expected to be needed.
    fn expected_work(&self) -> f64 {
        self.whole().len() as f64
    }

    /// Returns the chance that everything wanted is found within `done` units; `None` where nothing
    /// is left to chance.
    fn chance(&self, _done: u128) -> Option<f64> {
        None
    }

    /// Describes the job in at most some `most` + 30 characters.
    fn title(&self, _most: usize) -> String {
        self.to_string()
    }

    /// Returns the cost of a unit to a client, in blocks of MD5 for a search: rates of jobs of one
    /// kind are compared by it.
    fn unit_cost(&self) -> u64 {
        1
    }

    /// Returns the length of the longest lease whose outcome still fits the limits of a report.
    fn longest_lease(&self) -> u128 {
        u64::MAX.into()
    }

    /// Returns the length of the longest lease without shares, all of which the judge must search.
    fn longest_unshared(&self) -> u128 {
        u128::MAX
    }

    /// Returns true if the outcome of a span tells the outcome of a part of it. A search has its
    /// shares and hits one by one; a sum is one number.
    fn outcome_divides(&self) -> bool {
        false
    }

    /// Returns the zero bits of the shares that prove a lease of `len` units, which is expected to
    /// hold `shares` of them or more; `None` where outcomes are checked without shares.
    fn share_bits(&self, _len: u128, _shares: u32) -> Option<u32> {
        None
    }

    /// Returns a part of the job to search again; `None` for kinds without shares.
    fn sample(&self, _span: Span, _share_bits: u32) -> Option<Sample> {
        None
    }

    /// Returns true if the outcome is short enough to be looked at.
    fn is_within_limits(outcome: &Self::Outcome) -> bool;

    /// Returns the units that the outcome claims as solutions, wherever in the job they lie.
    fn hits(_outcome: &Self::Outcome) -> &[u128] {
        &[]
    }

    /// Checks the outcome of `reported`, of which `counted` is new. Hits are not looked at here:
    /// they count for themselves, see [`Kind::claim`].
    ///
    /// # Errors
    /// The outcome is not the one of `reported`; nothing in it may be folded.
    fn check(
        &self,
        reported: Span,
        counted: Span,
        share_bits: Option<u32>,
        outcome: &Self::Outcome,
    ) -> Result<Checked, OutcomeError>;

    /// Folds the checked outcome of a span. Called once for every unit that is done. A search folds
    /// nothing: its solutions come through [`Kind::claim`].
    fn fold(&self, _state: &mut Self::State, _outcome: &Self::Outcome) {}

    /// Returns all that was folded as one outcome; `None` for kinds that fold nothing.
    fn folded(&self, _state: &Self::State) -> Option<Self::Outcome> {
        None
    }

    /// Returns true if what was folded can be the outcome of `done`. Kinds whose outcomes the judge
    /// cannot recompute accept everything.
    fn is_outcome_of(&self, _state: &Self::State, _done: &SpanSet) -> bool {
        true
    }

    /// Returns true if there is nothing left to do, where `done` is what has been done.
    fn is_finished(&self, _state: &Self::State, done: &SpanSet) -> bool {
        done.len() == self.whole().len()
    }

    /// Returns what there is so far, where `done` is what has been done.
    fn result(&self, state: &Self::State, done: &SpanSet) -> Self::Result;

    /// Returns true if the result is a list of solutions, which come one by one.
    fn has_solutions(&self) -> bool {
        false
    }

    /// Returns the number of solutions that are still wanted; 0 where a lease has no early end.
    fn still_wanted(&self, _state: &Self::State) -> u32 {
        0
    }

    /// Judges the claim that `unit` is a solution, and keeps it if it is a new one.
    fn claim(&self, _state: &mut Self::State, _unit: u128, _client: u64) -> Claim {
        Claim::False
    }

    /// Judges the claim of a seed as it is written, whether or not the space holds it.
    fn claim_seed(&self, _state: &mut Self::State, _seed: &str, _client: u64) -> Claim {
        Claim::False
    }

    /// Returns the number of solutions so far.
    fn solution_count(&self, _state: &Self::State) -> u32 {
        0
    }

    /// Returns the solutions from the `offset`th on: in the order of their nonces, then those
    /// without one. Each is hashed when it is taken.
    fn solutions<'a>(
        &'a self,
        _state: &'a Self::State,
        _offset: usize,
    ) -> Box<dyn Iterator<Item = Solution> + 'a> {
        Box::new(std::iter::empty())
    }

    /// Returns the seeds of the solutions; nothing is hashed.
    fn seeds<'a>(
        &'a self,
        _state: &'a Self::State,
        _offset: usize,
    ) -> Box<dyn Iterator<Item = String> + 'a> {
        Box::new(std::iter::empty())
    }

    /// Returns the client that claimed the newest solution.
    fn last_finder(&self, _state: &Self::State) -> Option<u64> {
        None
    }
}

/// Reason to reject the description of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// The puzzle is not valid.
    #[error(transparent)]
    Puzzle(#[from] PuzzleError),
    /// The puzzle has no such seed space.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The number of solutions wanted is out of range.
    #[error("{0} solutions wanted: choose from 1 to {MAX_WANTED}")]
    Wanted(u32),
    /// The range is reversed, or reaches beyond 2^64.
    #[error(
        "{first} to {last} is not a range: the smaller number comes first, the largest is 2^64"
    )]
    Range {
        /// First number.
        first: u128,
        /// Last number.
        last: u128,
    },
}

/// Reason to reject an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OutcomeError {
    /// The outcome belongs to another kind of job.
    #[error("the outcome belongs to another kind of job")]
    WrongKind,
    /// The lists are longer than a report may be.
    #[error("the outcome is longer than a report may be")]
    TooLong,
    /// The sum is wrong.
    #[error("the sum is wrong")]
    WrongSum,
    /// A share is false: not in the span, not difficult enough, or named twice.
    #[error("nonce {0} is not a share of its lease")]
    FalseShare(u128),
}

/// Evidence in a checked outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is right, whoever sent it.
    Proved {
        /// Solutions that the judge came across.
        solutions: Vec<u128>,
    },
    /// There are shares. The coordinator decides how much they prove.
    Shares {
        /// Shares of the units that count, ascending.
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

/// The judge's verdict on the claim of a solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is a solution, and the first report of it.
    New(Solution),
    /// It is a known solution, or one more than was wanted.
    Known,
    /// It is not a solution.
    False,
}

/// A verified seed and the client that found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The seed as it is written in front of the string.
    pub seed: String,
    /// The place in the seed space; `None` for a seed outside the space, from a client of the
    /// classic protocol.
    pub nonce: Option<u128>,
    /// The digest.
    pub digest: Digest,
    /// Number of the client that claimed it first.
    pub client: u64,
}
