//! The state of the server as plain data, for a web page or a log.
//!
//! Numbers of units and rates are decimal strings, since they may exceed what JSON readers hold
//! exactly. Lists come in pages, so that a snapshot costs the same whatever the server has to do.

use super::Service;
use crate::coordinator::{ClientId, ClientStatus, Coordinator, JobEnd, JobId, JobState, JobStatus};
use crate::net::server::pages::standing_text;
use crate::proto::{MAX_TITLE, cleaned};
use serde::{Serialize, Serializer};
use std::fmt::Display;
use std::time::Duration;

/// Totals of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The instance of the server: another one numbers its jobs and clients anew.
    #[serde(serialize_with = "decimal")]
    pub instance: u64,
    /// Seconds since it started.
    pub uptime: u64,
    /// True once enough clients have joined for work to begin.
    pub started: bool,
    /// True once it is about to end.
    pub closing: bool,
    /// Clients that have joined and not left.
    pub clients: usize,
    /// Leases that are out.
    pub leases: usize,
    /// Jobs that have not ended.
    pub active_jobs: usize,
    /// Nonces a second of all clients, by their own word.
    #[serde(serialize_with = "decimal")]
    pub search_rate: u128,
}

/// A job, in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobSnapshot {
    /// Its number.
    pub job: u64,
    /// Its description, cut and safe to print.
    pub title: String,
    /// `waiting`, `running`, `checking`, `finished`, `exhausted` or `cancelled`.
    pub state: &'static str,
    /// Its priority.
    pub priority: u32,
    /// All of its units.
    #[serde(serialize_with = "decimal")]
    pub whole: u128,
    /// Units with credible evidence.
    #[serde(serialize_with = "decimal")]
    pub confirmed: u128,
    /// Units that clients say they did.
    #[serde(serialize_with = "decimal")]
    pub claimed: u128,
    /// Units that are lent.
    #[serde(serialize_with = "decimal")]
    pub leased: u128,
    /// Units that are free.
    #[serde(serialize_with = "decimal")]
    pub free: u128,
    /// Verified solutions.
    pub solutions: u32,
    /// The client whose solution ended it.
    pub winner: Option<u64>,
}

/// A client, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientSnapshot {
    /// Its number.
    pub client: u64,
    /// Its name.
    pub name: String,
    /// Its address and port.
    pub address: String,
    /// Its backend.
    pub backend: String,
    /// Threads of its backend.
    pub threads: u32,
    /// True if it is connected, as far as is known.
    pub connected: bool,
    /// Leases that it holds.
    pub leases: usize,
    /// Leases that have ended.
    pub finished_leases: u64,
    /// Units that its evidence has confirmed.
    #[serde(serialize_with = "decimal")]
    pub units: u128,
    /// Units a second, by its own word.
    #[serde(serialize_with = "decimal")]
    pub claimed_rate: u64,
    /// Units a second, as its evidence shows.
    #[serde(serialize_with = "decimal")]
    pub proved_rate: u64,
    /// Hits and shares that were false.
    pub false_claims: u32,
    /// Its standing, for people.
    pub standing: String,
}

fn decimal<S: Serializer>(number: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl Service {
    /// Returns the totals.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.state();
        let totals = state.coordinator.totals();
        Snapshot {
            instance: state.coordinator.instance(),
            uptime: self.began.elapsed().as_secs(),
            started: totals.started,
            closing: state.closing.is_some(),
            clients: totals.clients,
            leases: totals.leases,
            active_jobs: totals.active_jobs,
            search_rate: totals.search_rate,
        }
    }

    /// Returns at most `most` jobs, oldest first, from number `from` on.
    pub fn job_page(&self, from: u64, most: usize) -> Vec<JobSnapshot> {
        let page = |coordinator: &Coordinator| coordinator.jobs_from(JobId(from), most);
        self.read(page).iter().map(JobSnapshot::from).collect()
    }

    /// Returns at most `most` clients, oldest first, from number `from` on.
    pub fn client_page(&self, from: u64, most: usize) -> Vec<ClientSnapshot> {
        let page = |coordinator: &Coordinator| coordinator.clients_from(ClientId(from), most);
        let now = self.now();
        self.read(page).into_iter().map(|status| ClientSnapshot::of(status, now)).collect()
    }
}

impl From<&JobStatus> for JobSnapshot {
    fn from(status: &JobStatus) -> Self {
        let end = status.ended.map(|(_, end)| end);
        let winner = match end {
            Some(JobEnd::Finished { winner }) => winner.map(|client| client.0),
            _ => None,
        };
        Self {
            job: status.id.0,
            title: cleaned(&status.spec.title(MAX_TITLE), MAX_TITLE),
            state: state_name(end, status.state),
            priority: status.priority,
            whole: status.whole,
            confirmed: status.confirmed,
            claimed: status.claimed,
            leased: status.leased,
            free: status.free,
            solutions: status.solutions,
            winner,
        }
    }
}

fn state_name(end: Option<JobEnd>, state: JobState) -> &'static str {
    match (end, state) {
        (Some(end), _) | (None, JobState::Ended(end)) => match end {
            JobEnd::Finished { .. } => "finished",
            JobEnd::Exhausted => "exhausted",
            JobEnd::Cancelled => "cancelled",
        },
        (None, JobState::Waiting) => "waiting",
        (None, JobState::Running) => "running",
        (None, JobState::Checking) => "checking",
    }
}

impl ClientSnapshot {
    fn of(status: ClientStatus, now: Duration) -> Self {
        Self {
            client: status.id.0,
            standing: standing_text(&status, now),
            name: status.name,
            address: status.address,
            backend: status.backend,
            threads: status.threads,
            connected: status.connected,
            leases: status.leases,
            finished_leases: status.finished_leases,
            units: status.units,
            claimed_rate: status.claimed_rate,
            proved_rate: status.proved_rate,
            false_claims: status.false_claims,
        }
    }
}
