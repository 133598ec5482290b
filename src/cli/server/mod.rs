//! `seedrush-server`: leads clients to the solution of a puzzle, or serves jobs.

mod console;
mod output;

use super::Failure;
use super::net_args::{interrupted, runtime, seconds};
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use crate::coordinator::Config;
use crate::cpu::Cpu;
use crate::jobs::{JobSpec, MAX_OUTSIDE, Md5Search};
use crate::net::listener::{Server, bind, listen};
use crate::net::plaintext::Problem;
use crate::net::{DEFAULT_PORT, team_port};
use crate::puzzle::Puzzle;
use crate::seeds::SeedSpace;
use anyhow::anyhow;
use clap::Parser;
use console::{Console, conclude};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A lease is not given up before its client has missed a few of its reports.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(5);

/// Nonces that one audit may search: at most a few seconds of one thread, and enough to find a share
/// in leases of twenty seconds of some ten GH/s.
const AUDIT_BUDGET: u64 = 1 << 31;

/// Leads clients to a seed such that MD5(seed | string) begins with zeros
#[derive(Parser, Debug)]
#[command(name = "seedrush-server", version)]
pub struct ServerArgs {
    #[command(flatten)]
    puzzle: PuzzleArgs,

    /// Which seeds are tried: auto, counting, trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    /// Stop after this many solutions
    #[arg(long, value_name = "K", default_value_t = 1)]
    solutions: u32,

    /// Start without a puzzle, and stay for jobs that are submitted
    #[arg(long)]
    serve: bool,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind: IpAddr,

    /// Port to listen on; 0 for any that is free (1800 by default)
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Listen on TCP only
    #[arg(long, conflicts_with = "udp_only")]
    tcp_only: bool,

    /// Listen on UDP only
    #[arg(long)]
    udp_only: bool,

    /// Port (T + 12) * 100; TCP for even T, UDP for odd T
    #[arg(long, value_name = "T", conflicts_with_all = ["port", "tcp_only", "udp_only"])]
    team: Option<u16>,

    /// Start when this many clients are here (2 by default, 1 with --serve)
    #[arg(long, value_name = "C")]
    min_clients: Option<usize>,

    /// How long a lease should take its client
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0)]
    lease_seconds: f64,

    /// Serve clients of the plain-text protocol too
    #[arg(long)]
    classic: bool,

    /// Let other machines give jobs, and end those from their own network
    ///
    /// Without it only this machine may, through a loopback address: a server that listens on one
    /// other address alone takes no jobs.
    #[arg(long)]
    open: bool,

    /// No status line
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the program.
///
/// # Errors
/// Arguments that make no server, or a port that cannot be had.
pub fn run(args: &ServerArgs) -> Result<ExitCode, Failure> {
    let puzzle = args.main_puzzle()?;
    let spec = puzzle.as_ref().map(|puzzle| args.spec(puzzle)).transpose()?;
    let problem = args.problem(puzzle.as_ref())?;
    let config = args.config()?;
    let places = args.places()?;
    let runtime = runtime(2)?;
    let result = runtime.block_on(async {
        let (server, address) = args.open(config, places)?;
        let server = match (spec.clone(), problem) {
            (Some(spec), Some(problem)) => with_job(server, spec)?.with_plaintext(problem),
            (Some(spec), None) => with_job(server, spec)?,
            (None, _) => server,
        };
        let server = if args.open { server.open_to_all() } else { server };
        let console = Console::new(server.service(), args.quiet);
        announce(&console, args, spec.as_ref(), address);
        let shown = console.clone();
        let refresh = tokio::spawn(console.clone().refresh());
        let ending = server.run(interrupted(), move |event| shown.show(&event)).await;
        refresh.abort();
        Ok(conclude(&console, puzzle.as_ref(), &ending))
    });
    // An audit that is still under way is not waited for.
    runtime.shutdown_background();
    result
}

fn with_job(server: Server, spec: JobSpec) -> Result<Server, Failure> {
    server.with_job(spec).map_err(|text| Failure::Work(anyhow!(text)))
}

/// Where to listen, and on what.
struct Places {
    address: SocketAddr,
    tcp: bool,
    udp: bool,
}

impl ServerArgs {
    fn main_puzzle(&self) -> Result<Option<Puzzle>, Failure> {
        let named = !self.puzzle.words.is_empty() || self.puzzle.bits.is_some();
        if self.serve && named {
            return Err(Failure::usage(anyhow!(
                "--serve starts without a puzzle: leave N and STRING out, or --serve"
            )));
        }
        if self.serve { Ok(None) } else { self.puzzle.puzzle().map(Some) }
    }

    fn spec(&self, puzzle: &Puzzle) -> Result<JobSpec, Failure> {
        let layout = self.seeds.0.unwrap_or_else(|| SeedSpace::auto(puzzle).layout());
        let search = Md5Search::new(puzzle, layout, self.solutions).map_err(Failure::usage)?;
        Ok(JobSpec::Md5Search(search))
    }

    fn problem(&self, puzzle: Option<&Puzzle>) -> Result<Option<Problem>, Failure> {
        match (self.classic, puzzle) {
            (false, _) => Ok(None),
            (true, Some(_)) if self.solutions > MAX_OUTSIDE => Err(Failure::usage(anyhow!(
                "--classic takes --solutions up to {MAX_OUTSIDE}: no more seeds of old clients \
                 are kept"
            ))),
            (true, Some(puzzle)) => {
                let problem = Problem::new(puzzle);
                problem.map(Some).map_err(|text| Failure::usage(anyhow!(text)))
            }
            (true, None) => Err(Failure::usage(anyhow!(
                "--classic needs a puzzle: name N and STRING, and leave --serve out"
            ))),
        }
    }

    fn min_clients(&self) -> usize {
        self.min_clients.unwrap_or(if self.serve { 1 } else { 2 })
    }

    fn config(&self) -> Result<Config, Failure> {
        let lease_time = seconds("--lease-seconds", self.lease_seconds)?;
        if lease_time.is_zero() {
            return Err(Failure::usage(anyhow!("--lease-seconds must be above 0")));
        }
        let usual = Config::default();
        // Who wants short leases wants lost ones back soon; progress comes every second.
        let patience = usual.patience.min(lease_time * 2).max(SHORTEST_PATIENCE);
        Ok(Config {
            lease_time,
            patience,
            first_lease: usual.first_lease.min(lease_time),
            shortest_lease: usual.shortest_lease.min(lease_time),
            min_clients: self.min_clients(),
            audit_budget: AUDIT_BUDGET,
            ..usual
        })
    }

    fn places(&self) -> Result<Places, Failure> {
        let (port, tcp, udp) = match self.team {
            Some(team) => {
                let (port, tcp) = team_port(team).map_err(|text| Failure::usage(anyhow!(text)))?;
                (port, tcp, !tcp)
            }
            None => (self.port.unwrap_or(DEFAULT_PORT), !self.udp_only, !self.tcp_only),
        };
        Ok(Places { address: (self.bind, port).into(), tcp, udp })
    }

    /// Listens; returns the address too, with the port that was free for port 0.
    fn open(&self, config: Config, places: Places) -> Result<(Server, SocketAddr), Failure> {
        let mut address = places.address;
        let tcp = places.tcp.then(|| listen(address)).transpose();
        let tcp = tcp.map_err(|error| in_use(&error, address, "TCP"))?;
        if let Some(listener) = &tcp {
            address = listener.local_addr()?;
        }
        let udp = places.udp.then(|| bind(address)).transpose();
        let udp = udp.map_err(|error| in_use(&error, address, "UDP"))?;
        if let Some(socket) = &udp {
            address = socket.local_addr()?;
        }
        let auditor = Cpu::new(None, Some(NonZeroUsize::MIN)).map_err(Failure::usage)?;
        Ok((Server::new(config, tcp, udp).with_auditor(Arc::new(auditor)), address))
    }
}

fn in_use(error: &io::Error, address: SocketAddr, transport: &str) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => "something else listens there: choose another --port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need more rights: choose a --port",
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: choose another --bind"
        }
        _ => return Failure::Work(anyhow!("cannot listen on {transport} {address}: {error}")),
    };
    Failure::Work(anyhow!("cannot listen on {transport} {address}: {hint}"))
}

fn announce(console: &Console, args: &ServerArgs, spec: Option<&JobSpec>, address: SocketAddr) {
    let what = match spec {
        Some(JobSpec::Md5Search(search)) => format!(
            "problem: {} for {:?}, {} encoding, {} seeds",
            search.puzzle().difficulty(),
            search.puzzle().string(),
            search.puzzle().encoding(),
            search.space().layout(),
        ),
        _ if args.open => "ready for jobs: seedrush submit --to HOST ...".into(),
        _ => "ready for jobs of this machine: seedrush submit --to 127.0.0.1 ...".into(),
    };
    console.say(&what);
    if args.open {
        console.say(
            "open: whoever reaches this port may submit jobs of priority 1, and cancel those from \
             their own network",
        );
    }
    console.say(&format!("listening on {address}, waiting for {} clients", args.min_clients()));
}
