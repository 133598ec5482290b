//! The log of what clients of the plain-text protocol say: at most a line every ten seconds each.

use crate::cli::text;
use crate::net::plaintext::tested;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time between two lines of one client.
const PAUSE: Duration = Duration::from_secs(10);

/// Clients that are remembered: strangers can pretend to be many.
const MOST_CLIENTS: usize = 10_000;

/// Progress that each client claims, and when it was last printed.
#[derive(Debug, Default)]
pub(super) struct ClassicLog(HashMap<u64, Said>);

#[derive(Debug)]
struct Said {
    printed: Instant,
    tested: u64,
}

impl ClassicLog {
    /// Takes a line of a client; returns what to print, if it is time.
    pub(super) fn take(&mut self, client: u64, line: &str, now: Instant) -> Option<String> {
        if self.0.len() >= MOST_CLIENTS && !self.0.contains_key(&client) {
            self.0.clear();
        }
        let said = self.0.entry(client).or_insert(Said { printed: now, tested: 0 });
        let number = tested(line);
        // Each line tells what is new since the one before.
        said.tested = said.tested.saturating_add(number.unwrap_or(0));
        if now - said.printed < PAUSE {
            return None;
        }
        said.printed = now;
        Some(match number {
            Some(_) => format!("tested {}, as it says", text::amount(said.tested as f64)),
            None => line.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_a_line_every_ten_seconds_with_all_that_it_tested() {
        let start = Instant::now();
        let mut log = ClassicLog::default();
        let mut lines = Vec::new();
        for second in 0..=25 {
            let now = start + Duration::from_secs(second);
            lines.extend(log.take(1, "Computed 100 hashes", now));
        }
        assert_eq!(lines, ["tested 1,100, as it says", "tested 2,100, as it says"]);
        assert_eq!(log.take(2, "hello", start), None);
        let later = start + PAUSE;
        assert_eq!(log.take(2, "hello", later).as_deref(), Some("hello"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut log = ClassicLog::default();
        for client in 0..3 * MOST_CLIENTS as u64 {
            log.take(client, "Computed 1 hashes", Instant::now());
        }
        assert!(log.0.len() <= MOST_CLIENTS);
    }
}
