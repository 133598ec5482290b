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
        let mut all = words.to_vec();
        all.extend(["--bind", bind, "--port", "0"]);
        let mut server = Self::start(path, &all);
        let line = server.wait_for("listening on ");
        let address = line.trim_start_matches("listening on ").split(',').next().unwrap();
        let address = address.to_owned();
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

pub(super) fn run(path: &str, words: &[&str]) -> (Option<i32>, String) {
    Program::start(path, words).end()
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
    assert!(said.contains("client 2 joined") && said.contains("Final. Client "), "{said}");
    for (client, backend) in [(cpu, "searching with cpu"), (gpu, "searching with gpu")] {
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
    }
    let last = said.lines().find(|line| line.starts_with("Final. Client ")).unwrap();
    let winner = last.trim_start_matches("Final. Client ").split(' ').next().unwrap();
    let check = said.lines().find_map(|line| line.strip_prefix("check   ")).unwrap();
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

/// Numbers that take a client some seconds to square, in this build.
fn many() -> u128 {
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
fn is_exact(submit: Program) {
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
fn jobs_and_clients_are_listed_for_people_and_programs() {
    let (_server, address) = Program::server(&["--serve", "--min-clients", "1"]);
    let _client = Program::client(&address, &["--name", "box"]);
    let to = ["--to", address.as_str()];
    let ask = |words: &[&str]| run(SEEDRUSH, &[words, &to].concat());
    let (code, said) = ask(&["submit", "md5", "2", "ABCD", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let line = said.lines().find(|line| line.starts_with('{')).unwrap();
    let result: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&result["event"], &result["state"]), (&"result".into(), &"finished".into()));
    let seed = result["result"].as_str().unwrap();
    let (code, _) = run(SEEDRUSH, &["verify", "2", "ABCD", seed]);
    assert_eq!(code, Some(0));
    let (code, said) = ask(&["submit", "sum-of-squares", "1", "1000000"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().any(|line| line == "333333833333500000"), "{said}");
    let (code, said) = ask(&["submit", "md5", "16", "ABCD", "--detach", "--priority", "3"]);
    assert_eq!((code, said.trim()), (Some(0), "3"));
    let (code, said) = ask(&["jobs", "--json"]);
    assert_eq!((code, said.lines().count()), (Some(0), 3), "{said}");
    let (code, said) = ask(&["clients"]);
    assert!(code == Some(0) && said.contains("box") && said.contains("good"), "{said}");
    assert_eq!(ask(&["cancel", "3"]).0, Some(0));
    let (code, said) = ask(&["status", "3"]);
    assert!(code == Some(0) && said.contains("cancelled"), "{said}");
    let (code, said) = ask(&["status", "9"]);
    assert!(code == Some(1) && said.contains("there is no job 9"), "{said}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_tells_the_clients_and_prints_the_coverage() {
    let (mut server, address) = Program::server(&["16", "ABCD", "--min-clients", "1"]);
    let mut client = Program::client(&address, &[]);
    client.wait_for("job 1");
    server.wait_for("the search begins");
    server.signal("-INT");
    let (code, said) = server.end();
    assert!(code == Some(130) && said.contains("units done"), "{said}");
    let (code, said) = client.end();
    assert!(code == Some(0) && said.contains("the server has ended the search"), "{said}");
}

#[test]
fn what_cannot_work_is_one_clear_error() {
    let usage = [
        (SERVER, &["17", "ABCD"][..], "0 to 16"),
        (SERVER, &["3", "XYZ"], "character 1"),
        (SERVER, &["3"], "STRING is missing"),
        (SERVER, &[], "N is missing"),
        (SERVER, &["--serve", "3", "AB"], "without a puzzle"),
        (SERVER, &["3", "AB", "--team", "644"], "from 0 to 643"),
        (SERVER, &["3", "AB", "--team", "4", "--port", "5"], "cannot be used with"),
        (SERVER, &["--bits", "12", "AB", "--classic"], "whole zero bytes"),
        (SERVER, &["3", "AB", "--solutions", "0"], "solutions"),
        (SERVER, &["3", "AB", "--solutions", "129", "--classic"], "up to 128"),
        (CLIENT, &[], "HOST"),
        (CLIENT, &["host:x"], "is no port"),
        (CLIENT, &["host", "--transport", "pigeon"], "pigeon"),
        (CLIENT, &["host", "--level", "mmx"], "mmx"),
        (CLIENT, &["host", "--threads", "0"], "0"),
        (SEEDRUSH, &["submit", "sum-of-squares", "5", "4", "--to", "host"], "5 to 4"),
        (SEEDRUSH, &["jobs"], "--to"),
    ];
    for (program, words, why) in usage {
        let (code, said) = run(program, words);
        assert_eq!(code, Some(2), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let (_server, address) = Program::server(&["16", "ABCD"]);
    let port = address.split(':').nth(1).unwrap();
    for only in ["--tcp-only", "--udp-only"] {
        let (code, said) = run(SERVER, &["3", "AB", "--bind", "127.0.0.1", "--port", port, only]);
        assert_eq!((code, said.lines().count()), (Some(4), 1), "{said}");
        assert!(said.contains("something else listens there"), "{said}");
    }
}

#[test]
fn a_client_without_a_server_ends_with_code_three() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = free.to_string();
    for words in [&["--transport", "tcp"][..], &["--transport", "udp"], &["--classic"]] {
        let words = [&[address.as_str(), "--retry-for", "0"], words].concat();
        let (code, said) = run(CLIENT, &words);
        assert!(code == Some(3) && said.contains("out of reach"), "{words:?} {code:?}: {said}");
    }
    let (code, said) = run(SEEDRUSH, &["jobs", "--to", &address, "--retry-for", "0"]);
    assert!(code == Some(3) && said.contains("out of reach"), "{said}");
}

/// Something that accepts connections, and does with each what a test wants.
fn listener(serve: fn(std::net::TcpStream)) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn what_never_answers_is_no_server() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let silent = |mut stream: TcpStream| while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {};
    let garbage = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    };
    // Frames that are messages, in answer to nothing: a reply with the number 9 and an empty ok.
    let chatter = |mut stream: TcpStream| {
        while stream.write_all(&[0, 0, 0, 5, 8, 9, 0xba, 1, 0]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let commands: [&[&str]; 5] = [
        &["jobs"],
        &["status", "1"],
        &["cancel", "1"],
        &["clients"],
        &["submit", "sum-of-squares", "1", "2"],
    ];
    for serve in [silent as fn(TcpStream), garbage, chatter] {
        let address = listener(serve);
        for transport in ["tcp", "auto"] {
            let asking: Vec<Program> = commands
                .iter()
                .map(|words| {
                    let to = ["--to", &address, "--retry-for", "1", "--transport", transport];
                    Program::start(SEEDRUSH, &[words, &to[..]].concat())
                })
                .collect();
            for asked in asking {
                let (code, said) = asked.end();
                let errors = said.lines().filter(|line| line.starts_with("error")).count();
                assert!(code == Some(3) && errors == 1, "{code:?}: {said}");
                assert!(said.contains("out of reach"), "{said}");
            }
        }
    }
}

#[test]
fn old_and_new_programs_find_it_together() {
    let (server, address) = Program::server(&["2", "A7C02215FC", "--classic"]);
    let old = Program::client(&address, &["--classic"]);
    let new = Program::client(&address, &["--transport", "tcp"]);
    let (code, said) = server.end();
    assert!(code == Some(0) && said.contains("Final. Client "), "{said}");
    for client in [old, new] {
        let (code, said) = client.end();
        let knows = said.contains("you won") || said.contains("finished first");
        assert!(code == Some(0) && knows, "{said}");
    }
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
    let line = said.find(|line| line.as_ref().unwrap().starts_with("listening on ")).unwrap();
    let line = line.unwrap();
    let address = line.trim_start_matches("listening on ").split(',').next().unwrap();
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
