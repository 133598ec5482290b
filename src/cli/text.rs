//! Numbers, rates and times as people read them.

use crate::backend::Control;
use crate::puzzle::{Encoding, Puzzle};
use std::time::Duration;

/// `1,234,567`
pub fn count(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `704.1 MH/s`
pub fn rate(per_second: f64) -> String {
    let units = ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"];
    let mut unit = 0;
    let mut value = per_second;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// `0.042 s`, `3m 20s`, `2h 5m`, `1.2e9 years`
pub fn time(seconds: f64) -> String {
    const YEAR: f64 = 365.25 * 86_400.0;
    if !seconds.is_finite() {
        return "never".into();
    }
    let whole = seconds as u64;
    match seconds {
        s if s < 10.0 => format!("{s:.3} s"),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{}m {}s", whole / 60, whole % 60),
        s if s < 86_400.0 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
        s if s < YEAR => format!("{}d {}h", whole / 86_400, whole / 3600 % 24),
        s if s < 1e6 * YEAR => format!("{:.1} years", s / YEAR),
        s => format!("{:.1e} years", s / YEAR),
    }
}

/// How long a [`Duration`] is; see [`time`].
pub fn duration(duration: Duration) -> String {
    time(duration.as_secs_f64())
}

/// A shell line that shows the digest of `seed` with nothing of ours involved.
pub fn check_line(puzzle: &Puzzle, seed: &str) -> String {
    let string = if puzzle.string().is_empty() { "''" } else { puzzle.string() };
    let decode = if puzzle.encoding() == Encoding::Bytes { " | xxd -r -p" } else { "" };
    format!("printf %s {seed} {string}{decode} | md5sum")
}

/// How far a search of `puzzle` has come: what it has tested, the work to expect, the chance of
/// having found something by now and when that chance is 63 %.
pub fn progress(puzzle: &Puzzle, tested: f64, per_second: f64) -> String {
    let work = puzzle.difficulty().expected_work();
    let left = ((work - tested) / per_second).max(0.0);
    format!(
        "{} · {tested:.2e} tested of 2^{} · chance so far {:.1} % · 63 % in {}",
        rate(per_second),
        puzzle.difficulty().bits(),
        100.0 * puzzle.difficulty().chance(tested),
        time(left),
    )
}

/// Says so when the judge has contradicted a kernel: results stay right, the machine may not be.
pub fn warn_of_false_candidates(control: &Control) {
    match control.false_candidates() {
        0 => {}
        number => eprintln!(
            "warning: {number} candidates did not stand up to the judge; solutions may be missed: \
             check this machine's processor, memory and cooling"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::puzzle::Difficulty;

    #[test]
    fn numbers_are_grouped_and_scaled() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(999.0), "999.0 H/s");
        assert_eq!(rate(704.12e6), "704.1 MH/s");
        assert_eq!(rate(5e20), "500000.0 PH/s");
    }

    #[test]
    fn times_fit_their_size() {
        assert_eq!(time(0.0421), "0.042 s");
        assert_eq!(time(200.0), "3m 20s");
        assert_eq!(time(7500.0), "2h 5m");
        assert_eq!(time(200_000.0), "2d 7h");
        assert_eq!(time(f64::INFINITY), "never");
        assert!(time(1e20).ends_with("years"));
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
