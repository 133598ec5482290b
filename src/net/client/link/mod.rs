//! A client's way to the server: requests go in, answers come out, whatever the network does.
//!
//! Connections are lost and made again, with a pause that grows; requests that were out are sent
//! again then, since the server answers a repeated request as it did the first time. Who uses a
//! [`Link`] only notices that an answer takes longer.

mod target;
mod tcp;
mod udp;

pub use target::Target;

use crate::net::{CONNECT_TIME, FIRST_PAUSE, LONGEST_PAUSE, jittered};
use crate::proto::{
    Answer, Call, Hello, Notification, RefusalReason, Refused, Reply, Request, Welcome,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Requests that may wait to be sent: more would mean that someone does not wait for answers.
const QUEUE: usize = 64;

/// How long an answer is waited for at least, also by those who do not want to wait.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// What carries the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// TCP, and where that does not get through, UDP.
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

/// Where to and how.
#[derive(Clone, Debug)]
pub struct Route {
    /// The server.
    pub target: Target,
    /// The port where the target names none.
    pub port: u16,
    /// What carries the messages.
    pub transport: Transport,
    /// How long a server may be out of reach at first; and where no hello is said, at any time.
    pub retry_for: Duration,
}

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not there yet, or not any more: it is being tried.
    Connecting,
    /// Connected; with what the server said, where hello was said.
    Up(Option<Welcome>),
    /// The server does not want this client. The link has ended.
    Refused(Refused),
    /// The server was never there; why the last attempt failed. The link has ended.
    Unreachable(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another server is there now, which knows nothing of what was before.
    #[error("the server has been started anew")]
    OtherServer,
    /// The link has ended.
    #[error("the connection has ended")]
    Ended,
}

struct Outgoing {
    call: Call,
    /// The instance that it is for; any, where it means nothing that another would not know.
    server: Option<u64>,
    answer: oneshot::Sender<Result<Answer, LinkError>>,
}

impl Outgoing {
    fn fail(self, error: LinkError) {
        // Who asked may have lost interest.
        let _ = self.answer.send(Err(error));
    }
}

/// See the [module](self). Cheap to clone; when all clones are gone, the server is told good-bye.
#[derive(Clone)]
pub struct Link {
    requests: mpsc::Sender<Outgoing>,
    status: watch::Receiver<Status>,
}

impl Link {
    /// Starts a link in the current runtime; the client says `hello` first, if any. Also returns
    /// what the server tells unasked.
    pub fn start(
        route: Route,
        hello: Option<Hello>,
    ) -> (Self, mpsc::UnboundedReceiver<Notification>) {
        let (request_sender, requests) = mpsc::channel(QUEUE);
        let (status_sender, status) = watch::channel(Status::Connecting);
        let (news_sender, news) = mpsc::unbounded_channel();
        let core = Core {
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
            answer_time: route.retry_for.clamp(SHORTEST_WAIT, CONNECT_TIME),
            status: status_sender,
            news: news_sender,
        };
        tokio::spawn(core.run(route));
        (Self { requests: request_sender, status }, news)
    }

    /// Asks, and waits for the answer as long as it takes.
    ///
    /// # Errors
    /// The server said no, or the link has ended.
    pub async fn call(&self, call: Call) -> Result<Answer, LinkError> {
        self.send(call, None).await
    }

    /// Asks the server with this instance; another one is not asked.
    ///
    /// # Errors
    /// The server said no, is another one now, or the link has ended.
    pub async fn call_at(&self, server: u64, call: Call) -> Result<Answer, LinkError> {
        self.send(call, Some(server)).await
    }

    async fn send(&self, call: Call, server: Option<u64>) -> Result<Answer, LinkError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(Outgoing { call, server, answer }).await;
        sent.map_err(|_| LinkError::Ended)?;
        answered.await.unwrap_or(Err(LinkError::Ended))
    }

    /// How the connection stands.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }
}

/// Why a connection is over.
enum End {
    /// Nobody wants it any more.
    Done,
    /// It was never there.
    Unreachable(String),
    /// It was there.
    Lost,
    /// The server said no.
    Refused(Refused),
}

/// What outlives a connection.
struct Core {
    hello: Option<Hello>,
    requests: mpsc::Receiver<Outgoing>,
    /// Requests without an answer, by number.
    pending: BTreeMap<u64, Outgoing>,
    number: u64,
    session: u64,
    server: Option<u64>,
    notices_seen: u64,
    cookie: Vec<u8>,
    /// Whether anything was answered on this connection.
    answered: bool,
    /// Since when requests on this connection wait for an answer.
    asked: Option<Instant>,
    /// How long they may, where no hello shows who is there.
    answer_time: Duration,
    status: watch::Sender<Status>,
    news: mpsc::UnboundedSender<Notification>,
}

impl Core {
    async fn run(mut self, route: Route) {
        // Who only asks something wants to know soon that nobody is there any more.
        let patient = self.hello.is_some();
        let mut began = Instant::now();
        let mut ever_up = false;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut problem = String::new();
            for end in [Transport::Tcp, Transport::Udp] {
                if route.transport != Transport::Auto && route.transport != end {
                    continue;
                }
                match self.connect(&route, end).await {
                    End::Done => return,
                    End::Refused(refused) => return self.end(Status::Refused(refused)),
                    End::Unreachable(why) if problem.is_empty() => problem = why,
                    End::Unreachable(why) => problem = format!("{problem}; {why}"),
                    End::Lost => {
                        // What never answers is no server, however long it is there.
                        if patient || self.answered {
                            (ever_up, began) = (patient, Instant::now());
                            pause = FIRST_PAUSE;
                        }
                        problem = "the connection was lost".into();
                        break;
                    }
                }
            }
            self.status.send_replace(Status::Connecting);
            if !ever_up && began.elapsed() >= route.retry_for {
                return self.end(Status::Unreachable(problem));
            }
            if self.requests.is_closed() {
                return;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&mut self, route: &Route, transport: Transport) -> End {
        let addresses = match route.target.addresses(route.port).await {
            Ok(addresses) => addresses,
            Err(why) => return End::Unreachable(why),
        };
        let mut end = End::Unreachable(String::new());
        for address in addresses {
            end = match transport {
                Transport::Udp => udp::run(self, address).await,
                Transport::Tcp | Transport::Auto => tcp::run(self, address).await,
            };
            if !matches!(end, End::Unreachable(_)) {
                break;
            }
        }
        end
    }

    fn end(&mut self, status: Status) {
        self.status.send_replace(status);
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Takes a request in; returns its number, unless it is for a server that is gone.
    fn admit(&mut self, outgoing: Outgoing) -> Option<u64> {
        if outgoing.server.is_some_and(|server| Some(server) != self.server) {
            outgoing.fail(LinkError::OtherServer);
            return None;
        }
        let number = self.next_number();
        self.pending.insert(number, outgoing);
        self.asked.get_or_insert_with(Instant::now);
        Some(number)
    }

    /// A new connection: what is out is asked once more.
    fn connected(&mut self) {
        self.answered = false;
        self.asked = (!self.pending.is_empty()).then(Instant::now);
    }

    /// When a connection without hello, on which nothing is answered, is over. What is no answer does
    /// not put it off.
    fn overdue(&self) -> Option<Instant> {
        let asked = self.asked.filter(|_| self.hello.is_none());
        asked.map(|asked| asked + self.answer_time)
    }

    /// How a connection has ended that did not say why.
    fn fallen_silent(&self, address: SocketAddr) -> End {
        if self.hello.is_some() || self.answered {
            return End::Lost;
        }
        End::Unreachable(format!("{address}: something is there, but it does not answer"))
    }

    fn request(&self, number: u64, call: Call) -> Request {
        let (session, notices_seen) = (self.session, self.notices_seen);
        Request { number, session, notices_seen, cookie: self.cookie.clone(), call }
    }

    /// A request that was admitted and has no answer yet.
    fn pending_request(&self, number: u64) -> Option<Request> {
        Some(self.request(number, self.pending.get(&number)?.call.clone()))
    }

    /// Takes the server's word on hello.
    fn greeted(&mut self, reply: Reply) -> Result<(), End> {
        // A server that is about to end says why beside its refusal.
        if let Some(notice) = reply.notice.filter(|notice| notice.number == 0) {
            let _ = self.news.send(notice.what);
        }
        match reply.answer {
            Some(Answer::Welcome(welcome)) => {
                self.session = welcome.session;
                if self.server.replace(welcome.server).is_some_and(|old| old != welcome.server) {
                    self.notices_seen = 0;
                    for (_, outgoing) in std::mem::take(&mut self.pending) {
                        outgoing.fail(LinkError::OtherServer);
                    }
                }
                self.status.send_replace(Status::Up(Some(welcome)));
                Ok(())
            }
            Some(Answer::Refused(refused)) => Err(End::Refused(refused)),
            _ => Err(End::Unreachable("something else than seedrush-server answered".into())),
        }
    }

    fn answered(&mut self) {
        self.asked = (!self.pending.is_empty()).then(Instant::now);
        if !std::mem::replace(&mut self.answered, true) && self.hello.is_none() {
            self.status.send_replace(Status::Up(None));
        }
    }

    /// Takes what the server says. Whether a notice has come that is to be acknowledged.
    fn receive(&mut self, reply: Reply) -> Result<bool, End> {
        let pushed = reply.answer.is_none();
        let noticed = reply.notice.is_some_and(|notice| {
            let next = notice.number == self.notices_seen + 1;
            // What rides on a reply is the oldest unseen one; what is pushed may have overtaken.
            let new = next || (!pushed && notice.number > self.notices_seen);
            if new {
                self.notices_seen = notice.number;
            }
            if new || notice.number == 0 {
                let _ = self.news.send(notice.what);
            }
            notice.number > 0
        });
        match reply.answer {
            Some(Answer::Refused(refused)) if reply.number == 0 => Err(End::Refused(refused)),
            Some(Answer::Refused(Refused { reason: RefusalReason::Session, .. })) => Err(End::Lost),
            Some(answer) => {
                if let Some(outgoing) = self.pending.remove(&reply.number) {
                    self.answered();
                    let answer = match answer {
                        Answer::Refused(refused) => Err(refused.into()),
                        answer => Ok(answer),
                    };
                    // Who asked may have lost interest.
                    let _ = outgoing.answer.send(answer);
                }
                Ok(noticed)
            }
            None => Ok(noticed),
        }
    }
}

#[cfg(test)]
mod tests;
