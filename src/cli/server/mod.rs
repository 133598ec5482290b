//! `seedrush-server`: coordinates a distributed search, or serves jobs.

mod args;
mod classic;
mod console;
mod listen;
mod output;
mod printed;
mod resume;
mod status;
mod stop;

use super::net_args::runtime;
use super::progress::Shown;
use super::signals::Interrupts;
use super::{Exit, Failure, json, text};
use crate::cpu::Cpu;
use crate::jobs::{JobSpec, MAX_OUTSIDE};
use crate::net::listener::{Server, ServerEnding};
use crate::net::plaintext::Problem;
use anyhow::anyhow;
pub use args::ServerArgs;
use console::{Console, Format};
use indicatif::{ProgressBar, ProgressStyle};
use listen::Sockets;
use output::Output;
use resume::Saved;
use serde_json::json;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use stop::Keeper;
use tokio::sync::Notify;

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
    let console = console(args, server.service());
    announce(&console, args, work.main.as_ref(), address);
    if resumes {
        console.printed().note_earlier(&console.service);
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
    let keeper = Keeper::new(&console, args, address.port());
    let stop = keeper.stop(&quit);
    let ending = tokio::select! {
        ending = server.run(stop, move |event| log.show(&event)) => ending,
        () = status::refresh(console.clone(), args.shown(), args.verbosity.verbose, &quit) => {
            ServerEnding::Stopped
        }
    };
    console.catch_up();
    let exit = keeper.conclude(&ending);
    if matches!(ending, ServerEnding::Over(_)) {
        // What is left is to wait for whoever reads the output.
        Interrupts::listen().end_process();
    }
    console.out.end();
    exit
}

/// Tells of the unfinished jobs of a resume file.
fn tell_resumed(console: &Console) {
    for job in resume::unfinished(&console.service) {
        let done = text::amount(job.confirmed as f64);
        let found = match job.solutions {
            0 => String::new(),
            number => format!(" and {} found", text::plural(number as usize, "solution")),
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

fn announce(console: &Console, args: &ServerArgs, main: Option<&JobSpec>, address: SocketAddr) {
    let what = match main {
        Some(JobSpec::Md5Search(search)) => format!(
            "problem: {} for {:?}, {} encoding, {} seeds",
            search.puzzle().difficulty(),
            search.puzzle().string(),
            search.puzzle().encoding(),
            search.space().layout(),
        ),
        _ if args.open => {
            format!("ready for jobs: seedrush submit --to HOST:{} ...", address.port())
        }
        _ => {
            let port = address.port();
            format!("ready for jobs of this machine: seedrush submit --to 127.0.0.1:{port} ...")
        }
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

/// Makes the console that the arguments ask for.
fn console(args: &ServerArgs, service: Arc<crate::net::server::Service>) -> Console {
    let bar = match args.shown() {
        Shown::Line => ProgressBar::new_spinner(),
        Shown::Not | Shown::Text | Shown::Json => ProgressBar::hidden(),
    };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    let format = match args.json {
        true => Format::Json,
        false if std::io::stdout().is_terminal() => Format::Plain,
        false => Format::Stamped,
    };
    Console {
        service,
        out: Output::new(bar),
        format,
        quiet: args.verbosity.quiet,
        classic: Arc::default(),
        printed: Arc::default(),
    }
}
