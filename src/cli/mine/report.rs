//! Prints what `mine` finds, how the search stands, and how to go on.

use super::args::MineArgs;
use crate::cli::progress::Shown;
use crate::cli::text::Outlook;
use crate::cli::{Exit, Failure, json, machine_args, text};
use crate::puzzle::Puzzle;
use crate::search::{Report, Search, Solution};
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Prints everything about one search.
pub(super) struct Reporter<'a> {
    args: &'a MineArgs,
    puzzle: &'a Puzzle,
    pub(super) search: &'a Search,
    pub(super) shown: Shown,
    pub(super) began: Instant,
    /// Solutions printed so far.
    printed: Cell<usize>,
}

impl<'a> Reporter<'a> {
    pub(super) fn new(args: &'a MineArgs, puzzle: &'a Puzzle, search: &'a Search) -> Self {
        let shown = Shown::new(args.verbosity.quiet, args.json);
        Self { args, puzzle, search, shown, began: Instant::now(), printed: Cell::new(0) }
    }

    /// Says what is searched, and on what.
    pub(super) fn started(&self) -> Result<(), Failure> {
        let (puzzle, span) = (self.puzzle, self.search.span());
        let layout = self.search.control().space().layout();
        let backend = self.search.backend().describe();
        if self.args.json {
            let fields = json!({
                "string": puzzle.string(),
                "encoding": puzzle.encoding().to_string(),
                "bits": puzzle.difficulty().bits(),
                "layout": layout.to_string(),
                "backend": backend,
                "note": self.search.note(),
                "start": span.start().to_string(),
                "end": span.end().to_string(),
            });
            return Ok(json::print("start", &fields)?);
        }
        if self.shown == Shown::Not {
            return Ok(());
        }
        if let Some(note) = self.search.note() {
            tell!("{}", machine_args::note(note));
        }
        if self.shown == Shown::Line || self.args.verbosity.verbose {
            let (difficulty, encoding) = (puzzle.difficulty(), puzzle.encoding());
            tell!("searching for {difficulty} ({encoding} encoding, {layout} seeds) on {backend}");
        }
        if self.args.verbosity.verbose {
            tell!(
                "nonces {} up to {}; one solution takes 2^{} candidates on average",
                span.start(),
                span.end(),
                puzzle.difficulty().bits()
            );
        }
        Ok(())
    }

    /// The solutions that are not printed yet.
    pub(super) fn new_solutions(&self) -> Vec<Solution> {
        self.search.solutions_after(self.printed.get())
    }

    /// Prints solutions while the search goes on.
    pub(super) fn solutions(&self, found: &[Solution]) -> Result<(), Failure> {
        let tested = self.search.control().tested();
        found.iter().try_for_each(|solution| self.solution(solution, tested, self.spent()))
    }

    /// Returns true if every solution that was asked for is printed.
    pub(super) fn is_complete(&self) -> bool {
        self.printed.get() >= self.args.solutions.get()
    }

    /// The time since the search began, for rates.
    fn spent(&self) -> Duration {
        self.began.elapsed()
    }

    fn solution(&self, solution: &Solution, tested: u64, spent: Duration) -> Result<(), Failure> {
        let Solution { seed, digest, nonce } = solution;
        let first = self.printed.replace(self.printed.get() + 1) == 0;
        if self.args.json {
            let fields = json!({
                "seed": seed,
                "digest": digest.to_string(),
                "nonce": nonce.to_string(),
            });
            return Ok(json::print("solution", &fields)?);
        }
        let mut out = io::stdout().lock();
        if !first {
            writeln!(out)?;
        }
        let rate = text::rate(tested as f64 / spent.as_secs_f64().max(1e-9));
        let (tested, spent) = (text::plural(tested, "candidate"), text::duration(spent));
        writeln!(out, "seed      {seed}")?;
        writeln!(out, "message   {seed}{}", self.puzzle.string())?;
        writeln!(out, "digest    {digest}")?;
        writeln!(out, "nonce     {nonce} ({})", self.search.control().space().layout())?;
        writeln!(out, "tested    {tested} in {spent}, {rate}")?;
        writeln!(out, "check     {}", text::check_line(self.puzzle, seed))?;
        Ok(out.flush()?)
    }

    /// How the search stands, in one line.
    pub(super) fn progress(&self, rate: f64) -> String {
        let outlook = self.outlook(rate);
        let tested = text::amount(outlook.tested);
        if self.search.control().is_paused() {
            return format!("{tested} tested · {outlook}");
        }
        format!("{} · {tested} tested · {outlook}", text::rate(rate))
    }

    fn outlook(&self, rate: f64) -> Outlook {
        let tested = self.search.control().tested() as f64;
        let left = self.search.span().len() as f64 - tested;
        Outlook {
            difficulty: self.puzzle.difficulty(),
            tested,
            rate,
            found: self.printed.get(),
            wanted: self.args.solutions.get(),
            left: self.args.count.map(|_| left.max(0.0)),
        }
    }

    /// Prints the same as an event.
    pub(super) fn progress_event(&self, rate: f64) -> Result<(), Failure> {
        let control = self.search.control();
        let fields = json!({
            "tested": json::integer(control.tested()),
            "rate": json::rounded(rate),
            "solutions": self.printed.get(),
            "chance_ppm": json::ppm(self.puzzle.difficulty().chance(control.tested() as f64)),
            "next": control.frontier().to_string(),
            "milliseconds": json::integer(self.spent().as_millis()),
        });
        Ok(json::print("progress", &fields)?)
    }

    /// Says how the search ended.
    pub(super) fn finished(&self, report: &Report) -> Result<Exit, Failure> {
        self.rest_of(report)?;
        let enough = report.solutions.len() >= self.args.solutions.get();
        let interrupted = !enough && report.next < self.search.span().end();
        if interrupted {
            self.interrupted(report)?;
        } else if !enough && !self.args.json {
            let found = if report.solutions.is_empty() { "none" } else { "no more" };
            let candidates = text::plural(self.search.span().len(), "candidate");
            let spent = text::duration(report.elapsed);
            writeln!(io::stdout(), "{found} in this span: {candidates}, {spent}")?;
        }
        if self.args.json {
            json::print("result", &self.result(report, interrupted))?;
        }
        Ok(match (interrupted, report.solutions.is_empty()) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::NoResult,
            (false, false) => Exit::Done,
        })
    }

    /// Says what was done before the backend broke down, and how to go on.
    pub(super) fn broken_off(&self, report: &Report) -> Result<(), Failure> {
        self.rest_of(report)?;
        self.interrupted(report)
    }

    /// Prints the solutions that are not printed yet.
    fn rest_of(&self, report: &Report) -> Result<(), Failure> {
        text::warn_of_false_candidates(self.search.control());
        let rest = report.solutions.iter().skip(self.printed.get());
        rest.into_iter().try_for_each(|found| self.solution(found, report.tested, report.elapsed))
    }

    fn interrupted(&self, report: &Report) -> Result<(), Failure> {
        let command = self.resume_command(report.solutions.len(), report.next);
        if self.args.json {
            let fields = json!({ "next": report.next.to_string(), "command": command });
            json::print("interrupted", &fields)?;
        } else {
            let tested = text::plural(report.tested, "candidate");
            let mut out = io::stdout().lock();
            writeln!(out, "interrupted after {tested}; to go on from there:")?;
            writeln!(out, "{command}")?;
            out.flush()?;
        }
        // A user whose output goes to a file wants to see it too.
        if !io::stdout().is_terminal() {
            tell!("interrupted; to go on: {command}");
        }
        Ok(())
    }

    /// The command that goes on where the search is now.
    pub(super) fn resume_command_so_far(&self) -> String {
        // The frontier first: solutions found after it are found again.
        let next = self.search.control().frontier();
        let known = self.search.solutions().iter().filter(|found| found.nonce < next).count();
        self.resume_command(known, next)
    }

    /// The command that goes on at `next`, with `found` solutions known.
    fn resume_command(&self, found: usize, next: u128) -> String {
        let args = self.args;
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
        command += &format!(" --seeds {}", self.search.control().space().layout());
        command += &args.machine.words();
        let left = args.solutions.get().saturating_sub(found);
        if left > 1 {
            command += &format!(" --solutions {left}");
        }
        command += &format!(" --start {next}");
        if args.count.is_some() {
            command += &format!(" --count {}", self.search.span().end() - next);
        }
        let flags = [
            (" --quiet", args.verbosity.quiet),
            (" --verbose", args.verbosity.verbose),
            (" --json", args.json),
        ];
        flags.iter().filter(|(_, given)| *given).for_each(|(flag, _)| command += flag);
        command
    }

    fn result(&self, report: &Report, interrupted: bool) -> Value {
        let first = report.solutions.first();
        let rate = report.tested as f64 / report.elapsed.as_secs_f64().max(1e-9);
        json!({
            "program": "mine",
            "seed": first.map(|solution| &solution.seed),
            "string": self.puzzle.string(),
            "encoding": self.puzzle.encoding().to_string(),
            "digest": first.map(|solution| solution.digest.to_string()),
            "nonce": first.map(|solution| solution.nonce.to_string()),
            "layout": self.search.control().space().layout().to_string(),
            "solutions": report.solutions.len(),
            "interrupted": interrupted,
            "next": report.next.to_string(),
            "tested": json::integer(report.tested),
            "milliseconds": json::integer(report.elapsed.as_millis()),
            "rate": json::rounded(rate),
        })
    }
}
