//! How far a client is trusted, and why not.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a client is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Far fewer shares than the spans it claims must hold.
    TooFewShares,
    /// An audit found a share that it did not report, in a span that it claims to have searched.
    MissedShare,
    /// A result that is wrong.
    WrongResult,
    /// Too many false hits or shares.
    FalseClaims,
    /// A decision of the server's operator.
    Operator,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooFewShares => "too few shares for the work it claims",
            Self::MissedShare => "an audit found a share that it had missed",
            Self::WrongResult => "a result of it was wrong",
            Self::FalseClaims => "it claimed solutions or shares that are false",
            Self::Operator => "the server's operator has banned it",
        })
    }
}

/// How far a client is trusted, worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is known against it.
    #[default]
    Good,
    /// It gets no more work; its hits are still judged.
    Distrusted(Reason),
    /// It is not listened to.
    Banned(Reason),
}

impl Standing {
    /// Returns whether `other` is worse, whatever the reasons.
    pub(super) fn is_above(self, other: Self) -> bool {
        self.depth() < other.depth()
    }

    fn depth(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Distrusted(_) => 1,
            Self::Banned(_) => 2,
        }
    }
}
