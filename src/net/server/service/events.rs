//! Tells clients, as notices, and consumers, as events, of everything that happens.

use super::{Service, State};
use crate::coordinator::{ClientId, Event, JobEnd, JobId, Reason as Doubt};
use crate::jobs::Solution;
use crate::net::server::convert;
use crate::proto::{Notification, Over};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// Something that happened on the server, for a console, a log or a web page.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// A client has joined.
    Joined {
        /// Its id.
        client: u64,
        /// Its address and port.
        address: String,
        /// Its name and backend.
        what: String,
    },
    /// A client has left or fallen silent.
    Left(u64),
    /// Enough clients have joined.
    Started,
    /// A verified solution.
    Solution(JobId, Solution),
    /// A job has ended.
    JobEnded(JobId, JobEnd),
    /// A client gets no more work, for this reason.
    Distrusted(u64, String),
    /// A client of the plain-text protocol has sent a line.
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
    /// This consumer was too slow and has missed as many events.
    Missed(u64),
}

/// A subscription to the events of a server. Each consumer has its own.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<ServerEvent>);

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<ServerEvent>) -> Self {
        Self(receiver)
    }

    /// Waits for the next event; `None` once the server is gone.
    ///
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ServerEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(ServerEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }

    /// Returns the next event if there is one already.
    pub fn try_next(&mut self) -> Option<ServerEvent> {
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Lagged(missed)) => Some(ServerEvent::Missed(missed)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

impl Service {
    /// Tells all consumers of an event.
    pub(in crate::net) fn emit(&self, event: ServerEvent) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }

    /// Acts on everything that the coordinator has emitted. Every change ends here, under the lock
    /// under which it was made.
    pub(super) fn drain(&self, state: &mut State) {
        while let Some(event) = state.coordinator.poll_event() {
            self.act(state, event);
        }
    }

    fn act(&self, state: &mut State, event: Event) {
        match event {
            Event::Joined(id) => {
                if let Some(status) = state.coordinator.client(id) {
                    let what = format!("{}, {}", status.name, status.backend);
                    self.emit(ServerEvent::Joined { client: id.0, address: status.address, what });
                }
            }
            Event::Left(id, _) => {
                state.sessions.forget(id);
                self.emit(ServerEvent::Left(id.0));
            }
            Event::Started => self.emit(ServerEvent::Started),
            Event::Solution(job, solution) => self.emit(ServerEvent::Solution(job, solution)),
            Event::JobEnded { job, end, holders } => self.job_ended(state, job, end, holders),
            Event::Wake(id) => self.push(state, id, Notification::Wake),
            Event::Revoked { client, lease, epoch } => {
                self.push(state, client, Notification::Revoked(convert::revoked(lease, epoch)));
            }
            Event::Trimmed { client, lease, epoch, end } => {
                let held = convert::trimmed(lease, epoch, end);
                self.push(state, client, Notification::Trimmed(held));
            }
            Event::Distrusted(id, reason) | Event::Banned(id, reason) => {
                self.distrusted(state, id, reason);
            }
            // The auditor is gone only when the server is about to end.
            Event::Audit(audit) => drop(self.audits.send(audit)),
        }
    }

    fn distrusted(&self, state: &mut State, id: ClientId, reason: Doubt) {
        self.emit(ServerEvent::Distrusted(id.0, reason.to_string()));
        // Counted once for each client: one that is distrusted may be banned later. A ban by the
        // operator says nothing about the neighbours.
        if reason != Doubt::Operator
            && let Some(address) = state.sessions.offended(id)
        {
            state.suspicion.note(address, self.now());
        }
        self.push(state, id, Notification::Wake);
    }

    fn job_ended(&self, state: &mut State, job: JobId, end: JobEnd, holders: Vec<ClientId>) {
        let over = convert::over(&state.coordinator, job, end);
        self.emit(ServerEvent::JobEnded(job, end));
        if state.main_job == Some(job) {
            state.main_over = Some(over.clone());
        }
        if self.close_if_over(state) {
            return;
        }
        if state.main_over.is_some() {
            state.lingered = true;
            let others = state.coordinator.totals().active_jobs;
            self.emit(ServerEvent::Lingering(others));
        }
        for id in holders {
            self.notify(state, id, Notification::Over(over.clone()));
        }
    }

    /// Returns true if the server stayed for other jobs when its own had ended.
    pub(in crate::net) fn has_lingered(&self) -> bool {
        self.state().lingered
    }

    /// Closes if the main job has ended and no other job keeps the server. Returns true if so.
    pub(super) fn close_if_over(&self, state: &mut State) -> bool {
        let alone = state.once || state.coordinator.totals().active_jobs == 0;
        let Some(main) = state.main_over.clone().filter(|_| alone) else { return false };
        self.close_after(state, main);
        true
    }

    pub(super) fn close_after(&self, state: &mut State, over: Over) {
        if state.closing.is_some() {
            return;
        }
        state.closing = Some(over.clone());
        for id in state.sessions.clients() {
            self.notify(state, id, Notification::Closing(over.clone()));
        }
        self.closes.notify_one();
    }

    /// Sends a notice until the client has acknowledged it.
    fn notify(&self, state: &mut State, id: ClientId, notification: Notification) {
        if state.sessions.notify(id, notification) {
            self.datagrams_due.notify_one();
        }
    }

    /// Sends a notice once.
    fn push(&self, state: &mut State, id: ClientId, notification: Notification) {
        if state.sessions.push(id, notification) {
            self.datagrams_due.notify_one();
        }
    }
}
