//! Messages of the server.

use super::fields::{from_wire, millis, text, to_wire, wrong};
use super::notice::Notice;
use super::wire::{self, reply::Body};
use super::work::Work;
use super::{BanLine, ClientLine, JobLine, MAX_COOKIE, MAX_HELD, MAX_TEXT, ProtoError, cleaned};
use crate::lease::{Grant, Held, Verdict};
use prost::Message as _;
use std::time::Duration;

/// A reply, or a push.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Number of the request; 0 for a push.
    pub number: u64,
    /// The oldest notice that the client has not seen.
    pub notice: Option<Notice>,
    /// The answer; `None` in a push.
    pub answer: Option<Answer>,
}

/// The server's answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The client is let in.
    Welcome(Welcome),
    /// The request is refused.
    Refused(Refused),
    /// The client must prove its address: it sends this cookie with the same request.
    Challenge(Vec<u8>),
    /// A lease for the client.
    Grant(Grant),
    /// Nothing to do now; the client asks again after this time.
    Wait(Duration),
    /// The description of a job, or a part of it.
    Description {
        /// Number of the job.
        job: u64,
        /// Its work.
        work: Work,
    },
    /// The verdict on progress.
    Verdict(Verdict),
    /// The request is carried out.
    Ok,
    /// A job is submitted.
    Submitted {
        /// Number of the job.
        job: u64,
        /// The instance of the server that has it.
        server: u64,
    },
    /// Jobs, and the offset of the next page (0: this is the last).
    Jobs(Vec<JobLine>, u32),
    /// Clients, and the offset of the next page (0: this is the last).
    Clients(Vec<ClientLine>, u32),
    /// Bans, and the offset of the next page (0: this is the last).
    Bans(Vec<BanLine>, u32),
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The newest version of the protocol that both speak.
    pub version: u32,
    /// The client's id.
    pub client: u64,
    /// Session: goes with every request from now on.
    pub session: u64,
    /// Instance of the server, drawn when it started.
    pub server: u64,
    /// Leases that the client still holds.
    pub held: Vec<Held>,
}

/// Reason of a refusal, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// There is no version that both speak.
    Version,
    /// The request breaks the schema or one of its limits.
    Malformed,
    /// The client has lost the server's trust, or the operator has banned it.
    Banned,
    /// The server has no room for more.
    Full,
    /// There is no such job, client or request.
    Unknown,
    /// The server is about to end.
    Closing,
    /// There is no such session: the client says hello again.
    Session,
    /// The sender may not ask for this.
    Forbidden,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    /// Reason, for programs.
    pub reason: RefusalReason,
    /// Reason, for people.
    pub text: String,
}

impl Refused {
    /// Makes a refusal with a sentence for people.
    pub fn new(reason: RefusalReason, text: &str) -> Self {
        Self { reason, text: cleaned(text, MAX_TEXT) }
    }
}

impl Reply {
    /// Encodes the message.
    pub fn encode(&self) -> Vec<u8> {
        let wire = wire::Reply {
            number: self.number,
            notice: self.notice.clone().map(wire::Notice::from),
            body: self.answer.clone().map(Body::from),
        };
        wire.encode_to_vec()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// The bytes are not a message, or a field breaks its limit.
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
    Answer::Refused(Refused::new(reason, text))
}
