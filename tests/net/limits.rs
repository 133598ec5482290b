//! Servers with few descriptors, and servers whose output nobody reads.

#![cfg(unix)]

use super::programs::{GUARD, Program, SEEDRUSH, SERVER, run};
use seedrush::proto::{Call, Hello, Request};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Descriptors of a server.
const DESCRIPTORS: &str = "64";

/// Connections that an attacker wants: twice as many.
const ATTACKER_CONNECTIONS: usize = 128;

/// Starts a server with few descriptors.
fn small_server() -> (Program, String) {
    let line = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    let words = ["-c", &line, SERVER, "--serve", "--min-clients", "1"];
    Program::server_of("sh", "127.0.0.1", &words)
}

fn connect(from: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), Duration::from_secs(1))?;
    Ok(socket.into())
}

fn frame(number: u64, call: Call) -> Vec<u8> {
    let request = Request { number, session: 0, notices_seen: 0, cookie: Vec::new(), call };
    let message = request.encode(0);
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(message);
    frame
}

/// Returns the hello of a new client.
fn hello() -> Vec<u8> {
    static KEYS: AtomicU64 = AtomicU64::new(1);
    let mut key = [0; 16];
    key[8..].copy_from_slice(&KEYS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let hello = Hello {
        oldest_version: 1,
        newest_version: 1,
        key,
        name: "attacker".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: Vec::new(),
    };
    frame(1, Call::Hello(hello))
}

/// Holds connections, keeps them awake, and makes new ones for those that it loses.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Attacker {
    /// Attacks from one address; sends `first` on each connection. Returns once it has all the
    /// connections it wants, counting those that wait to be accepted.
    fn start(from: [u8; 4], server: &str, first: fn() -> Vec<u8>, pause: Duration) -> Self {
        let (server, stop) = (server.parse().unwrap(), Arc::new(AtomicBool::new(false)));
        let (stopped, (full, is_full)) = (stop.clone(), std::sync::mpsc::channel());
        let thread = std::thread::spawn(move || {
            let mut held: Vec<TcpStream> = Vec::new();
            for round in 2.. {
                while held.len() < ATTACKER_CONNECTIONS {
                    // The server may have ended.
                    let Ok(mut stream) = connect(from, server) else { break };
                    let _ = stream.write_all(&first());
                    stream.set_nonblocking(true).unwrap();
                    held.push(stream);
                }
                if held.len() == ATTACKER_CONNECTIONS {
                    let _ = full.send(());
                }
                std::thread::sleep(pause);
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let awake = frame(round, Call::Heartbeat);
                held.retain_mut(|stream| stream.write_all(&awake).is_ok() && !has_hung_up(stream));
            }
        });
        is_full.recv().unwrap();
        Self { stop, thread: Some(thread) }
    }
}

/// Reads what has arrived; returns true if the peer has hung up.
fn has_hung_up(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Checks that a new client is admitted and finishes a job that another peer submits.
fn check_service(address: &str) {
    let mut client = Program::client(address, &["--transport", "tcp"]);
    client.wait_for("you are client");
    let words = ["submit", "--to", address, "--transport", "tcp", "sum-of-squares", "1", "1000000"];
    let (code, said) = run(SEEDRUSH, &words);
    assert!(code == Some(0) && said.contains("333333833333500000"), "{said}");
}

#[test]
fn silent_connections_keep_nobody_out() {
    let (_server, address) = small_server();
    let pause = Duration::from_millis(10);
    let _attacker = Attacker::start([127, 0, 0, 1], &address, Vec::new, pause);
    check_service(&address);
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is not this machine
#[test]
fn many_clients_of_one_address_keep_no_other_address_out() {
    let (_server, address) = small_server();
    let pause = Duration::from_millis(10);
    let _attacker = Attacker::start([127, 0, 0, 2], &address, hello, pause);
    check_service(&address);
}

#[test]
fn clients_without_work_yield_to_a_neighbour() {
    let (_server, address) = small_server();
    let pause = Duration::from_secs(1);
    let _attacker = Attacker::start([127, 0, 0, 1], &address, hello, pause);
    check_service(&address);
}

#[test]
fn a_client_keeps_its_seat_while_strangers_come_and_go() {
    let (server, address) = small_server();
    let mut client = Program::client(&address, &["--transport", "tcp"]);
    client.wait_for("you are client 1");
    let _attacker = Attacker::start([127, 0, 0, 1], &address, Vec::new, Duration::from_millis(10));
    let words = ["submit", "--to", &address, "sum-of-squares", "1", "1000000"];
    let (code, said) = run(SEEDRUSH, &words);
    assert!(code == Some(0) && said.contains("333333833333500000"), "{said}");
    server.signal("-INT");
    let (_, said) = client.end();
    assert!(!said.contains("unreachable"), "{said}");
}

/// Returns a full pipe that nobody reads.
#[cfg(target_os = "linux")] // elsewhere a write that blocks is not known to block
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filler = writer.try_clone().unwrap();
    let (wrote, written) = std::sync::mpsc::channel();
    // The thread ends with the reader.
    std::thread::spawn(move || {
        while filler.write_all(&[b'x'; 4096]).is_ok() {
            let _ = wrote.send(());
        }
    });
    while written.recv_timeout(Duration::from_secs(1)).is_ok() {}
    (reader, writer)
}

/// A server whose output nobody reads; killed when dropped.
#[cfg(target_os = "linux")]
struct Unread {
    child: std::process::Child,
    address: String,
    _reader: std::io::PipeReader,
}

#[cfg(target_os = "linux")]
impl Unread {
    fn start(words: &[&str]) -> Self {
        let (reader, writer) = full_pipe();
        // A port that was free a moment ago: nobody can read which one the server has.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = free.port().to_string();
        let child = std::process::Command::new(SERVER)
            // Servers that are stopped write files.
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .args(words)
            .args(["--min-clients", "1", "--bind", "127.0.0.1", "--port", &port])
            .stdin(std::process::Stdio::null())
            .stdout(writer)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address: free.to_string(), _reader: reader }
    }

    fn code(mut self) -> Option<i32> {
        let until = std::time::Instant::now() + GUARD;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(std::time::Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_output_nobody_reads_ends_with_its_job() {
    let server = Unread::start(&["2", "A7C02215FC"]);
    let client = Program::client(&server.address, &["--transport", "tcp"]);
    let (code, said) = client.end();
    assert!(code == Some(0) && said.contains("you won"), "{said}");
    assert_eq!(server.code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_output_nobody_reads_can_be_stopped() {
    let server = Unread::start(&["16", "A7C02215FC"]);
    let mut client = Program::client(&server.address, &["--transport", "tcp"]);
    client.wait_for("job 1");
    let id = server.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(server.code(), Some(130));
}
