//! Arguments of all requests, and the connection that they make.

use crate::cli::net_args::RouteArgs;
use crate::cli::values::number;
use crate::cli::verbosity::Verbosity;
use crate::cli::{Exit, Failure};
use crate::net::client::admin::{Admin, AdminError};
use crate::net::client::link::{Route, Target};
use anyhow::anyhow;
use clap::Args;
use std::time::Duration;

/// Time without an answer after which the user is told what the program waits for.
const SILENCE: Duration = Duration::from_secs(2);

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
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// A job of a server.
#[derive(Args, Clone, Debug)]
pub struct JobArgs {
    /// Number of the job
    #[arg(value_name = "JOB", value_parser = number(1..=u64::MAX))]
    pub(super) job: u64,

    #[command(flatten)]
    pub(super) server: ServerArgs,
}

impl ServerArgs {
    pub(super) fn admin(&self) -> Result<Admin, Failure> {
        Ok(asking(self.route()?))
    }

    pub(super) fn target(&self) -> Result<&Target, Failure> {
        let text = "which server? Name it with --to HOST, or in the variable SEEDRUSH_TO";
        self.to.as_ref().ok_or_else(|| Failure::usage(anyhow!(text)))
    }

    pub(super) fn route(&self) -> Result<Route, Failure> {
        self.route.route(self.target()?)
    }

    /// The command that waits for a job of this server.
    pub(super) fn wait_command(&self, job: u64) -> String {
        let to = self.to.as_ref().map(|target| format!(" --to {target}")).unwrap_or_default();
        format!("seedrush wait {job}{to}{}", self.route.words())
    }
}

/// Asks the server at `route`; says so when it takes its time.
pub(super) fn asking(route: Route) -> Admin {
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
pub(super) fn unanswered(error: AdminError) -> Failure {
    let exit = match error {
        AdminError::Unreachable(_) | AdminError::Gone => Exit::Unreachable,
        AdminError::Refused(_) => Exit::NoResult,
    };
    Failure::new(exit, error)
}
