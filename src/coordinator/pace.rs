//! Pace: a client's speed at one job, by its own word and by its shares, and the length of its next
//! lease.

use super::config::Config;
use crate::jobs::SHORTEST_PROVABLE;
use std::time::Duration;

/// Seconds of work after which a measurement weighs half as much.
const HALF_LIFE: f64 = 20.0;

/// Less time than this says nothing about a rate.
const SHORTEST_MEASURE: f64 = 1e-3;

/// A lease is at most this many times as long as the longest that was confirmed before it, and half
/// as much for a suspect: a client has to do much before it gets much.
const MOST_GROWTH: u128 = 4;

/// Leases of at least four times this are cut at multiples of it, so that kernels see whole bases.
const ALIGNMENTS: [u128; 2] = [1 << 20, 1 << 12];

/// The work that there is to divide, and the team that shares it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Supply {
    /// Units of the job that are free.
    pub(super) free: u128,
    /// Units of it that the clients do together in a second, as far as is proved.
    pub(super) team_rate: f64,
    /// Units for a client about which nothing is known.
    pub(super) first: u128,
    /// Time that a lease should take.
    pub(super) time: Duration,
    /// Units of the longest lease without shares.
    pub(super) unshared: u128,
}

/// A client's speed at one job.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// Sums over the past, older parts weighing less: units claimed, units proved, seconds.
    claimed: f64,
    proved: f64,
    seconds: f64,
    /// Length of the longest lease of it that was confirmed to its end.
    confirmed_len: u128,
}

impl Pace {
    /// Notes work that took `time`.
    pub(super) fn note(&mut self, time: Duration, claimed: f64, proved: f64) {
        let seconds = time.as_secs_f64();
        let fade = (-seconds / HALF_LIFE).exp2();
        self.claimed = self.claimed * fade + claimed;
        self.proved = self.proved * fade + proved;
        self.seconds = self.seconds * fade + seconds;
    }

    /// Notes a lease of `len` units that was confirmed to its end.
    pub(super) fn note_confirmed(&mut self, len: u128) {
        self.confirmed_len = self.confirmed_len.max(len);
    }

    /// Forgets that anything was confirmed: the client must prove itself again.
    pub(super) fn forget_confirmed(&mut self) {
        self.confirmed_len = 0;
    }

    /// Returns whether a lease of it was confirmed.
    pub(super) fn is_proven(&self) -> bool {
        self.confirmed_len > 0
    }

    /// Returns the units a second by the client's own word; 0 where nothing is known.
    pub(super) fn claimed_rate(&self) -> f64 {
        self.per_second(self.claimed)
    }

    /// Returns the units a second that its shares prove, whatever it claims.
    pub(super) fn proved_rate(&self) -> f64 {
        self.per_second(self.proved)
    }

    fn per_second(&self, units: f64) -> f64 {
        if self.seconds > SHORTEST_MEASURE { units / self.seconds } else { 0.0 }
    }

    /// Returns the units for the next lease.
    ///
    /// Near the end of a job each client gets half of what would make all of them end together, and
    /// half of the rest next time.
    pub(super) fn next_len(&self, config: &Config, supply: &Supply, suspect: bool) -> u128 {
        if !self.is_proven() {
            // A client that has shown to be slow gets less; its word for being fast counts nothing.
            let rate = self.claimed_rate();
            let slow = (rate * config.first_lease.as_secs_f64()) as u128;
            return if rate > 0.0 { slow.clamp(1, supply.first) } else { supply.first };
        }
        let growth = if suspect { MOST_GROWTH / 2 } else { MOST_GROWTH };
        let mut most = self.confirmed_len.saturating_mul(growth);
        if self.confirmed_len >= supply.unshared {
            // There are no leases of a length between the two.
            most = most.max(SHORTEST_PROVABLE);
        }
        let rate = self.proved_rate();
        if rate == 0.0 {
            return most;
        }
        let together = supply.free as f64 / (2.0 * supply.team_rate.max(rate));
        let time = supply.time.as_secs_f64();
        let seconds = time.min(together.max(config.shortest_lease.as_secs_f64()));
        ((seconds * rate) as u128).clamp(1, most)
    }
}

/// Returns the end of a lease of about `len` units from `start`, where kernels like it.
pub(super) fn aligned_end(start: u128, len: u128) -> u128 {
    let end = start.saturating_add(len);
    match ALIGNMENTS.into_iter().find(|&unit| len >= 4 * unit) {
        Some(unit) => end - end % unit,
        None => end,
    }
}
