//! The clients that are here, and what is kept of each.

use super::api::{ClientId, JobId, Join, LeaseId, Refusal};
use super::config::MAX_NAME;
use super::evidence::Conduct;
use super::pace::Pace;
use super::standing::Standing;
use crate::jobs::JobKind;
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// Highest rate in units a second that is believed of any client.
const MOST_RATE: u64 = 1_000_000_000_000_000;

/// Jobs at which a client's speed is remembered; of more, that at the job it worked on longest ago is
/// forgotten.
const KEPT_PACES: usize = 8;

/// Part of its own speed that a client has to keep up; below it counts as silent.
const DILIGENT: f64 = 0.25;

/// A client that has joined and is not gone.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) session: u128,
    pub(super) name: Box<str>,
    pub(super) address: Box<str>,
    pub(super) backend: Box<str>,
    pub(super) threads: u32,
    kinds: [bool; JobKind::ALL.len()],
    /// True when others at its address have lied lately: it must prove more.
    pub(super) suspect: bool,
    pub(super) joined: Duration,
    pub(super) last_seen: Duration,
    pub(super) connected: bool,
    pub(super) leases: Vec<LeaseId>,
    pub(super) requests: Requests,
    /// Its place among those that wait for work.
    pub(super) parked: Option<u64>,
    /// Its speed by job; last the one that it works on.
    paces: Vec<(JobId, Pace)>,
    /// Its part in the team's rates.
    pub(super) rates: Rates,
    /// The moment up to which its work is in its pace. It works on one lease after the other, of whatever
    /// job, so this is one moment for all kinds.
    worked_until: Duration,
    pub(super) diligence: Diligence,
    pub(super) conduct: Conduct,
    /// Audits of its leases that are under way.
    pub(super) audits: usize,
    pub(super) finished_leases: u64,
    pub(super) units: u128,
    /// Key of this client among those that hold leases.
    pub(super) holding: Option<Duration>,
    /// Key of this client in the timers.
    pub(super) timer: Duration,
}

/// A client's part in the rates of the team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    /// Nonces a second, as it says: for people.
    pub(super) shown: u64,
    /// Proved rates, by kind, in units a second times what one of them costs.
    pub(super) proved: [u64; JobKind::ALL.len()],
}

impl Client {
    pub(super) fn new(now: Duration, join: Join) -> Self {
        let mut kinds = [false; JobKind::ALL.len()];
        for kind in join.kinds {
            kinds[kind.index()] = true;
        }
        Self {
            session: join.session,
            name: for_people(&join.name),
            address: for_people(&join.address),
            backend: for_people(&join.backend),
            threads: join.threads,
            kinds,
            suspect: join.suspect,
            joined: now,
            last_seen: now,
            connected: true,
            leases: Vec::new(),
            requests: Requests::default(),
            parked: None,
            paces: Vec::new(),
            rates: Rates::default(),
            worked_until: now,
            diligence: Diligence::new(now),
            conduct: Conduct::default(),
            audits: 0,
            finished_leases: 0,
            units: 0,
            holding: None,
            timer: now,
        }
    }

    /// Notes that the client was heard of.
    pub(super) fn seen(&mut self, now: Duration) {
        self.seen_at(now);
        self.connected = true;
    }

    /// Notes that it was heard of once, over a connection that may be gone.
    pub(super) fn seen_at(&mut self, at: Duration) {
        self.last_seen = self.last_seen.max(at);
    }

    /// Returns what it said when it joined, but for the rate, which is not kept.
    pub(super) fn join(&self) -> Join {
        Join {
            session: self.session,
            name: self.name.to_string(),
            address: self.address.to_string(),
            backend: self.backend.to_string(),
            threads: self.threads,
            kinds: JobKind::ALL.into_iter().filter(|&kind| self.can(kind)).collect(),
            rate_hint: 0,
            suspect: self.suspect,
        }
    }

    pub(super) fn can(&self, kind: JobKind) -> bool {
        self.kinds[kind.index()]
    }

    /// Returns its pace at a job, which becomes the one that it works on.
    pub(super) fn pace(&mut self, job: JobId) -> &mut Pace {
        let pace = match self.paces.iter().position(|&(known, _)| known == job) {
            Some(place) => self.paces.remove(place),
            None => (job, Pace::default()),
        };
        if self.paces.len() == KEPT_PACES {
            self.paces.remove(0);
        }
        self.paces.push(pace);
        let last = self.paces.len() - 1;
        &mut self.paces[last].1
    }

    /// Returns its pace at a job, if it has worked on it.
    pub(super) fn known_pace(&self, job: JobId) -> Option<&Pace> {
        self.paces.iter().find(|&&(known, _)| known == job).map(|(_, pace)| pace)
    }

    /// Returns its pace at what it worked on last.
    pub(super) fn last_pace(&self) -> Option<&Pace> {
        self.paces.last().map(|(_, pace)| pace)
    }

    /// Notes that it begins to work after a pause; the pause is no part of its rate.
    pub(super) fn begin(&mut self, now: Duration) {
        self.worked_until = self.worked_until.max(now);
    }

    /// Notes work that is reported now; returns the time that it took. The caller settles the team's
    /// rates.
    pub(super) fn note_work(&mut self, now: Duration, work: &Work) -> Duration {
        let time = now.saturating_sub(self.worked_until);
        self.begin(now);
        let pace = self.pace(work.job);
        pace.note(time, work.claimed, work.proved);
        let (claimed, proved) = (pace.claimed_rate(), pace.proved_rate());
        let proven = pace.is_proven();
        if work.kind == JobKind::Md5Search {
            self.rates.shown = (claimed as u64).min(MOST_RATE);
        }
        // Clients outside the leases, and those that have proved nothing, are no part of the team.
        if proven && self.can(work.kind) {
            let normal = (proved as u64).saturating_mul(work.unit_cost).min(MOST_RATE);
            self.rates.proved[work.kind.index()] = normal;
        }
        time
    }

    /// Returns whether anything of its work is proved, and it goes on.
    pub(super) fn is_proven(&self) -> bool {
        self.rates.proved.iter().any(|&rate| rate > 0)
    }

    /// Returns the units a second that a client can be expected to do at a job, from what it has
    /// proved at it or at others; `None` where nothing is proved.
    pub(super) fn proved_rate(&self, job: JobId, kind: JobKind, unit_cost: u64) -> Option<f64> {
        let here = self.known_pace(job).filter(|pace| pace.is_proven()).map(Pace::proved_rate);
        let elsewhere = || self.rates.proved[kind.index()] as f64 / unit_cost.max(1) as f64;
        Some(here.unwrap_or_else(elsewhere)).filter(|&rate| rate > 0.0)
    }

    /// Expects nothing of it until it proves itself again. Returns its part in the team's rates until
    /// now.
    pub(super) fn unprove(&mut self) -> Rates {
        self.paces.iter_mut().for_each(|(_, pace)| pace.forget_confirmed());
        std::mem::take(&mut self.rates)
    }

    /// Returns why it may have no work, if so.
    pub(super) fn check_standing(&self) -> Result<(), Refusal> {
        match self.conduct.standing() {
            Standing::Good => Ok(()),
            Standing::Distrusted(reason) => Err(Refusal::Distrusted(reason)),
            Standing::Banned(reason) => Err(Refusal::Banned(reason)),
        }
    }

    /// Returns why it is not listened to, if so.
    pub(super) fn check_banned(&self) -> Result<(), Refusal> {
        match self.conduct.standing() {
            Standing::Banned(reason) => Err(Refusal::Banned(reason)),
            _ => Ok(()),
        }
    }
}

/// A stretch of work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) job: JobId,
    pub(super) kind: JobKind,
    pub(super) unit_cost: u64,
    /// Units that the client says it did.
    pub(super) claimed: f64,
    /// Units for which its shares speak.
    pub(super) proved: f64,
}

/// How steadily a client goes on with what it holds, measured by the speed that it has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Diligence {
    /// When it last did enough.
    since: Duration,
    /// Work since then, in seconds at its own speed.
    done: f64,
    /// When it last ran out of work, if it has none.
    paused: Option<Duration>,
}

impl Diligence {
    pub(super) fn new(now: Duration) -> Self {
        Self { since: now, done: 0.0, paused: Some(now) }
    }

    /// Notes that it has nothing more to do.
    pub(super) fn pause(&mut self, now: Duration) {
        self.paused.get_or_insert(now);
    }

    /// Notes that it has something to do again: the pause does not count against it.
    pub(super) fn resume(&mut self, now: Duration) {
        if let Some(paused) = self.paused.take() {
            self.since = self.since.saturating_add(now.saturating_sub(paused)).min(now);
        }
    }

    /// Notes that it has done enough until now.
    pub(super) fn begin(&mut self, now: Duration) {
        *self = Self { since: self.since.max(now), done: 0.0, paused: self.paused };
    }

    /// Notes work that takes it so many seconds.
    pub(super) fn note(&mut self, now: Duration, seconds: f64) {
        self.done += seconds;
        if self.done >= DILIGENT * now.saturating_sub(self.since).as_secs_f64() {
            self.begin(now);
        }
    }

    /// Returns when it last did enough.
    pub(super) fn since(&self) -> Duration {
        self.since
    }
}

/// Returns what a stranger sent, fit for a terminal.
fn for_people(text: &str) -> Box<str> {
    text.chars().map(crate::printable::printable).take(MAX_NAME).collect::<String>().into()
}

/// The requests that were answered with a lease: a sliding window over the newest 64 numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    newest: u64,
    spent: u64,
}

impl Requests {
    /// Returns whether this request has had its lease, or is too old for that to be known.
    pub(super) fn is_spent(&self, request: u64) -> bool {
        match self.newest.checked_sub(request) {
            Some(age @ 0..64) => self.spent >> age & 1 == 1,
            Some(_) => true,
            None => false,
        }
    }

    /// Notes that a request was answered with a lease.
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
        let id = ClientId(self.last + 1);
        self.restore(id, client);
        id
    }

    /// Inserts a client that had this number before.
    pub(super) fn restore(&mut self, id: ClientId, client: Client) {
        self.skip_to(id.0);
        self.sessions.insert(client.session, id);
        self.clients.insert(id, client);
    }

    /// Returns the last number that is used.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Counts all numbers up to `last` as used.
    pub(super) fn skip_to(&mut self, last: u64) {
        self.last = self.last.max(last);
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

/// For clients that the coordinator itself names: nothing is kept of one that is gone.
impl Index<ClientId> for ClientTable {
    type Output = Client;

    fn index(&self, id: ClientId) -> &Client {
        &self.clients[&id]
    }
}

impl IndexMut<ClientId> for ClientTable {
    fn index_mut(&mut self, id: ClientId) -> &mut Client {
        self.clients.get_mut(&id).expect("a client that is here")
    }
}
