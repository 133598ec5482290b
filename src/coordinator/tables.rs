//! Clients and jobs: what scheduler, lease book and trust all work on.

use super::api::{ClientId, JobId};
use super::client::{Client, ClientTable};
use super::config::Config;
use super::job_table::{Entry, JobTable};
use std::time::Duration;

/// Every client and every job.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) config: Config,
    pub(super) clients: ClientTable,
    pub(super) jobs: JobTable,
}

impl Tables {
    pub(super) fn new(config: Config) -> Self {
        Self { config, clients: ClientTable::default(), jobs: JobTable::default() }
    }

    /// Returns the units a second that a client has proved that it does of a job.
    pub(super) fn rate(&self, client: ClientId, job: JobId) -> Option<f64> {
        rate(&self.clients[client], job, &self.jobs[job])
    }

    /// Returns when a client is gone unless it is heard of before.
    pub(super) fn silent_at(&self, client: &Client) -> Duration {
        let patience = match client.check_standing() {
            Ok(()) => self.config.client_timeout,
            Err(_) => self.config.suspicion_time,
        };
        client.last_seen.saturating_add(patience)
    }
}

/// Returns the units a second that `client` has proved that it does of a job.
pub(super) fn rate(client: &Client, job: JobId, entry: &Entry) -> Option<f64> {
    client.proved_rate(job, entry.kind(), entry.job.spec().unit_cost())
}
