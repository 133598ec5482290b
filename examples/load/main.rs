//! Loads a server on loopback, and measures the time that clients lose between leases and at the end.
//!
//! `cargo run --release --example load -- leases [CLIENTS] [SECONDS] [tcp|udp]` measures how fast
//! clients join, the server's memory for each, and the leases that it grants and takes back in a
//! second of processor time.
//!
//! `... -- stop [CLIENTS] [ROUNDS] [tcp|udp]` measures the time from a solution until the last client
//! has stopped.
//!
//! `... -- team [CLIENTS] [MH/S EACH] [SECONDS] [tcp|udp]` measures the total rate of clients of a
//! known speed, and how long their backends wait between two leases.

mod crowd;
mod leases;
mod stop;
mod team;

use anyhow::{Result, bail};
use seedrush::net::client::ClientConfig;
use seedrush::net::client::link::{Route, Target, Transport};
use std::net::SocketAddr;
use std::time::Duration;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |place: usize, usual: &str| words.get(place).map_or(usual, |w| w).to_owned();
    let transport = |place| word(place, "tcp").parse::<Transport>().map_err(anyhow::Error::msg);
    match word(0, "").as_str() {
        "leases" => leases::run(
            word(1, "1000").parse()?,
            Duration::from_secs_f64(word(2, "5").parse()?),
            transport(3)?,
        ),
        "stop" => stop::run(word(1, "100").parse()?, word(2, "100").parse()?, transport(3)?),
        "team" => team::run(
            word(1, "20").parse()?,
            word(2, "5").parse()?,
            Duration::from_secs_f64(word(3, "30").parse()?),
            transport(4)?,
        ),
        // `leases` starts this as a process, to measure the memory and time of the server alone.
        "serve" => leases::serve(),
        _ => bail!("say what to measure: leases, stop or team"),
    }
}

/// Returns the configuration of a client of the server at `address`.
fn client_of(address: SocketAddr, transport: Transport, name: String) -> ClientConfig {
    let target = Target { host: address.ip().to_string(), port: Some(address.port()) };
    let route = Route { target, port: 0, transport, retry_for: Duration::from_secs(30) };
    ClientConfig { route, name, threads: 1, once: false }
}

/// Returns the quantile `q` of the sorted `values`.
fn quantile(values: &[Duration], q: f64) -> Duration {
    let place = (q * (values.len() - 1) as f64).round() as usize;
    values.get(place).copied().unwrap_or_default()
}
