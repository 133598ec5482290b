//! The one owner of the coordinator: turns requests into calls and its events into notices.
//!
//! Transports hand in decoded requests with what they know of the sender, and send out what they
//! get. A visitor is a client that has said hello; how it is reached is its doorbell's business.

mod admin;
mod guests;
mod hello;
#[cfg(test)]
mod tests;

use super::bans::Bans;
use super::market::{self, describe};
use super::suspicion::Suspicion;
use super::visitors::{Doorbell, Visitors};
use super::{random_bytes, random_key};
use crate::coordinator::{
    Assignment, Audit, AuditResult, ClientId, Config, Coordinator, Event, JobEnd, JobId,
    Reason as Doubt, Refusal, Standing, Submitter,
};
use crate::jobs::{JobSpec, Solution};
use crate::proto::{Answer, Call, News, Notice, Over, Reason, Refused, Reply, Request};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// What happens, for whoever shows it.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// A client is here.
    Joined {
        /// Its id.
        client: u64,
        /// Where it is.
        address: String,
        /// Its name, backend and threads.
        what: String,
    },
    /// A client is gone.
    Left(u64),
    /// Enough clients are here.
    Started,
    /// A verified solution.
    Solution(JobId, Solution),
    /// A job has ended.
    JobEnded(JobId, JobEnd),
    /// A client gets no more work, and why.
    Distrusted(u64, String),
    /// A line that a client of the classic protocol has sent.
    Said(u64, String),
}

struct State {
    coordinator: Coordinator,
    visitors: Visitors,
    suspicion: Suspicion,
    bans: Bans,
    /// The job after which the server closes.
    main_job: Option<JobId>,
    closing: Option<Over>,
}

/// The one owner of the coordinator: turns requests into calls and its events into notices.
pub struct Hub {
    state: Mutex<State>,
    /// Whether strangers may submit jobs.
    open: AtomicBool,
    began: Instant,
    /// Clients that must be there before the search begins.
    pub(super) min_clients: usize,
    events: mpsc::UnboundedSender<ServerEvent>,
    /// The second in which a classic client said something last, and how many lines came in it.
    said: AtomicU64,
    audits: mpsc::UnboundedSender<Audit>,
    /// Rung when a visitor by datagram is to be told something.
    pub(super) shared_bell: Notify,
    /// Rung when the server is to close.
    pub(super) closing_bell: Notify,
}

/// What the hub hands to whoever shows and audits.
pub(super) struct Outlets {
    pub(super) events: mpsc::UnboundedReceiver<ServerEvent>,
    pub(super) audits: mpsc::UnboundedReceiver<Audit>,
}

/// Who sends a request, as far as its transport knows.
pub(super) struct Sender {
    pub(super) address: SocketAddr,
    pub(super) doorbell: Doorbell,
}

/// A reply, and what it means for the connection.
pub(super) struct Handled {
    pub(super) reply: Reply,
    /// The server closes and the client has acknowledged it. Decided under the same lock as the
    /// reply: a moment later the server may close without this client knowing.
    pub(super) last: bool,
}

impl Hub {
    pub(super) fn new(config: Config) -> (Arc<Self>, Outlets) {
        let (event_sender, events) = mpsc::unbounded_channel();
        let (audit_sender, audits) = mpsc::unbounded_channel();
        let hub = Self {
            min_clients: config.min_clients,
            state: Mutex::new(State {
                suspicion: Suspicion::new(config.grudge),
                bans: Bans::default(),
                coordinator: Coordinator::new(config, random_bytes()),
                visitors: Visitors::default(),
                main_job: None,
                closing: None,
            }),
            open: AtomicBool::new(false),
            began: Instant::now(),
            events: event_sender,
            said: AtomicU64::new(0),
            audits: audit_sender,
            shared_bell: Notify::new(),
            closing_bell: Notify::new(),
        };
        (Arc::new(hub), Outlets { events, audits })
    }

    /// Runs `look` on the coordinator, and acts on what it has to say afterwards.
    pub fn with<T>(&self, look: impl FnOnce(&mut Coordinator, Duration) -> T) -> T {
        let now = self.began.elapsed();
        let mut state = self.state();
        let result = look(&mut state.coordinator, now);
        self.drain(&mut state);
        result
    }

    /// Submits the job after which the server closes.
    ///
    /// # Errors
    /// There are too many jobs.
    pub(super) fn submit_main(&self, spec: JobSpec) -> Result<JobId, String> {
        let key = u128::from_ne_bytes(random_key());
        let submitter = Submitter::Server;
        let job = self.with(|coordinator, now| coordinator.submit_as(now, submitter, key, spec, 1));
        let job = job.map_err(|error| error.to_string())?;
        self.state().main_job = Some(job);
        Ok(job)
    }

    /// Tells everyone that the server ends.
    pub(super) fn close(&self) {
        let mut state = self.state();
        self.close_after(&mut state, Over::default());
    }

    /// How the job ended after which the server closes; `None` while it goes on.
    pub(super) fn closing(&self) -> Option<Over> {
        self.state().closing.clone()
    }

    /// The job after which the server closes, if there is one.
    pub fn main_job(&self) -> Option<JobId> {
        self.state().main_job
    }

    /// Whether every visitor knows that the server closes.
    pub(super) fn all_know(&self) -> bool {
        self.state().visitors.all_know()
    }

    /// Answers a request. `client` is the sender as far as its transport knows: over UDP the holder
    /// of the session. A hello fills it in.
    pub(super) fn handle(
        &self,
        sender: &Sender,
        client: &mut Option<ClientId>,
        request: Request,
    ) -> Handled {
        let checked = self.check(sender, &request.call);
        let mut state = self.state();
        if let Some(id) = *client {
            state.visitors.heard(id, request.notices_seen, &sender.doorbell);
        }
        let number = request.number;
        let known = client.is_some();
        let answer = match (checked, request.call) {
            (Err(refused), _) => refused,
            // One client for each connection, or one connection could fill the house.
            (_, Call::Hello(hello)) if !known => self.hello(&mut state, sender, client, hello),
            (Ok(spec), call) if needs_no_hello(&call) => {
                self.administer(&mut state, sender, call, spec)
            }
            (_, call) => self.answer(&mut state, *client, number, call),
        };
        self.drain(&mut state);
        let notice = client.and_then(|id| state.visitors.oldest(id));
        // Who comes back too late still learns how it ended.
        let late = state.closing.clone().filter(|_| client.is_none());
        let late = late.map(|over| Notice { number: 0, what: News::Closing(over) });
        let notice = notice.or(late);
        let last = notice.is_none() && state.closing.is_some();
        Handled { reply: Reply { number, notice, answer: Some(answer) }, last }
    }

    /// The client that holds a session.
    pub(super) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.state().visitors.client_of(session)
    }

    /// What a visitor is to be told: all that it has not acknowledged, and nudges, once.
    pub(super) fn notices(&self, client: ClientId) -> Vec<Notice> {
        self.state().visitors.notices(client)
    }

    /// Returns the refusal after which the server hangs up on a client, if it is banned.
    pub(super) fn dismissal(&self, client: ClientId) -> Option<Answer> {
        match self.state().coordinator.client(client)?.standing {
            Standing::Banned(reason) => Some(market::refusal(Refusal::Banned(reason))),
            Standing::Good | Standing::Distrusted(_) => None,
        }
    }

    /// Visitors by datagram with something new to be told.
    pub(super) fn take_ringing(&self) -> Vec<(ClientId, u64)> {
        self.state().visitors.take_ringing()
    }

    /// A connection is lost, if `doorbell` is still the client's.
    pub(super) fn disconnected(&self, client: ClientId, doorbell: &Arc<Notify>) {
        let mut state = self.state();
        if state.visitors.disconnected(client, doorbell) {
            state.coordinator.disconnected(client);
            if state.closing.is_some() {
                state.visitors.forget(client);
            }
        }
        self.drain(&mut state);
    }

    /// Something to show.
    pub(super) fn show(&self, event: ServerEvent) {
        // What strangers say without end is not worth anyone's memory or disk.
        if matches!(event, ServerEvent::Said(..)) && !self.may_be_said() {
            return;
        }
        // Nobody listens when the server is about to end.
        let _ = self.events.send(event);
    }

    pub(super) fn audited(&self, result: &AuditResult) {
        self.with(|coordinator, now| coordinator.audited(now, result));
    }

    fn answer(
        &self,
        state: &mut State,
        client: Option<ClientId>,
        number: u64,
        call: Call,
    ) -> Answer {
        let now = self.began.elapsed();
        let coordinator = &mut state.coordinator;
        match (call, client) {
            (Call::Describe { job, offset }, _) => describe(coordinator, JobId(job), offset),
            (_, None) => refused(Reason::Session, "say hello first"),
            (Call::Ask, Some(client)) => match coordinator.request(now, client, number) {
                Ok(Assignment::Lease(grant)) => Answer::Grant(market::grant(grant)),
                Ok(Assignment::Wait(time)) => Answer::Wait(time),
                Ok(Assignment::Spent) => Answer::Wait(Duration::ZERO),
                Err(refusal) => market::refusal(refusal),
            },
            (Call::Progress(progress), Some(client)) => {
                market::report(coordinator, now, client, progress)
            }
            (Call::Heartbeat, Some(client)) => match coordinator.heartbeat(now, client) {
                Ok(_) => Answer::Ok,
                Err(refusal) => market::refusal(refusal),
            },
            (Call::Goodbye, Some(client)) => {
                coordinator.leave(client);
                Answer::Ok
            }
            (_, Some(_)) => refused(Reason::Malformed, "one hello is enough"),
        }
    }

    /// Acts on everything that the coordinator has to say.
    fn drain(&self, state: &mut State) {
        while let Some(event) = state.coordinator.poll_event() {
            self.act(state, event);
        }
    }

    fn act(&self, state: &mut State, event: Event) {
        match event {
            Event::Joined(id) => {
                if let Some(status) = state.coordinator.client(id) {
                    let threads = status.threads;
                    let what = format!("{}, {}, threads {threads}", status.name, status.backend);
                    self.show(ServerEvent::Joined { client: id.0, address: status.address, what });
                }
            }
            Event::Left(id, _) => {
                state.visitors.forget(id);
                self.show(ServerEvent::Left(id.0));
            }
            Event::Started => self.show(ServerEvent::Started),
            Event::Solution(job, solution) => self.show(ServerEvent::Solution(job, solution)),
            Event::JobEnded { job, end, holders } => self.job_ended(state, job, end, holders),
            Event::Wake(id) => self.nudge(state, id, News::Wake),
            Event::Revoked { client, lease, epoch } => {
                self.nudge(state, client, News::Revoked(market::lost(lease, epoch)));
            }
            Event::Trimmed { client, lease, epoch, end } => {
                self.nudge(state, client, News::Trimmed(market::trimmed(lease, epoch, end)));
            }
            Event::Distrusted(id, reason) | Event::Banned(id, reason) => {
                self.show(ServerEvent::Distrusted(id.0, reason.to_string()));
                // Once for each client: one that has lost its trust may be banned yet. What the
                // operator has against one says nothing of its neighbours.
                if reason != Doubt::Operator
                    && let Some(address) = state.visitors.offended(id)
                {
                    state.suspicion.note(address, self.began.elapsed());
                }
                self.nudge(state, id, News::Wake);
            }
            // The auditor is gone only when the server is about to end.
            Event::Audit(audit) => drop(self.audits.send(audit)),
        }
    }

    fn job_ended(&self, state: &mut State, job: JobId, end: JobEnd, holders: Vec<ClientId>) {
        let over = market::over(&state.coordinator, job, end);
        self.show(ServerEvent::JobEnded(job, end));
        if state.main_job == Some(job) {
            return self.close_after(state, over);
        }
        for id in holders {
            self.tell(state, id, News::Over(over.clone()));
        }
    }

    fn close_after(&self, state: &mut State, over: Over) {
        if state.closing.is_some() {
            return;
        }
        state.closing = Some(over.clone());
        for id in state.visitors.clients() {
            self.tell(state, id, News::Closing(over.clone()));
        }
        self.closing_bell.notify_one();
    }

    fn tell(&self, state: &mut State, id: ClientId, news: News) {
        if state.visitors.tell(id, news) {
            self.shared_bell.notify_one();
        }
    }

    fn nudge(&self, state: &mut State, id: ClientId, news: News) {
        if state.visitors.nudge(id, news) {
            self.shared_bell.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held is a bug of the coordinator; going on serves the others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What everyone may send without being a client; whether they may have it is another question.
fn needs_no_hello(call: &Call) -> bool {
    !matches!(
        call,
        Call::Hello(_)
            | Call::Ask
            | Call::Describe { .. }
            | Call::Progress(_)
            | Call::Heartbeat
            | Call::Goodbye
    )
}

/// A refusal with a sentence.
pub(super) fn refused(reason: Reason, text: &str) -> Answer {
    let text = crate::proto::cleaned(text, crate::proto::MAX_TEXT);
    Answer::Refused(Refused { reason, text })
}
