//! The client, over TCP or UDP.

use super::problem::{Problem, stop_in};
use crate::backend::{Backend, Control};
use crate::net::client::link::Transport;
use crate::net::limits::{CLAIM_POLL, CONNECT_TIME, MAX_LINE, MAX_PROBLEM, SEGMENT_TIME, SPEAK};
use crate::net::sockets;
use crate::puzzle::{Digest, MAX_SEED_CHARACTERS, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::Span;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Characters of a stranger's words that an error quotes.
const LONGEST_QUOTE: usize = 60;

/// The reason why a plain-text client has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaintextEnding {
    /// The server said stop.
    Finished {
        /// The client that found the seed, if the server named it.
        winner: Option<u64>,
        /// The id of this client.
        client: u64,
    },
    /// There was no server, or the network failed; the reason, for people.
    Unreachable(String),
    /// The server does not speak this protocol; the reason, for people.
    OtherProtocol(String),
    /// It was told to stop.
    Stopped,
}

/// Searches for a server that speaks the plain-text protocol. Calls `show` with the client's id, the
/// problem, and the number of seeds tested so far.
pub async fn run(
    addresses: &[SocketAddr],
    transport: Transport,
    backend: Arc<dyn Backend>,
    shutdown: impl Future<Output = ()>,
    show: impl Fn(u64, &Puzzle, u64),
) -> PlaintextEnding {
    tokio::pin!(shutdown);
    tokio::select! {
        ending = converse(addresses, transport, backend, show) => {
            ending.unwrap_or_else(|error| PlaintextEnding::Unreachable(error.to_string()))
        }
        () = &mut shutdown => PlaintextEnding::Stopped,
    }
}

async fn converse(
    addresses: &[SocketAddr],
    transport: Transport,
    backend: Arc<dyn Backend>,
    show: impl Fn(u64, &Puzzle, u64),
) -> io::Result<PlaintextEnding> {
    let mut wire = Wire::connect(addresses, transport).await?;
    let segment = wire.problem().await?;
    // If the search is over already, the stop follows the problem directly, or is all there is.
    let (problem, stop) = segment.split_at(segment.find("stop,").unwrap_or(segment.len()));
    let parsed = Problem::parse(problem);
    if let Some(winner) = stop_in(stop) {
        return Ok(PlaintextEnding::Finished {
            winner,
            client: parsed.map_or(0, |(client, _)| client),
        });
    }
    let Some((client, puzzle)) = parsed else {
        return Ok(other_protocol(&segment));
    };
    show(client, &puzzle, 0);
    let space = SeedSpace::new(&puzzle, Layout::Counting).map_err(io::Error::other)?;
    let space = Arc::new(space);
    // The server divides nothing: each client starts at a place of its own.
    let span = Span::new(u128::from(client) << 48, u128::MAX);
    let control = Arc::new(Control::new(space, span, puzzle.difficulty().bits(), 1));
    let searching = control.clone();
    let search = tokio::task::spawn_blocking(move || backend.search(&searching));
    let ending = exchange(&mut wire, &control, client, &puzzle, show).await;
    control.stop();
    // The search ends within milliseconds. Its failure matters no more.
    let _ = search.await;
    ending
}

/// Says why the first segment is no problem of this protocol.
fn other_protocol(segment: &str) -> PlaintextEnding {
    PlaintextEnding::OtherProtocol(if segment.is_empty() {
        "the server hung up without a word: it was stopped, or it was not started with --classic"
            .into()
    } else {
        let heard: String = segment.chars().take(LONGEST_QUOTE).collect();
        format!("this is no server of the plain-text protocol: it said {heard:?}")
    })
}

/// Carries the lines.
enum Wire {
    Tcp(TcpStream),
    /// A socket for each address of the server, until one of them has answered.
    Udp(Vec<UdpSocket>),
}

impl Wire {
    async fn connect(addresses: &[SocketAddr], transport: Transport) -> io::Result<Self> {
        if transport != Transport::Udp {
            let connected = timeout(CONNECT_TIME, TcpStream::connect(addresses)).await;
            match connected.map_err(io::Error::from).flatten() {
                Ok(stream) => {
                    sockets::prepare(&stream);
                    return Ok(Self::Tcp(stream));
                }
                Err(error) if transport == Transport::Tcp => return Err(error),
                Err(_) => {}
            }
        }
        let mut sockets = Vec::new();
        let mut problem = io::ErrorKind::AddrNotAvailable.into();
        for &address in addresses {
            match sockets::connect(address).await {
                Ok(socket) => sockets.push(socket),
                Err(error) => problem = error,
            }
        }
        if sockets.is_empty() { Err(problem) } else { Ok(Self::Udp(sockets)) }
    }

    /// Waits for the problem, which is all that a server sends first.
    async fn problem(&mut self) -> io::Result<String> {
        match self {
            Self::Tcp(stream) => read_segment(stream).await,
            // A server that waits for more clients is as silent as one that does not exist.
            Self::Udp(sockets) => loop {
                if let Ok(answered) = timeout(SPEAK, first_answer(sockets)).await {
                    match answered {
                        (place, Ok(problem)) => {
                            *sockets = vec![sockets.swap_remove(place)];
                            return Ok(problem);
                        }
                        (_, Err(error)) if sockets.len() == 1 => return Err(error),
                        (place, Err(_)) => drop(sockets.swap_remove(place)),
                    }
                }
            },
        }
    }

    /// Appends what arrives to `heard`; over UDP, replaces it. Returns false if nothing can follow.
    async fn hear(&mut self, heard: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = [0; MAX_LINE];
        let length = match self {
            Self::Tcp(stream) => stream.read(&mut buffer).await?,
            Self::Udp(sockets) => {
                let length = sockets[0].recv(&mut buffer).await?;
                heard.clear();
                heard.extend_from_slice(&buffer[..length]);
                return Ok(true);
            }
        };
        heard.extend_from_slice(&buffer[..length]);
        Ok(length > 0 && heard.len() <= MAX_LINE)
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(line.as_bytes()).await,
            Self::Udp(sockets) => sockets[0].send(line.as_bytes()).await.map(drop),
        }
    }

    /// Returns true if lines may be lost on the way.
    fn is_lossy(&self) -> bool {
        matches!(self, Self::Udp(_))
    }
}

/// Sends a line on every socket; returns the first answer and the index of its socket.
async fn first_answer(sockets: &[UdpSocket]) -> (usize, io::Result<String>) {
    let asking = sockets.iter().map(|socket| {
        Box::pin(async move {
            let mut buffer = vec![0; MAX_PROBLEM];
            // Any server of this kind accepts this line, and learns the address from it.
            socket.send(progress(0).as_bytes()).await?;
            let length = socket.recv(&mut buffer).await?;
            Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    });
    let (answer, place, _) = futures_util::future::select_all(asking).await;
    (place, answer)
}

/// Reads one segment: nothing marks its end but a pause.
async fn read_segment(stream: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    let mut read = stream.read(&mut buffer).await?;
    while read > 0 && bytes.len() < MAX_PROBLEM {
        bytes.extend_from_slice(&buffer[..read]);
        read = match timeout(SEGMENT_TIME, stream.read(&mut buffer)).await {
            Ok(more) => more?,
            Err(_) => 0,
        };
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends progress and the first solution until the server says stop.
async fn exchange(
    wire: &mut Wire,
    control: &Control,
    client: u64,
    puzzle: &Puzzle,
    show: impl Fn(u64, &Puzzle, u64),
) -> io::Result<PlaintextEnding> {
    let mut speak = tokio::time::interval(SPEAK);
    let mut heard = Vec::new();
    let mut claimed = false;
    let mut told = 0;
    loop {
        tokio::select! {
            goes_on = wire.hear(&mut heard) => {
                let goes_on = goes_on?;
                if let Some(winner) = stop_in(&String::from_utf8_lossy(&heard)) {
                    return Ok(PlaintextEnding::Finished { winner, client });
                }
                if !goes_on {
                    return Ok(PlaintextEnding::Finished { winner: None, client });
                }
            }
            _ = speak.tick() => {
                let tested = control.tested();
                // A claim that may be lost is repeated.
                match claim_of(control).filter(|_| claimed && wire.is_lossy()) {
                    Some(claim) => wire.say(&claim).await?,
                    None => wire.say(&progress(tested - told)).await?,
                }
                told = tested;
                show(client, puzzle, tested);
            }
            () = tokio::time::sleep(CLAIM_POLL), if !claimed => {
                if let Some(claim) = claim_of(control) {
                    claimed = true;
                    wire.say(&claim).await?;
                }
            }
        }
    }
}

fn progress(hashes: u64) -> String {
    format!("Computed {hashes} hashes\n")
}

/// Returns `ok,SEED,DIGEST` for the first solution, if there is one.
fn claim_of(control: &Control) -> Option<String> {
    let hit = control.hits().first().copied()?;
    let seed = control.space().seed(hit.nonce)?;
    let digest: Digest = control.space().puzzle().digest(&seed).ok()?;
    debug_assert!(seed.len() <= MAX_SEED_CHARACTERS);
    Some(format!("ok,{seed},{digest}"))
}
