//! Load for a server on loopback, and the times that clients lose between leases and after the end.
//!
//! `cargo run --release --example load -- leases [CLIENTS] [SECONDS] [tcp|udp]`: how fast clients
//! join, what memory each costs the server, and how many leases it lends and takes back for each
//! second of processor time.
//!
//! `... -- stop [CLIENTS] [ROUNDS] [tcp|udp]`: from a solution to the moment at which the last
//! client has stopped.
//!
//! `... -- team [CLIENTS] [MH/S EACH] [SECONDS] [tcp|udp]`: what clients of a known speed come to
//! together, and how long their backends wait between two leases.

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
        // What `leases` starts itself, so that the server's memory and time are its own.
        "serve" => leases::serve(),
        _ => bail!("say what to measure: leases, stop or team"),
    }
}

/// A client of the server at `address`.
fn client_of(address: SocketAddr, transport: Transport, name: String) -> ClientConfig {
    let target = Target { host: address.ip().to_string(), port: Some(address.port()) };
    let route = Route { target, port: 0, transport, retry_for: Duration::from_secs(30) };
    ClientConfig { route, name, threads: 1, once: false }
}

/// The value below which the part `q` of the sorted `values` lies.
fn quantile(values: &[Duration], q: f64) -> Duration {
    let place = (q * (values.len() - 1) as f64).round() as usize;
    values.get(place).copied().unwrap_or_default()
}
