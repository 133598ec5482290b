//! Numbers, rates, times and estimates as people read them.

use crate::backend::Control;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use indicatif::HumanCount;
use std::fmt;
use std::time::{Duration, SystemTime};

/// `1,234,567`; numbers that do not fit 64 bits as powers: `2^70.0`.
pub fn count(number: u128) -> String {
    match u64::try_from(number) {
        Ok(number) => HumanCount(number).to_string(),
        Err(_) => format!("2^{:.1}", (number as f64).log2()),
    }
}

/// `1 client`, `2 clients`, `1,000 clients`.
pub fn plural(number: impl TryInto<u128>, thing: &str) -> String {
    let number = number.try_into().unwrap_or(u128::MAX);
    let s = if number == 1 { "" } else { "s" };
    format!("{} {thing}{s}", count(number))
}

/// `999,999`, `1.23 million`, `45.60 billion`, `7.89 trillion`, `1.2e18`.
pub fn amount(number: f64) -> String {
    match number {
        n if n < 999_999.5 => count(n.round().max(0.0) as u128),
        n if n < 999.995e6 => format!("{:.2} million", n / 1e6),
        n if n < 999.995e9 => format!("{:.2} billion", n / 1e9),
        n if n < 999.995e12 => format!("{:.2} trillion", n / 1e12),
        n => format!("{n:.1e}"),
    }
}

/// `704.1 MH/s`
pub fn rate(per_second: f64) -> String {
    let units = ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"];
    let mut unit = 0;
    let mut value = per_second;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// A part of something that is not over yet: `0.4 %`, `76 %`, never 0 or 100.
pub fn percent(part: f64) -> String {
    match 100.0 * part {
        p if p < 0.05 => "under 0.1 %".into(),
        p if p < 9.95 => format!("{p:.1} %"),
        p if p < 99.0 => format!("{p:.0} %"),
        p if p < 99.9 => format!("{:.1} %", p.min(99.9)),
        _ => "over 99.9 %".into(),
    }
}

const YEAR: f64 = 365.25 * 86_400.0;

/// A time that was measured: `0.042 s`, `3m 20s`, `2h 5m`.
pub fn time(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.3} s");
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    estimate(seconds)
}

/// A time that is guessed: `under 1 s`, `12 s`, `3m 20s`, `2d 7h`, `41 years`.
pub fn estimate(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 1.0 => "under 1 s".into(),
        s if s < 59.5 => format!("{whole} s"),
        s if s < 3599.5 => format!("{}m {}s", whole / 60, whole % 60),
        s if s < 86_400.0 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
        s if s < YEAR => format!("{}d {}h", whole / 86_400, whole / 3600 % 24),
        s if s < 1e6 * YEAR => format!("{} years", count((s / YEAR).round() as u128)),
        _ => "over a million years".into(),
    }
}

/// How long a [`Duration`] is; see [`time`].
pub fn duration(duration: Duration) -> String {
    time(duration.as_secs_f64())
}

/// Puts the time in front of a line of a log: `2026-11-21T19:05:32Z words`.
pub fn stamped(words: &str) -> String {
    format!("{} {words}", humantime::format_rfc3339_seconds(SystemTime::now()))
}

/// A shell line that shows the digest of `seed` with nothing of ours involved.
pub fn check_line(puzzle: &Puzzle, seed: &str) -> String {
    let string = if puzzle.string().is_empty() { "''" } else { puzzle.string() };
    let decode = if puzzle.encoding() == Encoding::Bytes { " | xxd -r -p" } else { "" };
    format!("printf %s {seed} {string}{decode} | md5sum")
}

/// How a search stands, in words: `chance so far 76 %, even odds in 12 s`.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// The difficulty of the puzzle.
    pub difficulty: Difficulty,
    /// Candidates tested.
    pub tested: f64,
    /// Candidates a second.
    pub rate: f64,
    /// Solutions found.
    pub found: usize,
    /// Solutions wanted.
    pub wanted: usize,
    /// Candidates left, where the search has an end that someone set.
    pub left: Option<f64>,
}

impl Outlook {
    /// Seconds from now until the search has found enough with a chance of one half. A search has no
    /// memory: what was tested in vain does not bring the solution nearer.
    fn even_odds(&self) -> f64 {
        let missing = self.wanted.saturating_sub(self.found).max(1) as f64;
        // The median of a gamma distribution (Chen and Rubin 1986), exact enough from 1 on.
        let median = missing - 1.0 / 3.0 + 8.0 / (405.0 * missing);
        median * self.difficulty.expected_work() / self.rate
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wanted > 1 {
            write!(f, "found {} of {}", count(self.found as u128), count(self.wanted as u128))?;
        } else {
            let chance = self.difficulty.chance(self.tested);
            write!(f, "chance so far {}", percent(chance))?;
        }
        if self.rate <= 0.0 {
            return Ok(());
        }
        let odds = self.even_odds();
        match self.left.map(|left| left / self.rate) {
            Some(end) if end <= odds => write!(f, ", done in {} at the latest", estimate(end)),
            Some(end) => {
                write!(
                    f,
                    ", even odds in {}, done in {} at the latest",
                    estimate(odds),
                    estimate(end)
                )
            }
            None => write!(f, ", even odds in {}", estimate(odds)),
        }
    }
}

/// Says so when the judge has contradicted a kernel: results stay right, the machine may not be.
pub fn warn_of_false_candidates(control: &Control) {
    match control.false_candidates() {
        0 => {}
        number => tell!(
            "warning: the judge refuted {}; solutions may be missed: check this machine's processor, \
             memory and cooling",
            plural(number, "candidate")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_scaled() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(1 << 70), "2^70.0");
        assert_eq!(rate(999.0), "999.0 H/s");
        assert_eq!(rate(999.96), "1.0 kH/s");
        assert_eq!(rate(704.12e6), "704.1 MH/s");
        assert_eq!(rate(5e20), "500000.0 PH/s");
        assert_eq!(amount(0.0), "0");
        assert_eq!(amount(999_999.0), "999,999");
        assert_eq!(amount(1.234e9), "1.23 billion");
        assert_eq!(amount(1.2e18), "1.2e18");
    }

    #[test]
    fn things_are_counted() {
        assert_eq!(plural(0u32, "client"), "0 clients");
        assert_eq!(plural(1u64, "client"), "1 client");
        assert_eq!(plural(1000usize, "client"), "1,000 clients");
    }

    #[test]
    fn parts_of_what_is_not_over_are_never_nothing_or_all() {
        let parts = [0.0, 0.004, 0.0995, 0.5, 0.989, 0.9899999, 0.99, 0.9989, 0.9999, 1.0];
        let words = parts.map(percent);
        let expected = [
            "under 0.1 %",
            "0.4 %",
            "10 %",
            "50 %",
            "99 %",
            "99 %",
            "99.0 %",
            "99.9 %",
            "over 99.9 %",
            "over 99.9 %",
        ];
        assert_eq!(words, expected);
    }

    #[test]
    fn times_fit_their_size() {
        assert_eq!(time(0.0421), "0.042 s");
        assert_eq!(time(59.96), "1m 0s");
        assert_eq!(time(200.0), "3m 20s");
        assert_eq!(time(7500.0), "2h 5m");
        assert_eq!(time(200_000.0), "2d 7h");
        assert_eq!(estimate(0.0), "under 1 s");
        assert_eq!(estimate(12.4), "12 s");
        assert_eq!(estimate(3599.9), "1h 0m");
        assert_eq!(estimate(1234.0 * YEAR), "1,234 years");
        assert_eq!(estimate(f64::INFINITY), "over a million years");
    }

    fn outlook(bits: u32, wanted: usize, left: Option<f64>) -> Outlook {
        let difficulty = Difficulty::from_bits(bits).unwrap();
        let tested = 1.43 * difficulty.expected_work();
        Outlook { difficulty, tested, rate: 1e6, found: 0, wanted, left }
    }

    #[test]
    fn an_outlook_is_a_chance_and_even_odds_from_now_on() {
        // 2^24 candidates at 1 MH/s, times ln 2: 11.6 s.
        assert_eq!(outlook(24, 1, None).to_string(), "chance so far 76 %, even odds in 12 s");
        let stuck = Outlook { rate: 0.0, ..outlook(24, 1, None) };
        assert_eq!(stuck.to_string(), "chance so far 76 %");
    }

    #[test]
    fn an_outlook_knows_the_end_of_the_span() {
        let near = outlook(24, 1, Some(8e6)).to_string();
        assert_eq!(near, "chance so far 76 %, done in 8 s at the latest");
        let far = outlook(24, 1, Some(40e6)).to_string();
        assert_eq!(far, "chance so far 76 %, even odds in 12 s, done in 40 s at the latest");
    }

    #[test]
    fn an_outlook_on_several_solutions_counts_them() {
        let some = Outlook { found: 2, ..outlook(24, 5, None) };
        // The median of three more: 2.67 times 16.8 s.
        assert_eq!(some.to_string(), "found 2 of 5, even odds in 45 s");
    }

    #[test]
    fn check_lines_quote_an_empty_string() {
        let puzzle = |encoding| Puzzle::new("", Difficulty::from_bits(8).unwrap(), encoding);
        let text = check_line(&puzzle(Encoding::Text).unwrap(), "af");
        assert_eq!(text, "printf %s af '' | md5sum");
        let bytes = check_line(&puzzle(Encoding::Bytes).unwrap(), "af");
        assert_eq!(bytes, "printf %s af '' | xxd -r -p | md5sum");
    }
}
