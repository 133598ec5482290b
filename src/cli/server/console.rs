//! Prints what happens on the server: as a log for people, or as JSON lines.

use super::classic::ClassicLog;
use super::output::Output;
use super::printed::Printed;
use crate::cli::{json, text};
use crate::coordinator::{ClientId, JobEnd, JobId};
use crate::jobs::{JobSpec, Solution};
use crate::net::server::{ServerEvent, Service};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    pub(super) printed: Arc<Mutex<Printed>>,
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
        // Some were printed when others were missed.
        match event {
            ServerEvent::Solution(job, solution) => {
                if self.printed().note_solution(*job, &solution.seed) {
                    self.solution(*job, solution);
                }
                return;
            }
            ServerEvent::JobEnded(job, _) if !self.printed().note_end(*job, &self.service) => {
                return;
            }
            _ => {}
        }
        if let Some(told) = self.told(event) {
            self.tell(&told.words, told.name, &told.fields);
        }
        if let ServerEvent::Missed(_) = event {
            self.catch_up();
        }
    }

    /// Prints the solutions and ends of jobs whose events this console has missed.
    pub(super) fn catch_up(&self) {
        let missed = self.printed().missed(&self.service);
        for (job, solutions, end) in missed {
            for solution in solutions {
                self.show(&ServerEvent::Solution(job, solution));
            }
            if let Some(end) = end {
                self.show(&ServerEvent::JobEnded(job, end));
            }
        }
    }

    pub(super) fn printed(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::server::output::Sink;
    use crate::coordinator::{Config, Coordinator, Fact};
    use crate::jobs::samples;
    use crate::net::listener::Server;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    impl Sink for Sender<String> {
        fn line(&mut self, line: &str) {
            let _ = self.send(line.to_owned());
        }

        fn status(&mut self, _: String) {}

        fn end(&mut self) {}
    }

    /// Returns a console of a server with a solution and an ended job, and what it prints.
    fn console() -> (Console, Receiver<String>) {
        let mut coordinator = Coordinator::new(Config::default(), [0; 32]);
        let job = coordinator.submit(Duration::ZERO, 1, samples::search(0, 5), 1).unwrap();
        let ended = coordinator.submit(Duration::ZERO, 2, samples::search(90, 1), 1).unwrap();
        assert!(coordinator.cancel(Duration::ZERO, ended));
        let mut facts = coordinator.snapshot();
        let (client, seed) = (ClientId(1), "0".to_owned());
        facts.push(Fact::Solution { job, client, nonce: Some(0), seed });
        let service = Server::restored(Config::default(), facts, None, None).unwrap().service();
        let (sender, lines) = channel();
        let console = Console {
            service,
            out: Output::new(sender),
            format: Format::Plain,
            quiet: false,
            classic: Arc::default(),
            printed: Arc::default(),
        };
        (console, lines)
    }

    #[test]
    fn missed_results_are_printed_once() {
        let (console, lines) = console();
        let job = JobId(1);
        let solution = console.service.read(|coordinator| coordinator.solutions(job, 0, 9));
        console.show(&ServerEvent::Missed(2000));
        console.show(&ServerEvent::Solution(job, solution[0].clone()));
        console.show(&ServerEvent::JobEnded(JobId(2), JobEnd::Cancelled));
        console.catch_up();
        console.out.end();
        let lines: Vec<String> = lines.try_iter().collect();
        let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
        assert_eq!((count("seed      0"), count("job 2 was cancelled")), (1, 1), "{lines:?}");
    }

    #[test]
    fn results_of_an_earlier_server_are_not_printed_again() {
        let (console, lines) = console();
        console.printed().note_earlier(&console.service);
        console.show(&ServerEvent::Missed(2000));
        console.out.end();
        assert_eq!(lines.try_iter().count(), 1, "the line about missed events");
    }
}
