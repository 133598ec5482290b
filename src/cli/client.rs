//! `seedrush-client`: searches what a server leases to it.

mod classic;
mod console;
mod pause;

use super::keys::Keys;
use super::machine_args::{self, MachineArgs};
use super::net_args::{RouteArgs, runtime};
use super::progress::Shown;
use super::signals::interrupted;
use super::verbosity::Verbosity;
use super::{Exit, Failure, flushed, json};
use crate::backend::Backend;
use crate::net::client::link::{Route, Target};
use crate::net::client::{self, ClientConfig, ClientEnding};
use crate::puzzle::Difficulty;
use anyhow::anyhow;
use clap::Parser;
use console::{Console, over_json};
use pause::{Gate, Pausable};
use serde_json::json;
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::Notify;

/// Searches what a seedrush-server leases to this machine
#[derive(Parser, Debug)]
#[command(name = "seedrush-client")]
pub struct ClientArgs {
    /// The server: HOST, HOST:PORT or [IPv6]:PORT
    #[arg(value_name = "HOST", env = "SEEDRUSH_TO")]
    target: Target,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    machine: MachineArgs,

    /// Name to show on the server (this machine's by default); the plain-text protocol has none
    #[arg(long, conflicts_with = "classic")]
    name: Option<String>,

    /// Leave after the first job that ends, also when the server stays
    #[arg(long)]
    once: bool,

    /// Speak the plain-text protocol of the first programs of this kind. Over UDP its servers say
    /// nothing before they begin, so the client waits for as long as it takes
    #[arg(long)]
    classic: bool,

    /// One JSON object per line on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    verbosity: Verbosity,
}

/// Runs the program.
///
/// # Errors
/// Arguments that make no client, a server that refuses it or cannot be reached, or a backend that
/// broke down.
pub fn run(args: &ClientArgs) -> Result<Exit, Failure> {
    let route = args.route.route(&args.target)?;
    let shown = Shown::new(args.verbosity.quiet, args.json);
    // The jobs are not known yet; they may well be worth opening a GPU for.
    let hard = Difficulty::from_bits(128).map_err(Failure::usage)?;
    let mut team = args.machine.machine()?.open(hard).map_err(machine_args::failure)?;
    team.on_failure(|error| tell!("{error}"));
    if let Some(note) = team.note().filter(|_| !args.verbosity.quiet) {
        tell!("{}", machine_args::note(note));
    }
    let backend: Arc<dyn Backend> = Arc::new(team);
    let gate = (shown == Shown::Line && Keys::open().is_some()).then(Arc::<Gate>::default);
    let backend = match gate.clone() {
        Some(gate) => Arc::new(Pausable { inner: backend, gate }),
        None => backend,
    };
    let console = Console::new(shown, gate);
    let what = backend.describe();
    console.tell(&format!("searching on {what}"), "searching", &json!({ "backend": what }));
    let runtime = runtime(1)?;
    let result = runtime.block_on(args.work(route, backend, &console));
    // What is still searched is not wanted any more: do not wait for it.
    runtime.shutdown_background();
    result.and_then(flushed)
}

impl ClientArgs {
    async fn work(
        &self,
        route: Route,
        backend: Arc<dyn Backend>,
        console: &Console,
    ) -> Result<Exit, Failure> {
        let quit = Notify::new();
        let stop = async {
            tokio::select! {
                () = interrupted() => {}
                () = quit.notified() => {}
                () = console.listen(&quit) => {}
            }
        };
        if self.classic {
            let result = classic::run(&route, backend, console, stop).await;
            console.clear();
            return result.inspect(|exit| self.json_result(&json!({}), console, *exit));
        }
        let name = self.name.clone().unwrap_or_else(machine_name);
        let config = ClientConfig { route, name, threads: self.threads(), once: self.once };
        let ending = client::run(config, backend, stop, |event| console.show(&event)).await;
        console.clear();
        self.conclude(ending, console)
    }

    fn threads(&self) -> u32 {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = self.machine.threads.unwrap_or_else(cores).get();
        u32::try_from(threads).unwrap_or(u32::MAX)
    }

    fn conclude(&self, ending: ClientEnding, console: &Console) -> Result<Exit, Failure> {
        let (exit, why) = match ending {
            ClientEnding::Over(over, client) => {
                console.over(&over, client);
                self.json_result(&over_json(&over), console, Exit::Done);
                return Ok(Exit::Done);
            }
            ClientEnding::Stopped => {
                self.json_result(&json!({}), console, Exit::Interrupted);
                return Ok(Exit::Interrupted);
            }
            ClientEnding::Refused(why) => {
                (Exit::NoResult, format!("the server refuses this client: {why}"))
            }
            ClientEnding::Unreachable(why) => {
                (Exit::Unreachable, format!("the server is unreachable: {why}"))
            }
            ClientEnding::Broken(why) => (Exit::NoBackend, why),
        };
        Err(Failure::new(exit, anyhow!(why)))
    }

    /// Prints the last line of `--json`; `over` is how the last job ended.
    fn json_result(&self, over: &serde_json::Value, console: &Console, exit: Exit) {
        if !self.json {
            return;
        }
        let fields = json!({
            "program": "client",
            "interrupted": exit == Exit::Interrupted,
            "tested": json::integer(console.tested()),
            "job": over.get("job"),
            "state": over.get("state"),
            "winner": over.get("winner"),
            "seed": over.get("seed"),
        });
        say!("{}", json::line("result", &fields));
    }
}

/// The name of this machine, on every system.
fn machine_name() -> String {
    let name = gethostname::gethostname().to_string_lossy().trim().to_owned();
    if name.is_empty() { "unnamed".into() } else { name }
}
