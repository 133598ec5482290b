//! Load for a server, on loopback and in one process: how many leases a second it lends and takes
//! back, and what an idle connection costs.
//!
//! `cargo run --release --example load -- [CLIENTS] [SECONDS] [tcp|udp]`

use seedrush::coordinator::Config;
use seedrush::jobs::{JobKind, JobSpec, SumOfSquares};
use seedrush::net::link::{Link, Route, Target, Transport};
use seedrush::net::server::{Server, bind, listen};
use seedrush::proto::{Answer, Call, Hello, Progress};
use seedrush::span::Span;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let clients: u64 = words.next().as_deref().unwrap_or("100").parse()?;
    let seconds: f64 = words.next().as_deref().unwrap_or("5").parse()?;
    let transport: Transport = words.next().as_deref().unwrap_or("tcp").parse()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(load(clients, Duration::from_secs_f64(seconds), transport))
}

async fn load(clients: u64, time: Duration, transport: Transport) -> Result<(), Box<dyn Error>> {
    let address = serve()?;
    let before = resident();
    let began = Instant::now();
    let mut links = Vec::new();
    for client in 0..clients {
        links.push(join(address, transport, client).await?);
    }
    let joining = began.elapsed();
    let each = resident().saturating_sub(before) / clients.max(1);
    println!("{clients} clients over {transport:?} joined in {joining:.2?}");
    println!("{each} bytes of memory for each, both ends");
    let trips = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for link in links {
        let trips = trips.clone();
        tasks.spawn(async move {
            while began.elapsed() < time && trade(&link).await.is_some() {
                trips.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let trips = trips.load(Ordering::Relaxed) as f64;
    println!("{:.0} leases a second, lent and given back", trips / began.elapsed().as_secs_f64());
    Ok(())
}

fn serve() -> Result<SocketAddr, Box<dyn Error>> {
    let listener = listen("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let config = Config { min_clients: 1, ..Config::default() };
    let server = Server::new(config, Some(listener), Some(bind(address)?));
    let endless = JobSpec::SumOfSquares(SumOfSquares::new(0, 1 << 64)?);
    let server = server.with_job(endless)?;
    tokio::spawn(server.run(std::future::pending(), |_| {}));
    Ok(address)
}

async fn join(
    address: SocketAddr,
    transport: Transport,
    client: u64,
) -> Result<Link, Box<dyn Error>> {
    let target = Target { host: address.ip().to_string(), port: Some(address.port()) };
    let route = Route { target, port: 0, transport, retry_for: Duration::from_secs(30) };
    let hello = Hello {
        oldest_version: seedrush::proto::OLDEST_VERSION,
        newest_version: seedrush::proto::NEWEST_VERSION,
        key: u128::from(client).to_be_bytes(),
        name: format!("load {client}"),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: JobKind::ALL.to_vec(),
    };
    let (link, _news) = Link::start(route, Some(hello));
    link.call(Call::Heartbeat).await?;
    Ok(link)
}

/// Takes a lease and gives it back as it is.
async fn trade(link: &Link) -> Option<()> {
    let Answer::Grant(grant) = link.call(Call::Ask).await.ok()? else { return None };
    let progress = Progress {
        lease: grant.lease,
        epoch: grant.epoch,
        job: grant.job,
        done: Span::with_len(grant.span.start(), 0),
        finished: true,
        hits: Vec::new(),
        shares: Vec::new(),
        sum: Vec::new(),
    };
    link.call(Call::Progress(progress)).await.ok()?;
    Some(())
}

/// Resident memory of this process in bytes; 0 where /proc does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
