//! Datagrams of a link: every request is repeated until its reply is there.

use super::{Core, End};
use crate::net::sockets::connect;
use crate::net::{CONNECT_TIME, FIRST_REPEAT, HEARTBEAT, SILENCE, SLOWEST_REPEAT, jittered};
use crate::proto::{
    Answer, Call, MAX_DATAGRAM, PADDED_REQUEST, RefusalReason, Refused, Reply, Request,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Datagrams for a good-bye: it may be lost, and then the server finds out by itself.
const GOODBYES: u32 = 3;

/// Says hello and carries messages until one side is gone.
pub(super) async fn run(core: &mut Core, address: SocketAddr) -> End {
    let socket = match connect(address).await {
        Ok(socket) => socket,
        Err(error) => return End::Unreachable(format!("{address}: {error}")),
    };
    core.cookie.clear();
    core.connected();
    let mut channel = Channel {
        socket,
        core,
        hello: None,
        last_beat: 0,
        up: false,
        repeats: HashMap::new(),
        began: Instant::now(),
        heard: Instant::now(),
        said: Instant::now(),
    };
    channel.greet().await;
    channel.carry(address).await
}

/// When a request goes out again.
struct Repeat {
    at: Instant,
    pause: Duration,
}

struct Channel<'a> {
    socket: UdpSocket,
    core: &'a mut Core,
    /// The number of the hello that waits for its reply.
    hello: Option<u64>,
    last_beat: u64,
    /// Whether the server has answered at all.
    up: bool,
    /// By number of the request.
    repeats: HashMap<u64, Repeat>,
    began: Instant,
    heard: Instant,
    said: Instant,
}

impl Channel<'_> {
    async fn greet(&mut self) {
        if self.core.hello.is_none() {
            return self.send_all().await;
        }
        self.core.session = 0;
        let number = self.core.next_number();
        self.hello = Some(number);
        self.send(number).await;
    }

    async fn carry(&mut self, address: SocketAddr) -> End {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            if let Some(end) = self.verdict(address) {
                return end;
            }
            let wake = self.next_deadline();
            tokio::select! {
                outgoing = self.core.requests.recv(), if self.hello.is_none() => {
                    let Some(outgoing) = outgoing else {
                        self.say_goodbye().await;
                        return End::Done;
                    };
                    if let Some(number) = self.core.admit(outgoing) {
                        self.send(number).await;
                    }
                }
                // An error is an echo of a datagram that did not arrive.
                received = self.socket.recv(&mut buffer) => if let Ok(length) = received
                    && let Ok(reply) = Reply::decode(&buffer[..length])
                    && let Err(end) = self.receive(reply).await
                {
                    return end;
                } else if received.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                },
                () = tokio::time::sleep_until(wake.into()) => self.repeat().await,
            }
        }
    }

    /// Whether the server is out of reach.
    fn verdict(&self, address: SocketAddr) -> Option<End> {
        if self.core.overdue().is_some_and(|overdue| overdue < Instant::now()) {
            let silent = format!("{address}: no answer over UDP");
            return Some(if self.core.answered { End::Lost } else { End::Unreachable(silent) });
        }
        let waiting = self.hello.is_some() || !self.core.pending.is_empty();
        if !self.up && waiting && self.began.elapsed() > CONNECT_TIME {
            return Some(End::Unreachable(format!("{address}: no answer over UDP")));
        }
        (self.up && self.heard.elapsed() > SILENCE).then_some(End::Lost)
    }

    async fn receive(&mut self, reply: Reply) -> Result<(), End> {
        self.heard = Instant::now();
        if let Some(Answer::Challenge(cookie)) = reply.answer {
            // Only what was asked just now: an old challenge must not bring in an old cookie.
            if self.repeats.contains_key(&reply.number) {
                self.core.cookie = cookie;
                self.send(reply.number).await;
            } else if self.last_beat == reply.number {
                self.core.cookie = cookie;
                self.beat().await;
            }
            return Ok(());
        }
        self.up = true;
        if self.hello == Some(reply.number) {
            self.hello = None;
            self.repeats.clear();
            self.core.greeted(reply)?;
            self.send_all().await;
            return Ok(());
        }
        let session_lost = matches!(
            reply.answer,
            Some(Answer::Refused(Refused { reason: RefusalReason::Session, .. }))
        );
        if session_lost && self.core.hello.is_some() {
            if self.hello.is_none() && self.repeats.contains_key(&reply.number) {
                self.greet().await;
            }
            return Ok(());
        }
        self.repeats.remove(&reply.number);
        if self.core.receive(reply)? {
            self.beat().await;
        }
        Ok(())
    }

    async fn send_all(&mut self) {
        let numbers: Vec<u64> = self.core.pending.keys().copied().collect();
        for number in numbers {
            self.send(number).await;
        }
    }

    /// Sends a request, and plans to send it again.
    async fn send(&mut self, number: u64) {
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
        self.repeats.insert(number, Repeat { at: Instant::now() + jittered(pause), pause });
        self.transmit(&request).await;
    }

    async fn transmit(&mut self, request: &Request) {
        let least = if request.cookie.is_empty() { PADDED_REQUEST } else { 0 };
        self.said = Instant::now();
        // Lost here or on the way: it goes out again.
        let _ = self.socket.send(&request.encode(least)).await;
    }

    async fn repeat(&mut self) {
        let now = Instant::now();
        let due = self.repeats.iter().filter(|(_, repeat)| repeat.at <= now);
        let due: Vec<u64> = due.map(|(&number, _)| number).collect();
        for number in due {
            if self.hello.is_none_or(|hello| hello == number) {
                self.send(number).await;
            } else {
                self.repeats.remove(&number);
            }
        }
        if self.said.elapsed() >= HEARTBEAT && self.hello.is_none() {
            self.beat().await;
        }
    }

    fn next_deadline(&self) -> Instant {
        let repeats = self.repeats.values().map(|repeat| repeat.at);
        let first = repeats.chain(self.core.overdue()).min();
        let heartbeat = self.said + HEARTBEAT;
        first.map_or(heartbeat, |first| first.min(heartbeat))
    }

    /// Shows that the client is there, and what it has seen. Not repeated: the next one will do,
    /// and a notice comes again.
    async fn beat(&mut self) {
        self.said = Instant::now();
        if self.core.hello.is_some() {
            let number = self.core.next_number();
            self.last_beat = number;
            let request = self.core.request(number, Call::Heartbeat);
            self.transmit(&request).await;
        }
    }

    async fn say_goodbye(&mut self) {
        if self.core.hello.is_none() || self.core.session == 0 {
            return;
        }
        let number = self.core.next_number();
        let request = self.core.request(number, Call::Goodbye);
        for _ in 0..GOODBYES {
            self.transmit(&request).await;
        }
    }
}
