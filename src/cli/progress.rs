//! When progress is shown, and the rate that it shows.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Time between two updates of a progress line on a terminal.
pub const ON_TERMINAL: Duration = Duration::from_millis(200);

/// Time between two lines of progress where standard error is no terminal.
pub const IN_FILE: Duration = Duration::from_secs(30);

/// Time between two progress events of `--json`.
pub const IN_JSON: Duration = Duration::from_secs(1);

/// The rate shown is the mean over this long.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Not at all.
    Not,
    /// In a line on a terminal that is renewed.
    Line,
    /// As a line of text now and then, in a file or pipe.
    Text,
    /// As events.
    Json,
}

impl Shown {
    /// Chooses by the options and by what standard error is.
    pub fn new(quiet: bool, json: bool) -> Self {
        match (json, quiet) {
            (_, true) => Self::Not,
            (true, false) => Self::Json,
            (false, false) if std::io::stderr().is_terminal() => Self::Line,
            (false, false) => Self::Text,
        }
    }

    /// Time between two updates; `None` where there are none.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Self::Not => None,
            Self::Line => Some(ON_TERMINAL),
            Self::Text => Some(IN_FILE),
            Self::Json => Some(IN_JSON),
        }
    }
}

/// Says when the next update is due.
#[derive(Debug)]
pub struct Due {
    interval: Option<Duration>,
    last: Instant,
}

impl Due {
    /// Counts from `now`: the first update is due an interval later.
    pub fn new(interval: Option<Duration>, now: Instant) -> Self {
        Self { interval, last: now }
    }

    /// Returns true if an update is due at `now`, and counts from there.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.interval.is_some_and(|interval| now - self.last >= interval);
        if due {
            self.last = now;
        }
        due
    }
}

/// Units a second, as the mean over some seconds.
#[derive(Debug)]
pub struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    /// Counts from `now`.
    pub fn new(now: Instant) -> Self {
        Self(VecDeque::from([(now, 0)]))
    }

    /// Takes the total of units at `now`; returns the rate. A total that has fallen begins anew: a
    /// server takes back what was confirmed on false evidence.
    pub fn update(&mut self, now: Instant, total: u64) -> f64 {
        if self.0.back().is_some_and(|&(_, before)| total < before) {
            self.restart(now, total);
        }
        while self.0.len() > 1 && now - self.0[0].0 > RATE_WINDOW {
            self.0.pop_front();
        }
        self.0.push_back((now, total));
        let (since, before) = self.0[0];
        (total - before) as f64 / (now - since).as_secs_f64().max(1e-9)
    }

    /// Forgets what was before `now`, where the total was `total`: after a pause.
    pub fn restart(&mut self, now: Instant, total: u64) {
        self.0 = VecDeque::from([(now, total)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_due_once_an_interval() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut due = Due::new(Shown::Text.interval(), start);
        let times: Vec<u64> = (0..100).filter(|&second| due.is_due(at(second))).collect();
        assert_eq!(times, [30, 60, 90]);
        let mut never = Due::new(Shown::Not.interval(), start);
        assert!(!never.is_due(at(1000)));
    }

    #[test]
    fn the_rate_is_of_the_last_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::new(start);
        assert_eq!(rate.update(at(10), 1000), 100.0);
        (11..40).for_each(|second| _ = rate.update(at(second), 1000));
        assert_eq!(rate.update(at(40), 1000), 0.0, "nothing was done for half a minute");
        rate.restart(at(100), 1000);
        assert_eq!(rate.update(at(102), 3000), 1000.0);
        assert_eq!(rate.update(at(103), 2000), 0.0, "a thousand went back");
        assert_eq!(rate.update(at(104), 2500), 500.0);
    }

    #[test]
    fn options_say_how_progress_is_shown() {
        assert_eq!(Shown::new(true, false), Shown::Not);
        assert_eq!(Shown::new(true, true), Shown::Not);
        assert_eq!(Shown::new(false, true), Shown::Json);
        assert_eq!(Shown::Json.interval(), Some(Duration::from_secs(1)));
    }
}
