//! Datagrams on the server, as a state machine: sockets and the clock are arguments.
//!
//! - Nothing is kept of a sender before it has shown, with a cookie, that it owns its address. Until
//!   then it is sent nothing larger than what it sent.
//! - The last replies to each session are kept, so that a repeated request gets the same reply.
//! - Notices are repeated until they are acknowledged.

use super::cookies::Cookies;
use super::service::{Origin, Service};
use super::sessions::Waker;
use crate::coordinator::ClientId;
use crate::net::limits::{FIRST_PUSH, KEPT_REPLIES, SLOWEST_PUSH, SWEEP_TIME};
use crate::proto::{Answer, MAX_DATAGRAM, RefusalReason, Reply, Request, Welcome, refused};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// All sessions that exchange datagrams with the server.
pub(in crate::net) struct Endpoint {
    cookies: Cookies,
    /// By session.
    channels: HashMap<u64, Channel>,
    /// Sessions with notices that may still need repeating.
    unacknowledged: HashSet<u64>,
    /// Sessions whose notices are to be sent now.
    due: VecDeque<u64>,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    next_sweep: Instant,
}

/// One session that exchanges datagrams.
struct Channel {
    client: ClientId,
    address: SocketAddr,
    replies: VecDeque<(u64, Vec<u8>)>,
    next_push: Instant,
    push_pause: Duration,
}

impl Channel {
    fn new(client: ClientId, address: SocketAddr, now: Instant) -> Self {
        Self { client, address, replies: VecDeque::new(), next_push: now, push_pause: FIRST_PUSH }
    }

    fn kept_reply(&self, number: u64) -> Option<&Vec<u8>> {
        self.replies.iter().find(|(kept, _)| *kept == number).map(|(_, reply)| reply)
    }

    fn keep(&mut self, number: u64, reply: Vec<u8>) {
        // Older requests are answered anew: every request may be repeated.
        if self.replies.len() == KEPT_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back((number, reply));
    }
}

impl Endpoint {
    /// Creates an endpoint with a new key for its cookies.
    pub(in crate::net) fn new(now: Instant) -> Self {
        Self {
            cookies: Cookies::new(now),
            channels: HashMap::new(),
            unacknowledged: HashSet::new(),
            due: VecDeque::new(),
            outgoing: VecDeque::new(),
            next_sweep: now + SWEEP_TIME,
        }
    }

    /// Takes a datagram; returns the reply, if there is one.
    pub(in crate::net) fn handle_datagram(
        &mut self,
        service: &Service,
        datagram: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        if datagram.len() > MAX_DATAGRAM {
            return None;
        }
        // Without a cookie in a readable message the sender has proved nothing.
        let request = Request::decode(datagram).ok()?;
        if !self.cookies.is_valid(&request.cookie, from, now) {
            let answer = Some(Answer::Challenge(self.cookies.bake(from, now).to_vec()));
            let challenge = Reply { number: request.number, notice: None, answer }.encode();
            return (challenge.len() <= datagram.len()).then_some(challenge);
        }
        if request.session == 0 {
            Some(self.reply_without_session(service, request, from, now))
        } else {
            Some(self.reply_in_session(service, request, from, now))
        }
    }

    /// Answers hellos, and requests that need none: all of them may be repeated as they are.
    fn reply_without_session(
        &mut self,
        service: &Service,
        request: Request,
        from: SocketAddr,
        now: Instant,
    ) -> Vec<u8> {
        let origin = Origin { address: from, waker: Waker::Datagrams };
        let mut client = None;
        let reply = service.handle(&origin, &mut client, request).reply;
        if let Some(client) = client
            && let Some(Answer::Welcome(Welcome { session, .. })) = &reply.answer
        {
            self.channel(*session, client, from, now);
        }
        reply.encode()
    }

    fn reply_in_session(
        &mut self,
        service: &Service,
        request: Request,
        from: SocketAddr,
        now: Instant,
    ) -> Vec<u8> {
        let (session, number) = (request.session, request.number);
        let Some(client) = service.client_of(session) else {
            let answer = Some(refused(RefusalReason::Session, "no such session: say hello again"));
            return Reply { number, notice: None, answer }.encode();
        };
        let channel = self.channel(session, client, from, now);
        if let Some(reply) = channel.kept_reply(number) {
            return reply.clone();
        }
        let origin = Origin { address: from, waker: Waker::Datagrams };
        let reply = service.handle(&origin, &mut Some(client), request).reply.encode();
        channel.keep(number, reply.clone());
        reply
    }

    /// Finds the channel of a session, which may be new or have come over from TCP, and notes its
    /// address.
    fn channel(
        &mut self,
        session: u64,
        client: ClientId,
        from: SocketAddr,
        now: Instant,
    ) -> &mut Channel {
        let new = || Channel::new(client, from, now);
        let channel = self.channels.entry(session).or_insert_with(new);
        channel.address = from;
        channel
    }

    /// Plans to send notices to the sessions that have new ones.
    pub(in crate::net) fn handle_due(&mut self, service: &Service) {
        for session in service.take_due() {
            if let Some(channel) = self.channels.get_mut(&session) {
                channel.push_pause = FIRST_PUSH;
                self.unacknowledged.insert(session);
                self.due.push_back(session);
            }
        }
    }

    /// Plans to repeat notices, and forgets sessions that have ended.
    pub(in crate::net) fn handle_tick(&mut self, service: &Service, now: Instant) {
        if now >= self.next_sweep {
            self.next_sweep = now + SWEEP_TIME;
            self.channels.retain(|&session, _| service.client_of(session).is_some());
        }
        let channels = &self.channels;
        self.unacknowledged.retain(|session| channels.contains_key(session));
        let is_due = |session: &&u64| channels[*session].next_push <= now;
        self.due.extend(self.unacknowledged.iter().filter(is_due));
    }

    /// Returns the next datagram to be sent.
    pub(in crate::net) fn poll_transmit(
        &mut self,
        service: &Service,
        now: Instant,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        while self.outgoing.is_empty() {
            let session = self.due.pop_front()?;
            self.push_notices(service, session, now);
        }
        self.outgoing.pop_front()
    }

    fn push_notices(&mut self, service: &Service, session: u64, now: Instant) {
        let Some(channel) = self.channels.get_mut(&session) else { return };
        let notices = service.notices(channel.client);
        if notices.iter().all(|notice| notice.number == 0) {
            self.unacknowledged.remove(&session);
        }
        for notice in notices {
            let push = Reply { number: 0, notice: Some(notice), answer: None };
            self.outgoing.push_back((channel.address, push.encode()));
        }
        channel.next_push = now + channel.push_pause;
        channel.push_pause = (channel.push_pause * 2).min(SLOWEST_PUSH);
    }
}

#[cfg(test)]
mod tests;
