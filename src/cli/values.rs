//! Parsers of option values. Each error says what was expected; none repeats the messages of the
//! standard library.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Longest time that an option takes.
const LONGEST: Duration = Duration::from_secs(86_400 * 365);

/// Parses a whole number in `range`.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + Display + PartialOrd + Clone,
{
    move |word| {
        let number = word.parse().ok().filter(|number| range.contains(number));
        let (first, last) = (range.start(), range.end());
        number.ok_or_else(|| format!("a whole number from {first} to {last} is needed"))
    }
}

/// Parses a time in seconds, 0 or more.
///
/// # Errors
/// Anything else, or longer than a year.
pub fn seconds(word: &str) -> Result<Duration, String> {
    let time = word.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| *time <= LONGEST)
        .ok_or_else(|| format!("a time in seconds from 0 to {} is needed", LONGEST.as_secs()))
}

/// Parses a time in seconds, above 0.
///
/// # Errors
/// Anything else, or longer than a year.
pub fn seconds_above_zero(word: &str) -> Result<Duration, String> {
    seconds(word)
        .ok()
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("a time in seconds above 0, up to {}, is needed", LONGEST.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        let parse = number(0u32..=128);
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("128"), Ok(128));
        for word in ["129", "-3", "", "x", "1.5", "99999999999"] {
            assert_eq!(parse(word), Err("a whole number from 0 to 128 is needed".into()));
        }
        assert!(number(NonZeroUsize::MIN..=NonZeroUsize::MAX)("0").is_err());
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for word in ["-1", "", "x", "nan", "inf", "1e300", "31536001"] {
            assert!(seconds(word).unwrap_err().contains("from 0"), "{word}");
        }
        assert!(seconds_above_zero("0").unwrap_err().contains("above 0"));
        assert_eq!(seconds_above_zero("0.2"), Ok(Duration::from_millis(200)));
    }
}
