//! What the server says.

use super::fields::{from_wire, millis, text, to_wire, wrong};
use super::notice::Notice;
use super::wire::{self, reply::Body};
use super::work::Work;
use super::{BanLine, ClientLine, JobLine, MAX_COOKIE, MAX_HELD, MAX_TEXT, ProtoError, cleaned};
use crate::lease::{Grant, Held, Verdict};
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
    Verdict(Verdict),
    /// Done.
    Ok,
    /// The number of the new job.
    Submitted {
        /// Its number.
        job: u64,
        /// The instance of the server that has it.
        server: u64,
    },
    /// Jobs, and where the list goes on (0: nowhere).
    Jobs(Vec<JobLine>, u32),
    /// Clients, and where the list goes on (0: nowhere).
    Clients(Vec<ClientLine>, u32),
    /// Who is turned away, and where the list goes on (0: nowhere).
    Bans(Vec<BanLine>, u32),
}

/// You are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The newest version that both speak.
    pub version: u32,
    /// The client's id.
    pub client: u64,
    /// Goes with every request from now on.
    pub session: u64,
    /// Drawn when the server started.
    pub server: u64,
    /// What the client holds still.
    pub held: Vec<Held>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// No version that both speak.
    Version,
    /// The request breaks the schema or one of its limits.
    Malformed,
    /// No trust left, or banned by the server's operator.
    Banned,
    /// No room for more.
    Full,
    /// No such session, job or request.
    Unknown,
    /// The server is about to end.
    Closing,
    /// No such session: say hello again.
    Session,
    /// Not for the sender.
    Forbidden,
}

/// No, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// For programs.
    pub reason: RefusalReason,
    /// For people.
    pub text: String,
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

const REASONS: [(wire::Reason, RefusalReason); 8] = [
    (wire::Reason::Version, RefusalReason::Version),
    (wire::Reason::Malformed, RefusalReason::Malformed),
    (wire::Reason::Banned, RefusalReason::Banned),
    (wire::Reason::Full, RefusalReason::Full),
    (wire::Reason::Unknown, RefusalReason::Unknown),
    (wire::Reason::Closing, RefusalReason::Closing),
    (wire::Reason::Session, RefusalReason::Session),
    (wire::Reason::Forbidden, RefusalReason::Forbidden),
];

impl From<Answer> for Body {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Welcome(w) => Self::Welcome(wire::Welcome {
                version: w.version,
                client: w.client,
                session: w.session,
                server: w.server,
                held: w.held.into_iter().map(wire::Held::from).collect(),
            }),
            Answer::Refused(Refused { reason, text }) => Self::Refused(wire::Refused {
                reason: to_wire(&REASONS, &reason).unwrap_or_default().into(),
                text,
            }),
            Answer::Challenge(cookie) => Self::Challenge(wire::Challenge { cookie }),
            Answer::Grant(grant) => Self::Grant(grant.into()),
            Answer::Wait(time) => Self::Wait(wire::Wait { millis: millis(time) }),
            Answer::Description { job, work } => {
                Self::Description(wire::Description { job, kind: Some(work.into()) })
            }
            Answer::Verdict(verdict) => Self::Verdict(verdict.into()),
            Answer::Ok => Self::Ok(wire::Ok {}),
            Answer::Submitted { job, server } => Self::Submitted(wire::Submitted { job, server }),
            Answer::Jobs(jobs, next) => Self::Jobs(wire::JobList {
                jobs: jobs.into_iter().map(wire::Job::from).collect(),
                next,
            }),
            Answer::Clients(clients, next) => Self::Clients(wire::ClientList {
                clients: clients.into_iter().map(wire::Client::from).collect(),
                next,
            }),
            Answer::Bans(bans, next) => Self::Bans(wire::BanList {
                bans: bans.into_iter().map(wire::BanLine::from).collect(),
                next,
            }),
        }
    }
}

impl TryFrom<Body> for Answer {
    type Error = ProtoError;

    fn try_from(body: Body) -> Result<Self, ProtoError> {
        Ok(match body {
            Body::Welcome(welcome) => Self::Welcome(welcome.try_into()?),
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
            Body::Description(wire::Description { job, kind }) => {
                let work = Work::try_from(kind.ok_or(ProtoError::NoBody)?)?;
                Self::Description { job, work }
            }
            Body::Verdict(verdict) => Self::Verdict(verdict.try_into()?),
            Body::Ok(_) => Self::Ok,
            Body::Submitted(wire::Submitted { job, server }) => Self::Submitted { job, server },
            Body::Jobs(list) => {
                let jobs: Result<_, _> = list.jobs.into_iter().map(JobLine::try_from).collect();
                Self::Jobs(jobs?, list.next)
            }
            Body::Clients(list) => {
                let clients: Result<_, _> =
                    list.clients.into_iter().map(ClientLine::try_from).collect();
                Self::Clients(clients?, list.next)
            }
            Body::Bans(list) => {
                let bans: Result<_, _> = list.bans.into_iter().map(BanLine::try_from).collect();
                Self::Bans(bans?, list.next)
            }
        })
    }
}

impl TryFrom<wire::Welcome> for Welcome {
    type Error = ProtoError;

    fn try_from(wire: wire::Welcome) -> Result<Self, ProtoError> {
        if wire.held.len() > MAX_HELD {
            return Err(wrong("held", "more than 16"));
        }
        let held: Result<_, _> = wire.held.into_iter().map(Held::try_from).collect();
        Ok(Self {
            version: wire.version,
            client: wire.client,
            session: wire.session,
            server: wire.server,
            held: held?,
        })
    }
}

/// Returns a refusal with a sentence for people.
pub fn refused(reason: RefusalReason, text: &str) -> Answer {
    Answer::Refused(Refused { reason, text: cleaned(text, MAX_TEXT) })
}
