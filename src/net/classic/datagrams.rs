//! The server's side over UDP: old clients by their addresses.
//!
//! This protocol has no cookies and nothing that could carry one, so whoever forges an address can
//! have one line sent there. That is why servers speak it only when they are told to.

use super::super::IDLE_TIME;
use super::super::hub::{Hub, Sender};
use super::super::visitors::Doorbell;
use super::{ALIVE, Lines, Problem, take_line, tested};
use crate::coordinator::ClientId;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The problem may be lost: a client that after this long still does nothing gets it again.
const RETELL: Duration = Duration::from_secs(1);

/// A stop may be lost and nobody says that it has come: it is sent this many times, this far apart.
const STOPS: u32 = 4;
/// See [`STOPS`].
const STOP_PAUSE: Duration = Duration::from_millis(100);

/// Old clients over UDP. Says what to send; sending is the caller's part.
pub(in crate::net) struct OldPeers {
    problem: Problem,
    peers: HashMap<SocketAddr, OldPeer>,
}

struct OldPeer {
    client: ClientId,
    /// When it was sent the problem, unless it has to be sent again.
    told: Option<Instant>,
    /// Whether it has claimed what is not so: its address is remembered, and not served.
    dropped: bool,
    heard: Instant,
    shown_alive: Instant,
    stops: u32,
    next_stop: Instant,
}

impl OldPeers {
    pub(in crate::net) fn new(problem: Problem) -> Self {
        Self { problem, peers: HashMap::new() }
    }

    /// Whether a datagram is of an old client: native messages begin with a control character.
    pub(in crate::net) fn are_meant(datagram: &[u8]) -> bool {
        !datagram.is_empty()
            && datagram.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
    }

    /// Takes what came from `address`; returns what goes back, if anything.
    pub(in crate::net) fn receive(
        &mut self,
        hub: &Hub,
        datagram: &[u8],
        address: SocketAddr,
    ) -> Option<Vec<u8>> {
        let now = Instant::now();
        if let Some(over) = hub.closing() {
            // Also to those who come too late.
            return Some(stop(over.winner));
        }
        let new = !self.peers.contains_key(&address);
        if new {
            let client = hub.join_classic(&Sender { address, doorbell: Doorbell::Shared }).ok()?;
            self.peers.insert(address, OldPeer::new(client, now));
        }
        let peer = self.peers.get_mut(&address).filter(|peer| !peer.dropped)?;
        peer.heard = now;
        let mut lines = Lines::default();
        let mut said = lines.push(datagram)?;
        said.extend(lines.rest());
        // Who has found nothing and done nothing does not know what to do.
        let idle = |line: &String| !line.starts_with("ok,") && tested(line).unwrap_or(0) == 0;
        if said.iter().all(idle) {
            peer.told = peer.told.filter(|told| told.elapsed() < RETELL);
            hub.alive(peer.client);
        } else if !said.iter().all(|line| take_line(hub, peer.client, line)) {
            peer.dropped = true;
            hub.forget(peer.client);
        }
        None
    }

    /// What is to be sent at this moment.
    pub(in crate::net) fn due(&mut self, hub: &Hub) -> Vec<(SocketAddr, Vec<u8>)> {
        if self.peers.is_empty() {
            return Vec::new();
        }
        match hub.closing() {
            Some(over) => self.stops(hub, over.winner),
            None => self.problems(hub),
        }
    }

    fn stops(&mut self, hub: &Hub, winner: u64) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = Instant::now();
        let mut due = Vec::new();
        for (&address, peer) in &mut self.peers {
            if !peer.dropped && peer.stops < STOPS && peer.next_stop <= now {
                peer.stops += 1;
                peer.next_stop = now + STOP_PAUSE;
                due.push((address, stop(winner)));
                if peer.stops == STOPS {
                    hub.forget(peer.client);
                }
            }
        }
        due
    }

    fn problems(&mut self, hub: &Hub) -> Vec<(SocketAddr, Vec<u8>)> {
        let started = hub.with(|coordinator, _| coordinator.totals().started);
        // A client that waits for the start is silent, and so is one that is gone.
        self.peers.retain(|_, peer| !started || peer.heard.elapsed() < IDLE_TIME);
        let mut due = Vec::new();
        for (&address, peer) in &mut self.peers {
            if !started && peer.shown_alive.elapsed() >= ALIVE {
                hub.alive(peer.client);
                peer.shown_alive = Instant::now();
            }
            if started && peer.told.is_none() && !peer.dropped {
                peer.told = Some(Instant::now());
                peer.heard = Instant::now();
                due.push((address, self.problem.segment(peer.client.0).into_bytes()));
            }
        }
        due
    }
}

impl OldPeer {
    fn new(client: ClientId, now: Instant) -> Self {
        let (heard, shown_alive, next_stop) = (now, now, now);
        Self { client, told: None, dropped: false, heard, shown_alive, stops: 0, next_stop }
    }
}

fn stop(winner: u64) -> Vec<u8> {
    format!("stop,{winner}").into_bytes()
}
