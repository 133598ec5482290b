//! The part of a link that outlives its connections: requests without an answer, and the session.

#[cfg(test)]
mod tests;

use crate::proto::{
    Answer, Call, Hello, Notification, RefusalReason, Refused, Reply, Request, Welcome,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// The state of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is no connection yet, or no longer: it is being made.
    Connecting,
    /// Connected; with the server's welcome if there was a hello.
    Up(Option<Welcome>),
    /// The server refuses this client. The link has ended.
    Refused(Refused),
    /// The server was never reached; why the last attempt failed. The link has ended.
    Unreachable(String),
}

/// The reason why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The server refused the request.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another server is there now, which knows nothing of the earlier one.
    #[error("the server has been started anew")]
    OtherServer,
    /// The link has ended.
    #[error("the connection has ended")]
    Ended,
}

/// A request on its way.
pub(super) struct Outgoing {
    pub(super) call: Call,
    /// The instance that it is for; `None` if any other would understand it as well.
    pub(super) server: Option<u64>,
    pub(super) answer: oneshot::Sender<Result<Answer, LinkError>>,
}

impl Outgoing {
    fn finish(self, answer: Result<Answer, LinkError>) {
        // The caller may have dropped the receiver.
        let _ = self.answer.send(answer);
    }
}

/// The reason why a connection is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All users of the link are gone.
    Done,
    /// It was never made.
    Unreachable(String),
    /// It broke.
    Lost,
    /// The server refuses this client.
    Refused(Refused),
}

/// See the [module](self).
pub(super) struct Core {
    pub(super) hello: Option<Hello>,
    pub(super) requests: mpsc::Receiver<Outgoing>,
    /// Requests without an answer, by number.
    pub(super) pending: BTreeMap<u64, Outgoing>,
    number: u64,
    pub(super) session: u64,
    server: Option<u64>,
    notices_seen: u64,
    pub(super) cookie: Vec<u8>,
    /// Set once a request was answered on this connection.
    pub(super) answered: bool,
    /// The time since which requests on this connection wait for an answer.
    asked: Option<Instant>,
    /// Longest such wait where no hello shows that the peer is a server.
    answer_time: Duration,
    status: watch::Sender<Status>,
    notifications: mpsc::UnboundedSender<Notification>,
}

impl Core {
    /// Creates the core of a link, with the receiving ends of its status and notifications.
    pub(super) fn new(
        hello: Option<Hello>,
        requests: mpsc::Receiver<Outgoing>,
        answer_time: Duration,
    ) -> (Self, watch::Receiver<Status>, mpsc::UnboundedReceiver<Notification>) {
        let (status, status_receiver) = watch::channel(Status::Connecting);
        let (notifications, notification_receiver) = mpsc::unbounded_channel();
        let core = Self {
            hello,
            requests,
            pending: BTreeMap::new(),
            number: 0,
            session: 0,
            server: None,
            notices_seen: 0,
            cookie: Vec::new(),
            answered: false,
            asked: None,
            answer_time,
            status,
            notifications,
        };
        (core, status_receiver, notification_receiver)
    }

    pub(super) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Admits a request; returns its number, unless it is for a server that was replaced.
    pub(super) fn admit(&mut self, outgoing: Outgoing, now: Instant) -> Option<u64> {
        if outgoing.server.is_some_and(|server| Some(server) != self.server) {
            outgoing.finish(Err(LinkError::OtherServer));
            return None;
        }
        let number = self.next_number();
        self.pending.insert(number, outgoing);
        self.asked.get_or_insert(now);
        Some(number)
    }

    /// Notes a new connection, on which pending requests are sent once more.
    pub(super) fn connected(&mut self, now: Instant) {
        self.answered = false;
        self.asked = (!self.pending.is_empty()).then_some(now);
    }

    /// Returns the time at which a connection without a hello counts as dead. Only answers to requests
    /// move it.
    pub(super) fn overdue(&self) -> Option<Instant> {
        let asked = self.asked.filter(|_| self.hello.is_none());
        asked.map(|asked| asked + self.answer_time)
    }

    /// Judges a connection that ended without a word.
    pub(super) fn fallen_silent(&self, address: SocketAddr) -> End {
        if self.hello.is_some() || self.answered {
            return End::Lost;
        }
        End::Unreachable(format!("{address}: something is there, but it does not answer"))
    }

    pub(super) fn request(&self, number: u64, call: Call) -> Request {
        let (session, notices_seen) = (self.session, self.notices_seen);
        Request { number, session, notices_seen, cookie: self.cookie.clone(), call }
    }

    /// Returns a request that was admitted and has no answer yet.
    pub(super) fn pending_request(&self, number: u64) -> Option<Request> {
        Some(self.request(number, self.pending.get(&number)?.call.clone()))
    }

    /// Takes the answer to the hello.
    pub(super) fn greeted(&mut self, reply: Reply) -> Result<(), End> {
        // A server that is about to end says why beside its refusal.
        if let Some(notice) = reply.notice.filter(|notice| notice.number == 0) {
            let _ = self.notifications.send(notice.what);
        }
        match reply.answer {
            Some(Answer::Welcome(welcome)) => {
                self.session = welcome.session;
                if self.server.replace(welcome.server).is_some_and(|old| old != welcome.server) {
                    self.notices_seen = 0;
                    for (_, outgoing) in std::mem::take(&mut self.pending) {
                        outgoing.finish(Err(LinkError::OtherServer));
                    }
                }
                self.set_status(Status::Up(Some(welcome)));
                Ok(())
            }
            Some(Answer::Refused(refused)) => Err(End::Refused(refused)),
            _ => Err(End::Unreachable("something else than seedrush-server answered".into())),
        }
    }

    /// Takes a reply; returns true if it brought a notice that must be acknowledged.
    pub(super) fn receive(&mut self, reply: Reply, now: Instant) -> Result<bool, End> {
        let noticed = self.take_notice(&reply);
        match reply.answer {
            Some(Answer::Refused(refused)) if reply.number == 0 => Err(End::Refused(refused)),
            Some(Answer::Refused(Refused { reason: RefusalReason::Session, .. })) => Err(End::Lost),
            Some(answer) => {
                self.take_answer(reply.number, answer, now);
                Ok(noticed)
            }
            None => Ok(noticed),
        }
    }

    fn take_notice(&mut self, reply: &Reply) -> bool {
        let Some(notice) = &reply.notice else { return false };
        let pushed = reply.answer.is_none();
        let next = notice.number == self.notices_seen + 1;
        // A reply carries the oldest unseen notice; a pushed one may have overtaken others.
        let new = next || (!pushed && notice.number > self.notices_seen);
        if new {
            self.notices_seen = notice.number;
        }
        if new || notice.number == 0 {
            let _ = self.notifications.send(notice.what.clone());
        }
        notice.number > 0
    }

    fn take_answer(&mut self, number: u64, answer: Answer, now: Instant) {
        let Some(outgoing) = self.pending.remove(&number) else { return };
        self.asked = (!self.pending.is_empty()).then_some(now);
        if !std::mem::replace(&mut self.answered, true) && self.hello.is_none() {
            self.set_status(Status::Up(None));
        }
        outgoing.finish(match answer {
            Answer::Refused(refused) => Err(refused.into()),
            answer => Ok(answer),
        });
    }
}
