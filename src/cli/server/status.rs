//! How the server and its clients stand: the status line, the table of clients, progress events.

use super::console::{Console, Format};
use crate::cli::keys::{Key, Keys};
use crate::cli::progress::{Due, Shown};
use crate::cli::text::Outlook;
use crate::cli::{json, text};
use crate::coordinator::{ClientStatus, Coordinator, JobState, JobStatus};
use crate::jobs::JobSpec;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Time between two renewals of the status line.
const TICK: Duration = Duration::from_millis(500);

/// Time between two reports of the clients with --verbose.
const REPORT: Duration = Duration::from_secs(10);

/// Clients in a report, and clients whose rates are looked at one by one.
const REPORTED_CLIENTS: usize = 32;
/// See [`REPORTED_CLIENTS`].
const WATCHED_CLIENTS: usize = 1000;

/// Contents of the status line.
struct Standing {
    clients: usize,
    missing: usize,
    jobs: usize,
    rate: f64,
    main: Option<JobStatus>,
}

/// Renews the status until the task is dropped; rings `quit` when a key asks for the end.
pub(super) async fn refresh(console: Console, shown: Shown, verbose: bool, quit: &Notify) {
    let now = Instant::now();
    let mut reports = Due::new(verbose.then_some(REPORT), now);
    let mut lines = Due::new(shown.interval(), now);
    let mut keys = if shown == Shown::Line { Keys::open() } else { None };
    if keys.is_some() {
        console.log("keys: s clients, q quit");
    }
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        for key in keys.iter_mut().flat_map(Keys::pressed) {
            match key {
                Key::Status => console.report(),
                Key::Quit => quit.notify_one(),
                // Clients search here, not the server.
                Key::Pause => {}
            }
        }
        let now = Instant::now();
        if reports.is_due(now) {
            console.report();
        }
        if lines.is_due(now) {
            console.standing(shown);
        }
    }
}

impl Console {
    fn standing(&self, shown: Shown) {
        let main = self.service.main_job();
        let now = self.service.now();
        let standing = self.service.read(|coordinator| {
            let totals = coordinator.totals();
            Standing {
                clients: totals.clients,
                missing: match totals.started {
                    true => 0,
                    false => coordinator.config().min_clients.saturating_sub(totals.clients),
                },
                jobs: totals.active_jobs,
                rate: if totals.active_jobs == 0 { 0.0 } else { rate(coordinator, now) },
                main: main.and_then(|job| coordinator.job(job)),
            }
        });
        match shown {
            Shown::Not => {}
            Shown::Line => self.out.status(standing.words()),
            // An idle server would fill its log with nothing.
            Shown::Text if standing.rate == 0.0 => {}
            Shown::Text => self.log(&standing.words()),
            Shown::Json => self.out.say(json::line("progress", &standing.json())),
        }
    }

    /// Prints a line for each client that has something to do, under a header on a terminal.
    fn report(&self) {
        let now = self.service.now();
        let first = crate::coordinator::ClientId(0);
        let clients =
            self.service.read(|coordinator| coordinator.clients_from(first, REPORTED_CLIENTS));
        if self.format == Format::Plain {
            self.log(&header());
        }
        for client in &clients {
            self.log(&row(client, now, self.format));
        }
        if clients.is_empty() {
            self.log("no client is here");
        }
    }
}

/// Candidates a second of all clients, by their own word. Of a crowd this is the sum that is kept
/// anyway, in which clients that fell silent count for some seconds more.
fn rate(coordinator: &Coordinator, now: Duration) -> f64 {
    let totals = coordinator.totals();
    if totals.clients > WATCHED_CLIENTS {
        return totals.search_rate as f64;
    }
    coordinator.clients().iter().map(|client| client.current_rate(now) as f64).sum()
}

impl Standing {
    fn words(&self) -> String {
        let mut words = text::plural(self.clients, "client");
        if self.missing > 0 {
            return format!("{words} · waiting for {} more", self.missing);
        }
        if self.jobs == 0 {
            return words + " · no job";
        }
        if self.rate > 0.0 {
            words += &format!(" · {}", text::rate(self.rate));
        }
        match self.main.as_ref().filter(|status| status.ended.is_none()) {
            Some(status) => words + &outlook(status, self.rate),
            None => format!("{words} · {}", text::plural(self.jobs, "job")),
        }
    }

    fn json(&self) -> Value {
        let main = self.main.as_ref();
        json!({
            "clients": self.clients,
            "jobs": self.jobs,
            "rate": json::rounded(self.rate),
            "confirmed": main.map(|status| json::integer(status.confirmed)),
            "chance_ppm": main.and_then(|status| status.chance).map(json::ppm),
            "solutions": main.map(|status| status.solutions),
        })
    }
}

fn outlook(status: &JobStatus, rate: f64) -> String {
    let JobSpec::Md5Search(search) = &status.spec else { return String::new() };
    if status.state == JobState::Checking {
        return " · everything is searched, checking the evidence".into();
    }
    let outlook = Outlook {
        difficulty: search.puzzle().difficulty(),
        tested: status.confirmed as f64,
        rate,
        found: status.solutions as usize,
        wanted: search.wanted() as usize,
        left: None,
    };
    format!(" · {outlook}")
}

fn header() -> String {
    format!("{:>6}  {:<20}{:>12}{:>16}  state", "client", "name", "rate", "confirmed")
}

fn row(client: &ClientStatus, now: Duration, format: Format) -> String {
    let (rate, units) = (client.current_rate(now), text::amount(client.units as f64));
    let state = match (client.connected, client.is_silent(now)) {
        (false, _) => "away",
        (true, true) => "silent",
        (true, false) if rate > 0 => "works",
        (true, false) => "idle",
    };
    let rate = if rate > 0 { text::rate(rate as f64) } else { "-".into() };
    if format == Format::Plain {
        // Columns on a terminal; longer names go.
        let name: String = client.name.chars().take(19).collect();
        return format!("{:>6}  {name:<20}{rate:>12}{units:>16}  {state}", client.id.0);
    }
    format!("client {} ({}): {rate}, {units} confirmed, {state}", client.id, client.name)
}
