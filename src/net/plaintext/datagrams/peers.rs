//! Addresses from which plain-text datagrams came, within limits.

use super::super::allowance::Allowance;
use crate::coordinator::ClientId;
use crate::net::limits::{
    FIRST_NUMBER, FRESH, MAX_CREDIT, MAX_PEERS, NEWCOMERS, PEERS_PER_ADDRESS,
};
use crate::net::server::networks::network;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// An address in the table.
pub(super) struct Peer {
    /// Its number in the problem that it is sent.
    pub(super) number: u64,
    /// Its client in the coordinator, once it has answered.
    pub(super) client: Option<ClientId>,
    /// Bytes received from it, less those sent to it.
    pub(super) credit: usize,
    /// The last time at which it was sent more than its credit.
    pub(super) last_loan: Option<Instant>,
    /// The last time at which it was sent the problem, unless it must be sent again.
    pub(super) problem_sent: Option<Instant>,
    pub(super) was_sent_problem: bool,
    pub(super) last_received: Instant,
    pub(super) alive_noted: Instant,
    pub(super) stops: u32,
    pub(super) next_stop: Instant,
}

impl Peer {
    fn new(number: u64, now: Instant) -> Self {
        Self {
            number,
            client: None,
            credit: 0,
            last_loan: None,
            problem_sent: None,
            was_sent_problem: false,
            last_received: now,
            alive_noted: now,
            stops: 0,
            next_stop: now,
        }
    }

    /// Notes a datagram from the address.
    pub(super) fn receive(&mut self, bytes: usize, now: Instant) {
        self.last_received = now;
        self.credit = (self.credit + bytes).min(MAX_CREDIT);
    }
}

/// An address in the table, and the client that was replaced by it.
pub(super) struct Admitted<'a> {
    pub(super) peer: &'a mut Peer,
    pub(super) replaced: Option<ClientId>,
}

/// All addresses.
pub(super) struct Peers {
    by_address: HashMap<SocketAddr, Peer>,
    /// Number of ports of each address.
    ports: HashMap<IpAddr, usize>,
    newcomers: Allowance,
    next: u64,
}

impl Peers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            by_address: HashMap::new(),
            ports: HashMap::new(),
            newcomers: Allowance::new(NEWCOMERS.0, NEWCOMERS.1, now),
            next: FIRST_NUMBER,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// Returns the number of addresses that have not answered.
    pub(super) fn strangers(&self) -> usize {
        self.by_address.values().filter(|peer| peer.client.is_none()).count()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&SocketAddr, &mut Peer)> {
        self.by_address.iter_mut()
    }

    /// Finds an address in the table, or adds it if there is room.
    pub(super) fn admit(&mut self, address: SocketAddr, now: Instant) -> Option<Admitted<'_>> {
        let mut replaced = None;
        if !self.by_address.contains_key(&address) {
            let network = network(address.ip());
            let count = self.ports.get(&network).copied().unwrap_or(0);
            if count >= PEERS_PER_ADDRESS || !self.newcomers.take(1, now) {
                return None;
            }
            if self.by_address.len() >= MAX_PEERS {
                replaced = self.replace(now)?.client;
            }
            *self.ports.entry(network).or_default() += 1;
            self.by_address.insert(address, Peer::new(self.next, now));
            self.next += 1;
        }
        let peer = self.by_address.get_mut(&address)?;
        Some(Admitted { peer, replaced })
    }

    /// Removes the address that was silent longest, preferring those that never answered.
    fn replace(&mut self, now: Instant) -> Option<Peer> {
        let silent = self.by_address.iter().filter(|(_, peer)| {
            peer.client.is_none() || now.saturating_duration_since(peer.last_received) >= FRESH
        });
        let (&address, _) =
            silent.min_by_key(|(_, peer)| (peer.client.is_some(), peer.last_received))?;
        self.remove(address)
    }

    /// Removes addresses that were silent for `time`.
    pub(super) fn forget_silent(&mut self, now: Instant, time: Duration) {
        let silent = |peer: &Peer| now.saturating_duration_since(peer.last_received) >= time;
        let gone: Vec<SocketAddr> =
            self.by_address.iter().filter(|(_, peer)| silent(peer)).map(|(&a, _)| a).collect();
        for address in gone {
            self.remove(address);
        }
    }

    fn remove(&mut self, address: SocketAddr) -> Option<Peer> {
        let peer = self.by_address.remove(&address)?;
        let network = network(address.ip());
        if let Some(count) = self.ports.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.ports.remove(&network);
            }
        }
        Some(peer)
    }

    /// Returns the winner's number in its problem if it is one of these clients, or else `winner`.
    pub(super) fn number_of(&self, winner: u64) -> u64 {
        let own = self.by_address.values().find(|peer| peer.client == Some(ClientId(winner)));
        own.map_or(winner, |peer| peer.number)
    }
}
