//! The programs, as processes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No test takes nearly as long; one that does hangs.
pub(super) const GUARD: Duration = Duration::from_secs(120);

/// A string whose first solution for three zero bytes comes soon: 7fd.
pub(super) const EASY: &str = "00f8";

pub(super) const SERVER: &str = env!("CARGO_BIN_EXE_seedrush-server");
pub(super) const CLIENT: &str = env!("CARGO_BIN_EXE_seedrush-client");
pub(super) const SEEDRUSH: &str = env!("CARGO_BIN_EXE_seedrush");

/// A program that is running; killed when dropped.
pub(super) struct Program {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Program {
    pub(super) fn start(path: &str, words: &[&str]) -> Self {
        let mut command = Command::new(path);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Servers that are stopped write files.
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        let errors = sender.clone();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        std::thread::spawn(move || {
            err.lines().map_while(Result::ok).try_for_each(|l| errors.send(l))
        });
        Self { child, lines, said: Vec::new() }
    }

    /// A server, and the port that it listens on.
    pub(super) fn server(words: &[&str]) -> (Self, String) {
        Self::server_at("127.0.0.1", words)
    }

    /// The same, on another address.
    pub(super) fn server_at(bind: &str, words: &[&str]) -> (Self, String) {
        Self::server_of(SERVER, bind, words)
    }

    /// The same, started by a program that may need words of its own.
    pub(super) fn server_of(path: &str, bind: &str, words: &[&str]) -> (Self, String) {
        Self::server_with(path, bind, words, |line| {
            line.contains("listening on ").then(|| address_in(line))
        })
    }

    /// The same, with another way to read the address from a line.
    pub(super) fn server_with(
        path: &str,
        bind: &str,
        words: &[&str],
        address: impl Fn(&str) -> Option<String>,
    ) -> (Self, String) {
        let mut all = words.to_vec();
        all.extend(["--bind", bind, "--port", "0"]);
        let mut server = Self::start(path, &all);
        let line = server.wait_for("listening");
        let address = address(&line).unwrap();
        (server, address)
    }

    pub(super) fn client(address: &str, words: &[&str]) -> Self {
        let mut all = vec![address, "--threads", "1"];
        all.extend(words);
        Self::start(CLIENT, &all)
    }

    /// The first line with `words` in it from now on.
    pub(super) fn wait_for(&mut self, words: &str) -> String {
        let until = Instant::now() + GUARD;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {words:?} in {:#?}", self.said)
                }
            }
        }
    }

    /// Waits for the end; the exit code and all that was said.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + GUARD;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "it does not end: {:#?}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        };
        self.said.extend(self.lines.iter());
        (status.code(), self.said.join("\n"))
    }

    #[cfg(unix)]
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the address in the line with which a server says where it listens.
pub(super) fn address_in(line: &str) -> String {
    let (_, rest) = line.split_once("listening on ").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

pub(super) fn run(path: &str, words: &[&str]) -> (Option<i32>, String) {
    Program::start(path, words).end()
}

/// Returns the JSON lines among what a program said.
pub(super) fn json_lines(said: &str) -> String {
    said.lines().filter(|line| line.starts_with('{')).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_gpu_and_a_cpu_solve_a_puzzle_together() {
    let Some(gpu) = crate::gpu::software() else { return };
    let words = ["--bits", "30", "A7C02215FC", "--seeds", "tunnel", "--min-clients", "2"];
    let (server, address) = Program::server(&words);
    let cpu = Program::client(&address, &[]);
    let gpu = Program::start(CLIENT, &[&address, "--backend", "gpu", "--gpu", &gpu]);
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("client 2 joined") && said.contains("found a solution of job 1:"),
        "{said}"
    );
    for (client, backend) in [(cpu, "searching on cpu"), (gpu, "searching on gpu")] {
        let (code, said) = client.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(backend), "{said}");
        assert!(said.contains("you won") || said.contains("finished first"), "{said}");
    }
}

/// One server, some clients: everyone ends well and knows who has won.
fn solve(clients: usize, transport: &str, puzzle: &[&str]) {
    let count = clients.to_string();
    let mut words = puzzle.to_vec();
    words.extend(["--min-clients", &count]);
    let (server, address) = Program::server(&words);
    let all: Vec<_> =
        (0..clients).map(|_| Program::client(&address, &["--transport", transport])).collect();
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    for id in 1..=clients {
        assert!(said.contains(&format!("client {id} joined from 127.0.0.1:")), "{said}");
        assert!(!said.contains("threads 1"), "{said}");
    }
    assert_eq!(said.matches("found a solution of job 1:").count(), 1, "{said}");
    let found = said.split(" found a solution of job 1:").next().unwrap();
    let winner = found.rsplit("client ").next().unwrap().split(' ').next().unwrap();
    let check = said.lines().find_map(|line| line.strip_prefix("check ")).unwrap().trim();
    let sum = Command::new("sh").args(["-c", check]).output().unwrap();
    let digest = String::from_utf8(sum.stdout).unwrap();
    assert!(said.contains(digest.split(' ').next().unwrap()), "{digest} is not in {said}");
    let mut won = 0;
    for client in all {
        let (code, said) = client.end();
        assert_eq!(code, Some(0), "{said}");
        if said.contains("you won") {
            won += 1;
        } else {
            assert!(said.contains(&format!("client {winner} finished first")), "{said}");
        }
    }
    assert_eq!(won, 1);
}

#[test]
fn two_clients_find_one_two_and_three_zero_bytes() {
    for transport in ["tcp", "udp"] {
        for n in ["1", "2"] {
            solve(2, transport, &[n, "A7C02215FC"]);
        }
        solve(2, transport, &["3", EASY]);
    }
}

#[test]
fn eight_clients_and_every_kind_of_puzzle() {
    solve(8, "auto", &["2", "abcdf"]);
    solve(2, "tcp", &["2", "abcdf", "--encoding", "bytes"]);
    solve(2, "udp", &["--bits", "14", "abcdf", "--seed-prefix"]);
    solve(2, "tcp", &["2", "abcdf", "--seeds", "tunnel"]);
    solve(1, "udp", &["0", ""]);
}

/// Returns how many numbers a client squares in some seconds, in this build.
pub(super) fn many() -> u128 {
    if cfg!(debug_assertions) { 600_000_000 } else { 20_000_000_000 }
}

/// A server with a large sum, on which one client, stopped in the middle of a lease, works.
#[cfg(unix)]
fn stopped_client(transport: &str) -> (Program, Program, Program, String) {
    let (server, address) =
        Program::server(&["--serve", "--min-clients", "1", "--lease-seconds", "1"]);
    let mut lost = Program::client(&address, &["--transport", transport]);
    lost.wait_for("you are client 1");
    let last = many().to_string();
    let submit =
        Program::start(SEEDRUSH, &["submit", "--to", &address, "sum-of-squares", "0", &last]);
    lost.wait_for("job 1");
    lost.signal("-STOP");
    (server, lost, submit, address)
}

#[cfg(unix)]
pub(super) fn is_exact(submit: Program) {
    let last = many();
    let (code, said) = submit.end();
    assert_eq!(code, Some(0), "{said}");
    let exact = num_bigint::BigUint::from(last) * (last + 1) * (2 * last + 1) / 6u32;
    assert!(said.lines().any(|line| line == exact.to_string()), "{said}");
}

#[cfg(unix)]
#[test]
fn what_a_killed_client_had_is_done_by_others() {
    for transport in ["tcp", "udp"] {
        let (_server, lost, submit, address) = stopped_client(transport);
        lost.signal("-KILL");
        let _other = Program::client(&address, &["--transport", transport]);
        is_exact(submit);
    }
}

#[cfg(unix)]
#[test]
fn a_client_that_comes_back_late_spoils_nothing() {
    let (_server, late, submit, address) = stopped_client("tcp");
    let mut other = Program::client(&address, &["--name", "other"]);
    other.wait_for("job 1");
    // Longer than a lease lasts without progress.
    std::thread::sleep(Duration::from_secs(6));
    late.signal("-CONT");
    is_exact(submit);
    late.signal("-INT");
    let (code, said) = late.end();
    assert_eq!(code, Some(130), "{said}");
}

#[test]
fn a_search_goes_on_when_nobody_reads_what_is_said() {
    let mut server = Command::new(SERVER)
        .args(["2", EASY, "--min-clients", "1", "--bind", "127.0.0.1", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = said.find(|line| line.as_ref().unwrap().contains("listening on ")).unwrap();
    let address = &address_in(&line.unwrap());
    // From here on every line meets a closed pipe.
    drop(said);
    let mut client = Command::new(CLIENT)
        .args([address, "--threads", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(client.stdout.take());
    assert_eq!(client.wait().unwrap().code(), Some(0));
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
