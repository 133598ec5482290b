//! `seedrush-server`: coordinates a distributed search, or serves jobs.

mod classic;
mod console;
mod listen;
mod output;
mod resume;
mod status;

use super::net_args::{LAST_TEAM, runtime};
use super::progress::Shown;
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use super::signals::interrupted;
use super::values::{number, seconds_above_zero};
use super::verbosity::Verbosity;
use super::{Exit, Failure, json, text};
use crate::coordinator::Config;
use crate::cpu::Cpu;
use crate::jobs::{JobSpec, MAX_OUTSIDE, MAX_WANTED, Md5Search};
use crate::net::listener::{Server, ServerEnding};
use crate::net::plaintext::Problem;
use crate::puzzle::Puzzle;
use crate::seeds::SeedSpace;
use anyhow::anyhow;
use clap::Parser;
use console::{Console, Format};
use indicatif::{ProgressBar, ProgressStyle};
use listen::Sockets;
use output::Output;
use resume::Saved;
use serde_json::json;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

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
    resume: Option<PathBuf>,

    /// End with the puzzle, although other jobs are under way
    #[arg(long)]
    once: bool,

    /// Address to listen on, or a name of this machine
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind: String,

    /// Port to listen on; 0 for any that is free (1800 by default)
    #[arg(long, value_name = "PORT", value_parser = number(0..=u16::MAX))]
    port: Option<u16>,

    /// Listen on TCP only
    #[arg(long, conflicts_with = "udp_only")]
    tcp_only: bool,

    /// Listen on UDP only
    #[arg(long)]
    udp_only: bool,

    /// Port (T + 12) * 100; TCP for even T, UDP for odd T
    #[arg(long, value_name = "T", value_parser = number(0..=LAST_TEAM), conflicts_with_all = ["port", "tcp_only", "udp_only"])]
    team: Option<u16>,

    /// Start when this many clients are here (2 by default, 1 with --serve)
    #[arg(long, value_name = "C", value_parser = number(1..=MOST_CLIENTS))]
    min_clients: Option<usize>,

    /// How long a lease should take its client, in seconds; at most an hour
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = lease_time)]
    lease_seconds: Duration,

    /// Serve clients of the plain-text protocol too
    #[arg(long)]
    classic: bool,

    /// Let other machines give jobs, and end those from their own network
    ///
    /// Without it only this machine may, through a loopback address: a server that listens on one
    /// other address alone takes no jobs.
    #[arg(long)]
    open: bool,

    /// One JSON object per line on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    verbosity: Verbosity,
}

fn lease_time(word: &str) -> Result<Duration, String> {
    let time = seconds_above_zero(word).ok().filter(|time| *time <= LONGEST_LEASE);
    time.ok_or_else(|| {
        format!("a time above 0, up to {} seconds, is needed", LONGEST_LEASE.as_secs())
    })
}

/// Runs the program.
///
/// # Errors
/// Arguments that make no server, a port that cannot be opened, or a resume file that cannot be read
/// or written.
pub fn run(args: &ServerArgs) -> Result<Exit, Failure> {
    let work = Work::new(args)?;
    let runtime = runtime(2)?;
    let result = runtime.block_on(serve(args, work));
    // An audit that is still under way is not waited for.
    runtime.shutdown_background();
    result
}

/// Jobs to begin with.
struct Work {
    /// The job after which the server ends.
    main: Option<JobSpec>,
    saved: Option<Saved>,
    problem: Option<Problem>,
}

async fn serve(args: &ServerArgs, work: Work) -> Result<Exit, Failure> {
    let Sockets { tcp, udp, address } = listen::open(args).await?;
    let auditor = Cpu::new(None, Some(NonZeroUsize::MIN)).map_err(Failure::usage)?;
    let resumes = work.saved.is_some();
    let mut server = match work.saved {
        Some(saved) => Server::restored(args.config(), saved.into_facts(), tcp, udp)
            .map_err(|error| Failure::from(anyhow!(error)))?,
        None => Server::new(args.config(), tcp, udp),
    };
    server = server.with_auditor(Arc::new(auditor));
    let console = args.console(server.service());
    announce(&console, args, work.main.as_ref(), address);
    if resumes {
        tell_resumed(&console);
    } else if let Some(spec) = work.main {
        server = server.with_job(spec).map_err(|text| Failure::from(anyhow!(text)))?;
    }
    if let Some(problem) = work.problem {
        server = server.with_plaintext(problem);
    }
    if args.open {
        server = server.open_to_all();
    }
    if args.once {
        server = server.ending_after_its_job();
    }
    let (quit, log) = (Notify::new(), console.clone());
    let stop = async {
        tokio::select! {
            () = interrupted() => {}
            () = quit.notified() => {}
        }
    };
    let ending = tokio::select! {
        ending = server.run(stop, move |event| log.show(&event)) => ending,
        () = status::refresh(console.clone(), args.shown(), args.verbosity.verbose, &quit) => {
            ServerEnding::Stopped
        }
    };
    let exit = conclude(&console, args, &ending, address.port());
    console.out.end();
    exit
}

/// Tells of the unfinished jobs of a resume file.
fn tell_resumed(console: &Console) {
    for job in resume::unfinished(&console.service) {
        let done = text::amount(job.confirmed as f64);
        let found = match job.solutions {
            0 => String::new(),
            number => format!(", {} found", text::plural(number, "solution")),
        };
        console.tell(
            &format!("job {} goes on: {}, {done} done{found}", job.id, job.spec),
            "resumed",
            &json!({
                "job": job.id.0,
                "what": job.spec.to_string(),
                "confirmed": json::integer(job.confirmed),
                "solutions": job.solutions,
            }),
        );
    }
}

/// Says how the server ended. A server that was stopped saves its jobs, and prints the command that
/// goes on.
fn conclude(
    console: &Console,
    args: &ServerArgs,
    ending: &ServerEnding,
    port: u16,
) -> Result<Exit, Failure> {
    let main = console.service.main_job();
    let found = console.service.read(|coordinator| coordinator.job(main?));
    if matches!(ending, ServerEnding::Over(_)) {
        let found = found.is_some_and(|status| status.solutions > 0);
        let exit = if found { Exit::Done } else { Exit::NoResult };
        console.result(false);
        return Ok(exit);
    }
    let message = match Saved::of(&console.service) {
        None => "stopped: no job was under way".to_owned(),
        Some(saved) => {
            let file = saved.write(args.resume.as_deref(), port)?;
            let command = args.resume_command(&file.to_string_lossy());
            match console.format {
                Format::Json => console.out.keep(json::line(
                    "interrupted",
                    &json!({ "file": file.to_string_lossy(), "command": command }),
                )),
                Format::Plain | Format::Stamped => {
                    console.out.keep("stopped; to go on from there:".into());
                    console.out.keep(command.clone());
                }
            }
            format!("stopped; to go on: {command}")
        }
    };
    // A user whose output goes to a file wants to see it too.
    match console.format {
        Format::Json => console.result(true),
        Format::Plain => {}
        Format::Stamped => tell!("{message}"),
    }
    Ok(Exit::Interrupted)
}

impl Work {
    fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let saved = args.resume.as_deref().map(Saved::read).transpose().map_err(Failure::usage)?;
        let main = match &saved {
            Some(saved) => saved.main_spec(),
            None => args.main_puzzle()?.map(|puzzle| args.spec(&puzzle)).transpose()?,
        };
        let problem = if args.classic { Some(problem(main.as_ref())?) } else { None };
        Ok(Self { main, saved, problem })
    }
}

/// The puzzle as clients of the plain-text protocol get it.
fn problem(main: Option<&JobSpec>) -> Result<Problem, Failure> {
    let text = match main {
        Some(JobSpec::Md5Search(search)) if search.wanted() > MAX_OUTSIDE => format!(
            "--classic takes --solutions up to {MAX_OUTSIDE}: no more seeds of old clients are kept"
        ),
        Some(JobSpec::Md5Search(search)) => match Problem::new(search.puzzle()) {
            Ok(problem) => return Ok(problem),
            Err(text) => text,
        },
        Some(JobSpec::SumOfSquares(_)) | None => {
            "--classic needs a puzzle: name N and STRING, and leave --serve out".into()
        }
    };
    Err(Failure::usage(anyhow!(text)))
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

    fn min_clients(&self) -> usize {
        self.min_clients.unwrap_or(if self.serve { 1 } else { 2 })
    }

    fn config(&self) -> Config {
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

    fn shown(&self) -> Shown {
        Shown::new(self.verbosity.quiet, self.json)
    }

    fn console(&self, service: Arc<crate::net::server::Service>) -> Console {
        let bar = match self.shown() {
            Shown::Line => ProgressBar::new_spinner(),
            Shown::Not | Shown::Text | Shown::Json => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let format = match self.json {
            true => Format::Json,
            false if std::io::stdout().is_terminal() => Format::Plain,
            false => Format::Stamped,
        };
        Console {
            service,
            out: Output::new(bar),
            format,
            quiet: self.verbosity.quiet,
            classic: Arc::default(),
        }
    }

    /// The command that goes on with the jobs in `file`.
    fn resume_command(&self, file: &str) -> String {
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

fn announce(console: &Console, args: &ServerArgs, main: Option<&JobSpec>, address: SocketAddr) {
    let what = match main {
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
    console.log(&what);
    if args.open {
        console.log(
            "open: whoever reaches this port may submit jobs of priority 1, and cancel those from \
             their own network",
        );
    }
    let waiting = text::plural(args.min_clients(), "client");
    console.tell(
        &format!("listening on {address}, waiting for {waiting}"),
        "listening",
        &json!({
            "address": address.to_string(),
            "min_clients": args.min_clients(),
            "what": main.map(ToString::to_string),
        }),
    );
}
