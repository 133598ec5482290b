//! Proofs of address over UDP, of which the server need not remember any.
//!
//! A cookie is a MAC, SipHash-2-4 with 128 bits, of an address and a period of time under a key that
//! only this server has. SipHash is made for short input and needs nothing else; a forger has to guess
//! all 128 bits, and the comparison takes as long for a near miss as for any other.

use crate::net::random_bytes;
use siphasher::sip128::SipHasher24;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// A cookie is good for one to two of these: a stolen one is soon worthless.
const PERIOD: Duration = Duration::from_secs(120);

/// What is signed: 16 bytes of address, two of port, eight of time.
const SIGNED: usize = 26;

/// The key of a server's cookies.
pub(super) struct Cookies {
    mac: SipHasher24,
    began: Instant,
}

impl Cookies {
    /// Draws a new key.
    pub(super) fn new() -> Self {
        Self { mac: SipHasher24::new_with_key(&random_bytes()), began: Instant::now() }
    }

    /// Returns a cookie for `address`.
    pub(super) fn bake(&self, address: SocketAddr) -> [u8; 16] {
        self.of(address, self.period())
    }

    /// Returns whether `cookie` was baked for `address`, not long ago.
    pub(super) fn is_good(&self, cookie: &[u8], address: SocketAddr) -> bool {
        let period = self.period();
        let now = self.of(address, period).ct_eq(cookie);
        let before = self.of(address, period.wrapping_sub(1)).ct_eq(cookie);
        (now | before).into()
    }

    fn of(&self, address: SocketAddr, period: u64) -> [u8; 16] {
        let ip = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            std::net::IpAddr::V6(ip) => ip,
        };
        let mut signed = [0; SIGNED];
        signed[..16].copy_from_slice(&ip.octets());
        signed[16..18].copy_from_slice(&address.port().to_be_bytes());
        signed[18..].copy_from_slice(&period.to_be_bytes());
        self.mac.hash(&signed).as_bytes()
    }

    fn period(&self) -> u64 {
        self.began.elapsed().as_secs() / PERIOD.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_its_address_and_server_only() {
        let (ours, other) = (Cookies::new(), Cookies::new());
        let here: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let there: SocketAddr = "127.0.0.1:6".parse().unwrap();
        let cookie = ours.bake(here);
        assert!(ours.is_good(&cookie, here));
        assert!(!ours.is_good(&cookie, there));
        assert!(!ours.is_good(&cookie, "[::1]:5".parse().unwrap()));
        assert!(!other.is_good(&cookie, here));
        assert!(!ours.is_good(&[], here) && !ours.is_good(&cookie[..15], here));
        assert!(ours.is_good(&ours.of(here, u64::MAX), here), "of the period before");
        assert!(!ours.is_good(&ours.of(here, 5), here));
        for bit in 0..128 {
            let mut near = cookie;
            near[bit / 8] ^= 1 << (bit % 8);
            assert!(!ours.is_good(&near, here), "bit {bit}");
        }
    }
}
