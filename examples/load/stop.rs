//! Measures the time from a solution until the last client has stopped.

use crate::{client_of, quantile};
use anyhow::{Context, Result};
use seedrush::backend::{Backend, BackendError, Control};
use seedrush::coordinator::Config;
use seedrush::jobs::{JobSpec, Md5Search};
use seedrush::net::client;
use seedrush::net::client::link::Transport;
use seedrush::net::listener::{Server, bind, listen};
use seedrush::{Difficulty, Encoding, Layout, Options, Puzzle, search};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Time between two checks of the stop flag by a waiting backend, as by a kernel between slices.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) fn run(clients: usize, rounds: usize, transport: Transport) -> Result<()> {
    let puzzle = Puzzle::new("A7C02215FC", Difficulty::from_bits(20)?, Encoding::Text)?;
    let options = Options { layout: Some(Layout::Counting), ..Options::default() };
    let found = search(&puzzle, &options)?;
    let nonce = found.solutions.first().context("no solution")?.nonce;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(runtime.block_on(round(&puzzle, nonce, clients, transport))?);
    }
    times.sort_unstable();
    println!(
        "{clients} clients over {transport:?}, {rounds} rounds, from the solution until the last \
         one has stopped: median {:.1?}, 99th of 100 {:.1?}, longest {:.1?}",
        quantile(&times, 0.5),
        quantile(&times, 0.99),
        quantile(&times, 1.0)
    );
    Ok(())
}

async fn round(
    puzzle: &Puzzle,
    nonce: u128,
    clients: usize,
    transport: Transport,
) -> Result<Duration> {
    let listener = listen("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    let config = Config { min_clients: clients, ..Config::default() };
    let server = Server::new(config, Some(listener), Some(bind(address)?));
    let job = JobSpec::Md5Search(Md5Search::new(puzzle, Layout::Counting, 1)?);
    let server = server.with_job(job).map_err(anyhow::Error::msg)?;
    let server = tokio::spawn(server.run(std::future::pending(), |_| {}));
    let race = Arc::new(Race { nonce, ..Race::default() });
    let mut team = JoinSet::new();
    for number in 0..clients {
        let config = client_of(address, transport, format!("runner {number}"));
        team.spawn(client::run(config, race.clone(), std::future::pending(), |_| {}));
    }
    while race.searching.load(Ordering::Acquire) < clients {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // All clients, and the leases that they hold in reserve.
    tokio::time::sleep(Duration::from_millis(50)).await;
    race.go.store(true, Ordering::Release);
    team.join_all().await;
    server.await?;
    let times = race.times.lock().map_err(|_| anyhow::anyhow!("a backend has panicked"))?;
    let (found, stopped) = (times.found.context("nobody won")?, times.stopped);
    Ok(stopped.context("nobody stopped")?.saturating_duration_since(found))
}

/// A backend that waits for its cue; then the holder of the lease with the solution finds it.
#[derive(Default)]
struct Race {
    nonce: u128,
    go: AtomicBool,
    searching: AtomicUsize,
    times: Mutex<Times>,
}

#[derive(Default)]
struct Times {
    found: Option<Instant>,
    /// Time at which the last one stopped.
    stopped: Option<Instant>,
}

impl Backend for Race {
    fn describe(&self) -> String {
        "race".into()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let Some(span) = control.claim(u128::from(u64::MAX)) else { return Ok(()) };
        self.searching.fetch_add(1, Ordering::AcqRel);
        while !control.is_stopped() {
            control.wait(LOOK);
            if span.contains(self.nonce) && self.go.swap(false, Ordering::AcqRel) {
                self.note(|times| times.found = Some(Instant::now()));
                let (searched, rest) = span.split_at(self.nonce + 1 - span.start());
                control.give_back(rest);
                control.submit(searched, &[self.nonce]);
                return Ok(());
            }
        }
        self.note(|times| times.stopped = Some(Instant::now()));
        Ok(())
    }
}

impl Race {
    fn note(&self, change: impl FnOnce(&mut Times)) {
        if let Ok(mut times) = self.times.lock() {
            change(&mut times);
        }
    }
}
