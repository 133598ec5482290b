//! Servers and clients: in one process over real sockets, and as programs.

mod audits;
mod drivers;
mod faults;
mod hostile;
mod limits;
mod plaintext;
mod programs;
mod relay;
mod requests;
mod roles;
mod stops;

use seedrush::backend::{Backend, BackendError, Control};
use seedrush::coordinator::{Config, Coordinator, JobId};
use seedrush::jobs::{JobSpec, Md5Search};
use seedrush::net::client::link::{Route, Target, Transport};
use seedrush::net::client::{self, ClientConfig, ClientEvent};
use seedrush::net::listener::{Server, ServerEnding, bind, listen};
use seedrush::net::server::{ServerEvent, Service};

use seedrush::span::{Span, SpanSet};
use seedrush::{Difficulty, Encoding, Layout, Puzzle};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait: no test takes nearly as long unless it hangs.
const GUARD: Duration = Duration::from_secs(120);

/// Judges every nonce, a few at a time, with a pause after each few so that leases last.
struct Scan {
    pause: Duration,
}

impl Backend for Scan {
    fn describe(&self) -> String {
        "scan".into()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        while let Some(span) = control.claim(256) {
            let all: Vec<u128> = (span.start()..span.end()).collect();
            control.submit(span, &all);
            std::thread::sleep(self.pause);
        }
        Ok(())
    }
}

fn puzzle(bits: u32, string: &str) -> Puzzle {
    Puzzle::new(string, Difficulty::from_bits(bits).unwrap(), Encoding::Text).unwrap()
}

fn search(bits: u32, string: &str) -> JobSpec {
    let search = Md5Search::new(&puzzle(bits, string), Layout::Counting, 1);
    JobSpec::Md5Search(search.unwrap())
}

/// Returns the sum of n^2 up to `last`, by the formula.
fn sum_up_to(last: u128) -> String {
    (last * (last + 1) * (2 * last + 1) / 6).to_string()
}

/// Returns short times, so that lost leases are soon free again.
fn quick() -> Config {
    Config {
        lease_time: Duration::from_millis(300),
        first_units: 1 << 12,
        first_lease: Duration::from_millis(50),
        shortest_lease: Duration::from_millis(20),
        patience: Duration::from_millis(1500),
        tail_patience: Duration::from_millis(600),
        retry_after: Duration::from_millis(100),
        min_clients: 1,
        ..Config::default()
    }
}

/// Listens for TCP and UDP on one port. A port that is free for TCP may be in use for UDP.
fn sockets() -> (TcpListener, UdpSocket, SocketAddr) {
    for _ in 0..100 {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        if let Ok(socket) = bind(address) {
            return (listener, socket, address);
        }
    }
    panic!("no port is free for both TCP and UDP");
}

/// A server that runs in this process.
struct Running {
    address: SocketAddr,
    service: Arc<Service>,
    events: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    ending: JoinHandle<ServerEnding>,
}

impl Running {
    fn start(config: Config, job: Option<JobSpec>) -> Self {
        Self::start_with(config, job, |server| server)
    }

    fn start_with(
        config: Config,
        job: Option<JobSpec>,
        adjust: impl FnOnce(Server) -> Server,
    ) -> Self {
        let (listener, socket, address) = sockets();
        let mut server = Server::new(config, Some(listener), Some(socket));
        if let Some(spec) = job {
            server = server.with_job(spec).unwrap();
        }
        let server = adjust(server);
        let service = server.service();
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = events.clone();
        let show = move |event: ServerEvent| log.lock().unwrap().push(format!("{event:?}"));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let ending = tokio::spawn(server.run(shutdown, show));
        Self { address, service, events, stop: Some(stop), ending }
    }

    async fn ended(self) -> ServerEnding {
        timeout(GUARD, self.ending).await.unwrap().unwrap()
    }

    async fn stopped(mut self) -> ServerEnding {
        self.stop.take().unwrap().send(()).unwrap();
        self.ended().await
    }

    /// Waits until a condition holds for the coordinator.
    async fn until(&self, what: impl Fn(&Coordinator) -> bool) {
        let waiting = async {
            while !self.service.read(|coordinator| what(coordinator)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(GUARD, waiting).await.unwrap();
    }

    fn has_shown(&self, words: &str) -> bool {
        self.events.lock().unwrap().iter().any(|event| event.contains(words))
    }
}

/// Checks that confirmed, claimed, leased and free are the whole, and that none of them overlap.
fn check_coverage(service: &Service, job: u64) {
    let (whole, coverage) = service.read(|coordinator| {
        let job = JobId(job);
        (coordinator.job(job).unwrap().spec.whole(), coordinator.coverage(job).unwrap())
    });
    let mut all = SpanSet::new();
    let sets = [&coverage.confirmed, &coverage.claimed, &coverage.leased, &coverage.free];
    for part in sets.into_iter().flat_map(SpanSet::iter) {
        assert_eq!(all.insert(part), part.len(), "{part} is in two sets");
    }
    assert_eq!(all, SpanSet::from(whole));
}

fn route(address: SocketAddr, transport: Transport) -> Route {
    let target = Target { host: address.ip().to_string(), port: Some(address.port()) };
    Route { target, port: 0, transport, retry_for: GUARD }
}

type Client = JoinHandle<client::ClientEnding>;

/// Runs a client in this process.
fn client(address: SocketAddr, transport: Transport, pause: Duration) -> Client {
    client_with(address, transport, pause, |_| {})
}

fn client_with(
    address: SocketAddr,
    transport: Transport,
    pause: Duration,
    show: impl Fn(ClientEvent) + Send + 'static,
) -> Client {
    let route = route(address, transport);
    let config = ClientConfig { route, name: "test".into(), threads: 1, once: false };
    tokio::spawn(client::run(config, Arc::new(Scan { pause }), std::future::pending(), show))
}

async fn end_of(client: Client) -> client::ClientEnding {
    timeout(GUARD, client).await.unwrap().unwrap()
}

fn span_len(span: Span) -> u64 {
    u64::try_from(span.len()).unwrap()
}
