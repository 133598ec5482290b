//! `seedrush-client`: searches what a server leases to it.

use super::machine_args::{self, MachineArgs};
use super::net_args::{RouteArgs, runtime};
use super::signals::interrupted;
use super::{Exit, Failure, text};
use crate::backend::Backend;
use crate::jobs::JobSpec;
use crate::lease::{ClientId, JobEnd};
use crate::net::client::link::{Route, Target};
use crate::net::client::{self, ClientConfig, ClientEnding, ClientEvent};
use crate::net::plaintext;
use crate::proto::Over;
use crate::puzzle::Difficulty;
use anyhow::anyhow;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pause between attempts to reach a server of the plain-text protocol.
const CLASSIC_PAUSE: Duration = Duration::from_millis(500);

/// Searches what a seedrush-server leases to this machine
#[derive(Parser, Debug)]
#[command(name = "seedrush-client")]
pub struct ClientArgs {
    /// The server: HOST, HOST:PORT or [IPv6]:PORT
    #[arg(value_name = "HOST")]
    target: Target,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    machine: MachineArgs,

    /// Name to show on the server (this machine's by default)
    #[arg(long)]
    name: Option<String>,

    /// Leave after the first job that ends, also when the server stays
    #[arg(long)]
    once: bool,

    /// Speak the plain-text protocol of the first programs of this kind. Over UDP its servers say
    /// nothing before they begin, so the client waits for as long as it takes
    #[arg(long)]
    classic: bool,

    /// No progress line
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the program.
///
/// # Errors
/// Arguments that make no client.
pub fn run(args: &ClientArgs) -> Result<Exit, Failure> {
    let route = args.route.route(&args.target)?;
    // What the server will ask for is not known yet; it is worth opening a GPU for.
    let hard = Difficulty::from_bits(128).map_err(Failure::usage)?;
    let mut team = args.machine.machine()?.open(hard).map_err(machine_args::failure)?;
    team.on_failure(|error| eprintln!("{error}"));
    if let Some(note) = team.note().filter(|_| !args.quiet) {
        tell!("{}", machine_args::note(note));
    }
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = args.machine.threads.unwrap_or_else(cores).get();
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    let backend: Arc<dyn Backend> = Arc::new(team);
    say!("searching with {}", backend.describe());
    let console = Console::new(args.quiet);
    let runtime = runtime(1)?;
    let result = if args.classic {
        runtime.block_on(run_classic(&route, backend, &console))
    } else {
        let name = args.name.clone().unwrap_or_else(machine_name);
        let config = ClientConfig { route, name, threads, once: args.once };
        let ending = client::run(config, backend, interrupted(), |event| console.show(&event));
        let ending = runtime.block_on(ending);
        console.bar.finish_and_clear();
        conclude(ending)
    };
    // What is still searched is not wanted any more: do not wait for it.
    runtime.shutdown_background();
    result
}

/// The name of this machine, on every system.
fn machine_name() -> String {
    let name = gethostname::gethostname().to_string_lossy().trim().to_owned();
    if name.is_empty() { "unnamed".into() } else { name }
}

fn conclude(ending: ClientEnding) -> Result<Exit, Failure> {
    let (exit, why) = match ending {
        ClientEnding::Over(over, client) => {
            say!("{}", over_words(&over, client));
            return Ok(Exit::Done);
        }
        ClientEnding::Stopped => return Ok(Exit::Interrupted),
        ClientEnding::Refused(why) => {
            (Exit::NoResult, format!("the server refuses this client: {why}"))
        }
        ClientEnding::Unreachable(why) => {
            (Exit::Unreachable, format!("the server is out of reach: {why}"))
        }
        ClientEnding::Broken(why) => (Exit::NoBackend, why),
    };
    Err(Failure::new(exit, anyhow!(why)))
}

fn over_words(over: &Over, client: u64) -> String {
    match over.end {
        Some(JobEnd::Finished { winner: None }) => format!("job {} is finished", over.job),
        Some(JobEnd::Finished { winner: Some(ClientId(winner)) }) if winner == client => {
            format!("you won with seed {}", over.seed)
        }
        Some(JobEnd::Finished { winner: Some(winner) }) => {
            format!("client {winner} finished first with seed {}", over.seed)
        }
        Some(JobEnd::Exhausted) => "everything is searched, and there is no solution".into(),
        Some(JobEnd::Cancelled) => format!("job {} was cancelled", over.job),
        None => "the server has ended the search".into(),
    }
}

/// What is shown while the client runs.
struct Console {
    bar: ProgressBar,
    state: Mutex<Shown>,
}

struct Shown {
    client: u64,
    tested: u64,
    since: Instant,
    rate: f64,
    connected: bool,
}

impl Console {
    fn new(quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let shown =
            Shown { client: 0, tested: 0, since: Instant::now(), rate: 0.0, connected: false };
        Self { bar, state: Mutex::new(shown) }
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }

    fn show(&self, event: &ClientEvent) {
        let mut shown = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            ClientEvent::Joined(client) => {
                if shown.client != *client {
                    self.say(&format!("connected: you are client {client}"));
                } else if !shown.connected {
                    self.say("connected again");
                }
                shown.client = *client;
                shown.connected = true;
            }
            ClientEvent::Lost => {
                if shown.connected {
                    self.say("the server is out of reach: searching on, and trying again");
                }
                shown.connected = false;
            }
            ClientEvent::Job(job, JobSpec::Md5Search(search)) => self.say(&format!(
                "job {job}: {} for {:?}, {} encoding, {} seeds",
                search.puzzle().difficulty(),
                search.puzzle().string(),
                search.puzzle().encoding(),
                search.space().layout(),
            )),
            ClientEvent::Job(job, spec) => self.say(&format!("job {job}: {spec}")),
            ClientEvent::Over(over) => self.say(&over_words(over, shown.client)),
            ClientEvent::Tested(tested) => self.progress(&mut shown, *tested),
        }
    }

    fn progress(&self, shown: &mut Shown, tested: u64) {
        let elapsed = shown.since.elapsed().as_secs_f64();
        let now = tested.saturating_sub(shown.tested) as f64 / elapsed.max(1e-3);
        // A mean over some seconds: a single value jumps with every claim.
        shown.rate = if shown.rate == 0.0 { now } else { 0.8 * shown.rate + 0.2 * now };
        (shown.tested, shown.since) = (tested, Instant::now());
        let tested = text::count(tested.into());
        self.bar.set_message(format!("{} · tested {tested}", text::rate(shown.rate)));
        self.bar.tick();
    }
}

async fn run_classic(
    route: &Route,
    backend: Arc<dyn Backend>,
    console: &Console,
) -> Result<Exit, Failure> {
    tokio::select! {
        code = classic_until_over(route, backend, console) => code,
        () = interrupted() => Ok(Exit::Interrupted),
    }
}

async fn classic_until_over(
    route: &Route,
    backend: Arc<dyn Backend>,
    console: &Console,
) -> Result<Exit, Failure> {
    let until = Instant::now() + route.retry_for;
    loop {
        let ending = match route.target.addresses(route.port).await {
            Ok(addresses) => {
                let joined = Mutex::new(false);
                let show = |client: u64, puzzle: &crate::puzzle::Puzzle, tested: u64| {
                    let mut joined = joined.lock().unwrap_or_else(PoisonError::into_inner);
                    if !std::mem::replace(&mut *joined, true) {
                        console.say(&format!(
                            "connected: you are client {client}; {} for {:?}",
                            puzzle.difficulty(),
                            puzzle.string()
                        ));
                    }
                    console.show(&ClientEvent::Tested(tested));
                };
                let (transport, backend) = (route.transport, backend.clone());
                let for_ever = std::future::pending();
                plaintext::run(&addresses, transport, backend, for_ever, show).await
            }
            Err(why) => plaintext::Ending::Unreachable(why),
        };
        match ending {
            plaintext::Ending::Finished { winner, client } => {
                console.bar.finish_and_clear();
                match winner {
                    Some(winner) if winner == client => say!("you won"),
                    Some(winner) => say!("client {winner} finished first"),
                    None => say!("the server has ended the search"),
                }
                return Ok(Exit::Done);
            }
            plaintext::Ending::Stopped => return Ok(Exit::Interrupted),
            plaintext::Ending::Unreachable(why) if Instant::now() >= until => {
                let text = format!("the server is out of reach: {why}");
                return Err(Failure::new(Exit::Unreachable, anyhow!(text)));
            }
            plaintext::Ending::Unreachable(_) => tokio::time::sleep(CLASSIC_PAUSE).await,
        }
    }
}
