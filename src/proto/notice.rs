//! What the server says unasked, and how leases and jobs stand.

use super::fields::{from_wire, narrow, text, to_wire, wide};
use super::{ProtoError, wire};
use crate::puzzle::MAX_SEED_CHARACTERS;

/// A lease as the server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub lease: u32,
    /// Names this lending.
    pub epoch: u64,
    /// The job.
    pub job: u64,
    /// Everything before this unit counts.
    pub done: u128,
    /// One past the last unit.
    pub end: u128,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// All that was wanted is there.
    Finished,
    /// Everything is searched, and it was not there.
    Exhausted,
    /// Someone cancelled it.
    Cancelled,
}

/// What a client should know without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Counts from 1 for each client; 0: need not be acknowledged.
    pub number: u64,
    /// What.
    pub what: Notification,
}

/// What a client should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// A job is over.
    Over(Over),
    /// The server ends, after this job if there was one.
    Closing(Over),
    /// Ask again now, there is work.
    Wake,
    /// A lease ends earlier now.
    Trimmed(Held),
    /// A lease is over.
    Revoked(Held),
}

/// The end of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    /// Which; 0 for none.
    pub job: u64,
    /// How; `None` if it has not ended.
    pub end: Option<JobEnd>,
    /// The client whose solution ended it; 0 for nobody's.
    pub winner: u64,
    /// The solution found last: of a finished job, the winner's.
    pub seed: String,
}

pub(super) const ENDS: [(wire::JobEnd, Option<JobEnd>); 4] = [
    (wire::JobEnd::Unspecified, None),
    (wire::JobEnd::Finished, Some(JobEnd::Finished)),
    (wire::JobEnd::Exhausted, Some(JobEnd::Exhausted)),
    (wire::JobEnd::Cancelled, Some(JobEnd::Cancelled)),
];

impl From<Held> for wire::Held {
    fn from(held: Held) -> Self {
        Self {
            lease: held.lease,
            epoch: held.epoch,
            job: held.job,
            done: wide(held.done),
            end: wide(held.end),
        }
    }
}

impl TryFrom<wire::Held> for Held {
    type Error = ProtoError;

    fn try_from(wire: wire::Held) -> Result<Self, ProtoError> {
        Ok(Self {
            lease: wire.lease,
            epoch: wire.epoch,
            job: wire.job,
            done: narrow("done", wire.done)?,
            end: narrow("end", wire.end)?,
        })
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
        Self {
            job: over.job,
            end: to_wire(&ENDS, &over.end).unwrap_or_default().into(),
            winner: over.winner,
            seed: over.seed,
        }
    }
}

impl TryFrom<wire::Over> for Over {
    type Error = ProtoError;

    fn try_from(wire: wire::Over) -> Result<Self, ProtoError> {
        Ok(Self {
            job: wire.job,
            end: from_wire("end", &ENDS, wire::JobEnd::try_from(wire.end).ok())?,
            winner: wire.winner,
            seed: text("seed", wire.seed, MAX_SEED_CHARACTERS)?,
        })
    }
}
