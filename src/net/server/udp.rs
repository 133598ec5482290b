//! Datagrams: the server's side.
//!
//! Nothing is kept of a sender before it has shown, with a cookie, that it is where it says. After
//! that the last replies to each session are kept, so that a repeated request is answered as it was
//! the first time, and notices are repeated until they are acknowledged.

use super::cookies::Cookies;
use super::service::{Sender, Service};
use super::sessions::Waker;
use crate::coordinator::ClientId;
use crate::net::plaintext::{Problem, UdpPeers};
use crate::proto::{
    Answer, MAX_DATAGRAM, ProtoError, RefusalReason, Reply, Request, Welcome, refused,
};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Replies kept for each session. A client has a handful of requests out at most.
const KEPT_REPLIES: usize = 16;

/// How often notices are repeated, and sessions that have ended forgotten.
const TICK: Duration = Duration::from_millis(100);
const SWEEP_TICKS: u32 = 100;

/// First pause between repetitions of a notice; doubles up to [`SLOWEST_PUSH`].
const FIRST_PUSH: Duration = Duration::from_millis(200);
/// See [`FIRST_PUSH`].
const SLOWEST_PUSH: Duration = Duration::from_secs(2);

/// Serves datagrams until the future is dropped; with a `problem` those of old clients too.
pub(super) async fn serve(socket: &UdpSocket, service: &Service, problem: Option<Problem>) {
    let mut server = Server {
        socket,
        service,
        cookies: Cookies::new(),
        peers: HashMap::new(),
        pushing: HashSet::new(),
        old: problem.map(UdpPeers::new),
    };
    let mut buffer = [0; MAX_DATAGRAM + 1];
    let mut tick = tokio::time::interval(TICK);
    let mut ticks = 0u32;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => server.receive(&buffer[..length], from).await,
                // An earlier datagram of ours did not arrive; that is the receiver's trouble.
                Err(_) => tokio::task::yield_now().await,
            },
            () = service.shared_bell.notified() => server.ring().await,
            _ = tick.tick() => {
                server.repeat().await;
                server.tell_old().await;
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(SWEEP_TICKS) {
                    server.peers.retain(|&session, _| service.client_of(session).is_some());
                }
            }
        }
    }
}

struct Server<'a> {
    socket: &'a UdpSocket,
    service: &'a Service,
    cookies: Cookies,
    /// By session.
    peers: HashMap<u64, Peer>,
    /// Sessions with notices on their way.
    pushing: HashSet<u64>,
    /// Clients of the classic protocol, where they are served.
    old: Option<UdpPeers>,
}

struct Peer {
    client: ClientId,
    address: SocketAddr,
    replies: VecDeque<(u64, Vec<u8>)>,
    next_push: Instant,
    push_pause: Duration,
}

impl Peer {
    fn new(client: ClientId, address: SocketAddr) -> Self {
        Self {
            client,
            address,
            replies: VecDeque::new(),
            next_push: Instant::now(),
            push_pause: FIRST_PUSH,
        }
    }

    fn keep(&mut self, number: u64, reply: Vec<u8>) {
        // What is older is answered anew: every request may be repeated.
        if self.replies.len() == KEPT_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back((number, reply));
    }
}

impl Server<'_> {
    async fn receive(&mut self, datagram: &[u8], from: SocketAddr) {
        if let Some(old) = self.old.as_mut().filter(|_| UdpPeers::are_meant(datagram)) {
            if let Some(reply) = old.receive(self.service, datagram, from, Instant::now()) {
                let _ = self.socket.send_to(&reply, from).await;
            }
            return;
        }
        if let Some(reply) = self.reply(datagram, from) {
            // Lost or refused, it is the same: the client asks again.
            let _ = self.socket.send_to(&reply, from).await;
        }
    }

    /// What goes back for `datagram`, if anything.
    fn reply(&mut self, datagram: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
        if datagram.len() > MAX_DATAGRAM {
            return None;
        }
        let request = match Request::decode(datagram) {
            Ok(request) => request,
            // Without a cookie in a readable message nothing is known of the sender.
            Err(ProtoError::Schema(_) | ProtoError::NoBody | ProtoError::Field { .. }) => {
                return None;
            }
        };
        if !self.cookies.is_good(&request.cookie, from) {
            let answer = Some(Answer::Challenge(self.cookies.bake(from).to_vec()));
            let challenge = Reply { number: request.number, notice: None, answer }.encode();
            return (challenge.len() <= datagram.len()).then_some(challenge);
        }
        match request.session {
            0 => self.stranger(request, from),
            _ => self.known(request, from),
        }
    }

    /// Hellos, and requests that need none: all of them may be repeated as they are.
    fn stranger(&mut self, request: Request, from: SocketAddr) -> Option<Vec<u8>> {
        let sender = Sender { address: from, waker: Waker::Shared };
        let mut client = None;
        let reply = self.service.handle(&sender, &mut client, request).reply;
        if let (Some(client), Some(Answer::Welcome(Welcome { session, .. }))) =
            (client, &reply.answer)
        {
            let peer = self.peers.entry(*session).or_insert_with(|| Peer::new(client, from));
            peer.address = from;
        }
        Some(reply.encode())
    }

    fn known(&mut self, request: Request, from: SocketAddr) -> Option<Vec<u8>> {
        let (session, number) = (request.session, request.number);
        let Some(client) = self.service.client_of(session) else {
            let answer = Some(refused(RefusalReason::Session, "no such session: say hello again"));
            return Some(Reply { number, notice: None, answer }.encode());
        };
        // A session may have come over from TCP.
        let peer = self.peers.entry(session).or_insert_with(|| Peer::new(client, from));
        peer.address = from;
        if let Some((_, reply)) = peer.replies.iter().find(|(kept, _)| *kept == number) {
            return Some(reply.clone());
        }
        let sender = Sender { address: from, waker: Waker::Shared };
        let reply = self.service.handle(&sender, &mut Some(client), request).reply;
        if reply.notice.is_none() {
            self.pushing.remove(&session);
        }
        let reply = reply.encode();
        peer.keep(number, reply.clone());
        Some(reply)
    }

    /// Tells clients of the classic protocol what is due.
    async fn tell_old(&mut self) {
        let Some(old) = &mut self.old else { return };
        for (address, line) in old.due(self.service, Instant::now()) {
            let _ = self.socket.send_to(&line, address).await;
        }
    }

    /// Tells those for whom there is something new.
    async fn ring(&mut self) {
        self.tell_old().await;
        for (_, session) in self.service.take_ringing() {
            if let Some(peer) = self.peers.get_mut(&session) {
                peer.push_pause = FIRST_PUSH;
                self.pushing.insert(session);
                self.push(session).await;
            }
        }
    }

    /// Tells those again who have not said that they know.
    async fn repeat(&mut self) {
        let now = Instant::now();
        let due = |session: &u64| self.peers.get(session).is_none_or(|peer| peer.next_push <= now);
        let due: Vec<u64> = self.pushing.iter().copied().filter(due).collect();
        for session in due {
            self.push(session).await;
        }
    }

    async fn push(&mut self, session: u64) {
        let Some(peer) = self.peers.get_mut(&session) else {
            self.pushing.remove(&session);
            return;
        };
        let notices = self.service.notices(peer.client);
        if notices.iter().all(|notice| notice.number == 0) {
            self.pushing.remove(&session);
        }
        for notice in notices {
            let push = Reply { number: 0, notice: Some(notice), answer: None };
            let _ = self.socket.send_to(&push.encode(), peer.address).await;
        }
        peer.next_push = Instant::now() + peer.push_pause;
        peer.push_pause = (peer.push_pause * 2).min(SLOWEST_PUSH);
    }
}
