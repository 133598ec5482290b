//! How the types of other rooms are written in facts and snapshots: as small maps and strings that
//! survive a change of those types.

use crate::jobs::{JobKind, JobSpec, Md5Search, Outcome, SumOfSquares};
use crate::puzzle::{Difficulty, Puzzle};
use crate::seeds::Layout;
use crate::span::Span;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::error::Error;

/// Spans as `[start, end]`.
pub(super) mod span {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        span: &Span,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (span.start(), span.end()).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Span, D::Error> {
        let (start, end) = Deserialize::deserialize(deserializer)?;
        Ok(Span::new(start, end))
    }
}

/// A description of a job as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Description {
    Md5Search {
        string: String,
        bits: u32,
        encoding: String,
        seed_prefix: bool,
        layout: String,
        wanted: u32,
    },
    SumOfSquares {
        first: u128,
        last: u128,
    },
}

impl From<&JobSpec> for Description {
    fn from(spec: &JobSpec) -> Self {
        match spec {
            JobSpec::Md5Search(search) => Self::Md5Search {
                string: search.puzzle().string().to_owned(),
                bits: search.puzzle().difficulty().bits(),
                encoding: search.puzzle().encoding().to_string(),
                seed_prefix: search.puzzle().seed_prefix(),
                layout: search.space().layout().to_string(),
                wanted: search.wanted(),
            },
            JobSpec::SumOfSquares(sum) => {
                Self::SumOfSquares { first: sum.first(), last: sum.last() }
            }
        }
    }
}

impl TryFrom<Description> for JobSpec {
    type Error = Box<dyn Error>;

    fn try_from(description: Description) -> Result<Self, Self::Error> {
        match description {
            Description::Md5Search { string, bits, encoding, seed_prefix, layout, wanted } => {
                let puzzle = Puzzle::new(string, Difficulty::from_bits(bits)?, encoding.parse()?)?;
                let puzzle = if seed_prefix { puzzle.with_seed_prefix()? } else { puzzle };
                let layout: Layout = layout.parse()?;
                Ok(JobSpec::Md5Search(Md5Search::new(&puzzle, layout, wanted)?))
            }
            Description::SumOfSquares { first, last } => {
                Ok(JobSpec::SumOfSquares(SumOfSquares::new(first, last)?))
            }
        }
    }
}

/// Descriptions of jobs; what is read is checked as a submission is.
pub(super) mod spec {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        spec: &JobSpec,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Description::from(spec).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<JobSpec, D::Error> {
        Description::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

/// Kinds of jobs, by their names.
pub(super) mod kinds {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        kinds: &[JobKind],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(kinds.iter().map(JobKind::to_string))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<JobKind>, D::Error> {
        let names: Vec<String> = Deserialize::deserialize(deserializer)?;
        let kind = |name: String| {
            let known = JobKind::ALL.into_iter().find(|kind| kind.to_string() == name);
            known.ok_or_else(|| D::Error::custom(format!("there is no kind of job {name}")))
        };
        names.into_iter().map(kind).collect()
    }
}

/// Outcomes that are folded; sums as decimal strings.
pub(super) mod outcome {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Folded {
        SumOfSquares(String),
    }

    pub(in super::super) fn serialize<S: Serializer>(
        outcome: &Option<Outcome>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let folded = match outcome {
            None => None,
            Some(Outcome::SumOfSquares(sum)) => Some(Folded::SumOfSquares(sum.to_string())),
            Some(Outcome::Md5Search { .. }) => {
                return Err(S::Error::custom("the outcome of a search is not folded"));
            }
        };
        folded.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Outcome>, D::Error> {
        let Some(Folded::SumOfSquares(sum)) = Deserialize::deserialize(deserializer)? else {
            return Ok(None);
        };
        let sum = sum.parse().map_err(|_| D::Error::custom("the sum is not a number"))?;
        Ok(Some(Outcome::SumOfSquares(sum)))
    }
}
