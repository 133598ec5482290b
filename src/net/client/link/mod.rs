//! A client's link to its server: requests go in and answers come out, whatever the network does.
//!
//! A lost connection is made again after a pause that grows. Requests without an answer are then sent
//! again, since the server answers a repeated request as it did the first time. Users of a [`Link`]
//! only notice that an answer takes longer.

mod core;
mod target;
mod tcp;
mod udp;

pub use core::{LinkError, Status};
pub use target::Target;

use crate::net::limits::{CONNECT_TIME, FIRST_PAUSE, LONGEST_PAUSE, REQUEST_QUEUE, SHORTEST_WAIT};
use crate::net::random::jittered;
use crate::proto::{Answer, Call, Hello, Notification};
use core::{Core, End, Outgoing};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Carries the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP, and UDP where that does not get through.
    #[default]
    Auto,
    /// Frames over TCP.
    Tcp,
    /// Datagrams.
    Udp,
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(format!("unknown transport {word:?}: choose auto, tcp or udp")),
        }
    }
}

/// The way to a server.
#[derive(Clone, Debug)]
pub struct Route {
    /// The server.
    pub target: Target,
    /// The port if the target names none.
    pub port: u16,
    /// The transport to use.
    pub transport: Transport,
    /// Longest time for which a server may be unreachable: at first, and without a hello at any time.
    pub retry_for: Duration,
}

/// A link to a server, see the [module](self). Cheap to clone; when all clones are gone, it says
/// good-bye.
#[derive(Clone)]
pub struct Link {
    requests: mpsc::Sender<Outgoing>,
    status: watch::Receiver<Status>,
}

impl Link {
    /// Starts a link in the current runtime, which says `hello` first, if there is one. Also returns
    /// the notifications of the server.
    pub fn start(
        route: Route,
        hello: Option<Hello>,
    ) -> (Self, mpsc::UnboundedReceiver<Notification>) {
        let (request_sender, requests) = mpsc::channel(REQUEST_QUEUE);
        let answer_time = route.retry_for.clamp(SHORTEST_WAIT, CONNECT_TIME);
        let (core, status, notifications) = Core::new(hello, requests, answer_time);
        tokio::spawn(run(core, route));
        (Self { requests: request_sender, status }, notifications)
    }

    /// Sends a request, and waits for the answer as long as it takes.
    ///
    /// # Errors
    /// The server refuses, or the link has ended.
    pub async fn call(&self, call: Call) -> Result<Answer, LinkError> {
        self.send(call, None).await
    }

    /// Sends a request to the server with this instance, and to no other.
    ///
    /// # Errors
    /// The server refuses or was replaced, or the link has ended.
    pub async fn call_at(&self, server: u64, call: Call) -> Result<Answer, LinkError> {
        self.send(call, Some(server)).await
    }

    async fn send(&self, call: Call, server: Option<u64>) -> Result<Answer, LinkError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Outgoing { call, server, answer }).await;
        sent.map_err(|_| LinkError::Ended)?;
        answered.await.unwrap_or(Err(LinkError::Ended))
    }

    /// Returns the state of the connection, which may be watched.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

/// Connects again and again until the link is no longer wanted or the server refuses.
async fn run(mut core: Core, route: Route) {
    // Without a hello the user waits for a single answer, and wants to know soon that nobody answers.
    let patient = core.hello.is_some();
    let mut began = Instant::now();
    let mut ever_up = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let mut problem = String::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            if route.transport != Transport::Auto && route.transport != transport {
                continue;
            }
            match connect(&mut core, &route, transport).await {
                End::Done => return,
                End::Refused(refused) => return core.set_status(Status::Refused(refused)),
                End::Unreachable(why) if problem.is_empty() => problem = why,
                End::Unreachable(why) => problem = format!("{problem}; {why}"),
                End::Lost => {
                    // A peer that never answers is no server, however long it accepts connections.
                    if patient || core.answered {
                        (ever_up, began) = (patient, Instant::now());
                        pause = FIRST_PAUSE;
                    }
                    problem = "the connection was lost".into();
                    break;
                }
            }
        }
        core.set_status(Status::Connecting);
        if !ever_up && began.elapsed() >= route.retry_for {
            return core.set_status(Status::Unreachable(problem));
        }
        if core.requests.is_closed() {
            return;
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Tries the addresses of the target in turn, until one of them answers.
async fn connect(core: &mut Core, route: &Route, transport: Transport) -> End {
    let addresses = match route.target.addresses(route.port).await {
        Ok(addresses) => addresses,
        Err(why) => return End::Unreachable(why),
    };
    let mut end = End::Unreachable(String::new());
    for address in addresses {
        end = match transport {
            Transport::Udp => udp::run(core, address).await,
            Transport::Tcp | Transport::Auto => tcp::run(core, address).await,
        };
        if !matches!(end, End::Unreachable(_)) {
            break;
        }
    }
    end
}
