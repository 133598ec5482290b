//! The closed set of kinds: every enum over them, made from one list.

use super::kind::{Checked, Claim, Kind, OutcomeError, Solution};
use super::md5_search::Md5Search;
use super::sample::Sample;
use super::sum_of_squares::SumOfSquares;
use crate::span::{Span, SpanSet};
use std::fmt;

/// Makes the enums over all kinds, and `with_kind!`, the one match that tells them apart.
macro_rules! kinds {
    ($d:tt $($kind:ident $name:literal),*) => {
        /// The kinds of jobs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum JobKind {
            $(#[doc = concat!("[`", stringify!($kind), "`].")] $kind),*
        }

        impl JobKind {
            /// Every kind.
            pub const ALL: [JobKind; [$($name),*].len()] = [$(JobKind::$kind),*];

            fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),* }
            }
        }

        /// Description of a job: all that a client needs to work on it. Never changes.
        #[derive(Clone, Debug)]
        pub enum JobSpec {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind)),*
        }

        impl JobSpec {
            /// Returns its kind.
            pub fn kind(&self) -> JobKind {
                match self { $(Self::$kind(_) => JobKind::$kind),* }
            }
        }

        /// Findings of a client in a span, by the kind of its job.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Outcome {
            $(
                #[doc = concat!("Of [`JobKind::", stringify!($kind), "`].")]
                $kind(<$kind as Kind>::Outcome)
            ),*
        }

        impl Outcome {
            /// Returns [`Kind::hits`].
            pub fn hits(&self) -> &[u128] {
                match self { $(Self::$kind(outcome) => $kind::hits(outcome)),* }
            }
        }

        /// Result of a job, by its kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum JobResult {
            $(
                #[doc = concat!("Of [`JobKind::", stringify!($kind), "`].")]
                $kind(<$kind as Kind>::Result)
            ),*
        }

        impl fmt::Display for JobResult {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$kind(result) => result.fmt(f)),* }
            }
        }

        #[derive(Clone, Debug)]
        enum AnyJob {
            $($kind(Folded<$kind>)),*
        }

        impl AnyJob {
            fn new(spec: &JobSpec) -> Self {
                match spec { $(JobSpec::$kind(kind) => Self::$kind(Folded::new(kind.clone()))),* }
            }

            fn folded(&self) -> Option<Outcome> {
                match self {
                    $(Self::$kind(job) => job.kind.folded(&job.state).map(Outcome::$kind)),*
                }
            }

            fn result(&self, done: &SpanSet) -> JobResult {
                match self { $(Self::$kind(job) => JobResult::$kind(job.kind.result(&job.state, done))),* }
            }
        }

        $(impl Own for $kind {
            fn own(outcome: &Outcome) -> Option<&Self::Outcome> {
                match outcome {
                    Outcome::$kind(outcome) => Some(outcome),
                    _ => None,
                }
            }
        })*

        macro_rules! with_kind {
            ($d enum:ident, $d value:expr, $d name:ident => $d body:expr) => {
                match $d value { $($d enum::$kind($d name) => $d body),* }
            };
        }
    };
}

kinds!($ Md5Search "md5", SumOfSquares "sum-of-squares");

/// Picks the outcome of a kind.
trait Own: Kind {
    fn own(outcome: &Outcome) -> Option<&Self::Outcome>;
}

impl JobKind {
    /// Returns the place of this kind in [`JobKind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl JobSpec {
    /// Returns [`Kind::whole`].
    pub fn whole(&self) -> Span {
        with_kind!(JobSpec, self, kind => kind.whole())
    }

    /// Returns [`Kind::expected_work`].
    pub fn expected_work(&self) -> f64 {
        with_kind!(JobSpec, self, kind => kind.expected_work())
    }

    /// Returns [`Kind::chance`].
    pub fn chance(&self, done: u128) -> Option<f64> {
        with_kind!(JobSpec, self, kind => kind.chance(done))
    }

    /// Returns [`Kind::title`].
    pub fn title(&self, most: usize) -> String {
        with_kind!(JobSpec, self, kind => kind.title(most))
    }

    /// Returns [`Kind::unit_cost`].
    pub fn unit_cost(&self) -> u64 {
        with_kind!(JobSpec, self, kind => kind.unit_cost())
    }

    /// Returns [`Kind::longest_lease`].
    pub fn longest_lease(&self) -> u128 {
        with_kind!(JobSpec, self, kind => kind.longest_lease())
    }

    /// Returns [`Kind::longest_unshared`].
    pub fn longest_unshared(&self) -> u128 {
        with_kind!(JobSpec, self, kind => kind.longest_unshared())
    }

    /// Returns [`Kind::outcome_divides`].
    pub fn outcome_divides(&self) -> bool {
        with_kind!(JobSpec, self, kind => kind.outcome_divides())
    }

    /// Returns [`Kind::has_solutions`].
    pub fn has_solutions(&self) -> bool {
        with_kind!(JobSpec, self, kind => kind.has_solutions())
    }

    /// Returns [`Kind::share_bits`].
    pub fn share_bits(&self, len: u128, shares: u32) -> Option<u32> {
        with_kind!(JobSpec, self, kind => kind.share_bits(len, shares))
    }

    /// Returns [`Kind::sample`].
    pub fn sample(&self, span: Span, share_bits: u32) -> Option<Sample> {
        with_kind!(JobSpec, self, kind => kind.sample(span, share_bits))
    }
}

impl fmt::Display for JobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        with_kind!(JobSpec, self, kind => kind.fmt(f))
    }
}

/// A job of one kind and the state that its outcomes were folded into.
#[derive(Clone, Debug)]
struct Folded<K: Kind> {
    kind: K,
    state: K::State,
}

impl<K: Kind> Folded<K> {
    fn new(kind: K) -> Self {
        Self { kind, state: K::State::default() }
    }
}

/// A job in progress: its description, and the state that its outcomes were folded into.
#[derive(Clone, Debug)]
pub struct Job {
    spec: JobSpec,
    job: AnyJob,
}

impl Job {
    /// Makes a job of which nothing is done.
    pub fn new(spec: JobSpec) -> Self {
        let job = AnyJob::new(&spec);
        Self { spec, job }
    }

    /// Returns its description.
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// Checks an outcome: its length, then what [`Kind::check`] says.
    ///
    /// # Errors
    /// The outcome is not the one of `reported`; nothing in it may be folded.
    pub fn check(
        &self,
        reported: Span,
        counted: Span,
        share_bits: Option<u32>,
        outcome: &Outcome,
    ) -> Result<Checked, OutcomeError> {
        with_kind!(AnyJob, &self.job, job => job.check(reported, counted, share_bits, outcome))
    }

    /// Calls [`Kind::fold`] with an outcome that was checked.
    pub fn fold(&mut self, outcome: &Outcome) {
        with_kind!(AnyJob, &mut self.job, job => job.fold(outcome));
    }

    /// Returns [`Kind::folded`].
    pub fn folded(&self) -> Option<Outcome> {
        self.job.folded()
    }

    /// Returns [`Kind::is_outcome_of`].
    pub fn is_outcome_of(&self, done: &SpanSet) -> bool {
        with_kind!(AnyJob, &self.job, job => job.kind.is_outcome_of(&job.state, done))
    }

    /// Returns [`Kind::is_finished`].
    pub fn is_finished(&self, done: &SpanSet) -> bool {
        with_kind!(AnyJob, &self.job, job => job.kind.is_finished(&job.state, done))
    }

    /// Returns [`Kind::result`]. Hashes every solution.
    pub fn result(&self, done: &SpanSet) -> JobResult {
        self.job.result(done)
    }

    /// Returns [`Kind::still_wanted`].
    pub fn still_wanted(&self) -> u32 {
        with_kind!(AnyJob, &self.job, job => job.kind.still_wanted(&job.state))
    }

    /// Judges a claim, see [`Kind::claim`].
    pub fn claim(&mut self, unit: u128, client: u64) -> Claim {
        with_kind!(AnyJob, &mut self.job, job => job.kind.claim(&mut job.state, unit, client))
    }

    /// Judges a claim, see [`Kind::claim_seed`].
    pub fn claim_seed(&mut self, seed: &str, client: u64) -> Claim {
        with_kind!(AnyJob, &mut self.job, job => job.kind.claim_seed(&mut job.state, seed, client))
    }

    /// Returns [`Kind::solution_count`].
    pub fn solution_count(&self) -> u32 {
        with_kind!(AnyJob, &self.job, job => job.kind.solution_count(&job.state))
    }

    /// Returns [`Kind::solutions`].
    pub fn solutions(&self, offset: usize) -> Box<dyn Iterator<Item = Solution> + '_> {
        with_kind!(AnyJob, &self.job, job => job.kind.solutions(&job.state, offset))
    }

    /// Returns [`Kind::seeds`].
    pub fn seeds(&self, offset: usize) -> Box<dyn Iterator<Item = String> + '_> {
        with_kind!(AnyJob, &self.job, job => job.kind.seeds(&job.state, offset))
    }

    /// Returns [`Kind::last_finder`].
    pub fn last_finder(&self) -> Option<u64> {
        with_kind!(AnyJob, &self.job, job => job.kind.last_finder(&job.state))
    }

    /// Returns the memory behind its solutions.
    #[cfg(test)]
    pub(crate) fn solution_bytes(&self) -> usize {
        match &self.job {
            AnyJob::Md5Search(job) => job.state.bytes(),
            AnyJob::SumOfSquares(_) => 0,
        }
    }
}

impl<K: Own> Folded<K> {
    fn check(
        &self,
        reported: Span,
        counted: Span,
        share_bits: Option<u32>,
        outcome: &Outcome,
    ) -> Result<Checked, OutcomeError> {
        let outcome = K::own(outcome).ok_or(OutcomeError::WrongKind)?;
        if !K::is_within_limits(outcome) {
            return Err(OutcomeError::TooLong);
        }
        self.kind.check(reported, counted, share_bits, outcome)
    }

    fn fold(&mut self, outcome: &Outcome) {
        // An outcome of another kind was refused when it was checked.
        if let Some(outcome) = K::own(outcome) {
            self.kind.fold(&mut self.state, outcome);
        }
    }
}
