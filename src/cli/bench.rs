//! `seedrush bench`: one row per combination of level, layout and encoding.

use super::machine_args::{self, MachineArgs};
use super::puzzle_args::{LayoutChoice, parse_layout};
use super::values::seconds_above_zero;
use super::{Exit, Failure, text};
use crate::bench::{self, BenchError, Case, Row, Searcher, measure};
use crate::cpu::Level;
use crate::gpu::{Gpu, Workload};
use crate::machine::{Choice, MachineError};
use crate::puzzle::Encoding;
use crate::seeds::Layout;
use clap::Args;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Measures rates on this machine, against the instruction floor of the processor or the steps that
/// a GPU can do at best
#[derive(Args, Debug)]
pub struct BenchArgs {
    #[command(flatten)]
    machine: MachineArgs,

    /// Only these seeds: counting, trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    /// Only this encoding: text or bytes
    #[arg(long)]
    encoding: Option<Encoding>,

    /// Seconds for each row
    #[arg(long, default_value = "1", value_parser = seconds_above_zero)]
    seconds: Duration,

    /// The string behind every seed
    #[arg(long, default_value = "A7C02215FC")]
    string: String,

    /// One JSON object per line on standard output
    #[arg(long)]
    json: bool,
}

/// Titles over the columns of [`line`].
const HEADER: &str = "backend level               layout    encoding threads          rate     hits   \
                      expected     clock  efficiency";

/// Runs the command.
///
/// # Errors
/// A combination that is impossible for the string or the machine.
pub fn run(args: &BenchArgs) -> Result<Exit, Failure> {
    args.machine.check()?;
    // A string that is none should not wait for devices to be opened.
    bench::control(&args.string, Layout::Counting, Encoding::Text).map_err(Failure::usage)?;
    let mut out = std::io::stdout().lock();
    let mut header = !args.json;
    for case in cases(args)? {
        let row = match measure(&args.string, &case, args.seconds) {
            Ok(row) => row,
            // Not asked for by name: the other rows are what the user wants.
            Err(BenchError::Layout(error)) if args.seeds.0.is_none() => {
                eprintln!("no row for {}: {error}", case.layout);
                continue;
            }
            Err(BenchError::Backend(error)) => return Err(Failure::new(Exit::NoBackend, error)),
            Err(error) => return Err(Failure::usage(error)),
        };
        if std::mem::take(&mut header) {
            writeln!(out, "{HEADER}")?;
        }
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&row).map_err(anyhow::Error::from)?)?;
        } else {
            writeln!(out, "{}", line(&row))?;
        }
    }
    Ok(Exit::Done)
}

fn cases(args: &BenchArgs) -> Result<Vec<Case>, Failure> {
    let layouts = args.seeds.0.map_or(Layout::ALL.to_vec(), |layout| vec![layout]);
    let encodings =
        args.encoding.map_or(vec![Encoding::Text, Encoding::Bytes], |encoding| vec![encoding]);
    let mut cases = Vec::new();
    for searcher in searchers(&args.machine)? {
        for &layout in &layouts {
            for &encoding in &encodings {
                cases.push(Case { searcher: searcher.clone(), layout, encoding });
            }
        }
    }
    Ok(cases)
}

fn searchers(machine: &MachineArgs) -> Result<Vec<Searcher>, Failure> {
    let cpus = || {
        let levels = machine.level.map_or_else(Level::available, |level| vec![level]);
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = machine.threads.unwrap_or(cores);
        levels.into_iter().map(move |level| Searcher::Cpu(level, threads))
    };
    let gpus = || {
        let workload = machine.workload.unwrap_or_else(Workload::of_this_machine);
        let gpus = Gpu::open(&machine.gpus, workload)?;
        Ok(gpus.into_iter().map(|gpu| Searcher::Gpu(Arc::new(gpu))))
    };
    let failure = |error| machine_args::failure(MachineError::Gpu(error));
    Ok(match machine.backend {
        Choice::Cpu => cpus().collect(),
        Choice::Gpu => gpus().map_err(failure)?.collect(),
        Choice::All => cpus().chain(gpus().map_err(failure)?).collect(),
        Choice::Auto => match gpus() {
            Ok(gpus) => cpus().chain(gpus).collect(),
            Err(error) if machine.gpus.is_empty() => {
                eprintln!("no rows for gpu: {} (see `seedrush devices`)", error.brief());
                cpus().collect()
            }
            Err(error) => return Err(failure(error)),
        },
    })
}

fn line(row: &Row) -> String {
    let clock = row.clock_hz.map_or("-".into(), |hz| format!("{:.2} GHz", hz / 1e9));
    let efficiency = row.efficiency.map_or("-".into(), |efficiency| format!("{efficiency:.3}"));
    format!(
        "{:<8}{:<20.19}{:<10}{:<9}{:>7}{:>14}{:>9}{:>11.1}{:>10}{:>12}",
        row.backend,
        row.level,
        row.layout,
        row.encoding,
        row.threads,
        text::rate(row.rate),
        row.hits,
        row.expected_hits,
        clock,
        efficiency
    )
}
