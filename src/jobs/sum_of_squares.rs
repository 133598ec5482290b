//! The sum of n^2 over a range of numbers: a job whose outcome is a number.
//!
//! It keeps the coordinator free of assumptions about jobs. Clients add up unit by unit; only the
//! server uses the closed form, and only to check them.

use super::kind::{Checked, JobError, Kind, OutcomeError};
use crate::span::{Span, SpanSet};
use num_bigint::BigUint;
use std::fmt;

/// A range of numbers to square and add up, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SumOfSquares {
    first: u128,
    last: u128,
}

impl SumOfSquares {
    /// The largest number that may be squared.
    pub const LAST: u128 = 1 << 64;

    /// Describes the sum over `first..=last`.
    ///
    /// # Errors
    /// The range is reversed or goes beyond 2^64.
    pub fn new(first: u128, last: u128) -> Result<Self, JobError> {
        if first > last || last > Self::LAST {
            return Err(JobError::Range { first, last });
        }
        Ok(Self { first, last })
    }

    /// Returns the first number.
    pub fn first(self) -> u128 {
        self.first
    }

    /// Returns the last number.
    pub fn last(self) -> u128 {
        self.last
    }

    /// Adds up the squares of `span` one by one, as clients do. Numbers beyond 2^64 are left out, as
    /// no job holds them.
    pub fn add_up(span: Span) -> BigUint {
        let span = span.intersect(Span::new(0, Self::LAST + 1));
        let (small, large) = span.split_at((1u128 << 32).saturating_sub(span.start()));
        add_up_small(small) + add_up_large(large)
    }

    /// Returns the sum over `span` at once, for the server's check.
    fn closed_form(self, span: Span) -> BigUint {
        sum_below(span.end()) - sum_below(span.start())
    }
}

impl Kind for SumOfSquares {
    type Outcome = BigUint;
    type State = BigUint;
    type Result = BigUint;

    fn whole(&self) -> Span {
        Span::new(self.first, self.last + 1)
    }

    fn is_within_limits(sum: &BigUint) -> bool {
        // A sum over 2^64 squares has at most 191 bits.
        sum.bits() <= 256
    }

    fn check(
        &self,
        reported: Span,
        _counted: Span,
        _share_bits: Option<u32>,
        sum: &BigUint,
    ) -> Result<Checked, OutcomeError> {
        if *sum != self.closed_form(reported) {
            return Err(OutcomeError::WrongSum);
        }
        Ok(Checked::Proved { solutions: Vec::new() })
    }

    fn fold(&self, total: &mut BigUint, sum: &BigUint) {
        *total += sum;
    }

    fn folded(&self, total: &BigUint) -> Option<BigUint> {
        Some(total.clone())
    }

    fn is_outcome_of(&self, total: &BigUint, done: &SpanSet) -> bool {
        done.iter().map(|span| self.closed_form(span)).sum::<BigUint>() == *total
    }

    fn result(&self, total: &BigUint, _done: &SpanSet) -> BigUint {
        total.clone()
    }
}

impl fmt::Display for SumOfSquares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sum-of-squares {} {}", self.first, self.last)
    }
}

/// Adds up numbers below 2^32: a square fits a word, and 2^32 of them add up to two words.
fn add_up_small(span: Span) -> BigUint {
    let mut total = 0u128;
    for n in span.start()..span.end() {
        let n = n as u64;
        total += u128::from(n * n);
    }
    BigUint::from(total)
}

/// Adds up numbers to 2^64: a square fills two words, so a third counts the carries.
fn add_up_large(span: Span) -> BigUint {
    let (mut total, mut carries) = (0u128, 0u64);
    let mut add = |square: u128, carry: u64| {
        let (sum, overflow) = total.overflowing_add(square);
        total = sum;
        carries += u64::from(overflow) + carry;
    };
    for n in span.start()..span.end().min(SumOfSquares::LAST) {
        add(n * n, 0);
    }
    if span.contains(SumOfSquares::LAST) {
        add(0, 1);
    }
    (BigUint::from(carries) << 128u32) + BigUint::from(total)
}

/// Returns 0^2 + .. + (end-1)^2 = (end-1) end (2 end - 1) / 6.
fn sum_below(end: u128) -> BigUint {
    let Some(n) = end.checked_sub(1).map(BigUint::from) else { return BigUint::ZERO };
    &n * (&n + 1u32) * (&n * 2u32 + 1u32) / 6u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_up_to_a_million() {
        let job = SumOfSquares::new(1, 1_000_000).unwrap();
        let expected = BigUint::from(333_333_833_333_500_000u64);
        assert_eq!(SumOfSquares::add_up(job.whole()), expected);
        assert_eq!(job.closed_form(job.whole()), expected);
    }

    #[test]
    fn a_range_ascends_to_at_most_two_to_the_64() {
        assert!(SumOfSquares::new(2, 1).is_err());
        assert!(SumOfSquares::new(0, SumOfSquares::LAST + 1).is_err());
        assert!(SumOfSquares::new(SumOfSquares::LAST, SumOfSquares::LAST).is_ok());
    }

    proptest! {
        #[test]
        fn adding_up_equals_the_closed_form(
            near in prop::sample::select(vec![0u128, 1 << 32, 1 << 63, SumOfSquares::LAST - 300]),
            offset in 0u128..200,
            len in 0u128..101,
        ) {
            let job = SumOfSquares::new(0, SumOfSquares::LAST).unwrap();
            let span = Span::with_len((near + offset).saturating_sub(100), len);
            prop_assert_eq!(SumOfSquares::add_up(span), job.closed_form(span));
        }
    }
}
