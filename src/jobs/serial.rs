//! Jobs and outcomes as they are written in stores and in JSON: small maps with names that stay,
//! whatever becomes of the types.

use super::kinds::{JobKind, JobSpec, Outcome};
use super::md5_search::{Md5Search, SearchOutcome};
use super::sum_of_squares::SumOfSquares;
use crate::puzzle::{Difficulty, Puzzle};
use crate::seeds::Layout;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::error::Error;

/// Maximum digits of a sum that is read: those of 2^256, the largest sum that is looked at.
const MAX_SUM_DIGITS: usize = 78;

/// A job's description as it is written; what is read is checked as a submission is.
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

impl Serialize for JobSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Description::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JobSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Description::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

/// An outcome as it is written; sums as decimal strings.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Md5Search { hits: Vec<u128>, shares: Vec<u128> },
    SumOfSquares(String),
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self.clone() {
            Self::Md5Search(SearchOutcome { hits, shares }) => Written::Md5Search { hits, shares },
            Self::SumOfSquares(sum) => Written::SumOfSquares(sum.to_string()),
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Md5Search { hits, shares } => Self::Md5Search(SearchOutcome { hits, shares }),
            Written::SumOfSquares(sum) => {
                if sum.len() > MAX_SUM_DIGITS {
                    return Err(D::Error::custom("the sum is too large"));
                }
                let sum = sum.parse();
                Self::SumOfSquares(sum.map_err(|_| D::Error::custom("the sum is not a number"))?)
            }
        })
    }
}

impl Serialize for JobKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        known.ok_or_else(|| D::Error::custom(format!("there is no kind of job {name}")))
    }
}
