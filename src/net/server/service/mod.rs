//! Owns the coordinator: turns requests into calls on it, and its events into notices.
//!
//! Transports hand in decoded requests together with the address of their sender, and send what they
//! get back. Nothing outside this module changes the coordinator: readers get
//! [`Service::read`] and [snapshots](Snapshot), writers call methods that name the change.
//! A session is a client that has said hello; its [`Waker`] knows how to reach it.

mod admin;
mod events;
mod hello;
mod plaintext;
mod snapshot;
#[cfg(test)]
mod tests;

pub use events::{Events, ServerEvent};
pub use snapshot::{ClientSnapshot, JobSnapshot, Snapshot};

use super::bans::Bans;
use super::convert::{self, describe};
use super::sessions::{Sessions, Waker};
use super::suspicion::Suspicion;
use crate::coordinator::{
    Assignment, Audit, AuditResult, ClientId, Config, Coordinator, Fact, JobId, Refusal,
    RestoreError, Standing, Submitter,
};
use crate::jobs::JobSpec;
use crate::net::limits::EVENT_QUEUE;
use crate::net::random;
use crate::proto::{
    Answer, Call, Notice, Notification, Over, RefusalReason, Reply, Request, refused,
};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::Instant;

struct State {
    coordinator: Coordinator,
    sessions: Sessions,
    suspicion: Suspicion,
    bans: Bans,
    /// The job after which the server closes.
    main_job: Option<JobId>,
    /// The end of that job.
    main_over: Option<Over>,
    /// True once the server has stayed for other jobs.
    lingered: bool,
    /// Closes after that job although others are under way.
    once: bool,
    closing: Option<Over>,
}

/// Owns the coordinator: turns requests into calls on it, and its events into notices.
pub struct Service {
    state: Mutex<State>,
    /// Set where clients on other machines may submit jobs.
    open: AtomicBool,
    began: Instant,
    /// Time of the coordinator when the server began: 0 unless it was restored.
    start: Duration,
    /// Clients that must have joined before the search begins.
    pub(in crate::net) min_clients: usize,
    events: broadcast::Sender<ServerEvent>,
    /// The second in which plain-text lines were counted last, and their number.
    plaintext_lines: AtomicU64,
    audits: mpsc::UnboundedSender<Audit>,
    /// Notified when a session that is reached by datagram has something to be sent.
    pub(in crate::net) datagrams_due: Notify,
    /// Notified when the server starts to close.
    pub(in crate::net) closes: Notify,
}

/// The receiving ends of what a service emits.
pub(in crate::net) struct Outlets {
    pub(in crate::net) events: Events,
    pub(in crate::net) audits: mpsc::UnboundedReceiver<Audit>,
}

/// The sender of a request, as far as its transport knows.
pub(in crate::net) struct Origin {
    pub(in crate::net) address: SocketAddr,
    pub(in crate::net) waker: Waker,
}

/// A reply, and its consequence for the connection.
pub(in crate::net) struct Handled {
    pub(in crate::net) reply: Reply,
    /// The server closes and the client has acknowledged it. Decided under the same lock as the
    /// reply: a moment later the server may close without this client knowing.
    pub(in crate::net) last: bool,
}

impl Service {
    /// Creates a service without jobs, together with the receiving ends of what it emits.
    pub(in crate::net) fn new(config: Config) -> (Arc<Self>, Outlets) {
        let coordinator = Coordinator::new(config, random::bytes());
        Self::of(coordinator)
    }

    /// Creates a service in the state that `facts` tell of. Its main job is the one that the server
    /// had given itself.
    ///
    /// # Errors
    /// The facts contradict each other.
    pub(in crate::net) fn restored(
        config: Config,
        facts: Vec<Fact>,
    ) -> Result<(Arc<Self>, Outlets), RestoreError> {
        let main_job = main_job(&facts);
        let coordinator = Coordinator::restore(config, random::bytes(), facts)?;
        let ended = main_job.and_then(|job| Some((job, coordinator.job(job)?.ended?.1)));
        let main_over = ended.map(|(job, end)| convert::over(&coordinator, job, end));
        let (service, outlets) = Self::of(coordinator);
        let mut state = service.state();
        state.lingered = main_over.is_some();
        (state.main_job, state.main_over) = (main_job, main_over);
        // Restoring may have ended jobs.
        service.drain(&mut state);
        service.close_if_over(&mut state);
        drop(state);
        Ok((service, outlets))
    }

    fn of(coordinator: Coordinator) -> (Arc<Self>, Outlets) {
        let (event_sender, events) = broadcast::channel(EVENT_QUEUE);
        let (audit_sender, audits) = mpsc::unbounded_channel();
        let service = Self {
            min_clients: coordinator.config().min_clients,
            start: coordinator.now(),
            state: Mutex::new(State {
                suspicion: Suspicion::new(coordinator.config().suspicion_time),
                bans: Bans::default(),
                coordinator,
                sessions: Sessions::default(),
                main_job: None,
                main_over: None,
                lingered: false,
                once: false,
                closing: None,
            }),
            open: AtomicBool::new(false),
            began: Instant::now(),
            events: event_sender,
            plaintext_lines: AtomicU64::new(0),
            audits: audit_sender,
            datagrams_due: Notify::new(),
            closes: Notify::new(),
        };
        (Arc::new(service), Outlets { events: Events::new(events), audits })
    }

    /// Runs `look` on the coordinator and returns its result. Everyone else waits meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Coordinator) -> T) -> T {
        look(&self.state().coordinator)
    }

    /// Returns the time as the coordinator counts it.
    pub fn now(&self) -> Duration {
        self.start + self.began.elapsed()
    }

    /// Subscribes to everything that happens from now on. Any number of consumers may listen.
    pub fn subscribe(&self) -> Events {
        Events::new(self.events.subscribe())
    }

    /// Changes the coordinator, then acts on the events that this has caused.
    fn change<T>(&self, change: impl FnOnce(&mut Coordinator, Duration) -> T) -> T {
        let now = self.now();
        let mut state = self.state();
        let result = change(&mut state.coordinator, now);
        self.drain(&mut state);
        result
    }

    /// Ends leases and clients whose time is over.
    pub(in crate::net) fn expire(&self) {
        self.change(|coordinator, now| {
            if coordinator.next_deadline().is_some_and(|deadline| deadline <= now) {
                coordinator.expire(now);
            }
        });
    }

    /// Hands the result of an audit to the coordinator.
    pub(in crate::net) fn audited(&self, result: &AuditResult) {
        self.change(|coordinator, now| coordinator.audited(now, result));
    }

    /// Removes a client that has left.
    pub(in crate::net) fn leave(&self, client: ClientId) {
        self.change(|coordinator, _| coordinator.leave(client));
    }

    /// Submits the job after which the server closes.
    ///
    /// # Errors
    /// There are too many jobs.
    pub(crate) fn submit_main(&self, spec: JobSpec) -> Result<JobId, String> {
        let key = u128::from_ne_bytes(random::key());
        let submitter = Submitter::Server;
        let job =
            self.change(|coordinator, now| coordinator.submit_as(now, submitter, key, spec, 1));
        let job = job.map_err(|error| error.to_string())?;
        self.state().main_job = Some(job);
        Ok(job)
    }

    /// Starts to close the server, and tells every client.
    pub(in crate::net) fn close(&self) {
        let mut state = self.state();
        self.close_after(&mut state, Over::default());
    }

    /// Returns how the main job ended; `None` until the server starts to close.
    pub(in crate::net) fn closing(&self) -> Option<Over> {
        self.state().closing.clone()
    }

    /// Closes after the main job although others are under way.
    pub(in crate::net) fn close_after_main(&self) {
        let mut state = self.state();
        state.once = true;
        self.close_if_over(&mut state);
    }

    /// Returns the number of bans by the operator.
    pub fn bans(&self) -> usize {
        self.state().bans.len()
    }

    /// Returns the job after which the server closes, if there is one.
    pub fn main_job(&self) -> Option<JobId> {
        self.state().main_job
    }

    /// Returns true once every session has acknowledged every notice.
    pub(in crate::net) fn all_acknowledged(&self) -> bool {
        self.state().sessions.all_acknowledged()
    }

    /// Answers a request. `client` is the sender's client as far as its transport knows: over UDP the
    /// holder of the session. A hello fills it in.
    pub(in crate::net) fn handle(
        &self,
        origin: &Origin,
        client: &mut Option<ClientId>,
        request: Request,
    ) -> Handled {
        let checked = self.check(origin, &request.call);
        let mut state = self.state();
        if let Some(id) = *client {
            state.sessions.note_request(id, request.notices_seen, &origin.waker);
        }
        let number = request.number;
        let known = client.is_some();
        let answer = match (checked, request.call) {
            (Err(refused), _) => Answer::Refused(refused),
            // One client for each connection, or one connection would exhaust the client slots.
            (_, Call::Hello(hello)) if !known => self.hello(&mut state, origin, client, hello),
            (Ok(spec), call) if needs_no_hello(&call) => {
                self.administer(&mut state, origin, call, spec)
            }
            (_, call) => self.answer(&mut state, *client, number, call),
        };
        self.drain(&mut state);
        let notice = client.and_then(|id| state.sessions.oldest_notice(id));
        // A client that comes back too late still learns how the search ended.
        let late = state.closing.clone().filter(|_| client.is_none());
        let late = late.map(|over| Notice { number: 0, what: Notification::Closing(over) });
        let notice = notice.or(late);
        let last = notice.is_none() && state.closing.is_some();
        Handled { reply: Reply { number, notice, answer: Some(answer) }, last }
    }

    /// Returns the client that holds a session.
    pub(in crate::net) fn client_of(&self, session: u64) -> Option<ClientId> {
        self.state().sessions.client_of(session)
    }

    /// Takes what a client is to be sent: its pushes, once, and every notice without acknowledgement.
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

    /// Takes the sessions that are reached by datagram and have something new to be sent.
    pub(in crate::net) fn take_due(&self) -> Vec<u64> {
        self.state().sessions.take_due()
    }

    /// Notes that a connection is lost, if `waker` is still the client's.
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

    fn answer(
        &self,
        state: &mut State,
        client: Option<ClientId>,
        number: u64,
        call: Call,
    ) -> Answer {
        let now = self.now();
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

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held is a bug of the coordinator; going on serves the others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true for requests that need no client; [`Service::check`] decides who may send them.
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

/// Returns the job after which the server of these facts was to close.
fn main_job(facts: &[Fact]) -> Option<JobId> {
    facts.iter().rev().find_map(|fact| match fact {
        Fact::Submitted(new) if new.submitter == Submitter::Server => Some(new.job),
        _ => None,
    })
}
