//! What is kept of one client.

use super::config::MAX_NAME;
use super::event::{ClientId, Join, LeaseId, Refusal};
use super::pace::Pace;
use super::trust::{Standing, Trust};
use crate::jobs::JobKind;
use std::time::Duration;

/// No client does as many units a second, whatever it says.
const MOST_RATE: u64 = 1_000_000_000_000_000;

/// A client that has joined and is not gone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) session: u128,
    pub(super) name: Box<str>,
    pub(super) address: Box<str>,
    pub(super) backend: Box<str>,
    pub(super) threads: u32,
    kinds: [bool; JobKind::ALL.len()],
    pub(super) joined: Duration,
    pub(super) last_seen: Duration,
    pub(super) connected: bool,
    pub(super) leases: Vec<LeaseId>,
    pub(super) requests: Requests,
    paces: [Pace; JobKind::ALL.len()],
    /// What it worked on last.
    last_kind: JobKind,
    /// The part of it in the team's rates.
    rates: [u64; JobKind::ALL.len()],
    /// Until when its work is in its pace. It works on one lease after the other, of whatever
    /// job, so this is one moment for all kinds.
    worked_until: Duration,
    pub(super) trust: Trust,
    pub(super) finished_leases: u64,
    pub(super) units: u128,
    /// Key of this client in the timers.
    pub(super) timer: Duration,
}

impl Client {
    pub(super) fn new(now: Duration, join: Join) -> Self {
        let mut kinds = [false; JobKind::ALL.len()];
        for kind in join.kinds {
            kinds[kind.index()] = true;
        }
        let hints = JobKind::ALL.map(|kind| match kind {
            JobKind::Md5Search => join.rate_hint.min(MOST_RATE),
            JobKind::SumOfSquares => 0,
        });
        Self {
            session: join.session,
            name: for_people(&join.name),
            address: for_people(&join.address),
            backend: for_people(&join.backend),
            threads: join.threads,
            kinds,
            joined: now,
            last_seen: now,
            connected: true,
            leases: Vec::new(),
            requests: Requests::default(),
            paces: hints.map(Pace::new),
            last_kind: JobKind::Md5Search,
            rates: JobKind::ALL
                .map(|kind| if kinds[kind.index()] { hints[kind.index()] } else { 0 }),
            worked_until: now,
            trust: Trust::default(),
            finished_leases: 0,
            units: 0,
            timer: now,
        }
    }

    /// The client was heard of.
    pub(super) fn seen(&mut self, now: Duration) {
        self.last_seen = self.last_seen.max(now);
        self.connected = true;
    }

    pub(super) fn can(&self, kind: JobKind) -> bool {
        self.kinds[kind.index()]
    }

    pub(super) fn pace(&mut self, kind: JobKind) -> &mut Pace {
        &mut self.paces[kind.index()]
    }

    /// Its pace at what it worked on last.
    pub(super) fn last_pace(&self) -> &Pace {
        &self.paces[self.last_kind.index()]
    }

    /// Units a second, as they are counted in the team's rate.
    pub(super) fn rate(&self, kind: JobKind) -> u64 {
        self.rates[kind.index()]
    }

    /// It begins to work after a pause; the pause is no part of its rate.
    pub(super) fn begin(&mut self, now: Duration) {
        self.worked_until = self.worked_until.max(now);
    }

    /// Takes note of work reported now, and sets its rate. The caller settles the team's.
    pub(super) fn note_work(&mut self, now: Duration, kind: JobKind, claimed: f64, proved: f64) {
        let time = now.saturating_sub(self.worked_until);
        self.begin(now);
        self.paces[kind.index()].note(time, claimed, proved);
        self.last_kind = kind;
        // One outside the leases is no part of the team.
        if self.can(kind) {
            self.rates[kind.index()] = self.paces[kind.index()].rate().min(MOST_RATE);
        }
    }

    /// Its rates count no longer.
    pub(super) fn drop_rates(&mut self) -> [u64; JobKind::ALL.len()] {
        std::mem::take(&mut self.rates)
    }

    /// Whether it may have work.
    pub(super) fn check_standing(&self) -> Result<(), Refusal> {
        match self.trust.standing() {
            Standing::Good => Ok(()),
            Standing::Distrusted(reason) => Err(Refusal::Distrusted(reason)),
            Standing::Banned(reason) => Err(Refusal::Banned(reason)),
        }
    }

    /// Whether it is listened to at all.
    pub(super) fn check_banned(&self) -> Result<(), Refusal> {
        match self.trust.standing() {
            Standing::Banned(reason) => Err(Refusal::Banned(reason)),
            _ => Ok(()),
        }
    }
}

/// What a stranger sent, made fit for a terminal.
fn for_people(text: &str) -> Box<str> {
    text.chars().map(crate::printable::printable).take(MAX_NAME).collect::<String>().into()
}

/// Which requests were answered with a lease: the newest 64 numbers, as a window that slides.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    newest: u64,
    spent: u64,
}

impl Requests {
    /// Whether this request has had its lease, or is too old for that to be known.
    pub(super) fn is_spent(&self, request: u64) -> bool {
        match self.newest.checked_sub(request) {
            Some(age @ 0..64) => self.spent >> age & 1 == 1,
            Some(_) => true,
            None => false,
        }
    }

    pub(super) fn spend(&mut self, request: u64) {
        if let Some(ahead) = request.checked_sub(self.newest).filter(|&ahead| ahead > 0) {
            self.spent =
                u32::try_from(ahead).ok().and_then(|n| self.spent.checked_shl(n)).unwrap_or(0);
            self.newest = request;
        }
        let age = self.newest - request;
        if age < 64 {
            self.spent |= 1 << age;
        }
    }
}

/// Clients in the order of their ids, with the sessions by which they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientTable {
    clients: std::collections::BTreeMap<ClientId, Client>,
    sessions: std::collections::BTreeMap<u128, ClientId>,
    last: u64,
}

impl ClientTable {
    pub(super) fn insert(&mut self, client: Client) -> ClientId {
        self.last += 1;
        let id = ClientId(self.last);
        self.sessions.insert(client.session, id);
        self.clients.insert(id, client);
        id
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Client> {
        let client = self.clients.remove(&id)?;
        self.sessions.remove(&client.session);
        Some(client)
    }

    pub(super) fn by_session(&self, session: u128) -> Option<ClientId> {
        self.sessions.get(&session).copied()
    }

    pub(super) fn find(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id)
    }

    pub(super) fn find_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    pub(super) fn known_mut(&mut self, id: ClientId) -> Result<&mut Client, Refusal> {
        self.find_mut(id).ok_or(Refusal::UnknownClient)
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &Client)> {
        self.iter_from(ClientId(0))
    }

    pub(super) fn iter_from(&self, from: ClientId) -> impl Iterator<Item = (ClientId, &Client)> {
        self.clients.range(from..).map(|(&id, client)| (id, client))
    }
}
