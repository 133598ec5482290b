//! Decides which connections may stay when there is not room for all.
//!
//! Every connection holds a [`Seat`]: as a stranger until it has said hello, as a client from then on.
//! Strangers and clients have separate seats. However many strangers come, clients keep theirs; however
//! many clients there are, a newcomer gets a seat to say hello.
//!
//! - Strangers: a newcomer always gets a seat. If none is free, the oldest stranger of the address with
//!   most strangers is evicted, or of the newcomer's own address if that has its share. Connections
//!   that only ask (`submit`, `jobs`) stay strangers: all they lose with a connection is the time to
//!   make another.
//! - Clients: if no seat is free, the address with most clients gives one up to any that has at least
//!   two fewer. An address that has its share already gets a seat only from a client of its own that
//!   does no work: it never had a lease, or has shown no progress for [`USELESS`]. Clients that never
//!   had a lease go first, oldest first; then those whose last progress is longest ago.
//!
//! So one address cannot keep others out. A client that shares an address with an attacker is admitted
//! too, and keeps its seat once it has a lease. While there is no work, it keeps it for as long as the
//! attacker needs to make as many connections as there are seats: the server cannot tell them apart.
//! An evicted client comes back, or goes on over UDP; its leases wait for it.
//!
//! This module knows no sockets: an evicted connection is told, and hangs up by itself.

use crate::net::limits::{
    ADDRESS_PART, MAX_LEAVING, MAX_STRANGERS, OWN_DESCRIPTORS, STRANGERS_PART, USELESS,
};
use crate::net::server::networks::network;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Maximum concurrent connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct SeatLimits {
    strangers: usize,
    strangers_per_address: usize,
    clients: usize,
}

impl SeatLimits {
    /// Divides the descriptors that are left for connections.
    pub(in crate::net) fn new(descriptors: u64) -> Self {
        let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let all = all.saturating_sub(OWN_DESCRIPTORS).max(2 * STRANGERS_PART);
        let strangers = (all / STRANGERS_PART).min(MAX_STRANGERS);
        Self {
            strangers,
            strangers_per_address: strangers / ADDRESS_PART,
            clients: all - strangers,
        }
    }

    /// Divides the descriptors that the system allows this process.
    pub(in crate::net) fn of_system() -> Self {
        #[cfg(unix)]
        let descriptors = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024);
        // Elsewhere only memory limits sockets.
        #[cfg(not(unix))]
        let descriptors = u64::from(u32::MAX);
        Self::new(descriptors)
    }
}

/// The last time at which a connection did work, and its number. The lowest rank is evicted first.
type Rank = (Option<Instant>, u64);

struct Holder {
    address: IpAddr,
    client: bool,
    rank: Rank,
    evicted: Arc<Notify>,
}

/// The taken seats of strangers or of clients, by address.
#[derive(Default)]
struct Seats {
    taken: usize,
    by_address: HashMap<IpAddr, BTreeSet<Rank>>,
    /// Addresses by their number of seats.
    by_count: BTreeSet<(usize, IpAddr)>,
}

impl Seats {
    fn at(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeSet::len)
    }

    fn largest(&self) -> Option<(usize, IpAddr)> {
        self.by_count.last().copied()
    }

    fn first_of(&self, address: IpAddr) -> Option<Rank> {
        self.by_address.get(&address)?.first().copied()
    }

    fn insert(&mut self, address: IpAddr, rank: Rank) {
        let ranks = self.by_address.entry(address).or_default();
        self.by_count.remove(&(ranks.len(), address));
        ranks.insert(rank);
        self.by_count.insert((ranks.len(), address));
        self.taken += 1;
    }

    fn remove(&mut self, address: IpAddr, rank: Rank) {
        let Some(ranks) = self.by_address.get_mut(&address) else { return };
        let before = ranks.len();
        if !ranks.remove(&rank) {
            return;
        }
        self.taken -= 1;
        self.by_count.remove(&(before, address));
        if before == 1 {
            self.by_address.remove(&address);
        } else {
            self.by_count.insert((before - 1, address));
        }
    }
}

struct Table {
    limits: SeatLimits,
    last: u64,
    holders: HashMap<u64, Holder>,
    strangers: Seats,
    clients: Seats,
    /// Evicted connections that have not hung up yet.
    leaving: usize,
}

/// Seats of all connections, see the [module](self).
pub(in crate::net) struct Admission {
    table: Mutex<Table>,
    /// Notified when a connection is gone.
    gone: Notify,
}

impl Admission {
    /// Creates seats within `limits`, all of them free.
    pub(in crate::net) fn new(limits: SeatLimits) -> Arc<Self> {
        let table = Table {
            limits,
            last: 0,
            holders: HashMap::new(),
            strangers: Seats::default(),
            clients: Seats::default(),
            leaving: 0,
        };
        Arc::new(Self { table: Mutex::new(table), gone: Notify::new() })
    }

    /// Seats a new connection; evicts another if no seat is free.
    pub(in crate::net) fn enter(self: &Arc<Self>, address: IpAddr) -> Seat {
        let address = network(address);
        let mut table = self.table();
        if table.strangers.at(address) >= table.limits.strangers_per_address {
            table.evict_stranger_of(address);
        } else if table.strangers.taken >= table.limits.strangers {
            table.evict_stranger();
        }
        table.last += 1;
        let (id, evicted) = (table.last, Arc::new(Notify::new()));
        let rank = (None, id);
        table.strangers.insert(address, rank);
        let holder = Holder { address, client: false, rank, evicted: evicted.clone() };
        table.holders.insert(id, holder);
        Seat { admission: self.clone(), id, evicted }
    }

    /// Evicts a connection, since the system has no descriptor left.
    pub(in crate::net) fn evict(&self) {
        let mut table = self.table();
        if !table.evict_stranger() {
            let largest = table.clients.largest().filter(|(seats, _)| *seats > 1);
            if let Some(rank) = largest.and_then(|(_, address)| table.clients.first_of(address)) {
                table.dismiss(rank);
            }
        }
    }

    /// Waits while too many evicted connections still hold a descriptor.
    pub(in crate::net) async fn settled(&self) {
        while self.table().leaving >= MAX_LEAVING {
            self.gone.notified().await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic between two changes leaves counts that are still right.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn evict_stranger(&mut self) -> bool {
        self.strangers.largest().is_some_and(|(_, address)| self.evict_stranger_of(address))
    }

    fn evict_stranger_of(&mut self, address: IpAddr) -> bool {
        let first = self.strangers.first_of(address);
        first.is_some_and(|rank| self.dismiss(rank))
    }

    /// Returns the client that must leave for one more of `address`.
    fn displaced_by(&self, address: IpAddr, now: Instant) -> Option<Rank> {
        let own = self.clients.at(address);
        let (most, other) = self.clients.largest()?;
        if most > own + 1 {
            return self.clients.first_of(other);
        }
        let first = self.clients.first_of(if own == 0 { other } else { address })?;
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

    /// Moves a connection to the seats of clients if it is not there, and notes when it worked.
    fn seat_client(&mut self, id: u64, worked: Option<Instant>) {
        let Some(mut holder) = self.holders.remove(&id) else { return };
        self.vacate(&holder);
        (holder.client, holder.rank) = (true, (worked, id));
        self.clients.insert(holder.address, holder.rank);
        self.holders.insert(id, holder);
    }

    fn vacate(&mut self, holder: &Holder) {
        let seats = if holder.client { &mut self.clients } else { &mut self.strangers };
        seats.remove(holder.address, holder.rank);
    }
}

/// The seat of a connection. It is free again when this is dropped.
pub(in crate::net) struct Seat {
    admission: Arc<Admission>,
    id: u64,
    evicted: Arc<Notify>,
}

impl Seat {
    /// Notes that the connection has said hello; returns false if there is no seat for it.
    #[must_use]
    pub(in crate::net) fn greeted(&self) -> bool {
        let table = &mut *self.admission.table();
        let Some(holder) = table.holders.get(&self.id) else { return false };
        if holder.client {
            return true;
        }
        let address = holder.address;
        if table.clients.taken >= table.limits.clients {
            let Some(other) = table.displaced_by(address, Instant::now()) else { return false };
            table.dismiss(other);
        }
        table.seat_client(self.id, None);
        true
    }

    /// Notes that the client was given work, or has done some.
    pub(in crate::net) fn worked(&self) {
        let table = &mut *self.admission.table();
        if table.holders.get(&self.id).is_some_and(|holder| holder.client) {
            table.seat_client(self.id, Some(Instant::now()));
        }
    }

    /// Waits until the connection must end.
    pub(in crate::net) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.admission.table();
        match table.holders.remove(&self.id) {
            Some(holder) => table.vacate(&holder),
            None => table.leaving -= 1,
        }
        drop(table);
        self.admission.gone.notify_one();
    }
}

#[cfg(test)]
mod tests;
