//! What the server says.

use super::fields::{from_wire, narrow, text, to_wire, wide, wrong};
use super::wire::{self, reply::Body};
use super::work::{Md5Part, Work, squares};
use super::{ClientLine, JobLine, MAX_COOKIE, MAX_RESULT, MAX_TEXT, ProtoError};
use crate::puzzle::MAX_SEED_CHARACTERS;
use crate::span::Span;
use prost::Message as _;
use std::time::Duration;

/// A reply, or what is pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Of the request; 0 for what is pushed.
    pub number: u64,
    /// The oldest one that the client has not seen.
    pub notice: Option<Notice>,
    /// The answer; `None` where only the notice matters.
    pub answer: Option<Answer>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// You are in.
    Welcome(Welcome),
    /// No.
    Refused(Refused),
    /// Show that you are at your address: send this cookie with the same request.
    Challenge(Vec<u8>),
    /// A lease.
    Grant(Grant),
    /// Nothing to do now; ask again after this time.
    Wait(Duration),
    /// What a job is, or a part of it.
    Description {
        /// Its number.
        job: u64,
        /// Its work.
        work: Work,
    },
    /// What the server makes of progress.
    Verdict {
        /// Its word.
        judgement: Judgement,
        /// Units of the lease that are still wanted, from its start.
        length: u64,
    },
    /// Done.
    Ok,
    /// The number of the new job.
    Submitted(u64),
    /// Jobs, and where the list goes on (0: nowhere).
    Jobs(Vec<JobLine>, u32),
    /// Clients, and where the list goes on (0: nowhere).
    Clients(Vec<ClientLine>, u32),
}

/// You are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The newest version that both speak.
    pub version: u32,
    /// The client's id.
    pub client: u32,
    /// Goes with every request from now on.
    pub session: u64,
    /// Drawn when the server started.
    pub server: u64,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No version that both speak.
    Version,
    /// The request breaks the schema or one of its limits.
    Malformed,
    /// Too many false solutions.
    Banned,
    /// No room for more.
    Full,
    /// No such session, job or request.
    Unknown,
    /// The server is about to end.
    Closing,
    /// No such session: say hello again.
    Session,
}

/// No, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub text: String,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its number.
    pub lease: u64,
    /// Names this lending.
    pub epoch: u64,
    /// The job.
    pub job: u64,
    /// The units; not empty, fewer than 2^64.
    pub span: Span,
    /// From how many zero bits on a hit is reported; 0: solutions only.
    pub share_bits: u32,
    /// Progress is due at least this often.
    pub renew: Duration,
}

/// The word on progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It counts.
    Accepted,
    /// Not this client's lease, or not any more.
    Stale,
    /// A hit that is none.
    False,
}

/// A job is over, or the server closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Counts from 1.
    pub number: u64,
    /// The job; 0 for all.
    pub job: u64,
    /// Whether a solution was found.
    pub solved: bool,
    /// Whose it was; 0 for nobody's.
    pub winner: u32,
    /// The first solution.
    pub seed: String,
    /// The outcome of other jobs.
    pub result: String,
    /// Nothing else comes from this server.
    pub closing: bool,
}

impl Reply {
    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let wire = wire::Reply {
            number: self.number,
            notice: self.notice.clone().map(wire::Notice::from),
            body: self.answer.clone().map(Body::from),
        };
        wire.encode_to_vec()
    }

    /// The message in `bytes`.
    ///
    /// # Errors
    /// It is none, or a field breaks its limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtoError> {
        let wire = wire::Reply::decode(bytes)?;
        if wire.body.is_none() && wire.notice.is_none() {
            return Err(ProtoError::NoBody);
        }
        Ok(Self {
            number: wire.number,
            notice: wire.notice.map(Notice::try_from).transpose()?,
            answer: wire.body.map(Answer::try_from).transpose()?,
        })
    }
}

const REASONS: [(wire::Reason, Reason); 7] = [
    (wire::Reason::Version, Reason::Version),
    (wire::Reason::Malformed, Reason::Malformed),
    (wire::Reason::Banned, Reason::Banned),
    (wire::Reason::Full, Reason::Full),
    (wire::Reason::Unknown, Reason::Unknown),
    (wire::Reason::Closing, Reason::Closing),
    (wire::Reason::Session, Reason::Session),
];

const JUDGEMENTS: [(wire::Judgement, Judgement); 3] = [
    (wire::Judgement::Accepted, Judgement::Accepted),
    (wire::Judgement::Stale, Judgement::Stale),
    (wire::Judgement::False, Judgement::False),
];

impl From<Answer> for Body {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Welcome(w) => Self::Welcome(wire::Welcome {
                version: w.version,
                client: w.client,
                session: w.session,
                server: w.server,
            }),
            Answer::Refused(Refused { reason, text }) => Self::Refused(wire::Refused {
                reason: to_wire(&REASONS, &reason).unwrap_or_default().into(),
                text,
            }),
            Answer::Challenge(cookie) => Self::Challenge(wire::Challenge { cookie }),
            Answer::Grant(grant) => Self::Grant(grant.into()),
            Answer::Wait(time) => Self::Wait(wire::Wait { millis: millis(time) }),
            Answer::Description { job, work } => Self::Description(describe(job, work)),
            Answer::Verdict { judgement, length } => Self::Verdict(wire::Verdict {
                judgement: to_wire(&JUDGEMENTS, &judgement).unwrap_or_default().into(),
                length,
            }),
            Answer::Ok => Self::Ok(wire::Ok {}),
            Answer::Submitted(job) => Self::Submitted(wire::Submitted { job }),
            Answer::Jobs(jobs, next) => Self::Jobs(wire::JobList {
                jobs: jobs.into_iter().map(wire::Job::from).collect(),
                next,
            }),
            Answer::Clients(clients, next) => Self::Clients(wire::ClientList {
                clients: clients.into_iter().map(wire::Client::from).collect(),
                next,
            }),
        }
    }
}

impl TryFrom<Body> for Answer {
    type Error = ProtoError;

    fn try_from(body: Body) -> Result<Self, ProtoError> {
        Ok(match body {
            Body::Welcome(w) => Self::Welcome(Welcome {
                version: w.version,
                client: w.client,
                session: w.session,
                server: w.server,
            }),
            Body::Refused(refused) => Self::Refused(Refused {
                reason: from_wire("reason", &REASONS, wire::Reason::try_from(refused.reason).ok())?,
                text: text("text", refused.text, MAX_TEXT)?,
            }),
            Body::Challenge(wire::Challenge { cookie }) if cookie.len() > MAX_COOKIE => {
                return Err(wrong("cookie", "too long"));
            }
            Body::Challenge(challenge) => Self::Challenge(challenge.cookie),
            Body::Grant(grant) => Self::Grant(grant.try_into()?),
            Body::Wait(wait) => Self::Wait(Duration::from_millis(wait.millis.into())),
            Body::Description(description) => described(description)?,
            Body::Verdict(verdict) => Self::Verdict {
                judgement: from_wire(
                    "judgement",
                    &JUDGEMENTS,
                    wire::Judgement::try_from(verdict.judgement).ok(),
                )?,
                length: verdict.length,
            },
            Body::Ok(_) => Self::Ok,
            Body::Submitted(submitted) => Self::Submitted(submitted.job),
            Body::Jobs(list) => {
                let jobs: Result<_, _> = list.jobs.into_iter().map(JobLine::try_from).collect();
                Self::Jobs(jobs?, list.next)
            }
            Body::Clients(list) => {
                let clients: Result<_, _> =
                    list.clients.into_iter().map(ClientLine::try_from).collect();
                Self::Clients(clients?, list.next)
            }
        })
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn describe(job: u64, work: Work) -> wire::Description {
    use wire::description::Kind;
    let kind = match work {
        Work::Md5Search(part) => Kind::Md5Search(part.into()),
        Work::SumOfSquares { first, last } => {
            Kind::SumOfSquares(wire::SumOfSquares { first, last })
        }
    };
    wire::Description { job, kind: Some(kind) }
}

fn described(wire: wire::Description) -> Result<Answer, ProtoError> {
    use wire::description::Kind;
    let work = match wire.kind.ok_or(ProtoError::NoBody)? {
        Kind::Md5Search(part) => Work::Md5Search(Md5Part::try_from(part)?),
        Kind::SumOfSquares(range) => squares(range)?,
    };
    Ok(Answer::Description { job: wire.job, work })
}

impl From<Grant> for wire::Grant {
    fn from(grant: Grant) -> Self {
        Self {
            lease: grant.lease,
            epoch: grant.epoch,
            job: grant.job,
            start: wide(grant.span.start()),
            length: grant.span.len() as u64,
            share_bits: grant.share_bits,
            renew_millis: millis(grant.renew),
        }
    }
}

impl TryFrom<wire::Grant> for Grant {
    type Error = ProtoError;

    fn try_from(wire: wire::Grant) -> Result<Self, ProtoError> {
        let start = narrow("start", wire.start)?;
        let end = start.checked_add(wire.length.into());
        if wire.length == 0 || wire.share_bits > 128 || wire.renew_millis == 0 {
            return Err(wrong("grant", "no length, no time to renew, or over 128 share bits"));
        }
        Ok(Self {
            lease: wire.lease,
            epoch: wire.epoch,
            job: wire.job,
            span: Span::new(start, end.ok_or_else(|| wrong("length", "beyond 2^128"))?),
            share_bits: wire.share_bits,
            renew: Duration::from_millis(wire.renew_millis.into()),
        })
    }
}

impl From<Notice> for wire::Notice {
    fn from(notice: Notice) -> Self {
        Self {
            number: notice.number,
            job: notice.job,
            solved: notice.solved,
            winner: notice.winner,
            seed: notice.seed,
            result: notice.result,
            closing: notice.closing,
        }
    }
}

impl TryFrom<wire::Notice> for Notice {
    type Error = ProtoError;

    fn try_from(wire: wire::Notice) -> Result<Self, ProtoError> {
        Ok(Self {
            number: wire.number,
            job: wire.job,
            solved: wire.solved,
            winner: wire.winner,
            seed: text("seed", wire.seed, MAX_SEED_CHARACTERS)?,
            result: text("result", wire.result, MAX_RESULT)?,
            closing: wire.closing,
        })
    }
}
