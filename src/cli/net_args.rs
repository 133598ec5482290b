//! What the networked programs share: where the server is, and running until Ctrl-C.

use super::Failure;
use crate::net::client::link::{Route, Target, Transport};
use crate::net::{DEFAULT_PORT, team_port};
use anyhow::anyhow;
use clap::Args;
use std::time::Duration;

/// Options that say how a server is reached.
#[derive(Args, Clone, Debug)]
pub struct RouteArgs {
    /// Port where the address names none (1800 by default)
    #[arg(long, global = true, value_name = "PORT")]
    pub port: Option<u16>,

    /// tcp, udp, or auto: TCP, and UDP where TCP does not get through
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub transport: Transport,

    /// Port (T + 12) * 100; TCP for even T, UDP for odd T
    #[arg(long, global = true, value_name = "T", conflicts_with_all = ["port", "transport"])]
    pub team: Option<u16>,

    /// Keep trying for this long to reach the server at first, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30.0)]
    pub retry_for: f64,
}

impl RouteArgs {
    /// The way to `target`.
    ///
    /// # Errors
    /// No such team, or no such time.
    pub fn route(&self, target: &Target) -> Result<Route, Failure> {
        let (port, transport) = match self.team {
            Some(team) => {
                let (port, tcp) = team_port(team).map_err(|text| Failure::usage(anyhow!(text)))?;
                (port, if tcp { Transport::Tcp } else { Transport::Udp })
            }
            None => (self.port.unwrap_or(DEFAULT_PORT), self.transport),
        };
        let retry_for = seconds("--retry-for", self.retry_for)?;
        Ok(Route { target: target.clone(), port, transport, retry_for })
    }
}

/// A time given in seconds.
///
/// # Errors
/// It is negative, or longer than anyone waits.
pub fn seconds(option: &str, seconds: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| *time <= Duration::from_secs(86_400 * 365))
        .ok_or_else(|| Failure::usage(anyhow!("{option} is a number of seconds, 0 or more")))
}

/// A runtime with `threads` threads beside this one.
///
/// # Errors
/// The system has no more threads.
pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(threads).enable_all().build()?)
}

/// Ends when someone wants this program to end.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
