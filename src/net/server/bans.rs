//! Bans by the operator of the server. The server itself bans no address, see
//! [`suspicion`](super::suspicion).

use super::networks::network;
use crate::net::limits::MAX_BANS;
use crate::proto::{BanLine, Party};
use std::net::IpAddr;
use std::time::Duration;

/// There are [`MAX_BANS`] bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_BANS} bans, as many as the server takes: lift one first")]
pub(super) struct TooMany;

/// A banned network or client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Banned {
    /// All of a network.
    Network(IpAddr),
    /// A client by its number, and by the key with which it says hello.
    Client { number: u64, key: u128 },
}

impl Banned {
    fn party(self) -> Party {
        match self {
            Self::Network(network) => Party::Address(network),
            Self::Client { number, .. } => Party::Client(number),
        }
    }
}

struct Ban {
    /// Orders the list: pages begin at a number.
    number: u32,
    who: Banned,
    since: Duration,
    turned_away: u64,
}

/// All bans, the oldest first.
#[derive(Default)]
pub(super) struct Bans {
    list: Vec<Ban>,
    last: u32,
}

impl Bans {
    /// Bans `who`; changes nothing if it is banned already.
    ///
    /// # Errors
    /// There is no room for more.
    pub(super) fn add(&mut self, who: Banned, now: Duration) -> Result<(), TooMany> {
        if self.list.iter().any(|ban| ban.who.party() == who.party()) {
            return Ok(());
        }
        if self.list.len() >= MAX_BANS {
            return Err(TooMany);
        }
        self.last += 1;
        self.list.push(Ban { number: self.last, who, since: now, turned_away: 0 });
        Ok(())
    }

    /// Lifts a ban; returns false if there is none.
    pub(super) fn lift(&mut self, party: Party) -> bool {
        let party = match party {
            Party::Address(address) => Party::Address(network(address)),
            Party::Client(_) => party,
        };
        let before = self.list.len();
        self.list.retain(|ban| ban.who.party() != party);
        self.list.len() < before
    }

    /// Returns true if a sender at `address`, with this `key` if it says hello, is banned, and counts it.
    pub(super) fn turn_away(&mut self, address: IpAddr, key: Option<u128>) -> bool {
        let address = network(address);
        let mut matching = self.list.iter_mut().filter(|ban| match ban.who {
            Banned::Network(network) => network == address,
            Banned::Client { key: banned, .. } => key == Some(banned),
        });
        let ban = matching.next();
        let found = ban.is_some();
        ban.into_iter().for_each(|ban| ban.turned_away += 1);
        found
    }

    /// Returns the number of bans.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns true if the client itself is banned, not only its address.
    pub(super) fn holds_client(&self, number: u64) -> bool {
        self.list.iter().any(|ban| ban.who.party() == Party::Client(number))
    }

    /// Returns at most `most` bans with their numbers, from number `from` on.
    pub(super) fn page(&self, from: u32, most: usize, now: Duration) -> Vec<(u32, BanLine)> {
        let bans = self.list.iter().filter(|ban| ban.number >= from).take(most);
        let line = |ban: &Ban| BanLine {
            who: ban.who.party(),
            seconds: now.saturating_sub(ban.since).as_secs(),
            turned_away: ban.turned_away,
        };
        bans.map(|ban| (ban.number, line(ban))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network_of(text: &str) -> Banned {
        Banned::Network(network(text.parse().unwrap()))
    }

    #[test]
    fn banned_networks_and_clients_are_refused_and_counted_until_the_ban_is_lifted() {
        let mut bans = Bans::default();
        let [bad, good]: [IpAddr; 2] =
            ["2001:db8::1", "2001:db8:1::1"].map(|text| text.parse().unwrap());
        let second = Duration::from_secs(1);
        bans.add(network_of("2001:db8::7"), second).unwrap();
        bans.add(Banned::Client { number: 3, key: 33 }, 2 * second).unwrap();
        bans.add(Banned::Client { number: 3, key: 33 }, 9 * second).unwrap();
        assert!(bans.turn_away(bad, None) && bans.turn_away(bad, Some(1)));
        assert!(bans.turn_away(good, Some(33)) && !bans.turn_away(good, Some(34)));
        assert!(!bans.turn_away(good, None));
        let lines = [
            BanLine { who: Party::Address(network(bad)), seconds: 9, turned_away: 2 },
            BanLine { who: Party::Client(3), seconds: 8, turned_away: 1 },
        ];
        assert_eq!(bans.page(0, 9, 10 * second), [(1, lines[0]), (2, lines[1])]);
        assert_eq!(bans.page(2, 9, 10 * second), [(2, lines[1])]);
        assert_eq!((bans.len(), bans.page(0, 1, 10 * second).len()), (2, 1));
        assert!(bans.lift(Party::Address(bad)) && !bans.lift(Party::Address(bad)));
        assert!(bans.holds_client(3) && bans.lift(Party::Client(3)) && !bans.holds_client(3));
        assert!(!bans.turn_away(bad, Some(33)));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut bans = Bans::default();
        for n in 0..MAX_BANS as u32 {
            bans.add(Banned::Network(IpAddr::V4(n.into())), Duration::ZERO).unwrap();
        }
        assert_eq!(bans.add(network_of("192.0.2.1"), Duration::ZERO), Err(TooMany));
        assert_eq!(bans.add(network_of("0.0.0.1"), Duration::ZERO), Ok(()), "already banned");
        assert!(bans.lift(Party::Address("0.0.0.1".parse().unwrap())));
        assert_eq!(bans.add(network_of("192.0.2.1"), Duration::ZERO), Ok(()));
        assert!(TooMany.to_string().contains("1000"));
    }
}
