//! Owners of addresses, as far as an address tells.

use crate::coordinator::Submitter;
use std::net::{IpAddr, Ipv6Addr};

/// Returns the network that one owner has: an IPv4 address, or the 2^64 addresses of an IPv6 subnet.
pub(in crate::net) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Returns true for addresses of this machine.
pub(in crate::net) fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Returns the submitter to whom jobs from `address` belong.
pub(in crate::net) fn submitter(address: IpAddr) -> Submitter {
    if is_here(address) { Submitter::Here } else { Submitter::Network(network(address)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_one_ipv6_subnet_have_one_owner() {
        let [one, two] = ["2001:db8::1", "2001:db8::ffff:2"].map(|text| network(address(text)));
        assert_eq!(one, two);
        assert_ne!(one, network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(submitter(address(here)), Submitter::Here);
        }
        for there in ["192.0.2.1", "0.0.0.0", "::", "fe80::1", "::ffff:10.0.0.1", "::127.0.0.1"] {
            let network = network(address(there));
            assert_eq!(submitter(address(there)), Submitter::Network(network));
        }
    }
}
