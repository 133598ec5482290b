//! `seedrush mine`: finds a seed on this machine.

use super::machine_args::{self, MachineArgs};
use super::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use super::signals::on_interrupt;
use super::values::number;
use super::{Exit, Failure, progress, text};
use crate::puzzle::Puzzle;
use crate::search::{Options, Report, Search, SearchError, Solution};
use anyhow::anyhow;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

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
    #[arg(long, value_name = "K", default_value = "1", value_parser = number(NonZeroUsize::MIN..=NonZeroUsize::MAX), allow_negative_numbers = true)]
    solutions: NonZeroUsize,

    /// Begin at this nonce
    #[arg(long, value_name = "NONCE", default_value_t = 0, value_parser = number(0..=u128::MAX), allow_negative_numbers = true)]
    start: u128,

    /// Search this many nonces, then say so if none is a solution (exit code 1)
    #[arg(long, value_name = "C", value_parser = number(0..=u128::MAX), allow_negative_numbers = true)]
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
    search.on_failure(|error| eprintln!("error: {error}"));
    let control = search.control().clone();
    on_interrupt(move || control.stop())?;
    let output = Output { args, puzzle: &puzzle, search: &search };
    output.started()?;
    match watch(args, &puzzle, &search) {
        Ok(report) => output.finished(&report),
        // Why was said when it happened; what is done need not be done again.
        Err(SearchError::Backend { report, .. }) => {
            output.finished(&report)?;
            Ok(Exit::NoBackend)
        }
        Err(error) => Err(failure(error)),
    }
}

/// What kept the search from being made is a usage error, unless the machine is to blame.
fn failure(error: SearchError) -> Failure {
    match error {
        SearchError::Machine(error) => machine_args::failure(error),
        SearchError::OutsideRoom { .. } => {
            Failure::usage(anyhow!("{error}; choose a smaller --start or --count"))
        }
        error => Failure::usage(error),
    }
}

/// Runs the search and keeps the progress line while it runs.
fn watch(args: &MineArgs, puzzle: &Puzzle, search: &Search) -> Result<Report, SearchError> {
    let hidden = args.quiet || args.json;
    let bar = progress_bar(hidden);
    let control = search.control();
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || send.send(search.run()));
        let mut rate = progress::Rate::new(Instant::now());
        let report = loop {
            match receive.recv_timeout(progress::ON_TERMINAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(report) => break report,
                // The scope passes the panic on.
                Err(RecvTimeoutError::Disconnected) => unreachable!("a search ends or panics"),
            }
            let per_second = rate.update(Instant::now(), control.tested());
            let outlook = text::Outlook {
                difficulty: puzzle.difficulty(),
                tested: control.tested() as f64,
                rate: per_second,
                found: 0,
                wanted: args.solutions.get(),
                left: None,
            };
            bar.set_message(format!("{} · {outlook}", text::rate(per_second)));
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

    fn finished(&self, report: &Report) -> Result<Exit, Failure> {
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
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::NoResult,
            (false, false) => Exit::Done,
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
            command += " --seed-prefix";
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
