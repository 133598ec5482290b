//! The client: takes leases, has its backend search them, and delivers.
//!
//! While the backend works on one lease the next is there already. When the server goes away the
//! search goes on; what was found is delivered once the server is back.

use super::lease::{Task, report};
use super::link::{Link, LinkError, Route, Status};
use crate::backend::{Backend, BackendError};
use crate::jobs::{JobKind, JobSpec};
use crate::net::limits::FIRST_PAUSE;
use crate::net::random;
use crate::proto::{
    self, Answer, Call, Grant, Hello, Md5Part, NEWEST_VERSION, Notification, OLDEST_VERSION, Over,
    Reason, Refused, Work,
};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Leases that are not yet searched: one under way and one in reserve.
const LEASES_AHEAD: usize = 2;

/// How often progress is shown.
const SHOW_TIME: Duration = Duration::from_millis(500);

/// How long the last words to the server may take.
const GOODBYE_TIME: Duration = Duration::from_millis(300);

/// What a client is.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the server is.
    pub route: Route,
    /// For people.
    pub name: String,
    /// Threads of the backend.
    pub threads: u32,
    /// Whether to leave after the first job that ends.
    pub once: bool,
}

/// What happens, for whoever shows it.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// Connected, with this id.
    Joined(u64),
    /// The connection is gone; the search goes on.
    Lost,
    /// A job that is new to this client.
    Job(u64, JobSpec),
    /// Units tested so far, in all.
    Tested(u64),
    /// A job has ended.
    Over(Over),
}

/// How a client came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The work is done; with this client's id.
    Over(Over, u64),
    /// The server does not want this client.
    Refused(String),
    /// The server was never there.
    Unreachable(String),
    /// The backend does not work any more.
    Broken(String),
    /// Someone said stop.
    Stopped,
}

/// Runs until the server closes, or `shutdown` ends; `show` is told what happens.
pub async fn run(
    config: ClientConfig,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
    show: impl Fn(ClientEvent) + Send,
) -> Ending {
    let hello = Hello {
        oldest_version: OLDEST_VERSION,
        newest_version: NEWEST_VERSION,
        key: random::key(),
        name: proto::cleaned(&config.name, proto::MAX_NAME),
        backend: proto::cleaned(&backend.describe(), proto::MAX_NAME),
        threads: config.threads,
        rate_hint: 0,
        kinds: JobKind::ALL.to_vec(),
    };
    let (link, mut news) = Link::start(config.route, Some(hello));
    let tested = Arc::new(AtomicU64::new(0));
    let (searcher, mut failures) = start_searcher(backend, config.threads, tested.clone());
    let mut engine = Engine::new(link, searcher, config.once);
    let mut status = engine.link.status();
    let mut tick = tokio::time::interval(SHOW_TIME);
    tokio::pin!(shutdown);
    let ending = loop {
        engine.fill();
        let step = tokio::select! {
            // Notification first: a connection that ends after them is no loss.
            biased;
            Some(what) = news.recv() => engine.told(what, &show),
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update().clone();
                engine.connection(now, &show)
            }
            Some(Ok(asked)) = engine.asks.join_next() => engine.answered(asked, &show),
            Some(Ok((key, reported))) = engine.reports.join_next() => engine.reported(key, reported),
            Some(error) = failures.recv() => Some(Ending::Broken(error.to_string())),
            () = tokio::time::sleep_until(engine.not_before), if engine.waits() => None,
            _ = tick.tick() => {
                let unfinished: u64 = engine.unfinished().map(|task| task.tested()).sum();
                show(ClientEvent::Tested(tested.load(Ordering::Relaxed) + unfinished));
                None
            }
            () = &mut shutdown => Some(Ending::Stopped),
        };
        if let Some(ending) = step {
            break ending;
        }
    };
    engine.leave(&ending).await;
    ending
}

/// The thread on which leases are searched, one after the other.
fn start_searcher(
    backend: Arc<dyn Backend>,
    threads: u32,
    tested: Arc<AtomicU64>,
) -> (std::sync::mpsc::Sender<Arc<Task>>, mpsc::UnboundedReceiver<BackendError>) {
    let (sender, tasks) = std::sync::mpsc::channel::<Arc<Task>>();
    let (failed, failures) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for task in tasks {
            if let Err(error) = task.search(&*backend, threads, &tested) {
                // Nobody listens when the client has ended already.
                let _ = failed.send(error);
                return;
            }
        }
    });
    (sender, failures)
}

type Key = (u32, u64);

/// A lease with what is known of its job and the server's instance, or when to ask again.
enum Asked {
    Lease(Grant, JobSpec, u64),
    Wait(Duration),
}

struct Engine {
    link: Link,
    searcher: std::sync::mpsc::Sender<Arc<Task>>,
    jobs: HashMap<u64, JobSpec>,
    shown: HashSet<u64>,
    tasks: HashMap<Key, Arc<Task>>,
    asks: JoinSet<Result<Asked, LinkError>>,
    reports: JoinSet<(Key, Result<(), LinkError>)>,
    not_before: Instant,
    client: u64,
    server: Option<u64>,
    once: bool,
}

impl Engine {
    fn new(link: Link, searcher: std::sync::mpsc::Sender<Arc<Task>>, once: bool) -> Self {
        Self {
            link,
            searcher,
            jobs: HashMap::new(),
            shown: HashSet::new(),
            tasks: HashMap::new(),
            asks: JoinSet::new(),
            reports: JoinSet::new(),
            not_before: Instant::now(),
            client: 0,
            server: None,
            once,
        }
    }

    fn unfinished(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values().filter(|task| !task.is_searched())
    }

    fn wants_more(&self) -> bool {
        self.asks.is_empty() && self.unfinished().count() < LEASES_AHEAD
    }

    /// Whether there is a time to wait for.
    fn waits(&self) -> bool {
        self.wants_more() && Instant::now() < self.not_before
    }

    /// Asks for a lease if the backend would soon be without.
    fn fill(&mut self) {
        if self.wants_more() && Instant::now() >= self.not_before {
            // Before the first welcome there is nobody to ask.
            if let Some(server) = self.server {
                self.asks.spawn(ask(self.link.clone(), server, self.jobs.clone()));
            }
        }
    }

    fn connection(&mut self, status: Status, show: &impl Fn(ClientEvent)) -> Option<Ending> {
        match status {
            Status::Connecting if self.client != 0 => show(ClientEvent::Lost),
            Status::Connecting | Status::Up(None) => {}
            Status::Up(Some(welcome)) => {
                if self.server.replace(welcome.server).is_some_and(|old| old != welcome.server) {
                    self.forget();
                }
                self.client = welcome.client;
                show(ClientEvent::Joined(welcome.client));
            }
            Status::Refused(Refused { reason: Reason::Closing, .. }) => {
                return Some(Ending::Over(Over::default(), self.client));
            }
            Status::Refused(refused) => return Some(Ending::Refused(refused.text)),
            Status::Unreachable(why) => return Some(Ending::Unreachable(why)),
        }
        None
    }

    /// Another server: what was before means nothing to it.
    fn forget(&mut self) {
        self.jobs.clear();
        self.shown.clear();
        for (_, task) in self.tasks.drain() {
            task.abandon();
        }
    }

    fn told(&mut self, news: Notification, show: &impl Fn(ClientEvent)) -> Option<Ending> {
        match news {
            Notification::Over(over) => {
                self.drop_job(over.job);
                if self.once {
                    return Some(Ending::Over(over, self.client));
                }
                show(ClientEvent::Over(over));
                None
            }
            Notification::Closing(over) => Some(Ending::Over(over, self.client)),
            Notification::Wake => {
                self.not_before = Instant::now();
                None
            }
            Notification::Trimmed(held) => {
                if let Some(task) = self.tasks.get(&(held.lease, held.epoch)) {
                    task.cut(held.end);
                }
                None
            }
            Notification::Revoked(held) => {
                if let Some(task) = self.tasks.get(&(held.lease, held.epoch)) {
                    task.abandon();
                }
                None
            }
        }
    }

    fn drop_job(&mut self, job: u64) {
        self.jobs.remove(&job);
        self.shown.remove(&job);
        for task in self.tasks.values().filter(|task| task.grant.job == job) {
            task.abandon();
        }
    }

    fn answered(
        &mut self,
        asked: Result<Asked, LinkError>,
        show: &impl Fn(ClientEvent),
    ) -> Option<Ending> {
        match asked {
            Ok(Asked::Wait(time)) => self.not_before = Instant::now() + time,
            // The server may have been replaced since.
            Ok(Asked::Lease(.., server)) if self.server != Some(server) => {}
            Ok(Asked::Lease(grant, spec, server)) => {
                if self.shown.insert(grant.job) {
                    show(ClientEvent::Job(grant.job, spec.clone()));
                }
                self.jobs.insert(grant.job, spec.clone());
                let key = (grant.lease, grant.epoch);
                // A repeated request gives the lease that is worked on already.
                if !self.tasks.contains_key(&key) {
                    self.begin(key, Task::new(grant, spec, server));
                }
            }
            Err(LinkError::OtherServer | LinkError::Ended) => self.pause(),
            Err(LinkError::Refused(refused)) => return self.refused(refused),
        }
        None
    }

    fn begin(&mut self, key: Key, task: Arc<Task>) {
        self.tasks.insert(key, task.clone());
        // The searcher is gone only after a failure, which ends the client.
        let _ = self.searcher.send(task.clone());
        let link = self.link.clone();
        self.reports.spawn(async move { (key, report(task, link).await) });
    }

    fn reported(&mut self, key: Key, reported: Result<(), LinkError>) -> Option<Ending> {
        if let Some(task) = self.tasks.remove(&key) {
            task.abandon();
        }
        match reported {
            Ok(_) | Err(LinkError::OtherServer | LinkError::Ended) => None,
            Err(LinkError::Refused(refused)) => self.refused(refused),
        }
    }

    fn refused(&mut self, refused: Refused) -> Option<Ending> {
        match refused.reason {
            // The job may have ended while it was asked for.
            Reason::Unknown | Reason::Session | Reason::Closing => {
                self.pause();
                None
            }
            _ => Some(Ending::Refused(refused.text)),
        }
    }

    fn pause(&mut self) {
        self.not_before = Instant::now() + FIRST_PAUSE;
    }

    /// Stops everything and, where it does not know, lets the server know.
    async fn leave(self, ending: &Ending) {
        let Self { link, mut reports, tasks, .. } = self;
        for task in tasks.values() {
            task.abandon();
        }
        let server_ends = matches!(ending, Ending::Over(over, _) if !self.once || over.job == 0);
        if server_ends || matches!(ending, Ending::Refused(_) | Ending::Unreachable(_)) {
            return;
        }
        let goodbye = async {
            // Answers to what is out, so that nothing found is lost on the way.
            while reports.join_next().await.is_some() {}
            let _ = link.call(Call::Goodbye).await;
        };
        let _ = tokio::time::timeout(GOODBYE_TIME, goodbye).await;
    }
}

/// Asks `server`, whose `jobs` are known, for a lease, and for the description of its job where that is
/// new. Another server's jobs have the same numbers, so it is never asked in its place.
async fn ask(link: Link, server: u64, jobs: HashMap<u64, JobSpec>) -> Result<Asked, LinkError> {
    let grant = match link.call_at(server, Call::Ask).await? {
        Answer::Grant(grant) => grant,
        Answer::Wait(time) => return Ok(Asked::Wait(time)),
        _ => return Err(LinkError::Ended),
    };
    if let Some(spec) = jobs.get(&grant.job) {
        return Ok(Asked::Lease(grant, spec.clone(), server));
    }
    let spec = describe(&link, Some(server), grant.job).await?;
    Ok(Asked::Lease(grant, spec, server))
}

/// What a job is; a long string comes in parts.
pub(super) async fn describe(
    link: &Link,
    server: Option<u64>,
    job: u64,
) -> Result<JobSpec, LinkError> {
    let malformed = |text: String| Refused { reason: Reason::Malformed, text };
    let mut digits = String::new();
    loop {
        let call = Call::Describe { job, offset: digits.len() };
        let answer = match server {
            Some(server) => link.call_at(server, call).await?,
            None => link.call(call).await?,
        };
        let work = match answer {
            Answer::Description { job: described, work } if described == job => work,
            _ => return Err(malformed("no description of the job came".into()).into()),
        };
        let work = match work {
            Work::Md5Search(part) => {
                if part.offset != digits.len() || (part.digits.is_empty() && !part.is_whole()) {
                    return Err(malformed("the description has a gap".into()).into());
                }
                digits += &part.digits;
                if digits.len() < part.string_length {
                    continue;
                }
                Work::Md5Search(Md5Part { offset: 0, digits: digits.clone(), ..part })
            }
            sum => sum,
        };
        return Ok(work.spec().map_err(malformed)?);
    }
}
