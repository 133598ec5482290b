//! Randomness from the system, for what nobody may guess.

use std::time::Duration;

/// Returns random bytes.
///
/// # Panics
/// The system has no randomness. A server whose sessions and cookies can be guessed must not run,
/// and a system that had randomness once does not lose it.
pub(super) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random bytes: {error}");
    }
    bytes
}

/// Returns a random number.
pub(super) fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// Returns a random key.
pub(super) fn key() -> [u8; 16] {
    bytes()
}

/// Returns half of `time` plus a random part of the other half.
pub(super) fn jittered(time: Duration) -> Duration {
    let part = (number() % 1024) as u32;
    time / 2 + time * part / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_jitter_keeps_its_bounds() {
        assert_ne!(key(), key());
        let times: Vec<Duration> = (0..1000).map(|_| jittered(Duration::from_secs(8))).collect();
        let bounds = Duration::from_secs(4)..=Duration::from_secs(8);
        assert!(times.iter().all(|time| bounds.contains(time)));
        assert!(times.iter().any(|&time| time != times[0]));
    }
}
