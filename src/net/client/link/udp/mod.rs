//! Datagrams of a link: every request is repeated until its reply arrives.
//!
//! [`Channel`] is a state machine; the socket and the clock are arguments.

use super::core::{Core, End, Outgoing};
use crate::net::limits::{
    CONNECT_TIME, FIRST_REPEAT, GOODBYES, HEARTBEAT, RECEIVE_PAUSE, SILENCE, SLOWEST_REPEAT,
};
use crate::net::random::jittered;
use crate::net::sockets;
use crate::proto::{
    Answer, Call, MAX_DATAGRAM, PADDED_REQUEST, RefusalReason, Refused, Reply, Request,
};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Says hello and carries messages until one side is gone.
pub(super) async fn run(core: &mut Core, address: SocketAddr) -> End {
    let socket = match sockets::connect(address).await {
        Ok(socket) => socket,
        Err(error) => return End::Unreachable(format!("{address}: {error}")),
    };
    let mut channel = Channel::new(core, address, Instant::now());
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        channel.flush(&socket).await;
        if let Some(end) = channel.end(Instant::now()) {
            return end;
        }
        let deadline = channel.next_deadline();
        tokio::select! {
            outgoing = channel.core.requests.recv(), if channel.hello.is_none() => {
                let Some(outgoing) = outgoing else {
                    channel.say_goodbye(Instant::now());
                    channel.flush(&socket).await;
                    return End::Done;
                };
                channel.handle_request(outgoing, Instant::now());
            }
            received = socket.recv(&mut buffer) => match received {
                Ok(length) => {
                    if let Err(end) = channel.handle_datagram(&buffer[..length], Instant::now()) {
                        return end;
                    }
                }
                // Reports an earlier datagram that did not arrive.
                Err(_) => tokio::time::sleep(RECEIVE_PAUSE).await,
            },
            () = tokio::time::sleep_until(deadline) => channel.handle_timeout(Instant::now()),
        }
    }
}

/// The time at which a request is sent again, and the pause before that.
struct Repeat {
    at: Instant,
    pause: Duration,
}

struct Channel<'a> {
    core: &'a mut Core,
    address: SocketAddr,
    /// The number of the hello that waits for its reply.
    hello: Option<u64>,
    /// The number of the last heartbeat.
    last_beat: Option<u64>,
    /// Set once the server has answered.
    up: bool,
    /// By number of the request.
    repeats: HashMap<u64, Repeat>,
    outgoing: VecDeque<Vec<u8>>,
    began: Instant,
    last_received: Instant,
    last_sent: Instant,
}

impl<'a> Channel<'a> {
    /// Begins a connection: plans to send the hello, or what waits for an answer.
    fn new(core: &'a mut Core, address: SocketAddr, now: Instant) -> Self {
        core.cookie.clear();
        core.connected(now);
        let mut channel = Self {
            core,
            address,
            hello: None,
            last_beat: None,
            up: false,
            repeats: HashMap::new(),
            outgoing: VecDeque::new(),
            began: now,
            last_received: now,
            last_sent: now,
        };
        channel.greet(now);
        channel
    }

    async fn flush(&mut self, socket: &UdpSocket) {
        for datagram in self.outgoing.drain(..) {
            // Lost here or on the way: it is sent again.
            let _ = socket.send(&datagram).await;
        }
    }

    /// Returns the end of the connection once the server is out of reach.
    fn end(&self, now: Instant) -> Option<End> {
        let silent = || End::Unreachable(format!("{}: no answer over UDP", self.address));
        if self.core.overdue().is_some_and(|overdue| overdue < now) {
            return Some(if self.core.answered { End::Lost } else { silent() });
        }
        let waiting = self.hello.is_some() || !self.core.pending.is_empty();
        if !self.up && waiting && now > self.began + CONNECT_TIME {
            return Some(silent());
        }
        (self.up && now > self.last_received + SILENCE).then_some(End::Lost)
    }

    fn next_deadline(&self) -> Instant {
        let repeats = self.repeats.values().map(|repeat| repeat.at);
        let heartbeat = self.last_sent + HEARTBEAT;
        repeats.chain(self.core.overdue()).min().map_or(heartbeat, |first| first.min(heartbeat))
    }

    fn greet(&mut self, now: Instant) {
        if self.core.hello.is_none() {
            return self.send_all(now);
        }
        self.core.session = 0;
        let number = self.core.next_number();
        self.hello = Some(number);
        self.send(number, now);
    }

    fn handle_request(&mut self, outgoing: Outgoing, now: Instant) {
        if let Some(number) = self.core.admit(outgoing, now) {
            self.send(number, now);
        }
    }

    fn handle_datagram(&mut self, datagram: &[u8], now: Instant) -> Result<(), End> {
        // Noise is ignored: anyone may have sent it.
        let Ok(reply) = Reply::decode(datagram) else { return Ok(()) };
        self.last_received = now;
        if let Some(Answer::Challenge(cookie)) = reply.answer {
            self.handle_challenge(reply.number, cookie, now);
            return Ok(());
        }
        self.up = true;
        if self.hello == Some(reply.number) {
            self.hello = None;
            self.repeats.clear();
            self.core.greeted(reply)?;
            self.send_all(now);
            return Ok(());
        }
        let session_lost = matches!(
            reply.answer,
            Some(Answer::Refused(Refused { reason: RefusalReason::Session, .. }))
        );
        if session_lost && self.core.hello.is_some() {
            if self.hello.is_none() && self.repeats.contains_key(&reply.number) {
                self.greet(now);
            }
            return Ok(());
        }
        self.repeats.remove(&reply.number);
        if self.core.receive(reply, now)? {
            self.beat(now);
        }
        Ok(())
    }

    /// Answers a challenge to a recent request. An old one must not bring back an old cookie.
    fn handle_challenge(&mut self, number: u64, cookie: Vec<u8>, now: Instant) {
        if self.repeats.contains_key(&number) {
            self.core.cookie = cookie;
            self.send(number, now);
        } else if self.last_beat == Some(number) {
            self.core.cookie = cookie;
            self.beat(now);
        }
    }

    /// Sends what is due again, and a heartbeat after a silence.
    fn handle_timeout(&mut self, now: Instant) {
        let due = self.repeats.iter().filter(|(_, repeat)| repeat.at <= now);
        let due: Vec<u64> = due.map(|(&number, _)| number).collect();
        for number in due {
            if self.hello.is_none_or(|hello| hello == number) {
                self.send(number, now);
            } else {
                self.repeats.remove(&number);
            }
        }
        if now >= self.last_sent + HEARTBEAT && self.hello.is_none() {
            self.beat(now);
        }
    }

    fn send_all(&mut self, now: Instant) {
        let numbers: Vec<u64> = self.core.pending.keys().copied().collect();
        for number in numbers {
            self.send(number, now);
        }
    }

    /// Sends a request, and plans to send it again.
    fn send(&mut self, number: u64, now: Instant) {
        let request = match (&self.core.hello, self.hello) {
            (Some(hello), Some(own)) if own == number => {
                Some(self.core.request(number, Call::Hello(hello.clone())))
            }
            _ => self.core.pending_request(number),
        };
        let Some(request) = request else {
            self.repeats.remove(&number);
            return;
        };
        let pause = self
            .repeats
            .get(&number)
            .map_or(FIRST_REPEAT, |repeat| (repeat.pause * 2).min(SLOWEST_REPEAT));
        self.repeats.insert(number, Repeat { at: now + jittered(pause), pause });
        self.transmit(&request, now);
    }

    fn transmit(&mut self, request: &Request, now: Instant) {
        let least = if request.cookie.is_empty() { PADDED_REQUEST } else { 0 };
        self.last_sent = now;
        self.outgoing.push_back(request.encode(least));
    }

    /// Shows that the client is there, and which notices it has seen. A lost heartbeat is not
    /// repeated: the next one will do, and unseen notices come again.
    fn beat(&mut self, now: Instant) {
        self.last_sent = now;
        if self.core.hello.is_some() {
            let number = self.core.next_number();
            self.last_beat = Some(number);
            let request = self.core.request(number, Call::Heartbeat);
            self.transmit(&request, now);
        }
    }

    fn say_goodbye(&mut self, now: Instant) {
        if self.core.hello.is_none() || self.core.session == 0 {
            return;
        }
        let number = self.core.next_number();
        let request = self.core.request(number, Call::Goodbye);
        for _ in 0..GOODBYES {
            self.transmit(&request, now);
        }
    }
}

#[cfg(test)]
mod tests;
