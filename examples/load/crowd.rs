//! Many clients in one task, as cheap as possible, so that only the server is busy.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use seedrush::jobs::JobKind;
use seedrush::lease::Grant;
use seedrush::net::client::link::Transport;
use seedrush::proto::{
    Answer, Call, Hello, NEWEST_VERSION, OLDEST_VERSION, PADDED_REQUEST, Progress, Reply, Request,
};
use seedrush::span::Span;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Time after which a datagram is sent again.
const REPEAT: Duration = Duration::from_millis(500);

/// Connections from one address of ours: each has some 28,000 ports.
const PORTS: u64 = 20_000;

/// Clients that send requests one after the other.
pub(crate) struct Crowd {
    wire: Wire,
    members: Vec<Member>,
    /// Number of the last request of any client.
    number: u64,
    next: usize,
}

#[derive(Default)]
struct Member {
    session: u64,
    /// Report of the lease that it holds.
    report: Option<Call>,
}

enum Wire {
    /// A connection for each client.
    Tcp(Vec<Framed<TcpStream, LengthDelimitedCodec>>),
    /// One socket and its cookie for all.
    Udp(UdpSocket, Vec<u8>),
}

impl Crowd {
    /// Lets the clients with these numbers join.
    pub(crate) async fn join(port: u16, transport: Transport, clients: Range<u64>) -> Result<Self> {
        let wire = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                socket.connect((Ipv4Addr::LOCALHOST, port)).await?;
                Wire::Udp(socket, Vec::new())
            }
            Transport::Tcp | Transport::Auto => Wire::Tcp(Vec::new()),
        };
        let mut crowd = Self { wire, members: Vec::new(), number: 0, next: 0 };
        for client in clients {
            crowd.add(port, client).await.with_context(|| format!("client {client}"))?;
        }
        Ok(crowd)
    }

    async fn add(&mut self, port: u16, client: u64) -> Result<()> {
        if let Wire::Tcp(streams) = &mut self.wire {
            let host = Ipv4Addr::new(127, 0, 0, 1 + (client / PORTS) as u8);
            let stream = TcpStream::connect(SocketAddr::from((host, port))).await?;
            stream.set_nodelay(true)?;
            let codec = LengthDelimitedCodec::new();
            streams.push(Framed::with_capacity(stream, codec, 256));
        }
        self.members.push(Member::default());
        let hello = Call::Hello(Hello {
            oldest_version: OLDEST_VERSION,
            newest_version: NEWEST_VERSION,
            key: u128::from(client).to_be_bytes(),
            name: format!("load {client}"),
            backend: "none".into(),
            threads: 1,
            rate_hint: 0,
            kinds: JobKind::ALL.to_vec(),
        });
        let place = self.members.len() - 1;
        match self.exchange(place, vec![hello]).await?.pop() {
            Some(Answer::Welcome(welcome)) => self.members[place].session = welcome.session,
            other => bail!("no welcome: {other:?}"),
        }
        Ok(())
    }

    /// Makes the next client return its lease and request another at once, as a client with a lease in
    /// reserve does. Returns the number of leases returned.
    pub(crate) async fn trade(&mut self) -> Result<u64> {
        let place = self.next;
        self.next = (place + 1) % self.members.len();
        let report = self.members[place].report.take();
        let calls: Vec<Call> = report.into_iter().chain([Call::Ask]).collect();
        let mut given_back = 0;
        for answer in self.exchange(place, calls).await? {
            match answer {
                Answer::Verdict(_) => given_back += 1,
                Answer::Grant(grant) => self.members[place].report = Some(give_back(&grant)),
                other => bail!("neither verdict nor lease: {other:?}"),
            }
        }
        Ok(given_back)
    }

    /// Sends all of `calls`, then waits for an answer to each.
    async fn exchange(&mut self, place: usize, calls: Vec<Call>) -> Result<Vec<Answer>> {
        let session = self.members[place].session;
        let mut requests = Vec::new();
        for call in calls {
            self.number += 1;
            let (number, cookie) = (self.number, Vec::new());
            requests.push(Request { number, session, notices_seen: 0, cookie, call });
        }
        match &mut self.wire {
            Wire::Tcp(streams) => over_tcp(&mut streams[place], &requests).await,
            Wire::Udp(socket, cookie) => over_udp(socket, cookie, requests).await,
        }
    }
}

fn give_back(grant: &Grant) -> Call {
    Call::Progress(Progress {
        lease: grant.lease,
        epoch: grant.epoch,
        job: grant.job,
        done: Span::with_len(grant.span.start(), 0),
        finished: true,
        hits: Vec::new(),
        shares: Vec::new(),
        sum: Vec::new(),
    })
}

async fn over_tcp(
    stream: &mut Framed<TcpStream, LengthDelimitedCodec>,
    requests: &[Request],
) -> Result<Vec<Answer>> {
    for request in requests {
        stream.feed(Bytes::from(request.encode(0))).await?;
    }
    SinkExt::<Bytes>::flush(stream).await?;
    let mut answers = Vec::new();
    while answers.len() < requests.len() {
        let frame = stream.next().await.context("the server hung up")??;
        answers.extend(Reply::decode(&frame)?.answer);
    }
    Ok(answers)
}

async fn over_udp(
    socket: &UdpSocket,
    cookie: &mut Vec<u8>,
    mut requests: Vec<Request>,
) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    while !requests.is_empty() {
        for request in &mut requests {
            request.cookie.clone_from(cookie);
            let least = if cookie.is_empty() { PADDED_REQUEST } else { 0 };
            socket.send(&request.encode(least)).await?;
        }
        while !requests.is_empty() {
            let Ok(reply) = timeout(REPEAT, receive(socket)).await else { break };
            let reply = reply?;
            let Some(answer) = reply.answer else { continue };
            if let Answer::Challenge(new) = answer {
                *cookie = new;
                break;
            }
            let waiting = requests.len();
            requests.retain(|request| request.number != reply.number);
            if requests.len() < waiting {
                answers.push(answer);
            }
        }
    }
    Ok(answers)
}

async fn receive(socket: &UdpSocket) -> Result<Reply> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).await?;
    Ok(Reply::decode(&buffer[..length])?)
}
