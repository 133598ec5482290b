//! Messages that the server sends unasked.

use super::fields::text;
use super::lease::{end_from_wire, end_to_wire};
use super::{ProtoError, wire};
use crate::lease::{Held, JobEnd};
use crate::puzzle::MAX_SEED_CHARACTERS;

/// A message that the client did not ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Number, from 1 for each client; 0 if it need not be acknowledged.
    pub number: u64,
    /// Content.
    pub what: Notification,
}

/// Content of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// A job is over.
    Over(Over),
    /// The server ends, after this job if there was one.
    Closing(Over),
    /// There is work: the client asks again now.
    Wake,
    /// A lease ends earlier now.
    Trimmed(Held),
    /// A lease is over.
    Revoked(Held),
}

/// The end of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Number of the job; 0 for none.
    pub job: u64,
    /// How it ended; `None` if it has not.
    pub end: Option<JobEnd>,
    /// The solution found last: of a finished job, the winner's.
    pub seed: String,
}

impl Over {
    /// Returns the number of the client whose solution ended the job, 0 if there is none.
    pub fn winner(&self) -> u64 {
        match self.end {
            Some(JobEnd::Finished { winner: Some(winner) }) => winner.0,
            _ => 0,
        }
    }
}

impl From<Notice> for wire::Notice {
    fn from(notice: Notice) -> Self {
        use wire::notice::What;
        let what = match notice.what {
            Notification::Over(over) => What::Over(over.into()),
            Notification::Closing(over) => What::Closing(over.into()),
            Notification::Wake => What::Wake(wire::Wake {}),
            Notification::Trimmed(held) => What::Trimmed(held.into()),
            Notification::Revoked(held) => What::Revoked(held.into()),
        };
        Self { number: notice.number, what: Some(what) }
    }
}

impl TryFrom<wire::Notice> for Notice {
    type Error = ProtoError;

    fn try_from(wire: wire::Notice) -> Result<Self, ProtoError> {
        use wire::notice::What;
        let what = match wire.what.ok_or(ProtoError::NoBody)? {
            What::Over(over) => Notification::Over(over.try_into()?),
            What::Closing(over) => Notification::Closing(over.try_into()?),
            What::Wake(_) => Notification::Wake,
            What::Trimmed(held) => Notification::Trimmed(held.try_into()?),
            What::Revoked(held) => Notification::Revoked(held.try_into()?),
        };
        Ok(Self { number: wire.number, what })
    }
}

impl From<Over> for wire::Over {
    fn from(over: Over) -> Self {
        let winner = over.winner();
        Self { job: over.job, end: end_to_wire(over.end).into(), winner, seed: over.seed }
    }
}

impl TryFrom<wire::Over> for Over {
    type Error = ProtoError;

    fn try_from(wire: wire::Over) -> Result<Self, ProtoError> {
        Ok(Self {
            job: wire.job,
            end: end_from_wire("end", wire.end, wire.winner)?,
            seed: text("seed", wire.seed, MAX_SEED_CHARACTERS)?,
        })
    }
}
