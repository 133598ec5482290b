//! `seedrush wait`, and the second half of `submit`: shows a job's progress until it ends.

use super::args::{JobArgs, ServerArgs, unanswered};
use super::tables;
use crate::cli::progress::{Due, Rate, Shown};
use crate::cli::signals::interrupted;
use crate::cli::text::Outlook;
use crate::cli::{Exit, Failure, json, text};
use crate::jobs::JobSpec;
use crate::net::client::admin::Admin;
use crate::net::client::link::Status;
use crate::proto::{JobLine, State};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Time between two looks at how many clients there are, while nothing is done.
const CLIENTS_LOOK: Duration = Duration::from_secs(2);

/// Waits for a job that was submitted before.
pub(super) async fn wait(args: &JobArgs) -> Result<Exit, Failure> {
    let (server, job) = (&args.server, args.job);
    let admin = server.admin()?;
    let stop = interrupted();
    tokio::pin!(stop);
    let known = async {
        let line = admin.job(job).await.map_err(unanswered)?;
        Ok::<_, Failure>((line.server, admin.describe(job).await.map_err(unanswered)?))
    };
    let (instance, spec) = tokio::select! {
        known = known => known?,
        () = &mut stop => {
            if server.json {
                let result = json!({ "program": "wait", "job": job, "interrupted": true });
                json::print("result", &result)?;
            }
            return Ok(Exit::Interrupted);
        }
    };
    Follower { server, admin, spec, job, instance }.follow(stop).await
}

/// A job that is waited for.
pub(super) struct Follower<'a> {
    pub(super) server: &'a ServerArgs,
    pub(super) admin: Admin,
    pub(super) spec: JobSpec,
    pub(super) job: u64,
    /// The instance of the server that has the job.
    pub(super) instance: u64,
}

impl Follower<'_> {
    /// Shows progress until the job ends or `stop` does.
    pub(super) async fn follow(self, mut stop: Pin<&mut impl Future>) -> Result<Exit, Failure> {
        let shown = Shown::new(self.server.verbosity.quiet, self.server.json);
        let view = RefCell::new(View::new(&self.spec, shown));
        let waiting =
            self.admin.wait((self.job, self.instance), |line| view.borrow_mut().update(line));
        let counting = self.count_clients(&view);
        tokio::pin!(waiting, counting);
        let mut connection = self.admin.connection();
        loop {
            tokio::select! {
                ended = &mut waiting => {
                    view.borrow().clear();
                    return self.conclude(&ended.map_err(unanswered)?);
                }
                _ = &mut stop => {
                    view.borrow().clear();
                    return self.interrupted(view.borrow().last.as_ref());
                }
                Ok(()) = connection.changed() => {
                    let status = connection.borrow_and_update().clone();
                    view.borrow_mut().connection(&status);
                }
                () = &mut counting => {}
            }
        }
    }

    /// Keeps the number of clients in the view current while nothing is done. Never ends.
    async fn count_clients(&self, view: &RefCell<View<'_>>) {
        loop {
            tokio::time::sleep(CLIENTS_LOOK).await;
            if view.borrow().is_idle() {
                // A lost server is told elsewhere.
                let clients = self.admin.connected_clients().await.ok();
                view.borrow_mut().count(clients);
            }
        }
    }

    /// Says that the job goes on, and how to wait for it.
    fn interrupted(&self, last: Option<&JobLine>) -> Result<Exit, Failure> {
        let (job, command) = (self.job, self.server.wait_command(self.job));
        if self.server.json {
            json::print("interrupted", &json!({ "job": job, "command": command }))?;
            let result = match last {
                Some(line) => tables::job_result("wait", line, true),
                None => json!({ "program": "wait", "job": job, "interrupted": true }),
            };
            json::print("result", &result)?;
        } else {
            tell!("job {job} goes on; to wait for it:\n{command}");
        }
        Ok(Exit::Interrupted)
    }

    fn conclude(&self, line: &JobLine) -> Result<Exit, Failure> {
        if self.server.json {
            json::print("result", &tables::job_result("wait", line, false))?;
        } else {
            let seeds = line.result.split_whitespace();
            seeds.for_each(|result| tables::print_result(&self.spec, result));
        }
        if line.state == State::Finished {
            return Ok(Exit::Done);
        }
        if !self.server.json {
            let none = if line.result.is_empty() { "no" } else { "no other" };
            tell!(
                "{}",
                match line.state {
                    State::Cancelled => format!("job {} was cancelled", self.job),
                    _ => format!(
                        "job {}: everything is searched, there is {none} solution",
                        self.job
                    ),
                }
            );
        }
        Ok(Exit::NoResult)
    }
}

/// Display of the job while the program waits for it.
struct View<'a> {
    spec: &'a JobSpec,
    shown: Shown,
    bar: ProgressBar,
    due: Due,
    rate: Rate,
    /// Units a second that are confirmed.
    speed: f64,
    /// Clients that are connected, if that was asked.
    clients: Option<usize>,
    lost: bool,
    /// How the job stood last.
    last: Option<JobLine>,
}

impl<'a> View<'a> {
    fn new(spec: &'a JobSpec, shown: Shown) -> Self {
        let now = Instant::now();
        let bar = match shown {
            Shown::Line => ProgressBar::new_spinner(),
            Shown::Not | Shown::Text | Shown::Json => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let (due, rate) = (Due::new(shown.interval(), now), Rate::new(now));
        Self { spec, shown, bar, due, rate, speed: 0.0, clients: None, lost: false, last: None }
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Returns true if nothing was confirmed in the last seconds.
    fn is_idle(&self) -> bool {
        self.speed == 0.0
    }

    /// Takes how the job stands now.
    fn update(&mut self, line: &JobLine) {
        let now = Instant::now();
        // The first look at a job that was begun earlier is no progress.
        if self.last.replace(line.clone()).is_none() {
            self.rate.restart(now, line.done as u64);
        }
        self.speed = self.rate.update(now, line.done as u64);
        if !self.is_idle() {
            self.clients = None;
        }
        if self.due.is_due(now) {
            self.show(line);
        }
    }

    fn show(&self, line: &JobLine) {
        match self.shown {
            Shown::Not => {}
            Shown::Line => {
                self.bar.set_message(self.words(line));
                self.bar.tick();
            }
            Shown::Text => tell!("job {}: {}", line.job, self.words(line)),
            Shown::Json => say!(
                "{}",
                json::line(
                    "progress",
                    &json!({
                        "job": line.job,
                        "state": tables::state_word(line.state),
                        "done": json::rounded(line.done),
                        "whole": json::rounded(line.whole),
                        "rate": json::rounded(self.speed),
                        "solutions": line.solutions,
                        "clients": self.clients,
                    })
                )
            ),
        }
    }

    fn words(&self, line: &JobLine) -> String {
        let clients = self.clients.map(|clients| match clients {
            0 => "no client is connected".to_owned(),
            1 => "1 client is connected".to_owned(),
            _ => format!("{} are connected", text::plural(clients, "client")),
        });
        let clients = clients.map(|clients| format!(" · {clients}")).unwrap_or_default();
        match line.state {
            State::Waiting => format!("waiting to begin{clients}"),
            State::Checking => "everything is searched, checking the evidence".into(),
            _ => format!("{}{}{clients}", self.rate_words(), self.outlook(line)),
        }
    }

    fn rate_words(&self) -> String {
        match self.spec {
            _ if self.is_idle() => String::new(),
            JobSpec::Md5Search(_) => format!("{} · ", text::rate(self.speed)),
            JobSpec::SumOfSquares(_) => format!("{} numbers/s · ", text::amount(self.speed)),
        }
    }

    /// A chance for a search, a percentage and the time left for what has an end.
    fn outlook(&self, line: &JobLine) -> String {
        if let JobSpec::Md5Search(search) = self.spec {
            let outlook = Outlook {
                difficulty: search.puzzle().difficulty(),
                tested: line.done,
                rate: self.speed,
                found: line.solutions as usize,
                wanted: search.wanted() as usize,
                left: None,
            };
            return outlook.to_string();
        }
        let done = text::percent(line.done / line.whole.max(1.0));
        if self.is_idle() {
            return format!("{done} done");
        }
        format!("{done} done, {} left", text::estimate((line.whole - line.done) / self.speed))
    }

    /// Takes the number of clients. A terminal shows it; elsewhere, that nobody works is said once.
    fn count(&mut self, clients: Option<usize>) {
        let news = clients == Some(0) && self.clients != clients;
        if news && self.shown == Shown::Text {
            tell!("no client is connected: the job waits for one");
        }
        self.clients = clients;
    }

    /// Says at once that the server is lost, and that it is there again.
    fn connection(&mut self, status: &Status) {
        let words = match status {
            Status::Connecting if !self.lost => {
                "the connection to the server is lost: trying again"
            }
            Status::Up(_) if self.lost => "the server is there again",
            _ => return,
        };
        self.lost = matches!(status, Status::Connecting);
        if self.shown != Shown::Not {
            self.bar.suspend(|| tell!("{words}"));
        }
    }
}
