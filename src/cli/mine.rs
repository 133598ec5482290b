//! `seedrush mine`: finds a seed on this machine.

mod args;
mod report;
mod watch;

pub use args::MineArgs;

use super::machine_args;
use super::signals::on_interrupt;
use super::{Exit, Failure};
use crate::search::{Options, Search, SearchError};
use anyhow::anyhow;
use report::Reporter;

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
