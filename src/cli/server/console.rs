//! Prints what happens on the server: as a log for people, or as JSON lines.

use super::classic::ClassicLog;
use super::output::Output;
use crate::cli::{json, text};
use crate::coordinator::{ClientId, JobEnd, JobId};
use crate::jobs::{JobSpec, Solution};
use crate::net::server::{ServerEvent, Service};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As they are, for a terminal.
    Plain,
    /// With the time in front, for a file.
    Stamped,
    /// As JSON, the log included.
    Json,
}

/// Prints events, solutions and messages. Clones print to the same place.
#[derive(Clone)]
pub(super) struct Console {
    pub(super) service: Arc<Service>,
    pub(super) out: Output,
    pub(super) format: Format,
    /// Drops the log and keeps the results.
    pub(super) quiet: bool,
    pub(super) classic: Arc<Mutex<ClassicLog>>,
}

/// An event in words, and as a JSON line.
struct Told {
    words: String,
    name: &'static str,
    fields: Value,
}

impl Console {
    /// Prints a line of the log.
    pub(super) fn log(&self, words: &str) {
        match self.format {
            _ if self.quiet => {}
            Format::Plain => self.out.say(words.to_owned()),
            Format::Stamped => self.out.say(text::stamped(words)),
            Format::Json => {}
        }
    }

    /// Prints a line of the log, or the event that says the same.
    pub(super) fn tell(&self, words: &str, name: &str, fields: &Value) {
        match self.format {
            Format::Json => self.out.say(json::line(name, fields)),
            Format::Plain | Format::Stamped => self.log(words),
        }
    }

    /// Prints an event of the server.
    pub(super) fn show(&self, event: &ServerEvent) {
        if let ServerEvent::Solution(job, solution) = event {
            return self.solution(*job, solution);
        }
        if let Some(told) = self.told(event) {
            self.tell(&told.words, told.name, &told.fields);
        }
    }

    fn told(&self, event: &ServerEvent) -> Option<Told> {
        let told = |words, name, fields| Some(Told { words, name, fields });
        match event {
            ServerEvent::Joined { client, address, what } => told(
                format!("client {client} joined from {address}: {what}"),
                "joined",
                json!({ "client": client, "address": address, "what": what }),
            ),
            ServerEvent::Left(client) => {
                told(format!("client {client} left"), "left", json!({ "client": client }))
            }
            // Without a job there is nothing to begin.
            ServerEvent::Started if !self.has_job() => None,
            ServerEvent::Started => {
                told("enough clients are here: the search begins".into(), "started", json!({}))
            }
            ServerEvent::JobEnded(job, end) => Some(self.job_ended(*job, *end)),
            ServerEvent::Distrusted(client, reason) => told(
                format!("{} gets no more work: {reason}", self.name_of(*client)),
                "distrusted",
                json!({ "client": client, "reason": reason }),
            ),
            ServerEvent::Said(client, line) => {
                let mut log = self.classic.lock().unwrap_or_else(PoisonError::into_inner);
                let words = log.take(*client, line, Instant::now())?;
                told(
                    format!("{}: {words}", self.name_of(*client)),
                    "said",
                    json!({ "client": client, "line": line }),
                )
            }
            ServerEvent::Submitted { job, what, address } => told(
                format!("job {job} was submitted from {address}: {what}"),
                "submitted",
                json!({ "job": job.0, "what": what, "address": address }),
            ),
            ServerEvent::Missed(events) => told(
                format!(
                    "{} passed unseen: this log could not keep up",
                    text::plural(*events as usize, "event")
                ),
                "missed",
                json!({ "events": events }),
            ),
            ServerEvent::Lingering(jobs) => told(
                format!("staying for {}: --once would end here", text::plural(*jobs, "other job")),
                "lingering",
                json!({ "jobs": jobs }),
            ),
            ServerEvent::Solution(..) => None,
        }
    }

    fn has_job(&self) -> bool {
        self.service.read(|coordinator| coordinator.totals().active_jobs > 0)
    }

    fn job_ended(&self, job: JobId, end: JobEnd) -> Told {
        let (state, words) = match end {
            JobEnd::Finished { .. } => ("finished", "is finished"),
            JobEnd::Exhausted => ("exhausted", "is over: everything is searched"),
            JobEnd::Cancelled => ("cancelled", "was cancelled"),
        };
        Told {
            words: format!("job {job} {words}"),
            name: "job_ended",
            fields: json!({ "job": job.0, "state": state }),
        }
    }

    /// `client 3 (box)`, or the number alone of one that has gone.
    fn name_of(&self, client: u64) -> String {
        let status = self.service.read(|coordinator| coordinator.client(ClientId(client)));
        match status.filter(|status| !status.name.is_empty()) {
            Some(status) => format!("client {client} ({})", status.name),
            None => format!("client {client}"),
        }
    }

    /// Prints a solution when it is found; never dropped, whoever reads.
    fn solution(&self, job: JobId, solution: &Solution) {
        let Solution { seed, digest, client, .. } = solution;
        let spec = self.service.read(|coordinator| coordinator.spec(job).cloned());
        let Some(JobSpec::Md5Search(search)) = spec else { return };
        let check = text::check_line(search.puzzle(), seed);
        if self.format == Format::Json {
            let fields = json!({
                "job": job.0,
                "client": client,
                "seed": seed,
                "digest": digest.to_string(),
                "check": check,
            });
            return self.out.keep(json::line("solution", &fields));
        }
        self.log(&format!("{} found a solution of job {job}:", self.name_of(*client)));
        self.out.keep(format!("seed      {seed}"));
        self.out.keep(format!("digest    {digest}"));
        self.out.keep(format!("check     {check}"));
    }

    /// Prints the last line of `--json`.
    pub(super) fn result(&self, interrupted: bool) {
        if self.format != Format::Json {
            return;
        }
        let main = self.service.main_job();
        let status = self.service.read(|coordinator| coordinator.job(main?));
        let fields = json!({
            "program": "server",
            "interrupted": interrupted,
            "solutions": status.as_ref().map(|status| status.solutions),
            "confirmed": status.as_ref().map(|status| json::integer(status.confirmed)),
        });
        self.out.keep(json::line("result", &fields));
    }
}
