//! Addresses from which classic datagrams came, as many as there is room for.

use super::super::allowance::Allowance;
use crate::coordinator::ClientId;
use crate::net::server::networks::network;
use crate::puzzle::MAX_STRING_DIGITS;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Addresses that are known at once: more than a network of such clients has, and a megabyte at most.
pub(super) const MOST_PEERS: usize = 4096;

/// Of these, ports of one address: more machines than stand behind one, and a small part of all.
pub(super) const MOST_OF_AN_ADDRESS: usize = 256;

/// New addresses at once, and in a second: a forger takes its time to fill the table, and others get
/// in between.
pub(super) const NEWCOMERS: (u32, u32) = (1000, 200);

/// Who spoke this lately keeps its place when the table is full: clients speak every second.
const FRESH: Duration = Duration::from_secs(5);

/// Bytes that are remembered of what came from an address: the longest problem is paid with them.
const MOST_CREDIT: usize = MAX_STRING_DIGITS + 64;

/// Numbers of these clients begin here, beyond those of the coordinator: a server would have to see
/// a million others before two have the same number.
pub(super) const FIRST_NUMBER: u64 = 1_000_001;

/// What is known of an address.
pub(super) struct Peer {
    /// What it is called in its problem.
    pub(super) number: u64,
    /// What it is to the coordinator, once it has answered.
    pub(super) client: Option<ClientId>,
    /// Bytes that came from it, less those that went there.
    pub(super) credit: usize,
    /// When something beyond that was sent to it.
    pub(super) lent: Option<Instant>,
    /// When it was sent the problem, unless it has to be sent again.
    pub(super) told: Option<Instant>,
    pub(super) has_been_told: bool,
    pub(super) heard: Instant,
    pub(super) shown_alive: Instant,
    pub(super) stops: u32,
    pub(super) next_stop: Instant,
}

impl Peer {
    fn new(number: u64, now: Instant) -> Self {
        Self {
            number,
            client: None,
            credit: 0,
            lent: None,
            told: None,
            has_been_told: false,
            heard: now,
            shown_alive: now,
            stops: 0,
            next_stop: now,
        }
    }

    /// A datagram came from it.
    pub(super) fn hear(&mut self, bytes: usize, now: Instant) {
        self.heard = now;
        self.credit = (self.credit + bytes).min(MOST_CREDIT);
    }
}

/// An address that has a place, and the client whose place it took.
pub(super) struct Admitted<'a> {
    pub(super) peer: &'a mut Peer,
    pub(super) replaced: Option<ClientId>,
}

/// All addresses.
pub(super) struct Peers {
    by_address: HashMap<SocketAddr, Peer>,
    /// How many ports there are of each address.
    crowds: HashMap<IpAddr, usize>,
    newcomers: Allowance,
    next: u64,
}

impl Peers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            by_address: HashMap::new(),
            crowds: HashMap::new(),
            newcomers: Allowance::new(NEWCOMERS.0, NEWCOMERS.1, now),
            next: FIRST_NUMBER,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// How many have not answered.
    pub(super) fn strangers(&self) -> usize {
        self.by_address.values().filter(|peer| peer.client.is_none()).count()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&SocketAddr, &mut Peer)> {
        self.by_address.iter_mut()
    }

    /// Finds an address, or a place for it.
    pub(super) fn admit(&mut self, address: SocketAddr, now: Instant) -> Option<Admitted<'_>> {
        let mut replaced = None;
        if !self.by_address.contains_key(&address) {
            let network = network(address.ip());
            let crowd = self.crowds.get(&network).copied().unwrap_or(0);
            if crowd >= MOST_OF_AN_ADDRESS || !self.newcomers.take(1, now) {
                return None;
            }
            if self.by_address.len() >= MOST_PEERS {
                replaced = self.replace(now)?.client;
            }
            *self.crowds.entry(network).or_default() += 1;
            self.by_address.insert(address, Peer::new(self.next, now));
            self.next += 1;
        }
        let peer = self.by_address.get_mut(&address)?;
        Some(Admitted { peer, replaced })
    }

    /// Takes the place of whoever was silent longest, of those who never answered first.
    fn replace(&mut self, now: Instant) -> Option<Peer> {
        let silent = self.by_address.iter().filter(|(_, peer)| {
            peer.client.is_none() || now.saturating_duration_since(peer.heard) >= FRESH
        });
        let (&address, _) = silent.min_by_key(|(_, peer)| (peer.client.is_some(), peer.heard))?;
        self.remove(address)
    }

    /// Forgets addresses of which nothing was heard for `time`.
    pub(super) fn forget_silent(&mut self, now: Instant, time: Duration) {
        let silent = |peer: &Peer| now.saturating_duration_since(peer.heard) >= time;
        let gone: Vec<SocketAddr> =
            self.by_address.iter().filter(|(_, peer)| silent(peer)).map(|(&a, _)| a).collect();
        for address in gone {
            self.remove(address);
        }
    }

    fn remove(&mut self, address: SocketAddr) -> Option<Peer> {
        let peer = self.by_address.remove(&address)?;
        let network = network(address.ip());
        if let Some(crowd) = self.crowds.get_mut(&network) {
            *crowd -= 1;
            if *crowd == 0 {
                self.crowds.remove(&network);
            }
        }
        Some(peer)
    }

    /// What the winner is called among these clients: by its number, if it is one of them.
    pub(super) fn number_of(&self, winner: u64) -> u64 {
        let own = self.by_address.values().find(|peer| peer.client == Some(ClientId(winner)));
        own.map_or(winner, |peer| peer.number)
    }
}
