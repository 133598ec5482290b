//! What can be asked: totals, jobs, clients. Copies, made on demand; never part of the hot path.
//!
//! Strangers may ask too, so a summary costs the same whatever its job has come to; what grows with
//! a job ([`Coordinator::solutions`], [`Coordinator::coverage`]) is fetched apart.

use super::api::{ClientId, JobEnd, JobId, JobState};
use super::client::Client;
use super::coverage::Coverage;
use super::job_table::Entry;
use super::pace::Pace;
use super::trust::Standing;
use super::{Coordinator, Duration};
use crate::jobs::{JobResult, JobSpec, Solution};

/// Counts that are kept anyway: cheap to ask for at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Clients that are here.
    pub clients: usize,
    /// Whether enough clients have come for work to begin.
    pub started: bool,
    /// Leases that are out.
    pub leases: usize,
    /// Jobs that have not ended.
    pub active_jobs: usize,
    /// Nonces a second of all clients, by their own word.
    pub search_rate: u128,
}

/// One job, in short.
#[derive(Clone, Debug)]
pub struct JobStatus {
    /// Its number.
    pub id: JobId,
    /// Its description.
    pub spec: JobSpec,
    /// Its priority.
    pub priority: u32,
    /// When it was submitted.
    pub submitted: Duration,
    /// How it stands.
    pub state: JobState,
    /// When and how it ended.
    pub ended: Option<(Duration, JobEnd)>,
    /// Units of the whole.
    pub whole: u128,
    /// Units for which there is evidence: these are done.
    pub confirmed: u128,
    /// Units that are done as their clients say.
    pub claimed: u128,
    /// Units lent at this moment, and not yet reported.
    pub leased: u128,
    /// Units free.
    pub free: u128,
    /// Leases that are out.
    pub leases: usize,
    /// Chance that a solution was among what is confirmed; `None` for other kinds.
    pub chance: Option<f64>,
    /// Verified solutions; [`Coordinator::solutions`] has them.
    pub solutions: u32,
}

/// One client.
#[derive(Clone, Debug)]
pub struct ClientStatus {
    /// Its number.
    pub id: ClientId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: String,
    /// What it searches with.
    pub backend: String,
    /// Its threads.
    pub threads: u32,
    /// When it joined.
    pub joined: Duration,
    /// When it was last heard of.
    pub last_seen: Duration,
    /// Whether it is connected, as far as is known.
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
    /// Hits and shares that were none.
    pub false_claims: u32,
    /// Whether and why not it is trusted.
    pub standing: Standing,
    /// Whether others have lied from where it is.
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
    /// The totals.
    pub fn totals(&self) -> Totals {
        let entries = self.jobs.active().iter().filter_map(|&id| self.jobs.find(id));
        Totals {
            clients: self.clients.len(),
            started: self.started,
            leases: entries.map(|entry| entry.due.len()).sum(),
            active_jobs: self.jobs.active().len(),
            search_rate: self.team.shown,
        }
    }

    /// Every job, those that ended recently included, oldest first.
    pub fn jobs(&self) -> Vec<JobStatus> {
        self.jobs.iter().map(|(id, entry)| status_of(id, entry)).collect()
    }

    /// At most `most` jobs, oldest first, from number `from` on.
    pub fn jobs_from(&self, from: JobId, most: usize) -> Vec<JobStatus> {
        self.jobs.iter_from(from).take(most).map(|(id, entry)| status_of(id, entry)).collect()
    }

    /// What a job is.
    pub fn spec(&self, id: JobId) -> Option<&JobSpec> {
        self.jobs.find(id).map(|entry| entry.job.spec())
    }

    /// One job.
    pub fn job(&self, id: JobId) -> Option<JobStatus> {
        self.jobs.find(id).map(|entry| status_of(id, entry))
    }

    /// At most `most` solutions of a job from the `offset`th on: in the order of their nonces, then
    /// those without one. Each costs a digest.
    pub fn solutions(&self, id: JobId, offset: usize, most: usize) -> Vec<Solution> {
        let entry = self.jobs.find(id);
        entry.into_iter().flat_map(|entry| entry.job.solutions(offset)).take(most).collect()
    }

    /// The seeds of these solutions; each costs its spelling, and only when it is taken.
    pub fn seeds(&self, id: JobId, offset: usize) -> impl Iterator<Item = String> {
        let entry = self.jobs.find(id);
        entry.into_iter().flat_map(move |entry| entry.job.seeds(offset))
    }

    /// What a job has come to so far, or in the end, with every solution.
    pub fn result(&self, id: JobId) -> Option<JobResult> {
        self.jobs.find(id).map(|entry| entry.job.result(&entry.coverage.confirmed))
    }

    /// The exact coverage of a job.
    pub fn coverage(&self, id: JobId) -> Option<Coverage> {
        self.jobs.find(id).map(|entry| entry.coverage.clone())
    }

    /// Every client, in the order of joining.
    pub fn clients(&self) -> Vec<ClientStatus> {
        self.clients.iter().map(|(id, client)| client_status(id, client)).collect()
    }

    /// At most `most` clients, in the order of joining, from number `from` on.
    pub fn clients_from(&self, from: ClientId, most: usize) -> Vec<ClientStatus> {
        let clients = self.clients.iter_from(from).take(most);
        clients.map(|(id, client)| client_status(id, client)).collect()
    }

    /// One client.
    pub fn client(&self, id: ClientId) -> Option<ClientStatus> {
        self.clients.find(id).map(|client| client_status(id, client))
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
        false_claims: client.trust.false_claims(),
        standing: client.trust.standing(),
        suspect: client.suspect,
    }
}
