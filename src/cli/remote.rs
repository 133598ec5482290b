//! `seedrush submit|wait|jobs|status|cancel|clients|ban|unban|bans`: requests to a server.
//!
//! Lists are for every machine. The rest is for the server's own machine, unless the server is open
//! to all.

mod bans;
mod follow;
mod submit;
mod tables;

use super::net_args::{RouteArgs, runtime};
use super::values::number;
use super::verbosity::Verbosity;
use super::{Exit, Failure, json};
use crate::net::client::admin::{Admin, AdminError};
use crate::net::client::link::{Route, Target};
use anyhow::anyhow;
use bans::PartyArgs;
use clap::{Args, Subcommand};
use serde_json::json;
use std::time::Duration;
use submit::SubmitArgs;

/// Time without an answer after which the user is told what the program waits for.
const SILENCE: Duration = Duration::from_secs(2);

/// Commands that ask something of a server.
#[derive(Subcommand, Debug)]
pub enum RemoteCommand {
    /// Gives a server a job and waits for its result
    ///
    /// From the server's own machine, or from any if the server was started with --open.
    Submit(SubmitArgs),
    /// Waits for the result of a job that was submitted before
    Wait(JobArgs),
    /// Lists the jobs of a server
    Jobs(ServerArgs),
    /// Shows a job: its state, its progress and its results
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
    /// Clients that are there get no more work, and others get what they hold. Only from the
    /// server's own machine.
    Ban(PartyArgs),
    /// Lets an address or a client in again, also one that the server itself no longer trusted
    Unban(PartyArgs),
    /// Lists who is banned, for how long, and how often they came
    Bans(ServerArgs),
}

/// The server to ask, and how to print its answers. Global, so that `submit` takes these before and
/// after the kind of the job. clap has no required global arguments, so `to` is checked later.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The server: HOST, HOST:PORT or [IPv6]:PORT
    #[arg(long, global = true, value_name = "HOST", env = "SEEDRUSH_TO")]
    to: Option<Target>,

    #[command(flatten)]
    route: RouteArgs,

    /// One JSON object per line on standard output
    #[arg(long, global = true)]
    json: bool,

    #[command(flatten)]
    verbosity: Verbosity,
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

/// Runs the command.
///
/// # Errors
/// Arguments that make no request, or a server that refuses it.
pub fn run(command: &RemoteCommand) -> Result<Exit, Failure> {
    runtime(1)?.block_on(async {
        match command {
            RemoteCommand::Submit(args) => submit::run(args).await,
            RemoteCommand::Wait(args) => follow::wait(args).await,
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

    fn target(&self) -> Result<&Target, Failure> {
        let text = "which server? Name it with --to HOST, or in the variable SEEDRUSH_TO";
        self.to.as_ref().ok_or_else(|| Failure::usage(anyhow!(text)))
    }

    fn route(&self) -> Result<Route, Failure> {
        self.route.route(self.target()?)
    }

    /// The command that waits for a job of this server.
    fn wait_command(&self, job: u64) -> String {
        let to = self.to.as_ref().map(|target| format!(" --to {target}")).unwrap_or_default();
        format!("seedrush wait {job}{to}{}", self.route.words())
    }
}

/// Asks the server at `route`; says so when it takes its time.
fn asking(route: Route) -> Admin {
    let tries = route.retry_for.as_secs_f64();
    let words = format!("no answer from {} yet: trying for {tries} s", route.target);
    let admin = Admin::new(route);
    let answered = admin.answered();
    tokio::spawn(async move {
        if tokio::time::timeout(SILENCE, answered).await.is_err() {
            tell!("{words}");
        }
    });
    admin
}

/// Gives a server that does not answer an exit code of its own.
fn unanswered(error: AdminError) -> Failure {
    let exit = match error {
        AdminError::Unreachable(_) | AdminError::Gone => Exit::Unreachable,
        AdminError::Refused(_) => Exit::NoResult,
    };
    Failure::new(exit, error)
}

async fn jobs(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.jobs().await.map_err(unanswered)?;
    if server.json {
        lines.iter().try_for_each(|line| json::print("job", &tables::job_json(line)))?;
        json::print("result", &json!({ "program": "jobs", "jobs": lines.len() }))?;
        return Ok(Exit::Done);
    }
    tables::print_jobs(&lines, server.verbosity);
    Ok(Exit::Done)
}

async fn status(args: &JobArgs) -> Result<Exit, Failure> {
    let admin = args.server.admin()?;
    let line = admin.job(args.job).await.map_err(unanswered)?;
    let line = admin.with_all_results(line).await.map_err(unanswered)?;
    if args.server.json {
        json::print("result", &tables::job_result("status", &line, false))?;
        return Ok(Exit::Done);
    }
    let spec = admin.describe(args.job).await.map_err(unanswered)?;
    tables::print_status(&line, &spec);
    Ok(Exit::Done)
}

async fn cancel(args: &JobArgs) -> Result<Exit, Failure> {
    args.server.admin()?.cancel(args.job).await.map_err(unanswered)?;
    if args.server.json {
        json::print("result", &json!({ "program": "cancel", "job": args.job }))?;
    } else {
        say!("job {} is cancelled", args.job);
    }
    Ok(Exit::Done)
}

async fn clients(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.clients().await.map_err(unanswered)?;
    if server.json {
        lines.iter().try_for_each(|line| json::print("client", &tables::client_json(line)))?;
        json::print("result", &json!({ "program": "clients", "clients": lines.len() }))?;
        return Ok(Exit::Done);
    }
    tables::print_clients(&lines, server.verbosity);
    Ok(Exit::Done)
}
