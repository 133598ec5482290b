//! `seedrush submit|jobs|status|cancel|clients|ban|unban|bans`: what is asked of a server.
//!
//! Lists are for every machine; the rest, unless the server is open to all, for its own.

mod bans;

use super::net_args::{RouteArgs, runtime};
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use super::values::number;
use super::{Exit, Failure, text};
use crate::jobs::{MAX_WANTED, SumOfSquares};
use crate::net::client::admin::{Admin, AdminError, fits_datagram};
use crate::net::client::link::{Route, Target, Transport};
use crate::proto::{ClientLine, JobLine, Md5Part, Squares, State, Work};
use anyhow::anyhow;
use bans::PartyArgs;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::time::Duration;

/// After this, people want to know what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// Commands that ask something of a server.
#[derive(Subcommand, Debug)]
pub enum RemoteCommand {
    /// Gives a server a job and waits for its result
    ///
    /// From the server's own machine, or from any if the server was started with --open.
    Submit(SubmitArgs),
    /// Lists the jobs of a server
    Jobs(ServerArgs),
    /// Shows how a job stands
    Status(JobArgs),
    /// Ends a job
    ///
    /// From the server's own machine, or, if the server was started with --open, from where the job
    /// was submitted.
    Cancel(JobArgs),
    /// Lists the clients of a server, what they do and how far they are trusted
    Clients(ServerArgs),
    /// Turns an address or a client away from a server
    ///
    /// Clients that are there get no more work, and what they hold goes to others. Only from the
    /// server's own machine.
    Ban(PartyArgs),
    /// Lets an address or a client in again, also one that the server itself did not trust any more
    Unban(PartyArgs),
    /// Lists who is banned, for how long, and how often they came
    Bans(ServerArgs),
}

/// Which server, and how to say what it says. Global, so that `submit` takes it before and behind
/// the kind of the job; clap has no global argument that is required, so `to` is looked at later.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The server: HOST, HOST:PORT or [IPv6]:PORT
    #[arg(long, global = true, value_name = "HOST")]
    to: Option<Target>,

    #[command(flatten)]
    route: RouteArgs,

    /// One JSON object per line on standard output
    #[arg(long, global = true)]
    json: bool,
}

/// A job of a server.
#[derive(Args, Clone, Debug)]
pub struct JobArgs {
    /// Number of the job
    #[arg(value_name = "JOB", value_parser = number(1..=u64::MAX))]
    job: u64,

    #[command(flatten)]
    server: ServerArgs,
}

/// A new job.
#[derive(Args, Debug)]
pub struct SubmitArgs {
    #[command(subcommand)]
    work: WorkArgs,

    #[command(flatten)]
    terms: Terms,
}

/// Kinds of jobs.
#[derive(Subcommand, Debug)]
enum WorkArgs {
    /// A seed such that MD5(seed | string) begins with zeros
    Md5 {
        #[command(flatten)]
        puzzle: PuzzleArgs,

        /// Which seeds are tried: auto, counting, trailing or tunnel
        #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
        seeds: LayoutChoice,

        /// Stop after this many solutions
        #[arg(long, value_name = "K", default_value_t = 1, value_parser = number(1..=MAX_WANTED))]
        solutions: u32,
    },
    /// The sum of n * n over a range of whole numbers, both ends included
    SumOfSquares {
        /// First number
        #[arg(value_parser = number(0..=u128::MAX))]
        first: u128,
        /// Last number, at most 2^64
        #[arg(value_parser = number(0..=u128::MAX))]
        last: u128,
    },
}

/// What every submission has.
#[derive(Args, Clone, Debug)]
struct Terms {
    #[command(flatten)]
    server: ServerArgs,

    /// Print the job's number and do not wait
    #[arg(long, global = true)]
    detach: bool,

    /// 1 to 100: a job of priority 2 gets twice the time of one of priority 1; above 1 only from the
    /// server's own machine
    #[arg(long, global = true, value_name = "P", default_value_t = 1, value_parser = number(1..=100u32))]
    priority: u32,
}

/// Runs the command.
///
/// # Errors
/// Arguments that make no request, or a server that refuses it.
pub fn run(command: &RemoteCommand) -> Result<Exit, Failure> {
    runtime(1)?.block_on(async {
        match command {
            RemoteCommand::Submit(args) => submit(args).await,
            RemoteCommand::Jobs(server) => jobs(server).await,
            RemoteCommand::Status(args) => status(args).await,
            RemoteCommand::Cancel(args) => cancel(args).await,
            RemoteCommand::Clients(server) => clients(server).await,
            RemoteCommand::Ban(args) => bans::ban(args).await,
            RemoteCommand::Unban(args) => bans::unban(args).await,
            RemoteCommand::Bans(server) => bans::list(server).await,
        }
    })
}

impl ServerArgs {
    fn admin(&self) -> Result<Admin, Failure> {
        Ok(asking(self.route()?))
    }

    fn route(&self) -> Result<Route, Failure> {
        let missing = || Failure::usage(anyhow!("--to HOST is missing: which server is asked?"));
        self.route.route(self.to.as_ref().ok_or_else(missing)?)
    }
}

/// Asks the server at `route`; says so when it takes its time.
fn asking(route: Route) -> Admin {
    let words = format!(
        "no answer from {} yet: trying for {} s",
        route.target,
        route.retry_for.as_secs_f64()
    );
    let admin = Admin::new(route);
    let answered = admin.answered();
    tokio::spawn(async move {
        if tokio::time::timeout(SILENCE, answered).await.is_err() {
            eprintln!("{words}");
        }
    });
    admin
}

/// A server that does not answer has an exit code of its own.
fn unanswered(error: AdminError) -> Failure {
    let exit = match error {
        AdminError::Unreachable(_) => Exit::Unreachable,
        AdminError::Refused(_) | AdminError::Gone => Exit::NoResult,
    };
    Failure::new(exit, error)
}

async fn submit(args: &SubmitArgs) -> Result<Exit, Failure> {
    let (work, terms) = (args.work.description()?, &args.terms);
    let mut route = terms.server.route()?;
    if !fits_datagram(&work) {
        if route.transport == Transport::Udp {
            let text = "the string is too long for a datagram: use --transport tcp";
            return Err(Failure::usage(anyhow!(text)));
        }
        route.transport = Transport::Tcp;
    }
    let admin = asking(route);
    let (job, server) = admin.submit(work, terms.priority).await.map_err(unanswered)?;
    if terms.detach {
        if terms.server.json {
            say!("{}", json!({ "event": "submitted", "job": job }));
        } else {
            say!("{job}");
        }
        return Ok(Exit::Done);
    }
    eprintln!("job {job} is submitted");
    let bar = ProgressBar::new(1000);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} % {msg}") {
        bar.set_style(style);
    }
    let line = admin
        .wait((job, server), |line| {
            bar.set_position((1000.0 * (line.done / line.whole.max(1.0)).min(1.0)) as u64);
            bar.set_message(format!("{:.3e} of {:.3e}", line.done, line.whole));
        })
        .await
        .map_err(unanswered)?;
    bar.finish_and_clear();
    print_result(&line, terms.server.json);
    Ok(code_of(&line))
}

impl WorkArgs {
    fn description(&self) -> Result<Work, Failure> {
        match self {
            Self::Md5 { puzzle, seeds, solutions } => {
                let puzzle = puzzle.puzzle()?;
                let part = Md5Part::new(&puzzle, seeds.0, *solutions, 0, usize::MAX);
                Ok(Work::Md5Search(part))
            }
            Self::SumOfSquares { first, last } => {
                SumOfSquares::new(*first, *last).map_err(Failure::usage)?;
                Ok(Work::SumOfSquares(Squares { first: *first, last: *last }))
            }
        }
    }
}

async fn jobs(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.jobs().await.map_err(unanswered)?;
    if !server.json {
        say!("{:>5}  {:<10}{:>4}{:>8}  {:<40}result", "job", "state", "prio", "done", "what");
    }
    for line in &lines {
        print_job(line, server.json);
    }
    Ok(Exit::Done)
}

async fn status(args: &JobArgs) -> Result<Exit, Failure> {
    let line = args.server.admin()?.job(args.job).await.map_err(unanswered)?;
    print_job(&line, args.server.json);
    Ok(Exit::Done)
}

async fn cancel(args: &JobArgs) -> Result<Exit, Failure> {
    args.server.admin()?.cancel(args.job).await.map_err(unanswered)?;
    if args.server.json {
        say!("{}", json!({ "event": "cancelled", "job": args.job }));
    } else {
        say!("job {} is cancelled", args.job);
    }
    Ok(Exit::Done)
}

async fn clients(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.clients().await.map_err(unanswered)?;
    if !server.json {
        say!(
            "{:>6}  {:<16}{:<22}{:>12}{:>12}{:>10}{:>6}  standing",
            "client",
            "name",
            "address",
            "says",
            "proves",
            "done",
            "false"
        );
    }
    for line in &lines {
        print_client(line, server.json);
    }
    Ok(Exit::Done)
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Running => "running",
        State::Checking => "checking",
        State::Finished => "finished",
        State::Exhausted => "exhausted",
        State::Cancelled => "cancelled",
    }
}

fn code_of(line: &JobLine) -> Exit {
    if line.state == State::Finished { Exit::Done } else { Exit::NoResult }
}

fn job_json(event: &str, line: &JobLine) -> serde_json::Value {
    json!({
        "event": event,
        "job": line.job,
        "what": line.title,
        "state": state_word(line.state),
        "priority": line.priority,
        "done": line.done,
        "whole": line.whole,
        "winner": (line.winner > 0).then_some(line.winner),
        "result": (!line.result.is_empty()).then_some(&line.result),
    })
}

fn print_result(line: &JobLine, json: bool) {
    if json {
        say!("{}", job_json("result", line));
    } else if line.result.is_empty() {
        say!("job {} {}", line.job, state_word(line.state));
    } else {
        say!("{}", line.result);
    }
}

fn print_job(line: &JobLine, json: bool) {
    if json {
        say!("{}", job_json("job", line));
        return;
    }
    // Of a puzzle the whole is what it takes on average: it may take several times as much.
    let part = 100.0 * line.done / line.whole.max(1.0);
    let done = if part < 1000.0 { format!("{part:.1} %") } else { format!("{:.0}x", part / 100.0) };
    let named = line.result.split_whitespace().count();
    let more = match (line.solutions as usize).saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    say!(
        "{:>5}  {:<10}{:>4} {done:>7}  {:<40}{}{more}",
        line.job,
        state_word(line.state),
        line.priority,
        line.title,
        line.result
    );
}

fn print_client(line: &ClientLine, json: bool) {
    if json {
        let value = json!({
            "event": "client",
            "client": line.client,
            "name": line.name,
            "address": line.address,
            "backend": line.backend,
            "threads": line.threads,
            "claimed_rate": line.claimed_rate,
            "proven_rate": line.proven_rate,
            "done": line.done,
            "false_hits": line.false_hits,
            "standing": line.standing,
            "connected": line.connected,
            "leases": line.leases,
            "finished": line.finished,
        });
        say!("{value}");
        return;
    }
    let away = if line.connected { "" } else { ", away" };
    say!(
        "{:>6}  {:<16}{:<22}{:>12}{:>12}{:>10.2e}{:>6}  {}{away}",
        line.client,
        line.name,
        line.address,
        text::rate(line.claimed_rate),
        text::rate(line.proven_rate),
        line.done,
        line.false_hits,
        line.standing
    );
}
