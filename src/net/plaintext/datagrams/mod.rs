//! The server's side over UDP: old clients by their addresses.
//!
//! Old clients repeat nothing of what the server sends, so no address is ever proven, and whoever
//! forges one can say everything that its owner could. Therefore
//! - *an address is sent no more bytes than came from it.* Clients say something every second, so even
//!   a long problem is paid for soon. Some say one short word and then wait: to those the server
//!   lends a problem, once in [`LOAN_PAUSE`], from [`LOANS`] that all addresses share. What a forger
//!   can have sent to others is what it sends itself, and [`LOANS`];
//! - *an address becomes a client of the coordinator when it has answered the problem:* when it has
//!   computed something, or found a seed. A forger can say so too, but only for as many addresses as
//!   [`NEWCOMERS`] and [`MOST_PEERS`] allow, and it has nothing of it: classic clients are lent
//!   nothing, and their words count for nothing but true seeds;
//! - *a false claim is nobody's.* It is judged before anyone is charged with it, and whoever made it,
//!   the address is heard as before.
//!
//! An address has a number of its own in its problem, which is not the coordinator's: that one comes
//! with the first answer only.

mod peers;
#[cfg(test)]
mod tests;

use super::allowance::Allowance;
use super::{ALIVE, Lines, Problem, claimed_seed, tested};
use crate::coordinator::{ClientId, Refusal};
use crate::net::IDLE_TIME;
use crate::net::server::service::{ServerEvent, Service};
use crate::proto;
use peers::{Peer, Peers};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The problem may be lost: a client that after this long still does nothing gets it again.
const RETELL: Duration = Duration::from_secs(1);

/// A stop may be lost and nobody says that it has come: it is sent this many times, this far apart.
const STOPS: u32 = 4;
/// See [`STOPS`].
const STOP_PAUSE: Duration = Duration::from_millis(100);

/// Bytes that may be lent at once, and in a second: some hundred usual problems, and then some dozens a
/// second, which is no more than a modem sends.
const LOANS: (u32, u32) = (12_000, 1_200);

/// An address is lent one problem in this time: who needs it again can say something.
const LOAN_PAUSE: Duration = Duration::from_secs(10);

/// Clients of the classic protocol over UDP.
pub(in crate::net) struct UdpPeers {
    problem: Problem,
    peers: Peers,
    loans: Allowance,
}

impl UdpPeers {
    pub(in crate::net) fn new(problem: Problem) -> Self {
        let now = Instant::now();
        Self { problem, peers: Peers::new(now), loans: Allowance::new(LOANS.0, LOANS.1, now) }
    }

    /// Whether a datagram is of an old client: native messages begin with a control character.
    pub(in crate::net) fn are_meant(datagram: &[u8]) -> bool {
        !datagram.is_empty()
            && datagram.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
    }

    /// Takes what came from `address`; returns what goes back at once, if anything.
    pub(in crate::net) fn receive(
        &mut self,
        service: &Service,
        datagram: &[u8],
        address: SocketAddr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        if let Some(over) = service.closing() {
            // Also to those who come too late.
            let stop = stop(self.peers.number_of(over.winner()));
            return (stop.len() <= datagram.len()).then_some(stop);
        }
        let mut lines = Lines::default();
        let mut said = lines.push(datagram)?;
        said.extend(lines.rest());
        let admitted = self.peers.admit(address, now)?;
        if let Some(gone) = admitted.replaced {
            service.with(|coordinator, _| coordinator.leave(gone));
        }
        let peer = admitted.peer;
        peer.hear(datagram.len(), now);
        let mut idle = true;
        for line in said {
            idle &= !take_line(service, &self.problem, peer, address, &line);
        }
        if idle {
            // Who has found nothing and done nothing does not know what to do.
            peer.told = peer.told.filter(|&told| now.duration_since(told) < RETELL);
            peer.show_alive(service, now);
        }
        None
    }

    /// What is to be sent at this moment.
    pub(in crate::net) fn due(
        &mut self,
        service: &Service,
        now: Instant,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        if self.peers.is_empty() {
            return Vec::new();
        }
        match service.closing() {
            Some(over) => self.stops(service, over.winner(), now),
            None => self.problems(service, now),
        }
    }

    fn stops(
        &mut self,
        service: &Service,
        winner: u64,
        now: Instant,
    ) -> Vec<(SocketAddr, Vec<u8>)> {
        let stop = stop(self.peers.number_of(winner));
        let mut due = Vec::new();
        for (&address, peer) in self.peers.iter_mut() {
            if !peer.has_been_told || peer.stops == STOPS || peer.next_stop > now {
                continue;
            }
            peer.stops += 1;
            peer.next_stop = now + STOP_PAUSE;
            if peer.pay(stop.len(), &mut self.loans, now) {
                due.push((address, stop.clone()));
            }
            if let Some(client) = peer.client.filter(|_| peer.stops == STOPS) {
                service.forget(client);
            }
        }
        due
    }

    fn problems(&mut self, service: &Service, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        let totals = service.with(|coordinator, _| coordinator.totals());
        // Who waits to be told is no client yet, but there.
        let here = totals.clients + self.peers.strangers();
        if !totals.started && here < service.min_clients {
            for (_, peer) in self.peers.iter_mut() {
                // Who waits for the start is silent.
                peer.heard = now;
                peer.show_alive(service, now);
            }
            return Vec::new();
        }
        self.peers.forget_silent(now, IDLE_TIME);
        let mut due = Vec::new();
        for (&address, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.told.is_none()) {
            let segment = self.problem.segment(peer.number);
            if peer.pay(segment.len(), &mut self.loans, now) {
                peer.told = Some(now);
                peer.has_been_told = true;
                due.push((address, segment.into_bytes()));
            }
        }
        due
    }
}

/// Takes one line; whether it shows that something was done.
fn take_line(
    service: &Service,
    problem: &Problem,
    peer: &mut Peer,
    address: SocketAddr,
    line: &str,
) -> bool {
    if let Some(seed) = claimed_seed(line) {
        let solved = problem.is_solved_by(seed);
        if let Some(client) = solved.then(|| peer.join(service, address)).flatten() {
            // Known, or of a job that is over: there is nobody to tell.
            let _ = service.claim(client, seed);
        }
        return solved;
    }
    let Some(tested) = tested(line).filter(|&tested| tested > 0) else { return false };
    if !peer.has_been_told {
        return false;
    }
    if let Some(client) = peer.join(service, address) {
        let noted = service.with(|coordinator, now| coordinator.note_tested(now, client, tested));
        match noted {
            Ok(()) => {
                let line = proto::cleaned(line, proto::MAX_TEXT);
                service.show(ServerEvent::Said(client.0, line));
            }
            // It was silent for too long, and joins with its next line.
            Err(Refusal::UnknownClient) => peer.client = None,
            Err(_) => {}
        }
    }
    true
}

impl Peer {
    /// Takes `bytes` for a datagram from what came from the address, or else borrows them.
    fn pay(&mut self, bytes: usize, loans: &mut Allowance, now: Instant) -> bool {
        if let Some(rest) = self.credit.checked_sub(bytes) {
            self.credit = rest;
            return true;
        }
        if self.lent.is_some_and(|lent| now.duration_since(lent) < LOAN_PAUSE) {
            return false;
        }
        let lent = loans.take(bytes, now);
        if lent {
            self.lent = Some(now);
        }
        lent
    }

    /// Makes the address a client of the coordinator, where it is none.
    fn join(&mut self, service: &Service, address: SocketAddr) -> Option<ClientId> {
        if self.client.is_none() {
            self.client = service.join_classic_datagrams(address, self.number).ok();
        }
        self.client
    }

    /// Lets the coordinator know now and then that a client is there.
    fn show_alive(&mut self, service: &Service, now: Instant) {
        if let Some(client) = self.client
            && now.duration_since(self.shown_alive) >= ALIVE
        {
            self.shown_alive = now;
            service.alive(client);
        }
    }
}

fn stop(winner: u64) -> Vec<u8> {
    format!("stop,{winner}").into_bytes()
}
