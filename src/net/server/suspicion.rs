//! Addresses from which clients have lied: newcomers from there are admitted, but must prove more.
//!
//! Nobody is refused for it: many honest machines may share an address with a broken or a lying one.
//! Only the operator bans, see [`bans`](super::bans).

use super::networks::network;
use crate::net::limits::MAX_SUSPECTS;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The last moment at which a client of each address was found to lie.
pub(super) struct Suspicion {
    memory: Duration,
    offences: HashMap<IpAddr, Duration>,
}

impl Suspicion {
    /// Creates an empty record that forgets after `memory`.
    pub(super) fn new(memory: Duration) -> Self {
        Self { memory, offences: HashMap::new() }
    }

    /// Notes that a client at `address` was found to lie.
    pub(super) fn note(&mut self, address: IpAddr, now: Duration) {
        let address = network(address);
        if self.offences.len() == MAX_SUSPECTS && !self.offences.contains_key(&address) {
            let oldest = self.offences.iter().min_by_key(|&(_, time)| time);
            if let Some(oldest) = oldest.map(|(&address, _)| address) {
                self.offences.remove(&oldest);
            }
        }
        self.offences.insert(address, now);
    }

    /// Returns true if newcomers from `address` must prove more than others.
    pub(super) fn rests_on(&self, address: IpAddr, now: Duration) -> bool {
        let last = self.offences.get(&network(address));
        last.is_some_and(|time| now < time.saturating_add(self.memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_address_is_suspect_until_its_last_offence_is_forgotten() {
        let mut suspicion = Suspicion::new(seconds(100));
        let [bad, good]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        assert!(!suspicion.rests_on(bad, seconds(1)));
        suspicion.note(bad, seconds(1));
        assert!(suspicion.rests_on(bad, seconds(100)) && !suspicion.rests_on(good, seconds(1)));
        assert!(suspicion.rests_on("::ffff:192.0.2.1".parse().unwrap(), seconds(3)));
        suspicion.note(bad, seconds(50));
        assert!(suspicion.rests_on(bad, seconds(149)) && !suspicion.rests_on(bad, seconds(150)));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_offence_is_forgotten_first() {
        let mut suspicion = Suspicion::new(seconds(100));
        let last = MAX_SUSPECTS as u32 + 50;
        for n in 0..=last {
            suspicion.note(IpAddr::V4(n.into()), seconds(n.into()));
        }
        assert_eq!(suspicion.offences.len(), MAX_SUSPECTS);
        let holds = |n: u32| suspicion.offences.contains_key(&IpAddr::V4(n.into()));
        assert!(holds(last) && holds(51) && !holds(50));
    }
}
