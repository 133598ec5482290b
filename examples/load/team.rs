//! Measures the total rate of clients of a known speed, and the pauses of their backends.

use crate::{client_of, quantile};
use anyhow::{Context, Result};
use seedrush::backend::{Backend, BackendError, Control};
use seedrush::coordinator::Config;
use seedrush::cpu::Cpu;
use seedrush::jobs::{JobSpec, Md5Search};
use seedrush::net::client;
use seedrush::net::client::link::Transport;
use seedrush::net::listener::{Server, bind, listen};
use seedrush::{Difficulty, Encoding, Puzzle, SeedSpace};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Time for the first, short leases to end.
const WARM_UP: Duration = Duration::from_secs(5);

/// Time for the last reports of finished work.
const REPORTS: Duration = Duration::from_secs(3);

/// Time between two submissions, as often as a kernel makes them.
const CLAIM: Duration = Duration::from_millis(10);

pub(crate) fn run(clients: u32, each: f64, time: Duration, transport: Transport) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(clients, each, time, transport))
}

async fn measure(clients: u32, each: f64, time: Duration, transport: Transport) -> Result<()> {
    let listener = listen("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let config = Config { min_clients: clients as usize, ..Config::default() };
    let puzzle = Puzzle::new("A7C02215FC", Difficulty::from_bits(120)?, Encoding::Text)?;
    let job = Md5Search::new(&puzzle, SeedSpace::auto(&puzzle).layout(), 1)?;
    let server = Server::new(config, Some(listener), Some(bind(address)?));
    let server = server.with_job(JobSpec::Md5Search(job)).map_err(anyhow::Error::msg)?;
    let service = server.service();
    let job = service.main_job().context("no job")?;
    tokio::spawn(server.run(std::future::pending(), |_| {}));
    let log = Arc::new(Log::default());
    let mut team = JoinSet::new();
    for number in 0..clients {
        let config = client_of(address, transport, format!("walker {number}"));
        let walker = Walker {
            cpu: Cpu::new(None, Some(NonZeroUsize::MIN))?,
            rate: each * 1e6,
            ended: Mutex::new(None),
            log: log.clone(),
        };
        team.spawn(client::run(config, Arc::new(walker), std::future::pending(), |_| {}));
    }
    tokio::time::sleep(WARM_UP).await;
    let (before, began) = (log.walked.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(time).await;
    let walked = log.walked.load(Ordering::Relaxed) - before;
    let rate = walked as f64 / began.elapsed().as_secs_f64();
    println!(
        "{clients} clients of {each} MH/s over {transport:?}: {:.1} MH/s, {:.3} of their sum",
        rate / 1e6,
        rate / 1e6 / each / f64::from(clients)
    );
    log.pause.store(true, Ordering::Relaxed);
    tokio::time::sleep(REPORTS).await;
    println!(
        "{} nonces walked, {} counted by the server",
        log.walked.load(Ordering::Relaxed),
        service
            .read(|coordinator| coordinator.job(job).map_or(0, |job| job.confirmed + job.claimed))
    );
    let mut gaps = log.gaps.lock().unwrap_or_else(PoisonError::into_inner);
    gaps.sort_unstable();
    println!(
        "{} pauses between two leases: median {:.1?}, 9 of 10 below {:.1?}, longest {:.1?}",
        gaps.len(),
        quantile(&gaps, 0.5),
        quantile(&gaps, 0.9),
        quantile(&gaps, 1.0)
    );
    Ok(())
}

/// A backend of one thread, slowed down to a known rate.
struct Walker {
    cpu: Cpu,
    /// Nonces a second.
    rate: f64,
    /// End of the previous lease.
    ended: Mutex<Option<Instant>>,
    log: Arc<Log>,
}

/// Results of all of them.
#[derive(Default)]
struct Log {
    walked: AtomicU64,
    /// True at the end: no backend takes a further step.
    pause: AtomicBool,
    /// Times from the end of a lease to the beginning of the next.
    gaps: Mutex<Vec<Duration>>,
}

impl Backend for Walker {
    fn describe(&self) -> String {
        "walker".into()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let began = Instant::now();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = *ended {
            let gap = began.saturating_duration_since(ended);
            self.log.gaps.lock().unwrap_or_else(PoisonError::into_inner).push(gap);
        }
        let claim = (self.rate * CLAIM.as_secs_f64()) as u128;
        let mut walked = 0.0;
        while let Some(span) = control.claim(claim) {
            let part = control.part(span);
            self.cpu.search(&part)?;
            walked += span.len() as f64;
            let until = began + Duration::from_secs_f64(walked / self.rate);
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            control.absorb(&part);
            self.log.walked.fetch_add(span.len() as u64, Ordering::Relaxed);
            while self.log.pause.load(Ordering::Relaxed) && !control.is_stopped() {
                std::thread::sleep(CLAIM);
            }
        }
        *ended = Some(Instant::now());
        Ok(())
    }
}
