//! The one owner of the coordinator: turns requests into calls and its events into notices.
//!
//! Transports hand in decoded requests with what they know of the sender, and send out what they
//! get. A session is a client that has said hello; how it is reached is its waker's business.

mod admin;
mod guests;
mod hello;
#[cfg(test)]
mod tests;

use super::bans::Bans;
use super::convert::{self, describe};
use super::sessions::{Sessions, Waker};
use super::suspicion::Suspicion;
use crate::coordinator::{
    Assignment, Audit, AuditResult, ClientId, Config, Coordinator, Event, JobEnd, JobId,
    Reason as Doubt, Refusal, Standing, Submitter,
};
use crate::jobs::{JobSpec, Solution};
use crate::net::{random_bytes, random_key};
use crate::proto::{
    Answer, Call, Notice, Notification, Over, RefusalReason, Reply, Request, refused,
};
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
        /// Its name and backend.
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
    /// Someone has submitted a job.
    Submitted {
        /// Its number.
        job: JobId,
        /// Describes it.
        what: String,
        /// The submitter's address.
        address: String,
    },
    /// The server's own job has ended; the server stays until this many other jobs have, too.
    Lingering(usize),
}

struct State {
    coordinator: Coordinator,
    sessions: Sessions,
    suspicion: Suspicion,
    bans: Bans,
    /// The job after which the server closes.
    main_job: Option<JobId>,
    /// The end of that job.
    main_over: Option<Over>,
    /// Closes after that job although others are under way.
    once: bool,
    closing: Option<Over>,
}

/// The one owner of the coordinator: turns requests into calls and its events into notices.
pub struct Service {
    state: Mutex<State>,
    /// Whether strangers may submit jobs.
    open: AtomicBool,
    began: Instant,
    /// Clients that must be there before the search begins.
    pub(in crate::net) min_clients: usize,
    events: mpsc::UnboundedSender<ServerEvent>,
    /// The second in which a classic client said something last, and how many lines came in it.
    said: AtomicU64,
    audits: mpsc::UnboundedSender<Audit>,
    /// Rung when a session by datagram is to be told something.
    pub(super) shared_bell: Notify,
    /// Rung when the server is to close.
    pub(super) closing_bell: Notify,
}

/// What the service hands to whoever shows and audits.
pub(in crate::net) struct Outlets {
    pub(super) events: mpsc::UnboundedReceiver<ServerEvent>,
    pub(super) audits: mpsc::UnboundedReceiver<Audit>,
}

/// Who sends a request, as far as its transport knows.
pub(in crate::net) struct Sender {
    pub(in crate::net) address: SocketAddr,
    pub(in crate::net) waker: Waker,
}

/// A reply, and what it means for the connection.
pub(in crate::net) struct Handled {
    pub(super) reply: Reply,
    /// The server closes and the client has acknowledged it. Decided under the same lock as the
    /// reply: a moment later the server may close without this client knowing.
    pub(super) last: bool,
}

impl Service {
    pub(in crate::net) fn new(config: Config) -> (Arc<Self>, Outlets) {
        let (event_sender, events) = mpsc::unbounded_channel();
        let (audit_sender, audits) = mpsc::unbounded_channel();
        let service = Self {
            min_clients: config.min_clients,
            state: Mutex::new(State {
                suspicion: Suspicion::new(config.suspicion_time),
                bans: Bans::default(),
                coordinator: Coordinator::new(config, random_bytes()),
                sessions: Sessions::default(),
                main_job: None,
                main_over: None,
                once: false,
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
        (Arc::new(service), Outlets { events, audits })
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
    pub(crate) fn submit_main(&self, spec: JobSpec) -> Result<JobId, String> {
        let key = u128::from_ne_bytes(random_key());
        let submitter = Submitter::Server;
        let job = self.with(|coordinator, now| coordinator.submit_as(now, submitter, key, spec, 1));
        let job = job.map_err(|error| error.to_string())?;
        self.state().main_job = Some(job);
        Ok(job)
    }

    /// Closes after the main job although others are under way.
    pub(in crate::net) fn close_after_main(&self) {
        self.state().once = true;
    }

    /// Tells everyone that the server ends.
    pub(in crate::net) fn close(&self) {
        let mut state = self.state();
        self.close_after(&mut state, Over::default());
    }

    /// How the job ended after which the server closes; `None` while it goes on.
    pub(in crate::net) fn closing(&self) -> Option<Over> {
        self.state().closing.clone()
    }

    /// The job after which the server closes, if there is one.
    pub fn main_job(&self) -> Option<JobId> {
        self.state().main_job
    }

    /// Whether every session knows that the server closes.
    pub(in crate::net) fn all_know(&self) -> bool {
        self.state().sessions.all_know()
    }

    /// Answers a request. `client` is the sender as far as its transport knows: over UDP the holder
    /// of the session. A hello fills it in.
    pub(in crate::net) fn handle(
        &self,
        sender: &Sender,
        client: &mut Option<ClientId>,
        request: Request,
    ) -> Handled {
        let checked = self.check(sender, &request.call);
        let mut state = self.state();
        if let Some(id) = *client {
            state.sessions.heard(id, request.notices_seen, &sender.waker);
        }
        let number = request.number;
        let known = client.is_some();
        let answer = match (checked, request.call) {
            (Err(refused), _) => Answer::Refused(refused),
            // One client for each connection, or one connection could fill the house.
            (_, Call::Hello(hello)) if !known => self.hello(&mut state, sender, client, hello),
            (Ok(spec), call) if needs_no_hello(&call) => {
                self.administer(&mut state, sender, call, spec)
            }
            (_, call) => self.answer(&mut state, *client, number, call),
        };
        self.drain(&mut state);
        let notice = client.and_then(|id| state.sessions.oldest(id));
        // Who comes back too late still learns how it ended.
        let late = state.closing.clone().filter(|_| client.is_none());
        let late = late.map(|over| Notice { number: 0, what: Notification::Closing(over) });
        let notice = notice.or(late);
        let last = notice.is_none() && state.closing.is_some();
        Handled { reply: Reply { number, notice, answer: Some(answer) }, last }
    }

    /// The client that holds a session.
    pub(in crate::net) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.state().sessions.client_of(session)
    }

    /// What a session is to be told: all that it has not acknowledged, and pushes, once.
    pub(in crate::net) fn notices(&self, client: ClientId) -> Vec<Notice> {
        self.state().sessions.notices(client)
    }

    /// Returns the refusal after which the server hangs up on a client, if it is banned.
    pub(in crate::net) fn dismissal(&self, client: ClientId) -> Option<Answer> {
        match self.state().coordinator.client(client)?.standing {
            Standing::Banned(reason) => Some(convert::refusal(Refusal::Banned(reason))),
            Standing::Good | Standing::Distrusted(_) => None,
        }
    }

    /// Sessions by datagram with something new to be told.
    pub(in crate::net) fn take_ringing(&self) -> Vec<(ClientId, u64)> {
        self.state().sessions.take_ringing()
    }

    /// A connection is lost, if `waker` is still the client's.
    pub(in crate::net) fn disconnected(&self, client: ClientId, waker: &Arc<Notify>) {
        let mut state = self.state();
        if state.sessions.disconnected(client, waker) {
            state.coordinator.disconnected(client);
            if state.closing.is_some() {
                state.sessions.forget(client);
            }
        }
        self.drain(&mut state);
    }

    /// Something to show.
    pub(in crate::net) fn show(&self, event: ServerEvent) {
        // What strangers say without end is not worth anyone's memory or disk.
        if matches!(event, ServerEvent::Said(..)) && !self.may_be_said() {
            return;
        }
        // Nobody listens when the server is about to end.
        let _ = self.events.send(event);
    }

    pub(in crate::net) fn audited(&self, result: &AuditResult) {
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
            (_, None) => refused(RefusalReason::Session, "say hello first"),
            (Call::Ask, Some(client)) => match coordinator.request(now, client, number) {
                Ok(Assignment::Lease(grant, _)) => Answer::Grant(grant),
                Ok(Assignment::Wait(time)) => Answer::Wait(time),
                Ok(Assignment::Spent) => Answer::Wait(Duration::ZERO),
                Err(refusal) => convert::refusal(refusal),
            },
            (Call::Progress(progress), Some(client)) => {
                convert::report(coordinator, now, client, progress)
            }
            (Call::Heartbeat, Some(client)) => match coordinator.heartbeat(now, client) {
                Ok(_) => Answer::Ok,
                Err(refusal) => convert::refusal(refusal),
            },
            (Call::Goodbye, Some(client)) => {
                coordinator.leave(client);
                Answer::Ok
            }
            (_, Some(_)) => refused(RefusalReason::Malformed, "one hello is enough"),
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
                    let what = format!("{}, {}", status.name, status.backend);
                    self.show(ServerEvent::Joined { client: id.0, address: status.address, what });
                }
            }
            Event::Left(id, _) => {
                state.sessions.forget(id);
                self.show(ServerEvent::Left(id.0));
            }
            Event::Started => self.show(ServerEvent::Started),
            Event::Solution(job, solution) => self.show(ServerEvent::Solution(job, solution)),
            Event::JobEnded { job, end, holders } => self.job_ended(state, job, end, holders),
            Event::Wake(id) => self.push(state, id, Notification::Wake),
            Event::Revoked { client, lease, epoch } => {
                self.push(state, client, Notification::Revoked(convert::revoked(lease, epoch)));
            }
            Event::Trimmed { client, lease, epoch, end } => {
                self.push(
                    state,
                    client,
                    Notification::Trimmed(convert::trimmed(lease, epoch, end)),
                );
            }
            Event::Distrusted(id, reason) | Event::Banned(id, reason) => {
                self.show(ServerEvent::Distrusted(id.0, reason.to_string()));
                // Once for each client: one that has lost its trust may be banned yet. What the
                // operator has against one says nothing of its neighbours.
                if reason != Doubt::Operator
                    && let Some(address) = state.sessions.offended(id)
                {
                    state.suspicion.note(address, self.began.elapsed());
                }
                self.push(state, id, Notification::Wake);
            }
            // The auditor is gone only when the server is about to end.
            Event::Audit(audit) => drop(self.audits.send(audit)),
        }
    }

    fn job_ended(&self, state: &mut State, job: JobId, end: JobEnd, holders: Vec<ClientId>) {
        let over = convert::over(&state.coordinator, job, end);
        self.show(ServerEvent::JobEnded(job, end));
        if state.main_job == Some(job) {
            state.main_over = Some(over.clone());
        }
        if let Some(main) = state.main_over.clone() {
            let others = state.coordinator.totals().active_jobs;
            if others == 0 || state.once {
                return self.close_after(state, main);
            }
            self.show(ServerEvent::Lingering(others));
        }
        for id in holders {
            self.tell(state, id, Notification::Over(over.clone()));
        }
    }

    fn close_after(&self, state: &mut State, over: Over) {
        if state.closing.is_some() {
            return;
        }
        state.closing = Some(over.clone());
        for id in state.sessions.clients() {
            self.tell(state, id, Notification::Closing(over.clone()));
        }
        self.closing_bell.notify_one();
    }

    fn tell(&self, state: &mut State, id: ClientId, news: Notification) {
        if state.sessions.tell(id, news) {
            self.shared_bell.notify_one();
        }
    }

    fn push(&self, state: &mut State, id: ClientId, news: Notification) {
        if state.sessions.push(id, news) {
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
