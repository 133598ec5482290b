//! Arguments and runtime that the network programs share.

use super::Failure;
use super::values::{number, seconds};
use crate::net::client::link::{Route, Target, Transport};
use crate::net::{DEFAULT_PORT, team_port};
use anyhow::anyhow;
use clap::Args;
use std::time::Duration;

/// Last team that has a port: (643 + 12) * 100 is the largest multiple of 100 that is one.
pub const LAST_TEAM: u16 = u16::MAX / 100 - 12;

/// Options that say how a server is reached.
#[derive(Args, Clone, Debug)]
pub struct RouteArgs {
    /// Port where the address names none (1800 by default)
    #[arg(long, global = true, value_name = "PORT", value_parser = number(1u16..=u16::MAX))]
    pub port: Option<u16>,

    /// tcp, udp, or auto: TCP, and UDP where TCP does not get through
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub transport: Transport,

    /// Port (T + 12) * 100; TCP for even T, UDP for odd T
    #[arg(long, global = true, value_name = "T", value_parser = number(0u16..=LAST_TEAM), conflicts_with_all = ["port", "transport"])]
    pub team: Option<u16>,

    /// Keep trying for this long to reach the server at first, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub retry_for: Duration,
}

impl RouteArgs {
    /// Returns the way to `target`.
    ///
    /// # Errors
    /// The target names a port, and so does an option.
    pub fn route(&self, target: &Target) -> Result<Route, Failure> {
        let options = [("--port", self.port.is_some()), ("--team", self.team.is_some())];
        if let Some((option, _)) = options.iter().find(|(_, given)| *given && target.port.is_some())
        {
            return Err(Failure::usage(anyhow!(
                "{target} names a port, and {option} another: leave one out"
            )));
        }
        let (port, transport) = match self.team {
            Some(team) => {
                let (port, tcp) = team_port(team).map_err(|text| Failure::usage(anyhow!(text)))?;
                (port, if tcp { Transport::Tcp } else { Transport::Udp })
            }
            None => (self.port.unwrap_or(DEFAULT_PORT), self.transport),
        };
        Ok(Route { target: target.clone(), port, transport, retry_for: self.retry_for })
    }

    /// Returns the options again, as they were given, for a command that a user can repeat.
    pub fn words(&self) -> String {
        let port = self.port.map(|port| format!(" --port {port}"));
        let team = self.team.map(|team| format!(" --team {team}"));
        let transport = match self.transport {
            Transport::Auto => None,
            Transport::Tcp => Some(" --transport tcp".to_owned()),
            Transport::Udp => Some(" --transport udp".to_owned()),
        };
        [port, team, transport].into_iter().flatten().collect()
    }
}

/// A runtime with `threads` threads beside this one.
///
/// # Errors
/// The system has no more threads.
pub fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(threads).enable_all().build()?)
}
