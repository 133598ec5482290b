//! What the server says: joins, reports, the status line, and how it ended.

use super::output::Output;
use crate::cli::{INTERRUPTED, text};
use crate::coordinator::{JobEnd, JobId};
use crate::jobs::Solution;
use crate::net::listener::ServerEnding;
use crate::net::server::{ServerEvent, Service};
use crate::puzzle::Puzzle;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How often the status line is renewed.
const STATUS_TIME: Duration = Duration::from_millis(500);

/// Status lines between two reports of what clients say.
const REPORT_EVERY: u32 = 20;

/// Clients of whom reports are printed; beyond that nobody would read them.
const REPORTED_CLIENTS: usize = 32;

/// Spans of a coverage that are printed.
const PRINTED_SPANS: usize = 20;

/// Prints one of the last lines.
macro_rules! say_to {
    ($out:expr, $($words:tt)*) => { $out.say_at_last(format!($($words)*)) };
}

/// What is shown while the server runs.
#[derive(Clone)]
pub(super) struct Console {
    service: Arc<Service>,
    out: Output,
}

impl Console {
    pub(super) fn new(service: Arc<Service>, quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { service, out: Output::new(bar) }
    }

    pub(super) async fn refresh(self) {
        let mut tick = tokio::time::interval(STATUS_TIME);
        for n in 1u32.. {
            tick.tick().await;
            if n.is_multiple_of(REPORT_EVERY) {
                self.report();
            }
            self.out.status(self.status());
        }
    }

    /// What clients have said of their work.
    fn report(&self) {
        let few = |clients: usize| (1..=REPORTED_CLIENTS).contains(&clients);
        let clients = self
            .service
            .read(|coordinator| few(coordinator.totals().clients).then(|| coordinator.clients()));
        for client in clients.into_iter().flatten().filter(|client| client.claimed_rate > 0) {
            let (rate, tested) =
                (text::rate(client.claimed_rate as f64), text::count(client.units));
            let away = if client.connected { "" } else { ", out of reach" };
            let (id, name) = (client.id, &client.name);
            self.say(&format!("client {id} ({name}): {rate}, tested {tested}{away}"));
        }
    }

    /// Prints a line.
    pub(super) fn say(&self, line: &str) {
        self.out.say(line.to_owned());
    }

    fn status(&self) -> String {
        let main = self.service.main_job();
        let (totals, status) = self
            .service
            .read(|coordinator| (coordinator.totals(), main.and_then(|job| coordinator.job(job))));
        let rate = text::rate(totals.search_rate as f64);
        let mut line = format!("{} clients · {rate}", totals.clients);
        match status {
            Some(status) => {
                line += &format!(" · tested {:.3e}", status.confirmed as f64);
                if let Some(chance) = status.chance {
                    line += &format!(" · chance so far {:.1} %", 100.0 * chance);
                }
            }
            None => line += &format!(" · {} jobs", totals.active_jobs),
        }
        line
    }

    pub(super) fn show(&self, event: &ServerEvent) {
        let line = match event {
            ServerEvent::Joined { client, address, what } => {
                format!("client {client} joined from {address}: {what}")
            }
            ServerEvent::Left(client) => format!("client {client} left"),
            ServerEvent::Started => "enough clients are here: the search begins".into(),
            ServerEvent::Solution(job, solution) => format!(
                "job {job}: client {} found {} with digest {}",
                solution.client, solution.seed, solution.digest
            ),
            ServerEvent::JobEnded(job, end) => format!("job {job} {}", ending_words(*end)),
            ServerEvent::Distrusted(client, reason) => {
                format!("client {client} gets no more work: {reason}")
            }
            ServerEvent::Said(client, line) => format!("client {client}: {line}"),
            ServerEvent::Missed(events) => format!("({events} events are missing here)"),
        };
        self.say(&line);
    }
}

fn ending_words(end: JobEnd) -> &'static str {
    match end {
        JobEnd::Finished { .. } => "is finished",
        JobEnd::Exhausted => "has nothing left to search, and no solution was there",
        JobEnd::Cancelled => "was cancelled",
    }
}

/// Says the last words, and how the program ends. Waits for who reads them, if anyone does.
pub(super) fn conclude(
    console: &Console,
    puzzle: Option<&Puzzle>,
    ending: &ServerEnding,
) -> ExitCode {
    let code = last_words(&console.service, &console.out, puzzle, ending);
    console.out.end();
    code
}

fn last_words(
    service: &Service,
    out: &Output,
    puzzle: Option<&Puzzle>,
    ending: &ServerEnding,
) -> ExitCode {
    let Some((puzzle, job)) = puzzle.zip(service.main_job()) else {
        let jobs = service.read(|coordinator| coordinator.jobs());
        for job in jobs.into_iter().filter(|job| job.ended.is_none()) {
            say_to!(out, "job {}: {}", job.id, job.spec);
            print_coverage(service, out, job.id);
        }
        return ExitCode::from(INTERRUPTED);
    };
    let solutions = service.read(|coordinator| coordinator.solutions(job, 0, usize::MAX));
    for solution in &solutions {
        print_solution(out, puzzle, solution);
    }
    match ending {
        ServerEnding::Over(_) if !solutions.is_empty() => ExitCode::SUCCESS,
        ServerEnding::Over(_) => ExitCode::from(1),
        ServerEnding::Stopped => {
            print_coverage(service, out, job);
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn print_solution(out: &Output, puzzle: &Puzzle, solution: &Solution) {
    let Solution { seed, digest, client, .. } = solution;
    say_to!(out, "Final. Client {client} found seed: {seed} for hash: {digest}");
    say_to!(out, "seed    {seed}");
    say_to!(out, "digest  {digest}");
    say_to!(out, "check   {}", text::check_line(puzzle, seed));
}

fn print_coverage(service: &Service, out: &Output, job: JobId) {
    let Some(coverage) = service.read(|coordinator| coordinator.coverage(job)) else { return };
    let leased: u128 = coverage.leased.iter().map(|span| span.len()).sum();
    say_to!(
        out,
        "stopped: {} units done, {} were being worked on",
        text::count(coverage.confirmed.len()),
        text::count(leased)
    );
    for span in coverage.confirmed.iter().take(PRINTED_SPANS) {
        say_to!(out, "done {span}");
    }
    if let Some(more) = coverage.confirmed.fragments().checked_sub(PRINTED_SPANS).filter(|n| *n > 0)
    {
        say_to!(out, "and {more} more spans");
    }
}
