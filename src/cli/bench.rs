//! `seedrush bench`: one row per combination of level, layout and encoding.

use super::puzzle_args::{LayoutChoice, parse_layout, parse_threads};
use super::{Failure, text};
use crate::bench::{self, BenchError, Case, Row, Searcher, measure};
use crate::cpu::Level;
use crate::gpu::{Gpu, GpuError, Workload};
use crate::machine::Choice;
use crate::puzzle::Encoding;
use crate::seeds::Layout;
use clap::Args;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Measures rates on this machine, against the instruction floor of the processor or the steps that
/// a GPU can do at best
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What searches: auto (every level of the cpu, and a hardware GPU if there is one), cpu, gpu,
    /// or all
    #[arg(long, default_value_t = Choice::Auto)]
    backend: Choice,

    /// GPUs, by number or a part of their names (the best hardware GPU by default): see `devices`
    #[arg(long = "gpu", value_name = "GPU", value_delimiter = ',')]
    gpus: Vec<String>,

    /// How long a dispatch may keep a GPU: idle (2 ms), desktop (12), dedicated (50) or headless
    /// (100); desktop where a display is attached, else headless
    #[arg(long)]
    workload: Option<Workload>,

    /// Only this level: scalar, avx2 or avx512
    #[arg(long)]
    level: Option<Level>,

    /// Only these seeds: counting, trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    /// Only this encoding: text or bytes
    #[arg(long)]
    encoding: Option<Encoding>,

    /// Threads (all cores by default)
    #[arg(long, value_name = "T", value_parser = parse_threads)]
    threads: Option<NonZeroUsize>,

    /// Time for each row
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,

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
pub fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let time = Duration::try_from_secs_f64(args.seconds)
        .ok()
        .filter(|time| !time.is_zero() && *time <= Duration::from_secs(86_400))
        .ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("--seconds is a time above 0, at most 86400"))
        })?;
    // A string that is none should not wait for devices to be opened.
    bench::control(&args.string, Layout::Counting, Encoding::Text).map_err(Failure::usage)?;
    let mut out = std::io::stdout().lock();
    let mut header = !args.json;
    for case in cases(args)? {
        let row = match measure(&args.string, &case, time) {
            Ok(row) => row,
            // Not asked for by name: the other rows are what the user wants.
            Err(BenchError::Layout(error)) if args.seeds.0.is_none() => {
                eprintln!("no row for {}: {error}", case.layout);
                continue;
            }
            Err(BenchError::Backend(error)) => return Err(Failure::Work(error.into())),
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
    Ok(ExitCode::SUCCESS)
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
    let cpus = || {
        let levels = args.level.map_or_else(Level::available, |level| vec![level]);
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = args.threads.unwrap_or(cores);
        levels.into_iter().map(move |level| Searcher::Cpu(level, threads))
    };
    let gpus = || {
        let workload = args.workload.unwrap_or_else(Workload::of_this_machine);
        let gpus = Gpu::open(&args.gpus, workload)?;
        Ok(gpus.into_iter().map(|gpu| Searcher::Gpu(Arc::new(gpu))))
    };
    let failure = |error: GpuError| match error {
        GpuError::NoSuch { .. } => Failure::usage(error),
        error => Failure::Work(error.into()),
    };
    Ok(match args.backend {
        Choice::Cpu => cpus().collect(),
        Choice::Gpu => gpus().map_err(failure)?.collect(),
        Choice::All => cpus().chain(gpus().map_err(failure)?).collect(),
        Choice::Auto => match gpus() {
            Ok(gpus) => cpus().chain(gpus).collect(),
            Err(error) if args.gpus.is_empty() => {
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
