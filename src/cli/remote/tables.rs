//! Jobs and clients as people and programs read them. Tables fit 80 columns unless --verbose asks
//! for everything: names are cut, numbers never.

use crate::cli::json;
use crate::cli::text;
use crate::cli::verbosity::Verbosity;
use crate::jobs::{JobKind, JobSpec};
use crate::proto::{ClientLine, JobLine, State};
use serde_json::{Value, json};

/// Columns of a job's description, and of the result next to it.
const WHAT: usize = 27;
/// See [`WHAT`].
const RESULT: usize = 14;

/// Columns of a client's name, its address and its standing.
const NAME: usize = 12;
/// See [`NAME`]. An IPv4 address with its port fits.
const ADDRESS: usize = 21;
/// See [`NAME`].
const STANDING: usize = 14;

pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Running => "running",
        State::Checking => "checking",
        State::Finished => "finished",
        State::Exhausted => "exhausted",
        State::Cancelled => "cancelled",
    }
}

/// The fields of a job in a JSON line.
pub(super) fn job_json(line: &JobLine) -> Value {
    let results: Vec<&str> = line.result.split_whitespace().collect();
    json!({
        "job": line.job,
        "what": line.title,
        "state": state_word(line.state),
        "priority": line.priority,
        "done": json::rounded(line.done),
        "whole": json::rounded(line.whole),
        "winner": (line.winner > 0).then_some(line.winner),
        "solutions": line.solutions,
        "results": results,
    })
}

/// The fields of a job in the last JSON line of `program`.
pub(super) fn job_result(program: &str, line: &JobLine, interrupted: bool) -> Value {
    let mut fields = job_json(line);
    fields["program"] = program.into();
    fields["interrupted"] = interrupted.into();
    fields
}

/// The fields of a client in a JSON line.
pub(super) fn client_json(line: &ClientLine) -> Value {
    json!({
        "client": line.client,
        "name": line.name,
        "address": line.address,
        "backend": line.backend,
        "threads": line.threads,
        "claimed_rate": json::rounded(line.claimed_rate),
        "proven_rate": json::rounded(line.proven_rate),
        "done": json::rounded(line.done),
        "false_hits": line.false_hits,
        "standing": line.standing,
        "connected": line.connected,
        "leases": line.leases,
        "finished": json::integer(line.finished),
    })
}

/// Cuts `text` to `width` columns.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let front: String = text.chars().take(width.saturating_sub(1)).collect();
    front + "…"
}

/// Prints the table of `seedrush jobs`.
pub(super) fn print_jobs(lines: &[JobLine], verbosity: Verbosity) {
    if !verbosity.quiet {
        say!("  job  state     prio    progress  {:<WHAT$}  result", "what");
    }
    for line in lines {
        say!("{}", job_row(line, verbosity.verbose));
    }
}

fn job_row(line: &JobLine, whole: bool) -> String {
    let (job, state, priority) = (line.job, state_word(line.state), line.priority);
    let what = if whole { line.title.clone() } else { cut(&line.title, WHAT) };
    let front = format!("{job:>5}  {state:<9}{priority:>5}{:>12}  {what:<WHAT$}  ", progress(line));
    (front + &result(line, whole)).trim_end().to_owned()
}

/// The part of a finite job that is done, or the chance of having found a solution by now.
fn progress(line: &JobLine) -> String {
    match line.state {
        State::Waiting | State::Cancelled => "-".into(),
        State::Checking => "checking".into(),
        State::Finished | State::Exhausted => "done".into(),
        State::Running => {
            let part = line.done / line.whole.max(1.0);
            // A search may take several times what it takes on average.
            text::percent(if is_search(line) { 1.0 - (-part).exp() } else { part })
        }
    }
}

/// Lists name the kind of a job in its description only.
fn is_search(line: &JobLine) -> bool {
    line.title.starts_with(&JobKind::Md5Search.to_string())
}

/// The first results; `whole` keeps those that are too long for a table.
fn result(line: &JobLine, whole: bool) -> String {
    let named: Vec<&str> = line.result.split_whitespace().collect();
    let Some(first) = named.first() else { return String::new() };
    if whole {
        let more = (line.solutions as usize).saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return named.join(" ") + &more;
    }
    let more = (line.solutions as usize).saturating_sub(1);
    let text = if more > 0 { format!("{first} +{more}") } else { (*first).to_owned() };
    if text.len() <= RESULT { text } else { "see status".into() }
}

/// Prints everything about one job.
pub(super) fn print_status(line: &JobLine, spec: &JobSpec) {
    say!("job       {}", line.job);
    say!("what      {}", line.title);
    say!("state     {}", state_word(line.state));
    say!("priority  {}", line.priority);
    match spec {
        JobSpec::Md5Search(search) => {
            let (done, wanted) = (text::amount(line.done), search.wanted());
            let bits = search.puzzle().difficulty().bits();
            say!("tested    {done} (one solution takes 2^{bits} on average)");
            if line.state == State::Running {
                say!("chance    {}", progress(line));
            }
            say!("found     {} of {}", line.solutions, text::plural(wanted as usize, "solution"));
        }
        JobSpec::SumOfSquares(_) => {
            let part = progress(line);
            let (done, whole) = (text::amount(line.done), text::amount(line.whole));
            say!("done      {done} of {whole} ({part})");
        }
    }
    if line.winner > 0 {
        say!("client    {}", line.winner);
    }
    line.result.split_whitespace().for_each(|result| print_result(spec, result));
}

/// Prints a result, and how to check it where that is possible.
pub(super) fn print_result(spec: &JobSpec, result: &str) {
    match spec {
        JobSpec::Md5Search(search) => {
            say!("seed      {result}");
            say!("check     {}", text::check_line(search.puzzle(), result));
        }
        JobSpec::SumOfSquares(_) => say!("{result}"),
    }
}

/// Prints the table of `seedrush clients`.
pub(super) fn print_clients(lines: &[ClientLine], verbosity: Verbosity) {
    if !verbosity.quiet {
        let (name, address) = ("name", "address");
        let columns =
            format!("client  {name:<NAME$} {address:<ADDRESS$}{:>11}{:>11}", "says", "proves");
        let more = if verbosity.verbose { "          done  false" } else { "" };
        say!("{columns}{more}  standing");
    }
    for line in lines {
        say!("{}", client_row(line, verbosity.verbose));
    }
}

fn rate_or_dash(rate: f64) -> String {
    if rate > 0.0 { text::rate(rate) } else { "-".into() }
}

fn client_row(line: &ClientLine, whole: bool) -> String {
    let shorten = |text: &str, width| if whole { text.to_owned() } else { cut(text, width) };
    let (name, address) = (shorten(&line.name, NAME), shorten(&line.address, ADDRESS));
    let [says, proves] = [line.claimed_rate, line.proven_rate].map(rate_or_dash);
    let mut row =
        format!("{:>6}  {name:<NAME$} {address:<ADDRESS$}{says:>11}{proves:>11}", line.client);
    if whole {
        row += &format!("{:>14}{:>7}", text::amount(line.done), line.false_hits);
    }
    let standing =
        if line.connected { line.standing.clone() } else { format!("away, {}", line.standing) };
    row + "  " + &shorten(&standing, STANDING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(title: &str, state: State, done: f64, result: &str) -> JobLine {
        JobLine {
            job: 12_345,
            title: title.into(),
            state,
            done,
            whole: 1e6,
            priority: 100,
            winner: 0,
            result: result.into(),
            solutions: result.split_whitespace().count() as u32,
            server: 1,
        }
    }

    #[test]
    fn the_progress_of_a_search_is_a_chance_and_never_more_than_all() {
        let progress = |title, state, done| progress(&job(title, state, done, ""));
        assert_eq!(progress("md5 3 zero bytes ab", State::Running, 3.52e6), "97 %");
        assert_eq!(progress("md5 3 zero bytes ab", State::Running, 99e6), "over 99.9 %");
        assert_eq!(progress("md5 3 zero bytes ab", State::Finished, 0.249e6), "done");
        assert_eq!(progress("sum-of-squares 0 9", State::Running, 0.5e6), "50 %");
        assert_eq!(progress("sum-of-squares 0 9", State::Running, 1e6), "over 99.9 %");
        assert_eq!(progress("sum-of-squares 0 9", State::Cancelled, 0.0), "-");
    }

    #[test]
    fn rows_fit_eighty_columns_and_numbers_stay_whole() {
        let title = "md5 16 zero bytes A7C02215FCA7C02215FCA7C02215FC";
        let row = job_row(&job(title, State::Exhausted, 1.0, "0123456789abcdef 7fd"), false);
        assert!(row.chars().count() <= 80 && row.ends_with("see status"), "{row}");
        let whole = job_row(&job(title, State::Exhausted, 1.0, "0123456789abcdef 7fd"), true);
        assert!(whole.contains(title) && whole.ends_with("0123456789abcdef 7fd"), "{whole}");
        assert!(job_row(&job("md5", State::Running, 1.0, "7fd b2"), false).ends_with("7fd +1"));
        let client = ClientLine {
            client: 999_999,
            name: "a-name-that-is-long".into(),
            address: "203.0.113.200:65535".into(),
            backend: "cpu".into(),
            threads: 64,
            claimed_rate: 999.9e12,
            proven_rate: 999.9e12,
            done: 1e15,
            false_hits: 3,
            standing: "banned: the server's operator has banned it".into(),
            connected: false,
            leases: 0,
            finished: 7,
        };
        let row = client_row(&client, false);
        assert!(row.chars().count() <= 80, "{} in {row}", row.chars().count());
        assert!(row.contains("203.0.113.200:65535") && row.contains("a-name-that…"), "{row}");
        assert!(client_row(&client, true).contains("the server's operator has banned it"));
    }
}
