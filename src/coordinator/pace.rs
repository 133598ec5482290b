//! How fast a client is, by its own word and by its shares, and how long its next lease should be.

use super::config::Config;
use std::time::Duration;

/// Seconds of work after which a measurement weighs half as much.
const HALF_LIFE: f64 = 20.0;

/// A lease is at most this many times as long as the one before: a client that names a fantastic
/// rate, or was fast by accident for a moment, does not get half the space.
const MOST_GROWTH: u128 = 8;

/// Leases of at least four times this are cut at multiples of it, so that kernels see whole bases.
const ALIGNMENTS: [u128; 2] = [1 << 20, 1 << 12];

/// A client's speed at one kind of job.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    hint: u64,
    /// Sums over the past, older parts weighing less: units claimed, units proved, seconds.
    claimed: f64,
    proved: f64,
    seconds: f64,
    last_len: u128,
}

impl Pace {
    pub(super) fn new(hint: u64) -> Self {
        Self { hint, ..Self::default() }
    }

    /// Takes note of work that took `time`.
    pub(super) fn note(&mut self, time: Duration, claimed: f64, proved: f64) {
        let seconds = time.as_secs_f64();
        let fade = (-seconds / HALF_LIFE).exp2();
        self.claimed = self.claimed * fade + claimed;
        self.proved = self.proved * fade + proved;
        self.seconds = self.seconds * fade + seconds;
    }

    /// Units a second by the client's own word: measured, else its hint, else 0.
    pub(super) fn rate(&self) -> u64 {
        // Too short a time says nothing; the hint stands until there is one.
        if self.seconds > 1e-3 { (self.claimed / self.seconds) as u64 } else { self.hint }
    }

    /// Units a second that its shares prove.
    pub(super) fn proved_rate(&self) -> u64 {
        if self.seconds > 1e-3 { (self.proved / self.seconds) as u64 } else { 0 }
    }

    /// Units for the next lease.
    ///
    /// `remaining` is what the job has left, `team_rate` what all clients do together: of a job
    /// that ends soon everyone gets half of what would make them all end together, again and again.
    pub(super) fn next_len(
        &self,
        config: &Config,
        usual_rate: u64,
        remaining: u128,
        team_rate: u128,
    ) -> u128 {
        let first = self.last_len == 0;
        let rate = match self.rate() {
            0 => usual_rate,
            rate => rate,
        };
        let time = if first { config.first_lease } else { config.lease_time };
        let together = remaining as f64 / (2.0 * (team_rate.max(rate.into())) as f64);
        let seconds = time.as_secs_f64().min(together.max(config.shortest_lease.as_secs_f64()));
        let len = (seconds * rate as f64) as u128;
        let most = if first { u128::MAX } else { self.last_len.saturating_mul(MOST_GROWTH) };
        len.clamp(1, most.max(1))
    }

    /// Takes note of a lease of `len` units that was sized without regard to the job's end.
    pub(super) fn note_lease(&mut self, len: u128) {
        self.last_len = self.last_len.max(len);
    }
}

/// The end of a lease of about `len` units from `start`, where kernels like it.
pub(super) fn aligned_end(start: u128, len: u128) -> u128 {
    let end = start.saturating_add(len);
    match ALIGNMENTS.into_iter().find(|&unit| len >= 4 * unit) {
        Some(unit) => end - end % unit,
        None => end,
    }
}
