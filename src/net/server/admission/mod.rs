//! Which TCP connections may stay when there is not room for all.
//!
//! Every connection holds a [`Seat`]: as a stranger until it has said hello, as a client from then on.
//! Strangers and clients have rooms of their own: however many strangers come, who spoke keeps what it
//! has, and however many clients there are, a newcomer gets in to say hello.
//!
//! - Strangers: a newcomer always gets a seat. Where there is none, the stranger that came first of the
//!   most crowded address loses its own; of the newcomer's address, where that has its share.
//!   Connections that only ask (`submit`, `jobs`) are strangers for as long as they live: they lose
//!   nothing with a connection but the time to make another.
//! - Clients: where there is no seat, the address with most clients gives one up to any that has at
//!   least two fewer. An address that has its share already gets a seat only from a client of its own
//!   that has no work: it never had a lease, or shows no progress on it for [`USELESS`]. Who never had
//!   a lease goes first, the one that came first before others; then who showed progress longest ago.
//!
//! So one address cannot keep others out. Whoever shares an address with an attacker gets in too, and
//! keeps its seat once it has a lease. Where there is no work, it keeps it for as long as the attacker
//! takes to make as many connections as there are seats: the server cannot tell them apart. A client
//! that loses its seat comes back, or goes on over UDP; its leases wait for it.
//!
//! This module knows no sockets: whose seat is taken hears of it, and hangs up by itself.

use crate::net::server::networks::network;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Descriptors that are not for connections: some fifteen for the program's own use (standard streams,
/// listener, datagrams, event queue, signals), and eight for connections on their way out.
const OWN_DESCRIPTORS: usize = 24;

/// Connections on their way out, while they still have their descriptors: no others are taken
/// meanwhile.
const MOST_LEAVING: usize = 8;

/// Part of the descriptors that is for strangers: they need theirs for milliseconds.
const STRANGERS_PART: usize = 4;

/// Strangers at once, where descriptors are plenty: as many as can wait to be accepted.
const MOST_STRANGERS: usize = 4096;

/// Part of the strangers that may come from one address.
const ADDRESS_PART: usize = 2;

/// A client with a lease that has shown no progress for this long may lose its seat to another of its
/// address: ten reports are missing.
const USELESS: Duration = Duration::from_secs(10);

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Limits {
    strangers: usize,
    strangers_per_address: usize,
    clients: usize,
}

impl Limits {
    /// Divides what `descriptors` leave for connections.
    pub(in crate::net) fn new(descriptors: u64) -> Self {
        let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let all = all.saturating_sub(OWN_DESCRIPTORS).max(2 * STRANGERS_PART);
        let strangers = (all / STRANGERS_PART).min(MOST_STRANGERS);
        Self {
            strangers,
            strangers_per_address: strangers / ADDRESS_PART,
            clients: all - strangers,
        }
    }

    /// Divides what the system allows this process.
    pub(in crate::net) fn of_system() -> Self {
        #[cfg(unix)]
        let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024);
        // Elsewhere sockets are as many as memory holds.
        #[cfg(not(unix))]
        let descriptors = u64::from(u32::MAX);
        Self::new(descriptors)
    }
}

/// When a connection had or did work last, and its number: sorted so that the first to go is first.
type Rank = (Option<Instant>, u64);

struct Holder {
    address: IpAddr,
    client: bool,
    rank: Rank,
    evicted: Arc<Notify>,
}

/// Seats of one kind, by address.
#[derive(Default)]
struct Room {
    taken: usize,
    by_address: HashMap<IpAddr, BTreeSet<Rank>>,
    /// Addresses by the seats that they have.
    crowds: BTreeSet<(usize, IpAddr)>,
}

impl Room {
    fn at(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeSet::len)
    }

    fn most_crowded(&self) -> Option<(usize, IpAddr)> {
        self.crowds.last().copied()
    }

    fn first_of(&self, address: IpAddr) -> Option<Rank> {
        self.by_address.get(&address)?.first().copied()
    }

    fn insert(&mut self, address: IpAddr, rank: Rank) {
        let ranks = self.by_address.entry(address).or_default();
        self.crowds.remove(&(ranks.len(), address));
        ranks.insert(rank);
        self.crowds.insert((ranks.len(), address));
        self.taken += 1;
    }

    fn remove(&mut self, address: IpAddr, rank: Rank) {
        let Some(ranks) = self.by_address.get_mut(&address) else { return };
        let before = ranks.len();
        if !ranks.remove(&rank) {
            return;
        }
        self.taken -= 1;
        self.crowds.remove(&(before, address));
        if before == 1 {
            self.by_address.remove(&address);
        } else {
            self.crowds.insert((before - 1, address));
        }
    }
}

struct State {
    limits: Limits,
    last: u64,
    holders: HashMap<u64, Holder>,
    strangers: Room,
    clients: Room,
    /// Connections that have lost their seats and are not gone.
    leaving: usize,
}

/// See the [module](self).
pub(in crate::net) struct Admission {
    state: Mutex<State>,
    /// Rung when a connection is gone.
    gone: Notify,
}

impl Admission {
    /// Seats within `limits`, all of them free.
    pub(in crate::net) fn new(limits: Limits) -> Arc<Self> {
        let state = State {
            limits,
            last: 0,
            holders: HashMap::new(),
            strangers: Room::default(),
            clients: Room::default(),
            leaving: 0,
        };
        Arc::new(Self { state: Mutex::new(state), gone: Notify::new() })
    }

    /// Seats a new connection, at the cost of another where it must be.
    pub(in crate::net) fn enter(self: &Arc<Self>, address: IpAddr) -> Seat {
        let address = network(address);
        let mut state = self.state();
        if state.strangers.at(address) >= state.limits.strangers_per_address {
            state.evict_stranger_of(address);
        } else if state.strangers.taken >= state.limits.strangers {
            state.evict_stranger();
        }
        state.last += 1;
        let (id, evicted) = (state.last, Arc::new(Notify::new()));
        let rank = (None, id);
        state.strangers.insert(address, rank);
        let holder = Holder { address, client: false, rank, evicted: evicted.clone() };
        state.holders.insert(id, holder);
        Seat { admission: self.clone(), id, evicted }
    }

    /// Takes a seat away from someone, since the system has no descriptor left.
    pub(in crate::net) fn evict(&self) {
        let mut state = self.state();
        if !state.evict_stranger() {
            let crowd = state.clients.most_crowded().filter(|(seats, _)| *seats > 1);
            if let Some(rank) = crowd.and_then(|(_, address)| state.clients.first_of(address)) {
                state.dismiss(rank);
            }
        }
    }

    /// Waits while too many connections are on their way out.
    pub(in crate::net) async fn settled(&self) {
        while self.state().leaving >= MOST_LEAVING {
            self.gone.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is counted is right whatever happened to whoever counted last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn evict_stranger(&mut self) -> bool {
        self.strangers.most_crowded().is_some_and(|(_, address)| self.evict_stranger_of(address))
    }

    fn evict_stranger_of(&mut self, address: IpAddr) -> bool {
        let first = self.strangers.first_of(address);
        first.is_some_and(|rank| self.dismiss(rank))
    }

    /// The client that has to go for one more of `address`.
    fn displaced_by(&self, address: IpAddr, now: Instant) -> Option<Rank> {
        let own = self.clients.at(address);
        let (most, crowd) = self.clients.most_crowded()?;
        if most > own + 1 {
            return self.clients.first_of(crowd);
        }
        let first = self.clients.first_of(if own == 0 { crowd } else { address })?;
        let working = first.0.is_some_and(|at| now.duration_since(at) < USELESS);
        (!working).then_some(first)
    }

    fn dismiss(&mut self, rank: Rank) -> bool {
        let Some(holder) = self.holders.remove(&rank.1) else { return false };
        self.vacate(&holder);
        self.leaving += 1;
        holder.evicted.notify_one();
        true
    }

    /// Seats a connection among the clients, where it was not; notes when it worked.
    fn seat_client(&mut self, id: u64, worked: Option<Instant>) {
        let Some(mut holder) = self.holders.remove(&id) else { return };
        self.vacate(&holder);
        (holder.client, holder.rank) = (true, (worked, id));
        self.clients.insert(holder.address, holder.rank);
        self.holders.insert(id, holder);
    }

    fn vacate(&mut self, holder: &Holder) {
        let room = if holder.client { &mut self.clients } else { &mut self.strangers };
        room.remove(holder.address, holder.rank);
    }
}

/// A connection's place. Dropped when the connection is closed.
pub(in crate::net) struct Seat {
    admission: Arc<Admission>,
    id: u64,
    evicted: Arc<Notify>,
}

impl Seat {
    /// The connection has said hello; whether there is room for it to stay.
    #[must_use]
    pub(in crate::net) fn spoke(&self) -> bool {
        let state = &mut *self.admission.state();
        let Some(holder) = state.holders.get(&self.id) else { return false };
        if holder.client {
            return true;
        }
        let address = holder.address;
        if state.clients.taken >= state.limits.clients {
            let Some(other) = state.displaced_by(address, Instant::now()) else { return false };
            state.dismiss(other);
        }
        state.seat_client(self.id, None);
        true
    }

    /// The client has got work, or has done some.
    pub(in crate::net) fn works(&self) {
        let state = &mut *self.admission.state();
        if state.holders.get(&self.id).is_some_and(|holder| holder.client) {
            state.seat_client(self.id, Some(Instant::now()));
        }
    }

    /// Ends when the connection has to go.
    pub(in crate::net) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        match state.holders.remove(&self.id) {
            Some(holder) => state.vacate(&holder),
            None => state.leaving -= 1,
        }
        drop(state);
        self.admission.gone.notify_one();
    }
}

#[cfg(test)]
mod tests;
