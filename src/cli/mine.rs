//! `seedrush mine`: finds a seed on this machine.

mod report;
mod watch;

use super::machine_args::{self, MachineArgs};
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use super::signals::on_interrupt;
use super::values::number;
use super::verbosity::Verbosity;
use super::{Exit, Failure};
use crate::search::{Options, Search, SearchError};
use anyhow::anyhow;
use clap::Args;
use report::Reporter;
use std::num::NonZeroUsize;

/// Finds a seed on this machine
///
/// Ctrl-C, SIGTERM and SIGHUP end the search and print the command that goes on from there. On a
/// terminal, keys work too: s shows how the search stands, p pauses it or goes on, q quits.
#[derive(Args, Debug)]
pub struct MineArgs {
    #[command(flatten)]
    puzzle: PuzzleArgs,

    /// Seeds to try: auto, counting (the smallest seed), trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    #[command(flatten)]
    machine: MachineArgs,

    /// Stop after this many solutions
    #[arg(
        long,
        value_name = "K",
        default_value = "1",
        value_parser = number(NonZeroUsize::MIN..=NonZeroUsize::MAX),
        allow_negative_numbers = true
    )]
    solutions: NonZeroUsize,

    /// Begin at this nonce
    #[arg(
        long,
        value_name = "NONCE",
        default_value_t = 0,
        value_parser = number(0..=u128::MAX),
        allow_negative_numbers = true
    )]
    start: u128,

    /// Search this many nonces, then say so if none is a solution (exit code 1)
    #[arg(
        long,
        value_name = "C",
        value_parser = number(0..=u128::MAX),
        allow_negative_numbers = true
    )]
    count: Option<u128>,

    /// Print one JSON object a line on standard output, the last one a result or an error
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    verbosity: Verbosity,
}

/// Runs the command.
///
/// # Errors
/// Arguments that make no search, a backend that broke down, or results that cannot be written.
pub fn run(args: &MineArgs) -> Result<Exit, Failure> {
    let puzzle = args.puzzle.puzzle()?;
    let options = Options {
        layout: args.seeds.0,
        machine: args.machine.machine()?,
        solutions: args.solutions,
        start: args.start,
        count: args.count,
    };
    let mut search = Search::new(&puzzle, &options).map_err(failure)?;
    // Even when quiet: the search goes on, slower than was asked for.
    search.on_failure(|error| tell!("warning: {error}"));
    let control = search.control().clone();
    on_interrupt(move || control.stop())?;
    let reporter = Reporter::new(args, &puzzle, &search);
    reporter.started()?;
    match watch::watch(&reporter)? {
        Ok(report) => reporter.finished(&report),
        // The work done so far need not be repeated.
        Err(SearchError::Backend { error, report }) => {
            reporter.broken_off(&report)?;
            // People have read the cause when it happened.
            let cause = if args.json { format!(": {error}") } else { String::new() };
            Err(Failure::new(Exit::NoBackend, anyhow!("no backend is left to search{cause}")))
        }
        Err(error) => Err(failure(error)),
    }
}

/// Tells wrong arguments from faults of the machine.
fn failure(error: SearchError) -> Failure {
    match error {
        SearchError::Machine(error) => machine_args::failure(error),
        SearchError::OutsideRoom { .. } => {
            Failure::usage(anyhow!("{error}; choose a smaller --start or --count"))
        }
        error => Failure::usage(error),
    }
}
