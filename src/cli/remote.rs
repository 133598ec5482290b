//! `seedrush submit|wait|jobs|status|cancel|clients|ban|unban|bans`: requests to a server.
//!
//! Lists are for every machine. The rest is for the server's own machine, unless the server is open
//! to all.

mod args;
mod bans;
mod follow;
mod submit;
mod tables;

use super::net_args::runtime;
use super::{Exit, Failure, json};
use args::{JobArgs, ServerArgs, unanswered};
use bans::PartyArgs;
use clap::Subcommand;
use serde_json::json;
use submit::SubmitArgs;

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
