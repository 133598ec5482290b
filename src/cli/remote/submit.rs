//! `seedrush submit`: gives a server a job.

use super::follow::Follower;
use super::{ServerArgs, asking, unanswered};
use crate::cli::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use crate::cli::signals::interrupted;
use crate::cli::values::number;
use crate::cli::{Exit, Failure, json};
use crate::jobs::{JobSpec, MAX_WANTED, SumOfSquares};
use crate::net::client::admin::fits_datagram;
use crate::net::client::link::Transport;
use crate::proto::{Md5Part, Squares, Work};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

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

        /// Seeds to try: auto, counting, trailing or tunnel
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

/// Options of every submission.
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

/// Submits the job, and follows it to its end.
pub(super) async fn run(args: &SubmitArgs) -> Result<Exit, Failure> {
    let (terms, server) = (&args.terms, &args.terms.server);
    let (work, spec) = args.work.description()?;
    let mut route = server.route()?;
    if !fits_datagram(&work) {
        if route.transport == Transport::Udp {
            let text = "the string is too long for a datagram: use --transport tcp";
            return Err(Failure::usage(anyhow!(text)));
        }
        route.transport = Transport::Tcp;
    }
    let admin = asking(route);
    let stop = interrupted();
    tokio::pin!(stop);
    let (job, instance) = tokio::select! {
        submitted = admin.submit(work, terms.priority) => submitted.map_err(unanswered)?,
        () = &mut stop => {
            tell!(
                "interrupted before the server answered: `seedrush jobs` shows whether it has the job"
            );
            if server.json {
                let result = json!({ "program": "submit", "job": null, "interrupted": true });
                json::print("result", &result)?;
            }
            return Ok(Exit::Interrupted);
        }
    };
    if server.json {
        json::print("submitted", &json!({ "job": job }))?;
    }
    if terms.detach {
        if server.json {
            json::print(
                "result",
                &json!({ "program": "submit", "job": job, "interrupted": false }),
            )?;
        } else {
            say!("{job}");
        }
        return Ok(Exit::Done);
    }
    if !server.json && !server.verbosity.quiet {
        tell!("job {job} is submitted");
    }
    Follower { server, admin, spec, job, instance }.follow(stop).await
}

impl WorkArgs {
    fn description(&self) -> Result<(Work, JobSpec), Failure> {
        let work = match self {
            Self::Md5 { puzzle, seeds, solutions } => {
                let puzzle = puzzle.puzzle()?;
                Work::Md5Search(Md5Part::new(&puzzle, seeds.0, *solutions, 0, usize::MAX))
            }
            Self::SumOfSquares { first, last } => {
                SumOfSquares::new(*first, *last).map_err(Failure::usage)?;
                Work::SumOfSquares(Squares { first: *first, last: *last })
            }
        };
        let spec = work.spec().map_err(|text| Failure::usage(anyhow!(text)))?;
        Ok((work, spec))
    }
}
