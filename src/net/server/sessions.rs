//! Clients that have said hello, and the notices that they have not acknowledged yet.

use super::networks::{is_here, network};
use crate::coordinator::ClientId;
use crate::net::limits::MAX_NOTICES;
use crate::net::random;
use crate::proto::{Notice, Notification};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// Wakes the task that sends to a session.
#[derive(Clone)]
pub(in crate::net) enum Waker {
    /// Wakes the task of its own connection.
    Connection(Arc<Notify>),
    /// Wakes the task that sends all datagrams.
    Datagrams,
}

impl Waker {
    fn is(&self, other: &Arc<Notify>) -> bool {
        matches!(self, Self::Connection(own) if Arc::ptr_eq(own, other))
    }
}

struct Session {
    id: u64,
    /// Where it joined from.
    address: IpAddr,
    /// Set once the client has lost the server's trust.
    offended: bool,
    waker: Waker,
    /// Numbered, not yet acknowledged.
    notices: VecDeque<Notice>,
    last_notice: u64,
    /// Sent once, never acknowledged.
    pushes: VecDeque<Notification>,
}

/// All sessions, by client and by id.
#[derive(Default)]
pub(in crate::net) struct Sessions {
    by_client: HashMap<ClientId, Session>,
    by_id: HashMap<u64, ClientId>,
    /// Sessions that are reached by datagram and have something new to be sent.
    due: BTreeSet<ClientId>,
    /// Sessions of each address; those of this machine and of liars are not counted.
    counts: HashMap<IpAddr, usize>,
}

impl Sessions {
    /// Notes how a client is reached from now on; returns the id of its session.
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
        let id = random::number().max(1);
        self.by_id.insert(id, client);
        if !is_here(address) {
            *self.counts.entry(network(address)).or_default() += 1;
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

    /// Ends the session of a client.
    pub(in crate::net) fn forget(&mut self, client: ClientId) {
        if let Some(session) = self.by_client.remove(&client) {
            self.by_id.remove(&session.id);
            self.due.remove(&client);
            // Liars have left the count already.
            if !session.offended {
                self.uncount(session.address);
            }
        }
    }

    fn uncount(&mut self, address: IpAddr) {
        let address = network(address);
        if let Some(count) = self.counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&address);
            }
        }
    }

    /// Returns the number of sessions at an address that count against its limit.
    pub(in crate::net) fn count_at(&self, address: IpAddr) -> usize {
        self.counts.get(&network(address)).copied().unwrap_or(0)
    }

    /// Returns all clients at an address, those of this machine and liars too.
    pub(in crate::net) fn clients_at(&self, address: IpAddr) -> Vec<ClientId> {
        let there = |session: &Session| network(session.address) == network(address);
        let clients = self.by_client.iter().filter(|(_, session)| there(session));
        clients.map(|(&client, _)| client).collect()
    }

    /// Notes that a client has lost the server's trust; returns its address the first time.
    pub(in crate::net) fn offended(&mut self, client: ClientId) -> Option<IpAddr> {
        let session = self.by_client.get_mut(&client)?;
        let address = session.address;
        let new = !std::mem::replace(&mut session.offended, true);
        if new {
            // Liars are remembered for long, and must not take their neighbours' places.
            self.uncount(address);
        }
        new.then_some(address)
    }

    /// Returns the clients of all sessions.
    pub(in crate::net) fn clients(&self) -> Vec<ClientId> {
        self.by_client.keys().copied().collect()
    }

    /// Returns the client that holds a session.
    pub(in crate::net) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.by_id.get(&session).copied()
    }

    /// Notes that a client has sent a request and has seen all notices up to number `seen`.
    pub(in crate::net) fn note_request(&mut self, client: ClientId, seen: u64, waker: &Waker) {
        let Some(session) = self.by_client.get_mut(&client) else { return };
        session.notices.retain(|notice| notice.number > seen);
        // The waker of a connection was noted with its hello.
        if matches!(waker, Waker::Datagrams) {
            session.waker = Waker::Datagrams;
        }
    }

    /// Notes that a connection is lost; returns true if its waker was still the client's.
    pub(in crate::net) fn disconnected(&mut self, client: ClientId, waker: &Arc<Notify>) -> bool {
        let session = self.by_client.get_mut(&client);
        match session.filter(|session| session.waker.is(waker)) {
            Some(session) => {
                session.waker = Waker::Datagrams;
                true
            }
            None => false,
        }
    }

    /// Queues a notice that is sent until it is acknowledged. Returns true if the task that sends
    /// datagrams must be woken.
    #[must_use]
    pub(in crate::net) fn notify(&mut self, client: ClientId, what: Notification) -> bool {
        let Some(session) = self.by_client.get_mut(&client) else { return false };
        session.last_notice += 1;
        if session.notices.len() == MAX_NOTICES {
            session.notices.pop_front();
        }
        session.notices.push_back(Notice { number: session.last_notice, what });
        self.wake(client)
    }

    /// Queues a notice that is sent once. Returns true if the task that sends datagrams must be
    /// woken.
    #[must_use]
    pub(in crate::net) fn push(&mut self, client: ClientId, what: Notification) -> bool {
        let Some(session) = self.by_client.get_mut(&client) else { return false };
        if session.pushes.len() < MAX_NOTICES {
            session.pushes.push_back(what);
        }
        self.wake(client)
    }

    fn wake(&mut self, client: ClientId) -> bool {
        match self.by_client.get(&client).map(|session| &session.waker) {
            Some(Waker::Connection(waker)) => waker.notify_one(),
            Some(Waker::Datagrams) => {
                self.due.insert(client);
                return true;
            }
            None => {}
        }
        false
    }

    /// Returns the oldest notice that a client has not acknowledged.
    pub(in crate::net) fn oldest_notice(&self, client: ClientId) -> Option<Notice> {
        self.by_client.get(&client)?.notices.front().cloned()
    }

    /// Takes the pushes of a client, and returns them before its notices without acknowledgement.
    pub(in crate::net) fn notices(&mut self, client: ClientId) -> Vec<Notice> {
        let Some(session) = self.by_client.get_mut(&client) else { return Vec::new() };
        let pushes = session.pushes.drain(..).map(|what| Notice { number: 0, what });
        pushes.chain(session.notices.iter().cloned()).collect()
    }

    /// Takes the sessions that are reached by datagram and have something new to be sent.
    pub(in crate::net) fn take_due(&mut self) -> Vec<u64> {
        let due = std::mem::take(&mut self.due);
        due.into_iter().filter_map(|client| Some(self.by_client.get(&client)?.id)).collect()
    }

    /// Returns true if every session has acknowledged every notice.
    pub(in crate::net) fn all_acknowledged(&self) -> bool {
        self.by_client.values().all(|session| session.notices.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ClientId = ClientId(1);

    #[test]
    fn sessions_are_counted_by_address_until_they_end() {
        let mut sessions = Sessions::default();
        let [there, here]: [IpAddr; 2] = ["192.0.2.1", "127.0.0.1"].map(|a| a.parse().unwrap());
        for client in 1..=3 {
            sessions.welcome(ClientId(client), there, Waker::Datagrams);
        }
        sessions.welcome(ClientId(3), there, Waker::Datagrams);
        sessions.welcome(ClientId(4), here, Waker::Datagrams);
        let counts = (sessions.count_at(there), sessions.count_at(here));
        assert_eq!(counts, (3, 0), "the third came twice");
        assert_eq!(sessions.offended(CLIENT), Some(there));
        assert_eq!(sessions.offended(CLIENT), None);
        assert_eq!(sessions.count_at(there), 2, "a liar takes no place");
        assert!(sessions.push(CLIENT, Notification::Wake));
        (1..=4).for_each(|client| sessions.forget(ClientId(client)));
        assert_eq!(sessions.count_at(there), 0);
        assert!(sessions.counts.is_empty() && sessions.due.is_empty());
    }

    #[test]
    fn notices_repeat_until_acknowledged_and_pushes_do_not() {
        let mut sessions = Sessions::default();
        let id = sessions.welcome(CLIENT, "192.0.2.1".parse().unwrap(), Waker::Datagrams);
        assert!(sessions.push(CLIENT, Notification::Wake));
        for _ in 0..3 {
            assert!(sessions.notify(CLIENT, Notification::Wake));
        }
        assert_eq!((sessions.take_due(), sessions.take_due()), (vec![id], Vec::new()));
        let numbers = |notices: Vec<Notice>| notices.iter().map(|n| n.number).collect::<Vec<_>>();
        assert_eq!(numbers(sessions.notices(CLIENT)), [0, 1, 2, 3]);
        sessions.note_request(CLIENT, 2, &Waker::Datagrams);
        assert_eq!(numbers(sessions.notices(CLIENT)), [3]);
        assert!(!sessions.all_acknowledged());
        sessions.note_request(CLIENT, 3, &Waker::Datagrams);
        assert!(sessions.all_acknowledged() && sessions.oldest_notice(CLIENT).is_none());
    }

    #[test]
    fn unread_notices_are_bounded_and_the_oldest_is_dropped() {
        let mut sessions = Sessions::default();
        sessions.welcome(CLIENT, "192.0.2.1".parse().unwrap(), Waker::Datagrams);
        for _ in 0..=MAX_NOTICES {
            let _ = sessions.notify(CLIENT, Notification::Wake);
            let _ = sessions.push(CLIENT, Notification::Wake);
        }
        assert_eq!(sessions.oldest_notice(CLIENT).unwrap().number, 2);
        assert_eq!(sessions.notices(CLIENT).len(), 2 * MAX_NOTICES);
    }

    #[test]
    fn a_lost_connection_wakes_nobody_else() {
        let mut sessions = Sessions::default();
        let address = "192.0.2.1".parse().unwrap();
        let [old, new]: [Arc<Notify>; 2] = Default::default();
        sessions.welcome(CLIENT, address, Waker::Connection(old.clone()));
        sessions.welcome(CLIENT, address, Waker::Connection(new.clone()));
        assert!(!sessions.disconnected(CLIENT, &old), "the client is back on another connection");
        assert!(!sessions.push(CLIENT, Notification::Wake));
        assert!(sessions.disconnected(CLIENT, &new));
        assert!(sessions.push(CLIENT, Notification::Wake), "now only a datagram could reach it");
    }
}
