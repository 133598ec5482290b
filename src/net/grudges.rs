//! Addresses of clients that have lost their trust: a liar that comes back as someone new is not
//! let in again and again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Clients of one address that may lose their trust before it gets no new ones. More than one,
/// since many honest machines may share an address with a broken one.
const MOST: usize = 3;

/// Addresses that are remembered at most; beyond that the one that offended longest ago goes.
const MOST_ADDRESSES: usize = 10_000;

/// When clients of an address lost their trust.
pub(super) struct Grudges {
    memory: Duration,
    offences: HashMap<IpAddr, Vec<Duration>>,
}

impl Grudges {
    /// Forgets after `memory`.
    pub(super) fn new(memory: Duration) -> Self {
        Self { memory, offences: HashMap::new() }
    }

    /// A client at `address` has lost its trust.
    pub(super) fn note(&mut self, address: IpAddr, now: Duration) {
        let address = network(address);
        if self.offences.len() == MOST_ADDRESSES && !self.offences.contains_key(&address) {
            let oldest = self.offences.iter().min_by_key(|(_, times)| times.last().copied());
            if let Some(oldest) = oldest.map(|(&address, _)| address) {
                self.offences.remove(&oldest);
            }
        }
        let times = self.offences.entry(address).or_default();
        if times.len() == MOST {
            times.remove(0);
        }
        times.push(now);
    }

    /// Whether `address` gets no new clients.
    pub(super) fn bars(&self, address: IpAddr, now: Duration) -> bool {
        let times = self.offences.get(&network(address)).map_or(&[][..], |times| times);
        let recent = times.iter().filter(|&&time| now < time.saturating_add(self.memory));
        recent.count() >= MOST
    }
}

/// What one owner has: an IPv4 address, or the 2^64 addresses of an IPv6 network.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn three_offences_bar_an_address_until_they_are_forgotten() {
        let mut grudges = Grudges::new(seconds(100));
        let [bad, good]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|a| a.parse().unwrap());
        grudges.note(bad, seconds(1));
        grudges.note(bad, seconds(2));
        assert!(!grudges.bars(bad, seconds(3)), "it may share the address with others");
        grudges.note(bad, seconds(3));
        assert!(grudges.bars(bad, seconds(3)) && !grudges.bars(good, seconds(3)));
        assert!(grudges.bars("::ffff:192.0.2.1".parse().unwrap(), seconds(3)));
        assert!(!grudges.bars(bad, seconds(101)), "the first is forgotten");
        grudges.note(bad, seconds(101));
        assert!(grudges.bars(bad, seconds(101)), "and this one counts");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let mut grudges = Grudges::new(seconds(100));
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            grudges.note(address.parse().unwrap(), seconds(0));
        }
        assert!(grudges.bars("2001:db8::4".parse().unwrap(), seconds(1)));
        assert!(!grudges.bars("2001:db8:0:1::1".parse().unwrap(), seconds(1)));
    }

    #[test]
    fn strangers_without_number_take_no_memory_without_end() {
        let mut grudges = Grudges::new(seconds(100));
        for n in 0..20_000u32 {
            grudges.note(IpAddr::V4(n.into()), seconds(n.into()));
        }
        assert_eq!(grudges.offences.len(), MOST_ADDRESSES);
        assert!(grudges.offences.contains_key(&IpAddr::V4(19_999.into())));
    }
}
