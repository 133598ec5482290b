//! Messages of clients.

use super::fields::{from_wire, key, text, to_wire, wrong};
use super::lines::Party;
use super::progress::Progress;
use super::wire::{self, request::Body};
use super::work::{KINDS, Work};
use super::{MAX_COOKIE, MAX_NAME, ProtoError};
use crate::jobs::JobKind;
use prost::Message as _;

/// Maximum number of threads that a client may name.
const MAX_THREADS: u32 = 1 << 20;

/// A request to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Number of the request, one more than of the last; the reply carries it too.
    pub number: u64,
    /// Session from [`super::Welcome`]; 0 before it.
    pub session: u64,
    /// Number of the last notice that has arrived.
    pub notices_seen: u64,
    /// Cookie that proves a UDP address; empty over TCP.
    pub cookie: Vec<u8>,
    /// The call.
    pub call: Call,
}

/// The call of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// The client asks to be let in.
    Hello(Hello),
    /// The client asks for a lease.
    Ask,
    /// The client asks for the description of a job.
    Describe {
        /// Number of the job.
        job: u64,
        /// The first digit of the string that is wanted.
        offset: usize,
    },
    /// The client reports what was done of a lease.
    Progress(Progress),
    /// The client is still here, or has nothing to send but that a notice has arrived.
    Heartbeat,
    /// The client leaves.
    Goodbye,
    /// A new job.
    Submit(Submit),
    /// Lists jobs, from this offset on.
    Jobs(u32),
    /// Shows one job.
    Job {
        /// Number of the job.
        job: u64,
        /// The first solution that the result is to name.
        offset: u32,
    },
    /// Ends a job.
    Cancel(u64),
    /// Lists clients, from this offset on.
    Clients(u32),
    /// Bans a client or an address.
    Ban(Party),
    /// Lifts a ban.
    Unban(Party),
    /// Lists bans, from this offset on.
    Bans(u32),
}

/// The first message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest version that the client speaks.
    pub oldest_version: u32,
    /// The newest version that it speaks.
    pub newest_version: u32,
    /// Random key: the same key is the same client.
    pub key: [u8; 16],
    /// Name, for people.
    pub name: String,
    /// Backend, for people.
    pub backend: String,
    /// Threads of the backend.
    pub threads: u32,
    /// Candidates a second; 0 if not known.
    pub rate_hint: u64,
    /// Kinds of jobs that it can do.
    pub kinds: Vec<JobKind>,
}

/// A new job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submit {
    /// Random key: the same key is the same job.
    pub key: [u8; 16],
    /// The work, whole.
    pub work: Work,
    /// Priority from 1 to 100: p gets p times the time of priority 1.
    pub priority: u32,
}

impl Request {
    /// Encodes the message, padded with zeros to at least `least` bytes.
    pub fn encode(&self, least: usize) -> Vec<u8> {
        let mut wire = wire::Request {
            number: self.number,
            session: self.session,
            notices_seen: self.notices_seen,
            cookie: self.cookie.clone(),
            padding: Vec::new(),
            body: Some(self.call.clone().into()),
        };
        // Two bytes of tag and length come with the padding.
        let missing = least.saturating_sub(wire.encoded_len());
        wire.padding = vec![0; missing];
        wire.encode_to_vec()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// The bytes are not a message, or a field breaks its limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtoError> {
        let wire = wire::Request::decode(bytes)?;
        if wire.cookie.len() > MAX_COOKIE {
            return Err(wrong("cookie", "too long"));
        }
        Ok(Self {
            number: wire.number,
            session: wire.session,
            notices_seen: wire.notices_seen,
            cookie: wire.cookie,
            call: wire.body.ok_or(ProtoError::NoBody)?.try_into()?,
        })
    }
}

impl From<Call> for Body {
    fn from(call: Call) -> Self {
        match call {
            Call::Hello(hello) => Self::Hello(hello.into()),
            Call::Ask => Self::Ask(wire::Ask {}),
            Call::Describe { job, offset } => {
                Self::Describe(wire::Describe { job, offset: offset as u32 })
            }
            Call::Progress(progress) => Self::Progress(progress.into()),
            Call::Heartbeat => Self::Heartbeat(wire::Heartbeat {}),
            Call::Goodbye => Self::Goodbye(wire::Goodbye {}),
            Call::Submit(submit) => Self::Submit(submit.into()),
            Call::Jobs(offset) => Self::Jobs(wire::Jobs { offset }),
            Call::Job { job, offset } => Self::Job(wire::JobStatus { job, offset }),
            Call::Cancel(job) => Self::Cancel(wire::Cancel { job }),
            Call::Clients(offset) => Self::Clients(wire::Clients { offset }),
            Call::Ban(party) => Self::Ban(party.into()),
            Call::Unban(party) => Self::Unban(party.into()),
            Call::Bans(offset) => Self::Bans(wire::Bans { offset }),
        }
    }
}

impl TryFrom<Body> for Call {
    type Error = ProtoError;

    fn try_from(body: Body) -> Result<Self, ProtoError> {
        Ok(match body {
            Body::Hello(hello) => Self::Hello(hello.try_into()?),
            Body::Ask(_) => Self::Ask,
            Body::Describe(d) => Self::Describe { job: d.job, offset: d.offset as usize },
            Body::Progress(progress) => Self::Progress(progress.try_into()?),
            Body::Heartbeat(_) => Self::Heartbeat,
            Body::Goodbye(_) => Self::Goodbye,
            Body::Submit(submit) => Self::Submit(submit.try_into()?),
            Body::Jobs(jobs) => Self::Jobs(jobs.offset),
            Body::Job(wire::JobStatus { job, offset }) => Self::Job { job, offset },
            Body::Cancel(cancel) => Self::Cancel(cancel.job),
            Body::Clients(clients) => Self::Clients(clients.offset),
            Body::Ban(party) => Self::Ban(party.try_into()?),
            Body::Unban(party) => Self::Unban(party.try_into()?),
            Body::Bans(bans) => Self::Bans(bans.offset),
        })
    }
}

impl From<Hello> for wire::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            oldest_version: hello.oldest_version,
            newest_version: hello.newest_version,
            key: hello.key.to_vec(),
            name: hello.name,
            backend: hello.backend,
            threads: hello.threads,
            rate_hint: hello.rate_hint,
            kinds: hello
                .kinds
                .iter()
                .filter_map(|kind| to_wire(&KINDS, kind).map(i32::from))
                .collect(),
        }
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = ProtoError;

    fn try_from(wire: wire::Hello) -> Result<Self, ProtoError> {
        if wire.threads > MAX_THREADS {
            return Err(wrong("threads", "too many"));
        }
        // A newer client may know kinds that this program does not.
        let kinds = wire.kinds.iter().filter_map(|&kind| wire::Kind::try_from(kind).ok());
        let mut kinds: Vec<_> =
            kinds.filter_map(|kind| from_wire("kinds", &KINDS, Some(kind)).ok()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Self {
            oldest_version: wire.oldest_version,
            newest_version: wire.newest_version,
            key: key("key", &wire.key)?,
            name: text("name", wire.name, MAX_NAME)?,
            backend: text("backend", wire.backend, MAX_NAME)?,
            threads: wire.threads,
            rate_hint: wire.rate_hint,
            kinds,
        })
    }
}

impl From<Submit> for wire::Submit {
    fn from(submit: Submit) -> Self {
        Self { key: submit.key.to_vec(), kind: Some(submit.work.into()), priority: submit.priority }
    }
}

impl TryFrom<wire::Submit> for Submit {
    type Error = ProtoError;

    fn try_from(wire: wire::Submit) -> Result<Self, ProtoError> {
        let work = Work::try_from(wire.kind.ok_or(ProtoError::NoBody)?)?;
        if !work.is_whole() {
            return Err(wrong("digits", "a submission needs the whole string"));
        }
        let priority = wire.priority.max(1);
        if priority > 100 {
            return Err(wrong("priority", "over 100"));
        }
        Ok(Self { key: key("key", &wire.key)?, work, priority })
    }
}
