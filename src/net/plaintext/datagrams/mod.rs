//! Plain-text clients over UDP on the server, known by their addresses.
//!
//! Old clients repeat nothing that the server sends, so no address is ever proved, and a forger of an
//! address can send anything that its owner could. Therefore
//! - *an address is sent no more bytes than came from it.* Clients send something every second, so even
//!   a long problem is paid for soon. Some send one short word and then wait: those are lent a problem,
//!   once in [`LOAN_PAUSE`], from [`LOANS`] that all addresses share. All that a forger can have sent to
//!   others is what it sends itself, and [`LOANS`];
//! - *an address becomes a client of the coordinator when it has answered the problem:* when it has
//!   computed something, or found a seed. A forger can claim this too, but only for as many addresses
//!   as [`NEWCOMERS`](crate::net::limits::NEWCOMERS) and [`MAX_PEERS`](crate::net::limits::MAX_PEERS)
//!   allow, and gains nothing: plain-text clients get no leases, and nothing counts but true seeds;
//! - *nobody is blamed for a false claim.* A claim is judged before any client is charged with it, and
//!   its address is served as before.
//!
//! The number of an address in its problem is not that of its client in the coordinator, which it gets
//! with its first answer only.

mod peers;
#[cfg(test)]
mod tests;

use super::allowance::Allowance;
use super::problem::{Lines, Problem, claimed_seed, tested};
use crate::coordinator::{ClientId, Coordinator, Refusal};
use crate::net::limits::{ALIVE, IDLE_TIME, LOAN_PAUSE, LOANS, RESEND_TIME, STOP_PAUSE, STOPS};
use crate::net::server::Service;
use crate::proto;
use peers::{Peer, Peers};
use std::net::SocketAddr;
use tokio::time::Instant;

/// All plain-text clients over UDP.
pub(in crate::net) struct UdpPeers {
    problem: Problem,
    peers: Peers,
    loans: Allowance,
}

impl UdpPeers {
    /// Creates an empty table.
    pub(in crate::net) fn new(problem: Problem, now: Instant) -> Self {
        Self { problem, peers: Peers::new(now), loans: Allowance::new(LOANS.0, LOANS.1, now) }
    }

    /// Returns true for datagrams of plain-text clients: native ones begin with a control character.
    pub(in crate::net) fn accepts(datagram: &[u8]) -> bool {
        !datagram.is_empty()
            && datagram.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
    }

    /// Takes a datagram; returns the immediate reply, if there is one.
    pub(in crate::net) fn receive(
        &mut self,
        service: &Service,
        datagram: &[u8],
        address: SocketAddr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        if let Some(over) = service.closing() {
            // Late clients learn it too.
            let stop = stop(self.peers.number_of(over.winner()));
            return (stop.len() <= datagram.len()).then_some(stop);
        }
        let mut lines = Lines::default();
        let mut said = lines.push(datagram)?;
        said.extend(lines.rest());
        let admitted = self.peers.admit(address, now)?;
        if let Some(gone) = admitted.replaced {
            service.leave(gone);
        }
        let peer = admitted.peer;
        peer.receive(datagram.len(), now);
        let mut idle = true;
        for line in said {
            idle &= !take_line(service, &self.problem, peer, address, &line);
        }
        if idle {
            // A client that does nothing may have lost its problem.
            peer.problem_sent =
                peer.problem_sent.filter(|&sent| now.duration_since(sent) < RESEND_TIME);
            peer.show_alive(service, now);
        }
        None
    }

    /// Returns the datagrams to be sent now.
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
            if !peer.was_sent_problem || peer.stops == STOPS || peer.next_stop > now {
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
        let totals = service.read(Coordinator::totals);
        // An address without its problem is no client yet, but counts as here.
        let here = totals.clients + self.peers.strangers();
        if !totals.started && here < service.min_clients {
            for (_, peer) in self.peers.iter_mut() {
                // Clients are silent until the start.
                peer.last_received = now;
                peer.show_alive(service, now);
            }
            return Vec::new();
        }
        self.peers.forget_silent(now, IDLE_TIME);
        let mut due = Vec::new();
        for (&address, peer) in
            self.peers.iter_mut().filter(|(_, peer)| peer.problem_sent.is_none())
        {
            let segment = self.problem.segment(peer.number);
            if peer.pay(segment.len(), &mut self.loans, now) {
                peer.problem_sent = Some(now);
                peer.was_sent_problem = true;
                due.push((address, segment.into_bytes()));
            }
        }
        due
    }
}

/// Takes one line; returns true if it shows that the client has done something.
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
            // The seed may be known already, or its job may have ended; the client need not be told.
            let _ = service.claim(client, seed);
        }
        return solved;
    }
    let Some(tested) = tested(line).filter(|&tested| tested > 0) else { return false };
    if !peer.was_sent_problem {
        return false;
    }
    if let Some(client) = peer.join(service, address) {
        match service.note_tested(client, tested) {
            Ok(()) => {
                service.emit_line(client, proto::cleaned(line, proto::MAX_TEXT));
            }
            // The client was silent for too long, and joins again with its next line.
            Err(Refusal::UnknownClient) => peer.client = None,
            Err(_) => {}
        }
    }
    true
}

impl Peer {
    /// Pays for a datagram of `bytes` from the credit of the address, or else with a loan.
    fn pay(&mut self, bytes: usize, loans: &mut Allowance, now: Instant) -> bool {
        if let Some(rest) = self.credit.checked_sub(bytes) {
            self.credit = rest;
            return true;
        }
        if self.last_loan.is_some_and(|loan| now.duration_since(loan) < LOAN_PAUSE) {
            return false;
        }
        let lent = loans.take(bytes, now);
        if lent {
            self.last_loan = Some(now);
        }
        lent
    }

    /// Makes the address a client of the coordinator if it is none.
    fn join(&mut self, service: &Service, address: SocketAddr) -> Option<ClientId> {
        if self.client.is_none() {
            self.client = service.join_plaintext_datagrams(address, self.number).ok();
        }
        self.client
    }

    /// Tells the coordinator from time to time that the client is there.
    fn show_alive(&mut self, service: &Service, now: Instant) {
        if let Some(client) = self.client
            && now.duration_since(self.alive_noted) >= ALIVE
        {
            self.alive_noted = now;
            service.alive(client);
        }
    }
}

fn stop(winner: u64) -> Vec<u8> {
    format!("stop,{winner}").into_bytes()
}
