//! Cookies: proofs of address over UDP that cost the server no memory.
//!
//! A cookie is a MAC, SipHash-2-4 with 128 bits, of an address and a period of time under a key that
//! only this server has. SipHash is made for short input. A forger has to guess all 128 bits, and the
//! comparison takes constant time.

use crate::net::limits::COOKIE_PERIOD;
use crate::net::random;
use siphasher::sip128::SipHasher24;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// Bytes under the MAC: 16 of address, two of port, eight of time.
const SIGNED: usize = 26;

/// Makes and checks the cookies of a server.
pub(super) struct Cookies {
    mac: SipHasher24,
    began: Instant,
}

impl Cookies {
    /// Draws a new key.
    pub(super) fn new(now: Instant) -> Self {
        Self { mac: SipHasher24::new_with_key(&random::key()), began: now }
    }

    /// Returns a cookie for `address`.
    pub(super) fn bake(&self, address: SocketAddr, now: Instant) -> [u8; 16] {
        self.of(address, self.period(now))
    }

    /// Returns true if `cookie` was made for `address` in this period or the one before.
    pub(super) fn is_valid(&self, cookie: &[u8], address: SocketAddr, now: Instant) -> bool {
        let period = self.period(now);
        let now = self.of(address, period).ct_eq(cookie);
        let before = self.of(address, period.wrapping_sub(1)).ct_eq(cookie);
        (now | before).into()
    }

    fn of(&self, address: SocketAddr, period: u64) -> [u8; 16] {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut signed = [0; SIGNED];
        signed[..16].copy_from_slice(&ip.octets());
        signed[16..18].copy_from_slice(&address.port().to_be_bytes());
        signed[18..].copy_from_slice(&period.to_be_bytes());
        self.mac.hash(&signed).as_bytes()
    }

    fn period(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_secs() / COOKIE_PERIOD.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_cookie_is_valid_for_its_address_and_server_only() {
        let now = Instant::now();
        let (ours, other) = (Cookies::new(now), Cookies::new(now));
        let here: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let cookie = ours.bake(here, now);
        assert!(ours.is_valid(&cookie, here, now));
        for there in ["127.0.0.1:6", "127.0.0.2:5", "[::1]:5"] {
            assert!(!ours.is_valid(&cookie, there.parse().unwrap(), now), "{there}");
        }
        assert!(!other.is_valid(&cookie, here, now));
        assert!(!ours.is_valid(&[], here, now) && !ours.is_valid(&cookie[..15], here, now));
        for bit in 0..128 {
            let mut near = cookie;
            near[bit / 8] ^= 1 << (bit % 8);
            assert!(!ours.is_valid(&near, here, now), "bit {bit}");
        }
    }

    #[test]
    fn a_cookie_is_valid_for_one_to_two_periods() {
        let began = Instant::now();
        let cookies = Cookies::new(began);
        let here: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let second = Duration::from_secs(1);
        for made in [Duration::ZERO, COOKIE_PERIOD - second, COOKIE_PERIOD] {
            let cookie = cookies.bake(here, began + made);
            let periods_begun = made.as_secs() / COOKIE_PERIOD.as_secs();
            let end = COOKIE_PERIOD * (periods_begun as u32 + 2);
            assert!(cookies.is_valid(&cookie, here, began + end - second), "made at {made:?}");
            assert!(!cookies.is_valid(&cookie, here, began + end), "made at {made:?}");
        }
        let early = cookies.bake(here, began);
        let late = cookies.bake(here, began + COOKIE_PERIOD);
        assert_ne!(early, late);
        assert!(!cookies.is_valid(&late, here, began), "no cookie comes from the future");
    }
}
