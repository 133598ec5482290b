//! `seedrush mine` as it is interrupted, paused and continued.

use crate::programs::{SEEDRUSH, seedrush, shell};
use crate::schema::{event, events};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Bits of searches that find a solution now and then: every tenth of a second or so.
const BITS: &str = if cfg!(debug_assertions) { "14" } else { "22" };

/// Nonces of such a search; one slow thread takes ten seconds or more for them.
const COUNT: u128 = if cfg!(debug_assertions) { 1 << 20 } else { 1 << 30 };

/// Words that make a search slow enough to be interrupted.
const SLOW: [&str; 4] = ["--level", "scalar", "--threads", "1"];

/// A search that somebody interrupts.
struct Mining {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Mining {
    fn start(words: &[&str]) -> Self {
        Self::start_as("mine", words)
    }

    /// Starts another command of the same program.
    fn start_as(name: &str, words: &[&str]) -> Self {
        let mut command = Command::new(SEEDRUSH);
        command.arg(name).args(words);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Reads events up to the first one of this name.
    fn wait_for(&mut self, name: &str) -> Vec<Value> {
        let mut events = Vec::new();
        while events.last().is_none_or(|last: &Value| last["event"] != name) {
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).unwrap() > 0, "no {name}: {events:?}");
            events.push(event(line.trim_end()));
        }
        events
    }

    fn signal(&self, name: &str) {
        shell(&format!("kill -{name} {}", self.child.id()));
    }

    /// Waits for the end; returns exit code, the rest of standard output, and standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

/// The nonces of all solutions in `events`.
fn nonces(events: &[Value]) -> Vec<u128> {
    let solutions = events.iter().filter(|event| event["event"] == "solution");
    solutions.map(|solution| solution["nonce"].as_str().unwrap().parse().unwrap()).collect()
}

/// The words of a printed command, without what made the search slow.
fn quick(command: &str) -> Vec<&str> {
    let words = command.strip_prefix("seedrush ").unwrap().split(' ');
    words.filter(|word| !SLOW.contains(word)).collect()
}

fn value_of<'a>(command: &'a str, option: &str) -> &'a str {
    let mut words = command.split(' ').skip_while(|word| *word != option);
    words.nth(1).unwrap_or_else(|| panic!("no {option} in {command}"))
}

#[test]
fn the_printed_command_goes_on_with_what_is_left_of_solutions_and_count() {
    let count = COUNT.to_string();
    let whole = ["--bits", BITS, "ab", "--seeds", "tunnel", "--count", &count, "--json"];
    let slow = [&whole[..], &SLOW, &["--solutions", "1000"]].concat();
    let mut mining = Mining::start(&slow);
    // Solutions are printed when they are found: this one long before the end of the search.
    let mut first = mining.wait_for("solution");
    mining.signal("INT");
    let (code, rest, err) = mining.end();
    assert_eq!(code, Some(130), "{err}");
    first.extend(events(&rest));
    let said = first.iter().find(|event| event["event"] == "interrupted").unwrap();
    let (next, command) = (said["next"].as_str().unwrap(), said["command"].as_str().unwrap());
    let found = nonces(&first);
    assert_eq!(value_of(command, "--start"), next);
    assert_eq!(value_of(command, "--count"), (COUNT - next.parse::<u128>().unwrap()).to_string());
    assert_eq!(value_of(command, "--solutions"), (1000 - found.len()).to_string());
    assert!(err.contains(command), "also on standard error: {err}");

    let run = |words: &[&str]| {
        let (code, out, err) = seedrush(words);
        assert_eq!(code, 0, "{words:?}: {err}");
        nonces(&events(&out))
    };
    let later = run(&quick(command));
    let all = run(&[&["mine"][..], &whole, &["--solutions", "1000"]].concat());
    assert!(!found.is_empty() && !later.is_empty(), "{} and {}", found.len(), later.len());
    assert_eq!([found, later].concat(), all, "none twice, none missed");
}

#[test]
fn json_tells_of_progress_while_it_works() {
    let words = [&["--bits", "100", "ab", "--seeds", "tunnel", "--json"][..], &SLOW].concat();
    let mut mining = Mining::start(&words);
    let mut said = mining.wait_for("progress");
    said.extend((0..2).flat_map(|_| mining.wait_for("progress")));
    mining.signal("TERM");
    assert_eq!(mining.end().0, Some(130));
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap();
    let progress: Vec<&Value> = said.iter().filter(|event| event["event"] == "progress").collect();
    for pair in progress.windows(2) {
        assert!(number(pair[1], "milliseconds") > number(pair[0], "milliseconds"), "{pair:?}");
        assert!(number(pair[1], "tested") > number(pair[0], "tested"), "{pair:?}");
        assert!(number(pair[1], "rate") > 0, "{pair:?}");
    }
}

#[test]
fn every_signal_that_ends_a_program_prints_the_command() {
    for signal in ["INT", "TERM", "HUP"] {
        let words =
            [&["--bits", "100", "ab", "--seeds", "tunnel", "--json", "-q"][..], &SLOW].concat();
        let mut mining = Mining::start(&words);
        mining.wait_for("start");
        mining.signal(signal);
        let (code, out, err) = mining.end();
        assert_eq!(code, Some(130), "{signal}: {err}");
        let said = events(&out);
        assert_eq!(said[0]["event"], "interrupted", "{signal}: {out}");
        assert!(said[0]["command"].as_str().unwrap().contains(" --start "), "{out}");
        assert_eq!(said[1]["interrupted"], true, "{out}");
    }
}

#[cfg(target_os = "linux")] // other systems do not tell a program what it ignores
#[test]
fn a_search_that_was_started_to_outlive_its_terminal_does() {
    let words = [&["--bits", "100", "ab", "--seeds", "tunnel", "--json"][..], &SLOW].concat();
    let mut command = Command::new("sh");
    // As `nohup` does it.
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", SEEDRUSH, "mine"]).args(words);
    let mut mining = Mining::spawn(command);
    mining.wait_for("progress");
    mining.signal("HUP");
    let later = [mining.wait_for("progress"), mining.wait_for("progress")].concat();
    assert!(later.iter().all(|event| event["event"] == "progress"), "{later:?}");
    mining.signal("TERM");
    let (code, out, err) = mining.end();
    assert_eq!(code, Some(130), "{err}");
    assert!(out.contains("interrupted"), "{out}");
}

#[test]
fn a_second_signal_within_milliseconds_does_not_lose_the_command() {
    for _ in 0..5 {
        let words =
            [&["--bits", "100", "ab", "--seeds", "tunnel", "--json", "-q"][..], &SLOW].concat();
        let mut mining = Mining::start(&words);
        mining.wait_for("start");
        // One shell sends them all, faster than a person or a supervisor could.
        let id = mining.child.id();
        shell(&format!("kill -INT {id}; kill -INT {id}; kill -TERM {id} || true"));
        let (code, out, err) = mining.end();
        assert_eq!(code, Some(130), "{err}");
        assert_eq!(events(&out)[0]["event"], "interrupted", "{out}");
    }
}

#[test]
fn people_read_the_command_on_standard_error_where_the_output_is_a_file() {
    let words = [&["--bits", "100", "ab", "--seeds", "tunnel", "--verbose"][..], &SLOW].concat();
    let mut mining = Mining::start(&words);
    let mut err = BufReader::new(mining.child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("searching for 100 zero bits"), "{line}");
    mining.signal("TERM");
    let mut out = String::new();
    mining.out.read_to_string(&mut out).unwrap();
    let command = out.lines().last().unwrap();
    assert!(command.starts_with("seedrush mine --bits 100 ab --encoding text"), "{out}");
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(command), "{rest}");
    assert_eq!(mining.child.wait().unwrap().code(), Some(130));
}

#[test]
fn an_interrupted_bench_says_how_many_rows_it_has() {
    let words = ["--json", "--seconds", "0.2", "--backend", "cpu"];
    let mut bench = Mining::start_as("bench", &words);
    bench.wait_for("row");
    bench.signal("TERM");
    let (code, out, err) = bench.end();
    assert_eq!(code, Some(130), "{err}");
    let said = events(&out);
    assert_eq!(said.last().unwrap()["rows"], said.len(), "one row came before: {out}");
}

/// Lines and redrawn lines of a terminal, as they come.
struct Terminal {
    child: Child,
    shown: String,
    out: ChildStdout,
}

impl Terminal {
    /// Starts a search on a terminal of its own, by util-linux's `script`.
    fn start(words: &str) -> Self {
        let line = format!("{SEEDRUSH} mine {words}");
        let mut command = Command::new("script");
        command.args(["-qfec", &line, "/dev/null"]).env("COLUMNS", "120");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        Self { child, shown: String::new(), out }
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `words` are shown; returns what was shown since the last call.
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(words) {
                let rest = self.shown.split_off(at + words.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let mut bytes = [0; 4096];
            let read = self.out.read(&mut bytes).unwrap();
            assert!(read > 0, "no {words:?} in {:?}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes[..read]);
        }
    }

    /// Reads until the program ends; returns the exit code and what was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let mut bytes = Vec::new();
        self.out.read_to_end(&mut bytes).unwrap();
        self.shown += &String::from_utf8_lossy(&bytes);
        (self.child.wait().unwrap().code(), self.shown)
    }
}

#[cfg(target_os = "linux")] // other systems have another `script`
#[test]
fn keys_show_the_status_pause_go_on_and_quit() {
    let mut terminal = Terminal::start("--bits 100 ab --seeds tunnel --threads 1");
    terminal.wait_for("keys: s status, p pause or go on, q quit");
    terminal.wait_for("chance so far under 0.1 %");
    terminal.press("s");
    terminal.wait_for(" so far\r\n");
    terminal.press("p");
    terminal.wait_for("paused: press p to go on");
    // What was in hand when the key came may still be counted.
    std::thread::sleep(Duration::from_millis(1000));
    let tested = |terminal: &mut Terminal| {
        terminal.press("s");
        terminal.wait_for(" so far\r\n");
        terminal.press("s");
        let shown = terminal.wait_for(" so far\r\n");
        let status = shown.rsplit('\r').find(|line| line.contains("tested")).unwrap();
        status[..status.find(" tested").unwrap()].rsplit(" · ").next().unwrap().to_owned()
    };
    let before = tested(&mut terminal);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(tested(&mut terminal), before, "a paused search rests");
    terminal.press("p");
    terminal.wait_for("H/s");
    terminal.press("q");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("seedrush mine --bits 100 ab"), "{shown}");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_on_a_terminal_ends_a_paused_search() {
    let mut terminal = Terminal::start("--bits 100 ab --seeds tunnel --threads 1");
    terminal.wait_for("keys: ");
    terminal.press("p");
    terminal.wait_for("paused: press p to go on");
    terminal.press("\u{3}");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("--start "), "{shown}");
}
