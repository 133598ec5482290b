//! `seedrush mine`: finds a seed on this machine.

use super::machine_args::{self, MachineArgs};
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use super::{Failure, INTERRUPTED, text};
use crate::backend::Control;
use crate::puzzle::Puzzle;
use crate::search::{Options, Report, Search, SearchError, Solution};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::VecDeque;
use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The rate shown is the mean over this long.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Time between two updates of the progress line.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Finds a seed on this machine
#[derive(Args, Debug)]
pub struct MineArgs {
    #[command(flatten)]
    puzzle: PuzzleArgs,

    /// Which seeds are tried: auto, counting (the smallest seed), trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    seeds: LayoutChoice,

    #[command(flatten)]
    machine: MachineArgs,

    /// Stop after this many solutions
    #[arg(long, value_name = "K", default_value = "1")]
    solutions: NonZeroUsize,

    /// Begin at this nonce
    #[arg(long, value_name = "NONCE", default_value_t = 0)]
    start: u128,

    /// Search this many nonces, then say so if none is a solution (exit code 1)
    #[arg(long, value_name = "C")]
    count: Option<u128>,

    /// One JSON object per line on standard output
    #[arg(long)]
    json: bool,

    /// No progress line
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
///
/// # Errors
/// Arguments that make no search, or a backend that broke down.
pub fn run(args: &MineArgs) -> Result<ExitCode, Failure> {
    let puzzle = args.puzzle.puzzle()?;
    let options = Options {
        layout: args.seeds.0,
        machine: args.machine.machine(),
        solutions: args.solutions,
        start: args.start,
        count: args.count,
    };
    let mut search = Search::new(&puzzle, &options).map_err(failure)?;
    // Even when quiet: the search goes on, slower than was asked for.
    search.on_failure(|error| eprintln!("error: {error}"));
    stop_on_ctrl_c(search.control())?;
    let output = Output { args, puzzle: &puzzle, search: &search };
    output.started()?;
    match watch(args, &puzzle, &search) {
        Ok(report) => output.finished(&report),
        // Why was said when it happened; what is done need not be done again.
        Err(SearchError::Backend { report, .. }) => {
            output.finished(&report)?;
            Ok(ExitCode::from(1))
        }
        Err(error) => Err(failure(error)),
    }
}

/// What kept the search from being made is a usage error, unless the machine is to blame.
fn failure(error: SearchError) -> Failure {
    match error {
        SearchError::Machine(error) => machine_args::failure(error),
        error => Failure::usage(error),
    }
}

fn stop_on_ctrl_c(control: &Arc<Control>) -> anyhow::Result<()> {
    let control = Arc::clone(control);
    let stop = move || {
        // Someone insists: a driver may be hanging.
        if control.is_stopped() {
            std::process::exit(INTERRUPTED.into());
        }
        control.stop();
    };
    ctrlc::set_handler(stop).context("cannot watch for Ctrl-C")
}

/// Runs the search and keeps the progress line while it runs.
fn watch(args: &MineArgs, puzzle: &Puzzle, search: &Search) -> Result<Report, SearchError> {
    let hidden = args.quiet || args.json;
    let bar = progress_bar(hidden);
    let control = search.control();
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || send.send(search.run()));
        let mut rate = MovingRate::new();
        let report = loop {
            match receive.recv_timeout(PROGRESS_INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(report) => break report,
                // The scope passes the panic on.
                Err(RecvTimeoutError::Disconnected) => unreachable!("a search ends or panics"),
            }
            let per_second = rate.update(control.tested());
            bar.set_message(text::progress(puzzle, control.tested() as f64, per_second));
            bar.tick();
        };
        bar.finish_and_clear();
        report
    })
}

fn progress_bar(hidden: bool) -> ProgressBar {
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar
}

/// Candidates a second, as the mean over [`RATE_WINDOW`].
struct MovingRate(VecDeque<(Instant, u64)>);

impl MovingRate {
    fn new() -> Self {
        Self(VecDeque::from([(Instant::now(), 0)]))
    }

    fn update(&mut self, tested: u64) -> f64 {
        let now = Instant::now();
        while self.0.len() > 1 && now - self.0[0].0 > RATE_WINDOW {
            self.0.pop_front();
        }
        self.0.push_back((now, tested));
        let (since, before) = self.0[0];
        (tested - before) as f64 / (now - since).as_secs_f64().max(1e-9)
    }
}

/// What is said on standard output.
struct Output<'a> {
    args: &'a MineArgs,
    puzzle: &'a Puzzle,
    search: &'a Search,
}

impl Output<'_> {
    fn started(&self) -> Result<(), Failure> {
        let space = self.search.control().space();
        if self.args.json {
            return Ok(print_json(&json!({
                "event": "start",
                "string": self.puzzle.string(),
                "encoding": self.puzzle.encoding().to_string(),
                "bits": self.puzzle.difficulty().bits(),
                "layout": space.layout().to_string(),
                "backend": self.search.backend().describe(),
                "note": self.search.note(),
                "start": self.search.span().start().to_string(),
                "end": self.search.span().end().to_string(),
            }))?);
        }
        if !self.args.quiet
            && let Some(note) = self.search.note()
        {
            eprintln!("{note}");
        }
        if !self.args.quiet && std::io::stderr().is_terminal() {
            eprintln!(
                "searching for {} ({} encoding, {} seeds) on {}",
                self.puzzle.difficulty(),
                self.puzzle.encoding(),
                space.layout(),
                self.search.backend().describe(),
            );
        }
        Ok(())
    }

    fn finished(&self, report: &Report) -> Result<ExitCode, Failure> {
        text::warn_of_false_candidates(self.search.control());
        for solution in &report.solutions {
            if self.args.json {
                print_json(&json!({
                    "event": "solution",
                    "seed": solution.seed,
                    "digest": solution.digest.to_string(),
                    "nonce": solution.nonce.to_string(),
                }))?;
            } else {
                self.print_solution(solution, report)?;
            }
        }
        let enough = report.solutions.len() >= self.args.solutions.get();
        let interrupted = !enough && report.next < self.search.span().end();
        if interrupted {
            self.interrupted(report)?;
        } else if !enough && !self.args.json {
            let found = if report.solutions.is_empty() { "none" } else { "no more" };
            writeln!(
                std::io::stdout(),
                "{found} in this span: {} candidates, {}",
                text::count(self.search.span().len()),
                text::duration(report.elapsed)
            )?;
        }
        if self.args.json {
            self.json_result(report)?;
        }
        Ok(match (interrupted, report.solutions.is_empty()) {
            (true, _) => ExitCode::from(INTERRUPTED),
            (false, nothing) => ExitCode::from(u8::from(nothing)),
        })
    }

    fn print_solution(&self, solution: &Solution, report: &Report) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let Solution { seed, digest, nonce } = solution;
        let seconds = report.elapsed.as_secs_f64();
        let rate = text::rate(report.tested as f64 / seconds.max(1e-9));
        writeln!(out, "seed      {seed}")?;
        writeln!(out, "message   {seed}{}", self.puzzle.string())?;
        writeln!(out, "digest    {digest}")?;
        writeln!(out, "nonce     {nonce} ({})", self.search.control().space().layout())?;
        let tested = text::count(report.tested.into());
        writeln!(out, "tested    {tested} candidates in {}, {rate}", text::time(seconds))?;
        writeln!(out, "check     {}", text::check_line(self.puzzle, seed))?;
        Ok(())
    }

    fn interrupted(&self, report: &Report) -> Result<(), Failure> {
        let command = self.resume_command(report);
        if self.args.json {
            return Ok(print_json(&json!({
                "event": "interrupted",
                "next": report.next.to_string(),
                "command": command,
            }))?);
        }
        let tested = text::count(report.tested.into());
        let mut out = std::io::stdout().lock();
        writeln!(out, "interrupted after {tested} candidates; to go on from there:")?;
        writeln!(out, "{command}")?;
        Ok(())
    }

    /// The command that goes on where this search stopped.
    fn resume_command(&self, report: &Report) -> String {
        let args = self.args;
        let space = self.search.control().space();
        let bits = self.puzzle.difficulty().bits();
        let string = self.puzzle.string();
        let quoted = if string.is_empty() { "''" } else { string };
        let mut command = match bits % 8 {
            0 => format!("seedrush mine {} {quoted}", bits / 8),
            _ => format!("seedrush mine --bits {bits} {quoted}"),
        };
        command += &format!(" --encoding {}", self.puzzle.encoding());
        if self.puzzle.seed_prefix() {
            command += " --seed-prefix 0x";
        }
        command += &format!(" --seeds {}", space.layout());
        command += &args.machine.words();
        let left = args.solutions.get() - report.solutions.len();
        if left > 1 {
            command += &format!(" --solutions {left}");
        }
        command += &format!(" --start {}", report.next);
        if args.count.is_some() {
            command += &format!(" --count {}", self.search.span().end() - report.next);
        }
        for (flag, given) in [(" --quiet", args.quiet), (" --json", args.json)] {
            if given {
                command += flag;
            }
        }
        command
    }

    fn json_result(&self, report: &Report) -> Result<(), Failure> {
        let first = report.solutions.first();
        let seconds = report.elapsed.as_secs_f64();
        Ok(print_json(&json!({
            "event": "result",
            "seed": first.map(|solution| &solution.seed),
            "string": self.puzzle.string(),
            "encoding": self.puzzle.encoding().to_string(),
            "digest": first.map(|solution| solution.digest.to_string()),
            "nonce": first.map(|solution| solution.nonce.to_string()),
            "layout": self.search.control().space().layout().to_string(),
            "solutions": report.solutions.len(),
            "tested": report.tested,
            "seconds": seconds,
            "rate": report.tested as f64 / seconds.max(1e-9),
        }))?)
    }
}

/// One JSON object on a line of its own.
fn print_json(event: &serde_json::Value) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{event}")
}
