//! `seedrush bench`: one row per combination of level, layout and encoding.

use super::machine_args::{self, MachineArgs};
use super::puzzle_args::{LayoutChoice, parse_layout};
use super::signals::on_interrupt;
use super::values::seconds_above_zero;
use super::verbosity::Verbosity;
use super::{Exit, Failure, json, text};
use crate::bench::{self, BenchError, Case, HIT_BITS, Row, Searcher, measure};
use crate::cpu::Level;
use crate::gpu::{Gpu, Workload};
use crate::machine::{Choice, MachineError};
use crate::puzzle::Encoding;
use crate::seeds::Layout;
use clap::Args;
use serde_json::{Value, json};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Measures rates on this machine
///
/// Each row is one backend, layout and encoding. Its columns are:
///
///   backend     cpu or gpu
///   level       instruction set of the cpu, or name of the GPU
///   layout      seeds that are tried: counting, trailing or tunnel
///   encoding    text or bytes
///   threads     threads of the cpu backend
///   rate        candidates tested a second
///   hits        candidates found with 20 zero bits
///   expected    hits to expect of so many candidates; far from it, the kernel would be wrong
///   clock       clock of the processor while it ran, where it can be measured
///   efficiency  rate over the best possible one: of the cpu, the instruction floor at that clock
///               (above 1 where a processor does more at once than the floor assumes); of a GPU,
///               what it does with MD5 steps alone
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct BenchArgs {
    #[command(flatten)]
    machine: MachineArgs,

    /// Only these seeds: counting, trailing or tunnel (auto for all)
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

    /// Print one JSON object a line on standard output, the last one a result or an error
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    verbosity: Verbosity,
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
    // A wrong string is refused before devices are opened.
    bench::control(&args.string, Layout::Counting, Encoding::Text).map_err(Failure::usage)?;
    // Locked while a row is printed, so that an interruption comes before it or after it.
    let rows = Arc::new(Mutex::new(0));
    let (rows_so_far, json) = (rows.clone(), args.json);
    on_interrupt(move || {
        let rows = rows_so_far.lock().unwrap_or_else(PoisonError::into_inner);
        // The user may have closed the output too.
        let _ = conclude(*rows, json);
        std::process::exit(Exit::Interrupted.code().into());
    })?;
    for case in cases(args)? {
        if args.verbosity.verbose {
            tell!("measuring {case}");
        }
        match measure(&args.string, &case, args.seconds) {
            Ok(row) => {
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                print(&row, *rows == 0, args.json)?;
                *rows += 1;
            }
            // Not asked for by name: the other rows are what the user wants.
            Err(BenchError::Layout(error)) if args.seeds.0.is_none() => {
                args.note(&format!("no row for {}: {error}", case.layout));
            }
            Err(BenchError::Backend(error)) => return Err(Failure::new(Exit::NoBackend, error)),
            Err(error) => return Err(Failure::usage(error)),
        }
    }
    conclude(*rows.lock().unwrap_or_else(PoisonError::into_inner), args.json)?;
    Ok(Exit::Done)
}

fn conclude(rows: usize, json: bool) -> io::Result<()> {
    if json { json::print("result", &json!({ "program": "bench", "rows": rows })) } else { Ok(()) }
}

impl BenchArgs {
    /// Says something that is no result.
    fn note(&self, text: &str) {
        if !self.verbosity.quiet {
            tell!("{text}");
        }
    }
}

fn print(row: &Row, first: bool, json: bool) -> io::Result<()> {
    if json {
        return json::print("row", &fields(row));
    }
    let mut out = io::stdout().lock();
    if first {
        writeln!(out, "{HEADER}")?;
    }
    writeln!(out, "{}", line(row))?;
    out.flush()
}

/// The same row in integers; `expected_hits` is `candidates / 2^hit_bits`.
fn fields(row: &Row) -> Value {
    json!({
        "backend": row.backend,
        "level": row.level,
        "layout": row.layout,
        "encoding": row.encoding,
        "threads": row.threads,
        "candidates": json::integer(row.candidates),
        "microseconds": json::rounded(row.seconds * 1e6),
        "rate": json::rounded(row.rate),
        "hit_bits": HIT_BITS,
        "hits": row.hits,
        "expected_hits": json::rounded(row.expected_hits),
        "clock_hz": row.clock_hz.map(json::rounded),
        "efficiency_ppm": row.efficiency.map(|part| json::rounded(1e6 * part)),
    })
}

fn cases(args: &BenchArgs) -> Result<Vec<Case>, Failure> {
    let layouts = args.seeds.0.map_or(Layout::ALL.to_vec(), |layout| vec![layout]);
    let encodings =
        args.encoding.map_or(vec![Encoding::Text, Encoding::Bytes], |encoding| vec![encoding]);
    let mut cases = Vec::new();
    for searcher in searchers(args)? {
        for &layout in &layouts {
            for &encoding in &encodings {
                cases.push(Case { searcher: searcher.clone(), layout, encoding });
            }
        }
    }
    Ok(cases)
}

fn searchers(args: &BenchArgs) -> Result<Vec<Searcher>, Failure> {
    let machine = &args.machine;
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
                args.note(&machine_args::note(&format!("no rows for gpu: {}", error.brief())));
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
