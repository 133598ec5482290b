//! A token bucket: an amount that is used up and comes back with time.

use std::time::Duration;
use tokio::time::Instant;

/// See the [module](self).
pub(super) struct Allowance {
    most: f64,
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    /// Allows `most` at once and `per_second` in the long run.
    pub(super) fn new(most: u32, per_second: u32, now: Instant) -> Self {
        let most = f64::from(most);
        Self { most, per_second: per_second.into(), left: most, at: now }
    }

    /// Takes `amount`; returns false, and takes nothing, if that much is not left.
    pub(super) fn take(&mut self, amount: usize, now: Instant) -> bool {
        let time = now.checked_duration_since(self.at).unwrap_or(Duration::ZERO);
        self.left = (self.left + self.per_second * time.as_secs_f64()).min(self.most);
        self.at = self.at.max(now);
        let enough = self.left >= amount as f64;
        if enough {
            self.left -= amount as f64;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_with_time_up_to_the_size_of_the_bucket() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(100, 10, begin);
        assert!(allowance.take(100, begin) && !allowance.take(1, begin));
        let later = begin + Duration::from_secs(3);
        assert!(!allowance.take(31, later) && allowance.take(30, later));
        let much_later = begin + Duration::from_secs(1000);
        assert!(!allowance.take(101, much_later) && allowance.take(100, much_later));
        assert!(!allowance.take(1, begin), "time that runs backwards adds nothing");
    }
}
