//! Clients that have said hello, and what they are still to be told.

use super::networks::{is_here, network};
use crate::coordinator::ClientId;
use crate::net::random;
use crate::proto::{Notice, Notification};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// Ended jobs that a session is told about at most: it hears of each only while it holds a lease.
const MAX_NOTICES: usize = 64;

/// How a session is told that there is something for it.
#[derive(Clone)]
pub(in crate::net) enum Waker {
    /// Wakes the task of its connection.
    Own(Arc<Notify>),
    /// Wakes the task of all datagrams.
    Shared,
}

impl Waker {
    fn is(&self, other: &Arc<Notify>) -> bool {
        matches!(self, Self::Own(own) if Arc::ptr_eq(own, other))
    }
}

struct Session {
    id: u64,
    /// Where it joined from.
    address: IpAddr,
    /// Whether it is known to have lost the server's trust.
    offended: bool,
    waker: Waker,
    /// Numbered, not yet acknowledged.
    notices: VecDeque<Notice>,
    last_notice: u64,
    /// Told once.
    pushes: VecDeque<Notification>,
}

/// All sessions, by client and by session.
#[derive(Default)]
pub(in crate::net) struct Sessions {
    by_client: HashMap<ClientId, Session>,
    by_id: HashMap<u64, ClientId>,
    /// Sessions by datagram with something to be told.
    ringing: BTreeSet<ClientId>,
    /// How many there are by address, this machine's own left out.
    crowds: HashMap<IpAddr, usize>,
}

impl Sessions {
    /// Notes how a client is reached from now on; returns its session.
    pub(in crate::net) fn welcome(
        &mut self,
        client: ClientId,
        address: IpAddr,
        waker: Waker,
    ) -> u64 {
        if let Some(session) = self.by_client.get_mut(&client) {
            session.waker = waker;
            return session.id;
        }
        // 0 means "none".
        let id = random().max(1);
        self.by_id.insert(id, client);
        if !is_here(address) {
            *self.crowds.entry(network(address)).or_default() += 1;
        }
        let session = Session {
            id,
            address,
            offended: false,
            waker,
            notices: VecDeque::new(),
            last_notice: 0,
            pushes: VecDeque::new(),
        };
        self.by_client.insert(client, session);
        id
    }

    pub(in crate::net) fn forget(&mut self, client: ClientId) {
        if let Some(session) = self.by_client.remove(&client) {
            self.by_id.remove(&session.id);
            self.ringing.remove(&client);
            // One that offended was not counted any more.
            if !session.offended {
                self.leave_crowd(session.address);
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

    /// How many sessions came from an address.
    pub(in crate::net) fn at(&self, address: IpAddr) -> usize {
        self.crowds.get(&network(address)).copied().unwrap_or(0)
    }

    /// Those of them, this machine's own too.
    pub(in crate::net) fn all_at(&self, address: IpAddr) -> Vec<ClientId> {
        let there = |session: &Session| network(session.address) == network(address);
        let clients = self.by_client.iter().filter(|(_, session)| there(session));
        clients.map(|(&client, _)| client).collect()
    }

    /// A session has lost the server's trust; its address, the first time.
    pub(in crate::net) fn offended(&mut self, client: ClientId) -> Option<IpAddr> {
        let session = self.by_client.get_mut(&client)?;
        let address = session.address;
        let new = !std::mem::replace(&mut session.offended, true);
        if new {
            // It is remembered for long, and must not take its neighbours' places.
            self.leave_crowd(address);
        }
        new.then_some(address)
    }

    pub(in crate::net) fn clients(&self) -> Vec<ClientId> {
        self.by_client.keys().copied().collect()
    }

    /// The client that holds a session.
    pub(in crate::net) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.by_id.get(&session).copied()
    }

    /// A session has spoken, and has seen notices up to `seen`.
    pub(in crate::net) fn heard(&mut self, client: ClientId, seen: u64, waker: &Waker) {
        let Some(session) = self.by_client.get_mut(&client) else { return };
        session.notices.retain(|notice| notice.number > seen);
        // The bell of a connection was noted with its hello.
        if matches!(waker, Waker::Shared) {
            session.waker = Waker::Shared;
        }
    }

    /// A connection is lost; whether its waker was still the client's.
    pub(in crate::net) fn disconnected(&mut self, client: ClientId, waker: &Arc<Notify>) -> bool {
        let session = self.by_client.get_mut(&client);
        match session.filter(|session| session.waker.is(waker)) {
            Some(session) => {
                session.waker = Waker::Shared;
                true
            }
            None => false,
        }
    }

    /// Tells until it is acknowledged. Whether the bell for all datagrams is to be rung.
    #[must_use]
    pub(in crate::net) fn tell(&mut self, client: ClientId, news: Notification) -> bool {
        let Some(session) = self.by_client.get_mut(&client) else { return false };
        session.last_notice += 1;
        if session.notices.len() == MAX_NOTICES {
            session.notices.pop_front();
        }
        session.notices.push_back(Notice { number: session.last_notice, what: news });
        self.ring(client)
    }

    /// Tells once. Whether the bell for all datagrams is to be rung.
    #[must_use]
    pub(in crate::net) fn push(&mut self, client: ClientId, news: Notification) -> bool {
        let Some(session) = self.by_client.get_mut(&client) else { return false };
        if session.pushes.len() < MAX_NOTICES {
            session.pushes.push_back(news);
        }
        self.ring(client)
    }

    fn ring(&mut self, client: ClientId) -> bool {
        match self.by_client.get(&client).map(|session| &session.waker) {
            Some(Waker::Own(bell)) => bell.notify_one(),
            Some(Waker::Shared) => {
                self.ringing.insert(client);
                return true;
            }
            None => {}
        }
        false
    }

    /// The oldest notice that a client has not acknowledged.
    pub(in crate::net) fn oldest(&self, client: ClientId) -> Option<Notice> {
        self.by_client.get(&client)?.notices.front().cloned()
    }

    /// What a client is to be told: all that it has not acknowledged, and pushes, once.
    pub(in crate::net) fn notices(&mut self, client: ClientId) -> Vec<Notice> {
        let Some(session) = self.by_client.get_mut(&client) else { return Vec::new() };
        let pushes = session.pushes.drain(..).map(|what| Notice { number: 0, what });
        pushes.chain(session.notices.iter().cloned()).collect()
    }

    /// Sessions by datagram with something new to be told, and their sessions.
    pub(in crate::net) fn take_ringing(&mut self) -> Vec<(ClientId, u64)> {
        let ringing = std::mem::take(&mut self.ringing);
        let session = |client| Some((client, self.by_client.get(&client)?.id));
        ringing.into_iter().filter_map(session).collect()
    }

    /// Whether everyone has acknowledged everything.
    pub(in crate::net) fn all_know(&self) -> bool {
        self.by_client.values().all(|session| session.notices.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_by_address_while_they_are_here() {
        let mut sessions = Sessions::default();
        let [there, here]: [IpAddr; 2] = ["192.0.2.1", "127.0.0.1"].map(|a| a.parse().unwrap());
        for client in 1..=3 {
            sessions.welcome(ClientId(client), there, Waker::Shared);
        }
        sessions.welcome(ClientId(3), there, Waker::Shared);
        sessions.welcome(ClientId(4), here, Waker::Shared);
        assert_eq!((sessions.at(there), sessions.at(here)), (3, 0), "one came again");
        assert_eq!(sessions.offended(ClientId(1)), Some(there));
        assert_eq!(sessions.offended(ClientId(1)), None);
        assert!(
            sessions.push(ClientId(1), Notification::Wake)
                && sessions.push(ClientId(1), Notification::Wake)
        );
        (1..=4).for_each(|client| sessions.forget(ClientId(client)));
        assert_eq!(sessions.at(there), 0);
        assert!(sessions.crowds.is_empty() && sessions.ringing.is_empty());
    }
}
