//! Lines of the lists of jobs, clients and bans.

use super::fields::{amount, from_wire, text, to_wire, wrong};
use super::{MAX_NAME, MAX_RESULT, MAX_TITLE, ProtoError, wire};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it was ever lent.
    Waiting,
    /// Something is lent, or to be lent.
    Running,
    /// Everything is searched, as clients say; the evidence is not complete.
    Checking,
    /// It has everything that was wanted.
    Finished,
    /// Everything is searched, and it was not there.
    Exhausted,
    /// Someone cancelled it.
    Cancelled,
}

/// One line of the list of jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobLine {
    /// Number of the job.
    pub job: u64,
    /// Title.
    pub title: String,
    /// State.
    pub state: State,
    /// Units for which there is evidence.
    pub done: f64,
    /// All units; of a puzzle, the number expected to be needed.
    pub whole: f64,
    /// Priority: p gets p times the time of priority 1.
    pub priority: u32,
    /// Client whose solution ended the job; 0 for none.
    pub winner: u64,
    /// Result: a sum, or seeds with blanks between, from the one that was asked for on.
    pub result: String,
    /// Number of seeds in all.
    pub solutions: u32,
    /// Instance of the server.
    pub server: u64,
}

/// One line of the list of clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientLine {
    /// Number of the client.
    pub client: u64,
    /// Name.
    pub name: String,
    /// Address.
    pub address: String,
    /// Backend.
    pub backend: String,
    /// Threads of the backend.
    pub threads: u32,
    /// Units a second, as the client says.
    pub claimed_rate: f64,
    /// Units a second, as its shares prove.
    pub proven_rate: f64,
    /// Units accepted.
    pub done: f64,
    /// Hits that were not solutions.
    pub false_hits: u32,
    /// Standing: how far the client is trusted, and why.
    pub standing: String,
    /// True while it is connected.
    pub connected: bool,
    /// Number of leases that it holds.
    pub leases: u32,
    /// Number of its leases that have ended.
    pub finished: u64,
}

/// Someone to ban: an address, or a client by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// An address; of IPv6 the network of 64 bits that it is in.
    Address(IpAddr),
    /// A client's session.
    Client(u64),
}

impl FromStr for Party {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        // The form that Display writes.
        let address = word.strip_suffix("/64").filter(|word| word.contains(':')).unwrap_or(word);
        match (word.parse(), address.parse::<IpAddr>()) {
            (Ok(client), _) if client > 0 => Ok(Self::Client(client)),
            (_, Ok(address)) => Ok(Self::Address(address.to_canonical())),
            _ => Err(format!("{word:?} is neither an IP address nor the number of a client")),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "{address}/64"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Client(client) => write!(f, "client {client}"),
        }
    }
}

/// One line of the list of bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanLine {
    /// Address or client that is banned.
    pub who: Party,
    /// Seconds since it was banned.
    pub seconds: u64,
    /// Times that it was turned away.
    pub turned_away: u64,
}

const STATES: [(wire::State, State); 6] = [
    (wire::State::Waiting, State::Waiting),
    (wire::State::Running, State::Running),
    (wire::State::Checking, State::Checking),
    (wire::State::Finished, State::Finished),
    (wire::State::Exhausted, State::Exhausted),
    (wire::State::Cancelled, State::Cancelled),
];

impl From<JobLine> for wire::Job {
    fn from(line: JobLine) -> Self {
        Self {
            job: line.job,
            title: line.title,
            state: to_wire(&STATES, &line.state).unwrap_or_default().into(),
            done: line.done,
            whole: line.whole,
            priority: line.priority,
            winner: line.winner,
            result: line.result,
            solutions: line.solutions,
            server: line.server,
        }
    }
}

impl TryFrom<wire::Job> for JobLine {
    type Error = ProtoError;

    fn try_from(wire: wire::Job) -> Result<Self, ProtoError> {
        Ok(Self {
            job: wire.job,
            title: text("title", wire.title, MAX_TITLE)?,
            state: from_wire("state", &STATES, wire::State::try_from(wire.state).ok())?,
            done: amount("done", wire.done)?,
            whole: amount("whole", wire.whole)?,
            priority: wire.priority,
            winner: wire.winner,
            result: text("result", wire.result, MAX_RESULT)?,
            solutions: wire.solutions,
            server: wire.server,
        })
    }
}

impl From<ClientLine> for wire::Client {
    fn from(line: ClientLine) -> Self {
        Self {
            client: line.client,
            name: line.name,
            address: line.address,
            backend: line.backend,
            threads: line.threads,
            claimed_rate: line.claimed_rate,
            proven_rate: line.proven_rate,
            done: line.done,
            false_hits: line.false_hits,
            standing: line.standing,
            connected: line.connected,
            leases: line.leases,
            finished: line.finished,
        }
    }
}

impl TryFrom<wire::Client> for ClientLine {
    type Error = ProtoError;

    fn try_from(wire: wire::Client) -> Result<Self, ProtoError> {
        Ok(Self {
            client: wire.client,
            name: text("name", wire.name, MAX_NAME)?,
            address: text("address", wire.address, MAX_NAME)?,
            backend: text("backend", wire.backend, MAX_NAME)?,
            threads: wire.threads,
            claimed_rate: amount("claimed_rate", wire.claimed_rate)?,
            proven_rate: amount("proven_rate", wire.proven_rate)?,
            done: amount("done", wire.done)?,
            false_hits: wire.false_hits,
            standing: text("standing", wire.standing, MAX_TITLE)?,
            connected: wire.connected,
            leases: wire.leases,
            finished: wire.finished,
        })
    }
}

impl From<Party> for wire::Ban {
    fn from(party: Party) -> Self {
        use wire::ban::Who;
        let who = match party {
            Party::Address(address) => Who::Address(address.to_string()),
            Party::Client(client) => Who::Client(client),
        };
        Self { who: Some(who) }
    }
}

impl TryFrom<wire::Ban> for Party {
    type Error = ProtoError;

    fn try_from(wire: wire::Ban) -> Result<Self, ProtoError> {
        use wire::ban::Who;
        Ok(match wire.who.ok_or_else(|| wrong("who", "missing"))? {
            Who::Address(address) => {
                let address = address.parse().map_err(|_| wrong("address", "no IP address"))?;
                Self::Address(address)
            }
            Who::Client(client) => Self::Client(client),
        })
    }
}

impl From<BanLine> for wire::BanLine {
    fn from(line: BanLine) -> Self {
        let BanLine { who, seconds, turned_away } = line;
        Self { who: Some(who.into()), seconds, turned_away }
    }
}

impl TryFrom<wire::BanLine> for BanLine {
    type Error = ProtoError;

    fn try_from(wire: wire::BanLine) -> Result<Self, ProtoError> {
        let who = wire.who.ok_or_else(|| wrong("who", "missing"))?.try_into()?;
        Ok(Self { who, seconds: wire.seconds, turned_away: wire.turned_away })
    }
}
