//! Watches a search: shows its progress, prints solutions as they are found, listens to keys.

use super::report::Reporter;
use crate::cli::keys::{self, Key, Keys};
use crate::cli::progress::{Due, ON_TERMINAL, Rate, Shown};
use crate::cli::{Failure, text};
use crate::search::{Report, SearchError};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A search that takes longer than this to stop has a backend that hangs.
const SLOW_STOP: Duration = Duration::from_millis(600);

/// Runs the search to its end.
///
/// # Errors
/// Standard output cannot be written; then nobody wants the search either.
pub(super) fn watch(reporter: &Reporter<'_>) -> Result<Result<Report, SearchError>, Failure> {
    let search = reporter.search;
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || send.send(search.run()));
        let mut screen = Screen::new(reporter);
        let mut written = Ok(());
        let result = loop {
            match receive.recv_timeout(ON_TERMINAL) {
                Err(RecvTimeoutError::Timeout) if written.is_ok() => {
                    written = screen.update(Instant::now());
                    if written.is_err() {
                        search.control().stop();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(result) => break result,
                // The scope passes the panic on.
                Err(RecvTimeoutError::Disconnected) => unreachable!("a search ends or panics"),
            }
        };
        written.map(|()| result)
    })
}

/// The progress line and the keys. Dropping it clears the line and gives the terminal back.
struct Screen<'a> {
    reporter: &'a Reporter<'a>,
    bar: ProgressBar,
    keys: Option<Keys>,
    rate: Rate,
    due: Due,
    /// Time of the first look at a search that was told to stop.
    stopping: Option<Instant>,
    said_slow: bool,
}

impl<'a> Screen<'a> {
    fn new(reporter: &'a Reporter<'a>) -> Self {
        let shown = reporter.shown;
        let target = match shown {
            Shown::Line => ProgressDrawTarget::stderr(),
            Shown::Not | Shown::Text | Shown::Json => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let keys = (shown == Shown::Line).then(Keys::open).flatten();
        if keys.is_some() {
            tell!("{}", keys::HINT);
        }
        let now = Instant::now();
        Self {
            reporter,
            bar,
            keys,
            rate: Rate::new(now),
            due: Due::new(shown.interval(), now),
            stopping: None,
            said_slow: false,
        }
    }

    fn update(&mut self, now: Instant) -> Result<(), Failure> {
        let reporter = self.reporter;
        let control = reporter.search.control();
        let found = reporter.new_solutions();
        if !found.is_empty() {
            self.bar.suspend(|| reporter.solutions(&found))?;
        }
        if control.is_paused() {
            self.rate.restart(now, control.tested());
        }
        let rate = self.rate.update(now, control.tested());
        for key in self.keys.as_mut().map(Keys::pressed).unwrap_or_default() {
            self.press(key, rate);
        }
        if control.was_stopped() {
            self.stopping(now);
        }
        if self.due.is_due(now) && !reporter.is_complete() {
            match reporter.shown {
                Shown::Not => {}
                Shown::Line => self.show_line(rate),
                Shown::Text => tell!("{}", reporter.progress(rate)),
                Shown::Json => reporter.progress_event(rate)?,
            }
        }
        Ok(())
    }

    fn show_line(&self, rate: f64) {
        let paused = self.reporter.search.control().is_paused();
        let line = self.reporter.progress(rate);
        self.bar.set_message(if paused {
            format!("paused: press p to go on · {line}")
        } else {
            line
        });
        self.bar.tick();
    }

    fn press(&mut self, key: Key, rate: f64) {
        let control = self.reporter.search.control();
        match key {
            Key::Status => self.bar.suspend(|| {
                let spent = text::estimate(self.reporter.began.elapsed().as_secs_f64());
                tell!("{} · {spent} so far", self.reporter.progress(rate));
            }),
            Key::Pause if control.is_paused() => control.resume(),
            Key::Pause => control.pause(),
            Key::Quit => control.stop(),
        }
    }

    /// Prints how to go on where a backend does not stop: the next signal may end the process.
    fn stopping(&mut self, now: Instant) {
        let since = *self.stopping.get_or_insert(now);
        if now - since >= SLOW_STOP && !self.said_slow {
            self.said_slow = true;
            let command = self.reporter.resume_command_so_far();
            self.bar.suspend(|| {
                tell!("waiting for a backend to stop; a second Ctrl-C does not wait. To go on:");
                tell!("{command}");
            });
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
