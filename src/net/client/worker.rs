//! The client: takes leases, runs them on its backend, and delivers what they come to.
//!
//! While the backend works on one lease the next one is there already. When the server goes away
//! the search goes on; what was found is delivered once the server is back.

use super::lease::{Task, report};
use super::link::{Link, LinkError, Route, Status};
use crate::backend::{Backend, BackendError};
use crate::jobs::{JobKind, JobSpec};
use crate::lease::{Epoch, Grant, JobId, LeaseId};
use crate::net::limits::FIRST_PAUSE;
use crate::net::random;
use crate::proto::{
    self, Answer, Call, Hello, NEWEST_VERSION, Notification, OLDEST_VERSION, Over, RefusalReason,
    Refused, Work,
};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Number of leases that are not yet searched: one under way and one in reserve.
const LEASES_AHEAD: usize = 2;

/// Interval at which progress is shown.
const SHOW_TIME: Duration = Duration::from_millis(500);

/// Maximum time for the goodbye to the server.
const GOODBYE_TIME: Duration = Duration::from_millis(300);

/// Configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The way to the server.
    pub route: Route,
    /// Name, for people.
    pub name: String,
    /// Threads of the backend.
    pub threads: u32,
    /// Leave after the first job that ends.
    pub once: bool,
}

/// Something to show.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// Connected, with this id.
    Joined(u64),
    /// The connection is lost; the search goes on.
    Lost,
    /// A job that is new to this client.
    Job(u64, JobSpec),
    /// Units tested so far, in all.
    Tested(u64),
    /// A job has ended.
    Over(Over),
}

/// How a client ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEnding {
    /// The work is done; holds this client's id.
    Over(Over, u64),
    /// The server refuses this client.
    Refused(String),
    /// The server could not be reached.
    Unreachable(String),
    /// The backend has failed.
    Broken(String),
    /// The caller asked it to stop.
    Stopped,
}

/// Runs until the server closes or `shutdown` ends; passes what happens to `show`.
pub async fn run(
    config: ClientConfig,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
    show: impl Fn(ClientEvent) + Send,
) -> ClientEnding {
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
            Some(error) = failures.recv() => Some(ClientEnding::Broken(error.to_string())),
            () = tokio::time::sleep_until(engine.not_before), if engine.waits() => None,
            _ = tick.tick() => {
                let unfinished: u64 = engine.unfinished().map(|task| task.tested()).sum();
                show(ClientEvent::Tested(tested.load(Ordering::Relaxed) + unfinished));
                None
            }
            () = &mut shutdown => Some(ClientEnding::Stopped),
        };
        if let Some(ending) = step {
            break ending;
        }
    };
    engine.leave(&ending).await;
    ending
}

/// Starts the thread that runs leases, one after the other.
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
                // The receiver is gone when the client has ended already.
                let _ = failed.send(error);
                return;
            }
        }
    });
    (sender, failures)
}

type Key = (LeaseId, Epoch);

/// A lease with what is known of its job and the server's instance, or when to ask again.
enum Asked {
    Lease(Grant, JobSpec, u64),
    Wait(Duration),
}

struct Engine {
    link: Link,
    searcher: std::sync::mpsc::Sender<Arc<Task>>,
    jobs: HashMap<JobId, JobSpec>,
    shown: HashSet<JobId>,
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

    /// Returns true if the next request for work has its time.
    fn waits(&self) -> bool {
        self.wants_more() && Instant::now() < self.not_before
    }

    /// Asks for a lease if the backend would soon have none.
    fn fill(&mut self) {
        if self.wants_more() && Instant::now() >= self.not_before {
            // Before the first welcome there is no server to ask.
            if let Some(server) = self.server {
                self.asks.spawn(ask(self.link.clone(), server, self.jobs.clone()));
            }
        }
    }

    fn connection(&mut self, status: Status, show: &impl Fn(ClientEvent)) -> Option<ClientEnding> {
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
            Status::Refused(Refused { reason: RefusalReason::Closing, .. }) => {
                return Some(ClientEnding::Over(Over::default(), self.client));
            }
            Status::Refused(refused) => return Some(ClientEnding::Refused(refused.text)),
            Status::Unreachable(why) => return Some(ClientEnding::Unreachable(why)),
        }
        None
    }

    /// Forgets jobs and leases: they mean nothing to another server.
    fn forget(&mut self) {
        self.jobs.clear();
        self.shown.clear();
        for (_, task) in self.tasks.drain() {
            task.abandon();
        }
    }

    fn told(&mut self, news: Notification, show: &impl Fn(ClientEvent)) -> Option<ClientEnding> {
        match news {
            Notification::Over(over) => {
                self.drop_job(JobId(over.job));
                if self.once {
                    return Some(ClientEnding::Over(over, self.client));
                }
                show(ClientEvent::Over(over));
                None
            }
            Notification::Closing(over) => Some(ClientEnding::Over(over, self.client)),
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

    fn drop_job(&mut self, job: JobId) {
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
    ) -> Option<ClientEnding> {
        match asked {
            Ok(Asked::Wait(time)) => self.not_before = Instant::now() + time,
            // The server may have been replaced since.
            Ok(Asked::Lease(.., server)) if self.server != Some(server) => {}
            Ok(Asked::Lease(grant, spec, server)) => {
                if self.shown.insert(grant.job) {
                    show(ClientEvent::Job(grant.job.0, spec.clone()));
                }
                self.jobs.insert(grant.job, spec.clone());
                let key = (grant.lease, grant.epoch);
                // A repeated request gives the lease that is worked on already.
                if !self.tasks.contains_key(&key) {
                    self.begin(key, Task::new(grant, &spec, server));
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

    fn reported(&mut self, key: Key, reported: Result<(), LinkError>) -> Option<ClientEnding> {
        if let Some(task) = self.tasks.remove(&key) {
            task.abandon();
        }
        match reported {
            Ok(_) | Err(LinkError::OtherServer | LinkError::Ended) => None,
            Err(LinkError::Refused(refused)) => self.refused(refused),
        }
    }

    fn refused(&mut self, refused: Refused) -> Option<ClientEnding> {
        match refused.reason {
            // The job may have ended while it was asked for.
            RefusalReason::Unknown | RefusalReason::Session | RefusalReason::Closing => {
                self.pause();
                None
            }
            _ => Some(ClientEnding::Refused(refused.text)),
        }
    }

    fn pause(&mut self) {
        self.not_before = Instant::now() + FIRST_PAUSE;
    }

    /// Stops everything and says goodbye, unless the server has ended or refused this client.
    async fn leave(self, ending: &ClientEnding) {
        let Self { link, mut reports, tasks, .. } = self;
        for task in tasks.values() {
            task.abandon();
        }
        let server_ends =
            matches!(ending, ClientEnding::Over(over, _) if !self.once || over.job == 0);
        if server_ends || matches!(ending, ClientEnding::Refused(_) | ClientEnding::Unreachable(_))
        {
            return;
        }
        let goodbye = async {
            // Waits for the answers to reports, so that nothing found is lost on the way.
            while reports.join_next().await.is_some() {}
            let _ = link.call(Call::Goodbye).await;
        };
        let _ = tokio::time::timeout(GOODBYE_TIME, goodbye).await;
    }
}

/// Asks `server`, whose `jobs` are known, for a lease, and for the description of its job if that
/// is new. Another server is never asked in its place: its jobs have the same numbers.
async fn ask(link: Link, server: u64, jobs: HashMap<JobId, JobSpec>) -> Result<Asked, LinkError> {
    let grant = match link.call_at(server, Call::Ask).await? {
        Answer::Grant(grant) => grant,
        Answer::Wait(time) => return Ok(Asked::Wait(time)),
        _ => return Err(LinkError::Ended),
    };
    if let Some(spec) = jobs.get(&grant.job) {
        return Ok(Asked::Lease(grant, spec.clone(), server));
    }
    let spec = describe(&link, Some(server), grant.job.0).await?;
    Ok(Asked::Lease(grant, spec, server))
}

/// Asks for the description of a job; a long one comes in parts.
pub(super) async fn describe(
    link: &Link,
    server: Option<u64>,
    job: u64,
) -> Result<JobSpec, LinkError> {
    let malformed = |text: String| Refused { reason: RefusalReason::Malformed, text };
    let mut front: Option<Work> = None;
    loop {
        let offset = front.as_ref().map_or(0, Work::next_offset);
        let call = Call::Describe { job, offset };
        let answer = match server {
            Some(server) => link.call_at(server, call).await?,
            None => link.call(call).await?,
        };
        let part = match answer {
            Answer::Description { job: described, work } if described == job => work,
            _ => return Err(malformed("no description of the job came".into()).into()),
        };
        let work = match front.take() {
            Some(front) => front.join(part).map_err(|error| malformed(error.to_string()))?,
            None => part,
        };
        if work.is_whole() {
            return Ok(work.spec().map_err(malformed)?);
        }
        front = Some(work);
    }
}

#[cfg(test)]
mod tests;
