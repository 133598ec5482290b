//! Shows what the client does: a log, a progress line, or JSON lines.

use super::pause::Gate;
use crate::cli::keys::{self, Key, Keys};
use crate::cli::progress::{Due, Rate, Shown};
use crate::cli::{json, text};
use crate::jobs::JobSpec;
use crate::lease::JobEnd;
use crate::net::client::ClientEvent;
use crate::proto::Over;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Time between two looks at the keys.
const KEY_LOOK: Duration = Duration::from_millis(200);

/// See the [module](self).
pub(super) struct Console {
    bar: ProgressBar,
    shown: Shown,
    stamped: bool,
    gate: Option<Arc<Gate>>,
    state: Mutex<State>,
}

struct State {
    client: u64,
    connected: bool,
    paused: bool,
    tested: u64,
    rate: Rate,
    speed: f64,
    due: Due,
    /// The job whose end was printed last.
    over: u64,
}

impl Console {
    pub(super) fn new(shown: Shown, gate: Option<Arc<Gate>>) -> Self {
        let bar = match shown {
            Shown::Line => ProgressBar::new_spinner(),
            Shown::Not | Shown::Text | Shown::Json => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let now = Instant::now();
        let state = State {
            client: 0,
            connected: false,
            paused: false,
            tested: 0,
            rate: Rate::new(now),
            speed: 0.0,
            due: Due::new(shown.interval(), now),
            over: 0,
        };
        let stamped = !std::io::stdout().is_terminal();
        Self { bar, shown, stamped, gate, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a line of the log.
    pub(super) fn log(&self, words: &str) {
        match self.shown {
            Shown::Not | Shown::Json => {}
            _ if self.stamped => say!("{}", text::stamped(words)),
            Shown::Line | Shown::Text => self.bar.suspend(|| say!("{words}")),
        }
    }

    /// Prints a line of the log, or the event that says the same.
    pub(super) fn tell(&self, words: &str, name: &str, fields: &Value) {
        match self.shown {
            Shown::Json => say!("{}", json::line(name, fields)),
            Shown::Not | Shown::Line | Shown::Text => self.log(words),
        }
    }

    /// Removes the progress line.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Candidates tested so far.
    pub(super) fn tested(&self) -> u64 {
        self.state().tested
    }

    /// Shows an event of the client.
    pub(super) fn show(&self, event: &ClientEvent) {
        let mut state = self.state();
        match event {
            ClientEvent::Joined(client) => {
                let again = state.client == *client;
                let words = match again {
                    false => format!("connected: you are client {client}"),
                    true => "connected again".into(),
                };
                if !again || !state.connected {
                    self.tell(&words, "connected", &json!({ "client": client }));
                }
                (state.client, state.connected) = (*client, true);
            }
            ClientEvent::Lost => {
                if state.connected {
                    let words = "the server is unreachable: searching on, and trying again";
                    self.tell(words, "lost", &json!({}));
                }
                state.connected = false;
            }
            ClientEvent::Job(job, spec) => {
                let fields = json!({ "job": job, "what": spec.to_string() });
                self.tell(&format!("job {job}: {}", job_words(spec)), "job_begun", &fields);
            }
            ClientEvent::Over(over) => {
                state.over = over.job;
                self.tell(&over_words(over, state.client), "job_over", &over_json(over));
            }
            ClientEvent::Tested(tested) => self.progress(&mut state, *tested),
        }
    }

    /// Says how the client's work ended, unless that was said already.
    pub(super) fn over(&self, over: &Over, client: u64) {
        let said = self.state().over;
        match over.job {
            0 => self.log("the server has ended the search"),
            job if job == said => self.log("the server has closed"),
            _ => self.log(&over_words(over, client)),
        }
    }

    fn progress(&self, state: &mut State, tested: u64) {
        let now = Instant::now();
        // A lease that ends is counted twice for a moment.
        state.tested = tested.max(state.tested);
        state.speed = state.rate.update(now, state.tested);
        if !state.due.is_due(now) {
            return;
        }
        match self.shown {
            Shown::Not => {}
            Shown::Line => {
                self.bar.set_message(state.words());
                self.bar.tick();
            }
            Shown::Text if state.speed > 0.0 => self.log(&state.words()),
            Shown::Text => {}
            Shown::Json => {
                let fields = json!({
                    "client": state.client,
                    "connected": state.connected,
                    "rate": json::rounded(state.speed),
                    "tested": json::integer(state.tested),
                });
                say!("{}", json::line("progress", &fields));
            }
        }
    }

    /// Listens to the keys until the task is dropped; rings `quit` when one asks for the end. Never
    /// ends where there is no terminal.
    pub(super) async fn listen(&self, quit: &Notify) {
        let Some((mut keys, gate)) = Keys::open().zip(self.gate.clone()) else {
            return std::future::pending().await;
        };
        self.log(keys::HINT);
        loop {
            tokio::time::sleep(KEY_LOOK).await;
            for key in keys.pressed() {
                match key {
                    Key::Status => self.log(&self.state().words()),
                    Key::Quit => quit.notify_one(),
                    Key::Pause => self.pause(&gate),
                }
            }
        }
    }

    fn pause(&self, gate: &Gate) {
        let paused = gate.toggle();
        let mut state = self.state();
        let tested = state.tested;
        state.paused = paused;
        state.rate.restart(Instant::now(), tested);
        drop(state);
        self.log(if paused {
            "paused: p goes on; what this client holds goes to others after some seconds"
        } else {
            "going on"
        });
    }
}

impl State {
    fn words(&self) -> String {
        let tested = text::amount(self.tested as f64);
        let rate = match (self.paused, self.speed > 0.0) {
            (true, _) => "paused".into(),
            (false, true) => text::rate(self.speed),
            (false, false) => "waiting for work".into(),
        };
        let lost = if self.connected { "" } else { " · the server is unreachable" };
        format!("{rate} · tested {tested}{lost}")
    }
}

fn job_words(spec: &JobSpec) -> String {
    match spec {
        JobSpec::Md5Search(search) => format!(
            "{} for {:?}, {} encoding, {} seeds",
            search.puzzle().difficulty(),
            search.puzzle().string(),
            search.puzzle().encoding(),
            search.space().layout(),
        ),
        JobSpec::SumOfSquares(_) => spec.to_string(),
    }
}

fn over_words(over: &Over, client: u64) -> String {
    let job = over.job;
    match (over.end, over.winner()) {
        (Some(JobEnd::Finished { .. }), 0) => format!("job {job} is finished"),
        (Some(JobEnd::Finished { .. }), winner) if winner == client => {
            format!("you won with seed {}", over.seed)
        }
        (Some(JobEnd::Finished { .. }), winner) => {
            format!("client {winner} finished first with seed {}", over.seed)
        }
        (Some(JobEnd::Exhausted), _) => {
            format!("job {job} is over: everything is searched, and there is no solution")
        }
        (Some(JobEnd::Cancelled), _) => format!("job {job} was cancelled"),
        (None, _) => "the server has ended the search".into(),
    }
}

/// The fields of a job's end in a JSON line.
pub(super) fn over_json(over: &Over) -> Value {
    let state = over.end.map(|end| match end {
        JobEnd::Finished { .. } => "finished",
        JobEnd::Exhausted => "exhausted",
        JobEnd::Cancelled => "cancelled",
    });
    json!({
        "job": (over.job > 0).then_some(over.job),
        "state": state,
        "winner": (over.winner() > 0).then_some(over.winner()),
        "seed": (!over.seed.is_empty()).then_some(&over.seed),
    })
}
