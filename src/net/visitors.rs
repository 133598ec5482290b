//! Clients that have said hello, and what they are still to be told.

use super::networks::{is_here, network};
use super::random;
use crate::coordinator::ClientId;
use crate::proto::{News, Notice};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// Ended jobs that a visitor is told about at most: it hears of each only while it holds a lease.
const MAX_NOTICES: usize = 64;

/// How a visitor is told that there is something for it.
#[derive(Clone)]
pub(super) enum Doorbell {
    /// Wakes the task of its connection.
    Own(Arc<Notify>),
    /// Wakes the task of all datagrams.
    Shared,
}

impl Doorbell {
    fn is(&self, other: &Arc<Notify>) -> bool {
        matches!(self, Self::Own(own) if Arc::ptr_eq(own, other))
    }
}

struct Visitor {
    session: u64,
    /// Where it joined from.
    address: IpAddr,
    /// Whether it is known to have lost the server's trust.
    offended: bool,
    doorbell: Doorbell,
    /// Numbered, not yet acknowledged.
    notices: VecDeque<Notice>,
    last_notice: u64,
    /// Told once.
    nudges: VecDeque<News>,
}

/// All visitors, by client and by session.
#[derive(Default)]
pub(super) struct Visitors {
    by_client: HashMap<ClientId, Visitor>,
    sessions: HashMap<u64, ClientId>,
    /// Visitors by datagram with something to be told.
    ringing: BTreeSet<ClientId>,
    /// How many there are by address, this machine's own left out.
    crowds: HashMap<IpAddr, usize>,
}

impl Visitors {
    /// Notes how a client is reached from now on; returns its session.
    pub(super) fn welcome(&mut self, client: ClientId, address: IpAddr, doorbell: Doorbell) -> u64 {
        if let Some(visitor) = self.by_client.get_mut(&client) {
            visitor.doorbell = doorbell;
            return visitor.session;
        }
        // 0 means "none".
        let session = random().max(1);
        self.sessions.insert(session, client);
        if !is_here(address) {
            *self.crowds.entry(network(address)).or_default() += 1;
        }
        let visitor = Visitor {
            session,
            address,
            offended: false,
            doorbell,
            notices: VecDeque::new(),
            last_notice: 0,
            nudges: VecDeque::new(),
        };
        self.by_client.insert(client, visitor);
        session
    }

    pub(super) fn forget(&mut self, client: ClientId) {
        if let Some(visitor) = self.by_client.remove(&client) {
            self.sessions.remove(&visitor.session);
            self.ringing.remove(&client);
            // One that offended was not counted any more.
            if !visitor.offended {
                self.leave_crowd(visitor.address);
            }
        }
    }

    fn leave_crowd(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(crowd) = self.crowds.get_mut(&address) {
            *crowd -= 1;
            if *crowd == 0 {
                self.crowds.remove(&address);
            }
        }
    }

    /// How many visitors came from an address.
    pub(super) fn at(&self, address: IpAddr) -> usize {
        self.crowds.get(&network(address)).copied().unwrap_or(0)
    }

    /// Those of them, this machine's own too.
    pub(super) fn all_at(&self, address: IpAddr) -> Vec<ClientId> {
        let there = |visitor: &Visitor| network(visitor.address) == network(address);
        let clients = self.by_client.iter().filter(|(_, visitor)| there(visitor));
        clients.map(|(&client, _)| client).collect()
    }

    /// A visitor has lost the server's trust; its address, the first time.
    pub(super) fn offended(&mut self, client: ClientId) -> Option<IpAddr> {
        let visitor = self.by_client.get_mut(&client)?;
        let address = visitor.address;
        let new = !std::mem::replace(&mut visitor.offended, true);
        if new {
            // It is remembered for long, and must not take its neighbours' places.
            self.leave_crowd(address);
        }
        new.then_some(address)
    }

    pub(super) fn clients(&self) -> Vec<ClientId> {
        self.by_client.keys().copied().collect()
    }

    /// The client that holds a session.
    pub(super) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.sessions.get(&session).copied()
    }

    /// A visitor has spoken, and has seen notices up to `seen`.
    pub(super) fn heard(&mut self, client: ClientId, seen: u64, doorbell: &Doorbell) {
        let Some(visitor) = self.by_client.get_mut(&client) else { return };
        visitor.notices.retain(|notice| notice.number > seen);
        // The bell of a connection was noted with its hello.
        if matches!(doorbell, Doorbell::Shared) {
            visitor.doorbell = Doorbell::Shared;
        }
    }

    /// A connection is lost; whether its doorbell was still the client's.
    pub(super) fn disconnected(&mut self, client: ClientId, doorbell: &Arc<Notify>) -> bool {
        let visitor = self.by_client.get_mut(&client);
        match visitor.filter(|visitor| visitor.doorbell.is(doorbell)) {
            Some(visitor) => {
                visitor.doorbell = Doorbell::Shared;
                true
            }
            None => false,
        }
    }

    /// Tells until it is acknowledged. Whether the bell for all datagrams is to be rung.
    #[must_use]
    pub(super) fn tell(&mut self, client: ClientId, news: News) -> bool {
        let Some(visitor) = self.by_client.get_mut(&client) else { return false };
        visitor.last_notice += 1;
        if visitor.notices.len() == MAX_NOTICES {
            visitor.notices.pop_front();
        }
        visitor.notices.push_back(Notice { number: visitor.last_notice, what: news });
        self.ring(client)
    }

    /// Tells once. Whether the bell for all datagrams is to be rung.
    #[must_use]
    pub(super) fn nudge(&mut self, client: ClientId, news: News) -> bool {
        let Some(visitor) = self.by_client.get_mut(&client) else { return false };
        if visitor.nudges.len() < MAX_NOTICES {
            visitor.nudges.push_back(news);
        }
        self.ring(client)
    }

    fn ring(&mut self, client: ClientId) -> bool {
        match self.by_client.get(&client).map(|visitor| &visitor.doorbell) {
            Some(Doorbell::Own(bell)) => bell.notify_one(),
            Some(Doorbell::Shared) => {
                self.ringing.insert(client);
                return true;
            }
            None => {}
        }
        false
    }

    /// The oldest notice that a client has not acknowledged.
    pub(super) fn oldest(&self, client: ClientId) -> Option<Notice> {
        self.by_client.get(&client)?.notices.front().cloned()
    }

    /// What a client is to be told: all that it has not acknowledged, and nudges, once.
    pub(super) fn notices(&mut self, client: ClientId) -> Vec<Notice> {
        let Some(visitor) = self.by_client.get_mut(&client) else { return Vec::new() };
        let nudges = visitor.nudges.drain(..).map(|what| Notice { number: 0, what });
        nudges.chain(visitor.notices.iter().cloned()).collect()
    }

    /// Visitors by datagram with something new to be told, and their sessions.
    pub(super) fn take_ringing(&mut self) -> Vec<(ClientId, u64)> {
        let ringing = std::mem::take(&mut self.ringing);
        let session = |client| Some((client, self.by_client.get(&client)?.session));
        ringing.into_iter().filter_map(session).collect()
    }

    /// Whether everyone has acknowledged everything.
    pub(super) fn all_know(&self) -> bool {
        self.by_client.values().all(|visitor| visitor.notices.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visitors_are_counted_by_address_while_they_are_here() {
        let mut visitors = Visitors::default();
        let [there, here]: [IpAddr; 2] = ["192.0.2.1", "127.0.0.1"].map(|a| a.parse().unwrap());
        for client in 1..=3 {
            visitors.welcome(ClientId(client), there, Doorbell::Shared);
        }
        visitors.welcome(ClientId(3), there, Doorbell::Shared);
        visitors.welcome(ClientId(4), here, Doorbell::Shared);
        assert_eq!((visitors.at(there), visitors.at(here)), (3, 0), "one came again");
        assert_eq!(visitors.offended(ClientId(1)), Some(there));
        assert_eq!(visitors.offended(ClientId(1)), None);
        assert!(visitors.nudge(ClientId(1), News::Wake) && visitors.nudge(ClientId(1), News::Wake));
        (1..=4).for_each(|client| visitors.forget(ClientId(client)));
        assert_eq!(visitors.at(there), 0);
        assert!(visitors.crowds.is_empty() && visitors.ringing.is_empty());
    }
}
