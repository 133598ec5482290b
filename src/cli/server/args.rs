//! Arguments of `seedrush-server`.

use crate::cli::Failure;
use crate::cli::net_args::LAST_TEAM;
use crate::cli::progress::Shown;
use crate::cli::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use crate::cli::values::{number, seconds_above_zero};
use crate::cli::verbosity::Verbosity;
use crate::coordinator::Config;
use crate::jobs::{JobSpec, MAX_WANTED, Md5Search};
use crate::puzzle::Puzzle;
use crate::seeds::SeedSpace;
use anyhow::anyhow;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// A lease is not given up before its client has missed a few of its reports.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// Longest time that a lease may take: a client that goes wastes up to this much work.
const LONGEST_LEASE: Duration = Duration::from_secs(3600);

/// Nonces that one audit may search: at most a few seconds of one thread, and enough to find a share
/// in leases of twenty seconds of some ten GH/s.
const AUDIT_BUDGET: u64 = 1 << 31;

/// Most clients to wait for; the server holds no more.
const MOST_CLIENTS: usize = 1_000_000;

/// Coordinates a search on many machines for a seed such that MD5(seed | string) begins with zeros
#[derive(Parser, Debug)]
#[command(name = "seedrush-server")]
pub struct ServerArgs {
    #[command(flatten)]
    puzzle: PuzzleArgs,

    /// Seeds to try: auto, counting, trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    /// Stop after this many solutions
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = number(1..=MAX_WANTED))]
    solutions: u32,

    /// Start without a puzzle, and stay for jobs that are submitted
    #[arg(long)]
    serve: bool,

    /// Go on with the jobs of a server that was stopped, from the file that it wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["words", "bits", "encoding", "seed_prefix", "seeds", "solutions", "serve"])]
    pub(super) resume: Option<PathBuf>,

    /// End with the puzzle, although other jobs are under way
    #[arg(long)]
    pub(super) once: bool,

    /// Address to listen on, or a name of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    pub(super) bind: String,

    /// Port to listen on; 0 for any that is free (1800 by default)
    #[arg(long, value_name = "PORT", value_parser = number(0..=u16::MAX))]
    pub(super) port: Option<u16>,

    /// Listen on TCP only
    #[arg(long, conflicts_with = "udp_only")]
    pub(super) tcp_only: bool,

    /// Listen on UDP only
    #[arg(long)]
    pub(super) udp_only: bool,

    /// Port (T + 12) * 100; TCP for even T, UDP for odd T
    #[arg(long, value_name = "T", value_parser = number(0..=LAST_TEAM), conflicts_with_all = ["port", "tcp_only", "udp_only"])]
    pub(super) team: Option<u16>,

    /// Start when this many clients are here (2 by default, 1 with --serve)
    #[arg(long, value_name = "C", value_parser = number(1..=MOST_CLIENTS))]
    min_clients: Option<usize>,

    /// How long a lease should take its client, in seconds; at most an hour
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = lease_time)]
    lease_seconds: Duration,

    /// Serve clients of the plain-text protocol too
    #[arg(long)]
    pub(super) classic: bool,

    /// Let other machines give jobs, and end those from their own network
    ///
    /// Without it only this machine may, through a loopback address: a server that listens on one
    /// other address alone takes no jobs.
    #[arg(long)]
    pub(super) open: bool,

    /// One JSON object per line on standard output
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

fn lease_time(word: &str) -> Result<Duration, String> {
    let time = seconds_above_zero(word).ok().filter(|time| *time <= LONGEST_LEASE);
    time.ok_or_else(|| {
        format!("a time above 0, up to {} seconds, is needed", LONGEST_LEASE.as_secs())
    })
}

impl ServerArgs {
    pub(super) fn main_puzzle(&self) -> Result<Option<Puzzle>, Failure> {
        let named = !self.puzzle.words.is_empty() || self.puzzle.bits.is_some();
        if self.serve && named {
            return Err(Failure::usage(anyhow!(
                "--serve starts without a puzzle: leave N and STRING out, or --serve"
            )));
        }
        if self.serve { Ok(None) } else { self.puzzle.puzzle().map(Some) }
    }

    pub(super) fn spec(&self, puzzle: &Puzzle) -> Result<JobSpec, Failure> {
        let layout = self.seeds.0.unwrap_or_else(|| SeedSpace::auto(puzzle).layout());
        let search = Md5Search::new(puzzle, layout, self.solutions).map_err(Failure::usage)?;
        Ok(JobSpec::Md5Search(search))
    }

    pub(super) fn min_clients(&self) -> usize {
        self.min_clients.unwrap_or(if self.serve { 1 } else { 2 })
    }

    pub(super) fn config(&self) -> Config {
        let lease_time = self.lease_seconds;
        let usual = Config::default();
        // Short leases mean that lost ones are wanted back soon; progress comes every second.
        let patience = usual.patience.min(lease_time * 2).max(SHORTEST_PATIENCE);
        Config {
            lease_time,
            patience,
            first_lease: usual.first_lease.min(lease_time),
            shortest_lease: usual.shortest_lease.min(lease_time),
            min_clients: self.min_clients(),
            audit_budget: AUDIT_BUDGET,
            ..usual
        }
    }

    pub(super) fn shown(&self) -> Shown {
        Shown::new(self.verbosity.quiet, self.json)
    }

    /// The command that goes on with the jobs in `file`.
    pub(super) fn resume_command(&self, file: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let quoted = format!("'{}'", file.replace('\'', "'\\''"));
        let file = if file.bytes().all(plain) { file } else { &quoted };
        let mut command = format!("seedrush-server --resume {file}");
        let mut add = |flag: &str, value: Option<String>| {
            command.extend(value.map(|value| format!(" {flag} {value}")));
        };
        add("--bind", (self.bind != "0.0.0.0").then(|| self.bind.clone()));
        add("--port", self.port.map(|port| port.to_string()));
        add("--team", self.team.map(|team| team.to_string()));
        add("--min-clients", (self.min_clients() != 2).then(|| self.min_clients().to_string()));
        let lease = self.lease_seconds.as_secs_f64();
        add("--lease-seconds", (lease != 20.0).then(|| lease.to_string()));
        let flags = [
            (" --once", self.once),
            (" --tcp-only", self.tcp_only),
            (" --udp-only", self.udp_only),
            (" --classic", self.classic),
            (" --open", self.open),
            (" --json", self.json),
            (" --quiet", self.verbosity.quiet),
            (" --verbose", self.verbosity.verbose),
        ];
        flags.iter().filter(|(_, given)| *given).for_each(|(flag, _)| command += flag);
        command
    }
}
