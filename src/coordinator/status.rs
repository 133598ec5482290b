//! Totals, jobs and clients as copies for those who ask, ready to be written as JSON; made on demand,
//! never part of the hot path.
//!
//! Strangers may ask too, so a summary costs the same whatever its job has found; what grows with a
//! job ([`Coordinator::solutions`], [`Coordinator::coverage`]) is fetched apart.

use super::api::{ClientId, JobEnd, JobId, JobState};
use super::client::Client;
use super::coverage::Coverage;
use super::job_table::Entry;
use super::pace::Pace;
use super::standing::Standing;
use super::{Coordinator, Duration};
use crate::jobs::{JobResult, JobSpec, Solution};
use serde::Serialize;

/// Counts of everything, at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Clients that are here and have not lost their trust: those that count for the start.
    pub clients: usize,
    /// True when enough clients have come for work to begin.
    pub started: bool,
    /// Leases that are out.
    pub leases: usize,
    /// Jobs that have not ended.
    pub active_jobs: usize,
    /// Nonces a second of all clients, by their own word.
    pub search_rate: u128,
}

/// One job, in short.
#[derive(Clone, Debug, Serialize)]
pub struct JobStatus {
    /// Its number.
    pub id: JobId,
    /// Its description.
    pub spec: JobSpec,
    /// Its priority.
    pub priority: u32,
    /// When it was submitted.
    pub submitted: Duration,
    /// Its state.
    pub state: JobState,
    /// When and how it ended.
    pub ended: Option<(Duration, JobEnd)>,
    /// Units of the whole.
    pub whole: u128,
    /// Units for which there is evidence: these are done.
    pub confirmed: u128,
    /// Units that are done by the word of their clients alone.
    pub claimed: u128,
    /// Units leased at this moment, and not yet reported.
    pub leased: u128,
    /// Units free.
    pub free: u128,
    /// Leases that are out.
    pub leases: usize,
    /// Chance that a solution was among what is confirmed; `None` for other kinds.
    pub chance: Option<f64>,
    /// Number of verified solutions; [`Coordinator::solutions`] returns them.
    pub solutions: u32,
}

/// One client.
#[derive(Clone, Debug, Serialize)]
pub struct ClientStatus {
    /// Its number.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its backend.
    pub backend: String,
    /// Its threads.
    pub threads: u32,
    /// When it joined.
    pub joined: Duration,
    /// When it was last heard of.
    pub last_seen: Duration,
    /// True when it is connected, as far as is known.
    pub connected: bool,
    /// Leases that it holds.
    pub leases: usize,
    /// Leases that have ended.
    pub finished_leases: u64,
    /// Units that were confirmed by its reports.
    pub units: u128,
    /// Units a second of the kind of job that it worked on last, as it says.
    pub claimed_rate: u64,
    /// The same, as its shares or checked results prove.
    pub proved_rate: u64,
    /// False hits and shares.
    pub false_claims: u32,
    /// How far it is trusted, and why not further.
    pub standing: Standing,
    /// True when others have lied from its address.
    pub suspect: bool,
}

/// Clients that work report every second; after this long without a word their rate means nothing.
const SILENT_AFTER: Duration = Duration::from_secs(3);

impl ClientStatus {
    /// Returns true if it holds work and has said nothing for some reports' time.
    pub fn is_silent(&self, now: Duration) -> bool {
        self.leases > 0 && !self.spoke_lately(now)
    }

    /// Units a second, as it says; 0 if it has nothing to do or has said nothing lately.
    pub fn current_rate(&self, now: Duration) -> u64 {
        // Clients of the plain-text protocol have no threads and hold no leases.
        let works = self.leases > 0 || self.threads == 0;
        if works && self.spoke_lately(now) { self.claimed_rate } else { 0 }
    }

    fn spoke_lately(&self, now: Duration) -> bool {
        now.saturating_sub(self.last_seen) < SILENT_AFTER
    }
}

impl Coordinator {
    /// Returns the totals.
    pub fn totals(&self) -> Totals {
        let entries = self.tables.jobs.active().iter().map(|&id| &self.tables.jobs[id]);
        Totals {
            clients: self.trusted_clients(),
            started: self.scheduler.started,
            leases: entries.map(|entry| entry.due.len()).sum(),
            active_jobs: self.tables.jobs.active().len(),
            search_rate: self.scheduler.shown_rate(),
        }
    }

    /// Returns every job, those that ended recently included, oldest first.
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.tables.jobs.iter().map(|(id, entry)| status_of(id, entry)).collect()
    }

    /// Returns at most `most` jobs, oldest first, from number `from` on.
    pub fn jobs_from(&self, from: JobId, most: usize) -> Vec<JobStatus> {
        self.tables
            .jobs
            .iter_from(from)
            .take(most)
            .map(|(id, entry)| status_of(id, entry))
            .collect()
    }

    /// Returns the description of a job.
    pub fn spec(&self, id: JobId) -> Option<&JobSpec> {
        self.tables.jobs.find(id).map(|entry| entry.job.spec())
    }

    /// Returns one job.
    pub fn job(&self, id: JobId) -> Option<JobStatus> {
        self.tables.jobs.find(id).map(|entry| status_of(id, entry))
    }

    /// Returns at most `most` solutions of a job from the `offset`th on: in the order of their nonces, then
    /// those without one. Each costs a digest.
    pub fn solutions(&self, id: JobId, offset: usize, most: usize) -> Vec<Solution> {
        let entry = self.tables.jobs.find(id);
        entry.into_iter().flat_map(|entry| entry.job.solutions(offset)).take(most).collect()
    }

    /// Returns the seeds of these solutions, each spelled when it is taken.
    pub fn seeds(&self, id: JobId, offset: usize) -> impl Iterator<Item = String> {
        let entry = self.tables.jobs.find(id);
        entry.into_iter().flat_map(move |entry| entry.job.seeds(offset))
    }

    /// Returns the result of a job, so far or in the end, with every solution.
    pub fn result(&self, id: JobId) -> Option<JobResult> {
        self.tables.jobs.find(id).map(|entry| entry.job.result(&entry.coverage.confirmed))
    }

    /// Returns the exact coverage of a job.
    pub fn coverage(&self, id: JobId) -> Option<Coverage> {
        self.tables.jobs.find(id).map(|entry| entry.coverage.clone())
    }

    /// Returns every client, in the order of joining.
    pub fn clients(&self) -> Vec<ClientStatus> {
        self.tables.clients.iter().map(|(id, client)| client_status(id, client)).collect()
    }

    /// Returns at most `most` clients, in the order of joining, from number `from` on.
    pub fn clients_from(&self, from: ClientId, most: usize) -> Vec<ClientStatus> {
        let clients = self.tables.clients.iter_from(from).take(most);
        clients.map(|(id, client)| client_status(id, client)).collect()
    }

    /// Returns one client.
    pub fn client(&self, id: ClientId) -> Option<ClientStatus> {
        self.tables.clients.find(id).map(|client| client_status(id, client))
    }
}

fn status_of(id: JobId, entry: &Entry) -> JobStatus {
    let spec = entry.job.spec();
    JobStatus {
        id,
        spec: spec.clone(),
        priority: entry.priority,
        submitted: entry.submitted,
        state: entry.state(),
        ended: entry.ended,
        whole: spec.whole().len(),
        confirmed: entry.coverage.confirmed.len(),
        claimed: entry.coverage.claimed.len(),
        leased: entry.coverage.leased.len(),
        free: entry.coverage.free.len(),
        leases: entry.due.len(),
        chance: spec.chance(entry.coverage.confirmed.len()),
        solutions: entry.job.solution_count(),
    }
}

fn client_status(id: ClientId, client: &Client) -> ClientStatus {
    let pace = client.last_pace();
    ClientStatus {
        id,
        name: client.name.to_string(),
        address: client.address.to_string(),
        backend: client.backend.to_string(),
        threads: client.threads,
        joined: client.joined,
        last_seen: client.last_seen,
        connected: client.connected,
        leases: client.leases.len(),
        finished_leases: client.finished_leases,
        units: client.units,
        claimed_rate: pace.map_or(0.0, Pace::claimed_rate) as u64,
        proved_rate: pace.map_or(0.0, Pace::proved_rate) as u64,
        false_claims: client.conduct.false_claims(),
        standing: client.conduct.standing(),
        suspect: client.suspect,
    }
}
