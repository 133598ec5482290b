//! Addresses from which clients have lied: who comes from there must prove more, and is let in.
//!
//! Nobody is turned away for it. Many honest machines may share an address with a broken or a lying
//! one; that they are watched more closely is all that it can do to them. A ban is the operator's,
//! see [`bans`](super::bans).

use super::networks::network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that are remembered at most; beyond that the one that offended longest ago goes.
const MOST_ADDRESSES: usize = 10_000;

/// When a client of an address lost its trust last.
pub(super) struct Suspicion {
    memory: Duration,
    offences: HashMap<IpAddr, Duration>,
}

impl Suspicion {
    /// Forgets after `memory`.
    pub(super) fn new(memory: Duration) -> Self {
        Self { memory, offences: HashMap::new() }
    }

    /// A client at `address` has lost its trust.
    pub(super) fn note(&mut self, address: IpAddr, now: Duration) {
        let address = network(address);
        if self.offences.len() == MOST_ADDRESSES && !self.offences.contains_key(&address) {
            let oldest = self.offences.iter().min_by_key(|&(_, time)| time);
            if let Some(oldest) = oldest.map(|(&address, _)| address) {
                self.offences.remove(&oldest);
            }
        }
        self.offences.insert(address, now);
    }

    /// Whether newcomers from `address` must prove more than others.
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
    fn an_address_is_suspect_until_its_last_liar_is_forgotten() {
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
    fn strangers_without_number_take_no_memory_without_end() {
        let mut suspicion = Suspicion::new(seconds(100));
        for n in 0..20_000u32 {
            suspicion.note(IpAddr::V4(n.into()), seconds(n.into()));
        }
        assert_eq!(suspicion.offences.len(), MOST_ADDRESSES);
        assert!(suspicion.offences.contains_key(&IpAddr::V4(19_999.into())));
    }
}
