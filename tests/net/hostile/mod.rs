//! Peers that break the protocol, or keep it and lie.

mod datagrams;
mod frames;
mod leases;
mod liars;

use super::*;
use seedrush::lease::{Epoch, Grant, LeaseId, LeaseState, Verdict};
use seedrush::proto::{
    Answer, Call, Hello, MAX_FRAME, Progress, RefusalReason, Refused, Reply, Request, Welcome,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn hello(key: u8) -> Call {
    Call::Hello(Hello {
        oldest_version: 1,
        newest_version: 1,
        key: [key; 16],
        name: "raw".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: seedrush::jobs::JobKind::ALL.to_vec(),
    })
}

/// A TCP peer that sends what a test wants.
struct Raw {
    stream: TcpStream,
    number: u64,
    session: u64,
}

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), number: 0, session: 0 }
    }

    async fn joined(address: SocketAddr, key: u8) -> Self {
        let mut raw = Self::connect(address).await;
        let answer = raw.call(hello(key)).await.unwrap();
        let Answer::Welcome(Welcome { session, .. }) = answer else { panic!("{answer:?}") };
        raw.session = session;
        raw
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.send_together(&[bytes.to_vec()]).await;
    }

    /// Sends messages in one segment.
    async fn send_together(&mut self, messages: &[Vec<u8>]) {
        let mut frames = Vec::new();
        for message in messages {
            frames.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            frames.extend(message);
        }
        self.stream.write_all(&frames).await.unwrap();
    }

    /// Returns the next reply; `None` once the server has hung up.
    async fn receive(&mut self) -> Option<Reply> {
        let receiving = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut bytes = vec![0; length as usize];
            self.stream.read_exact(&mut bytes).await.ok()?;
            Some(Reply::decode(&bytes).unwrap())
        };
        timeout(GUARD, receiving).await.unwrap()
    }

    async fn call(&mut self, call: Call) -> Option<Answer> {
        self.number += 1;
        let request = Request {
            number: self.number,
            session: self.session,
            notices_seen: 0,
            cookie: Vec::new(),
            call,
        };
        self.send(&request.encode(0)).await;
        loop {
            let reply = self.receive().await?;
            if reply.number == self.number {
                return reply.answer;
            }
        }
    }

    async fn lease(&mut self) -> Grant {
        loop {
            match self.call(Call::Ask).await.unwrap() {
                Answer::Grant(grant) => return grant,
                Answer::Wait(time) => tokio::time::sleep(time).await,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn report(&mut self, progress: Progress) -> Verdict {
        match self.call(Call::Progress(progress)).await.unwrap() {
            Answer::Verdict(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }
}

fn empty_report(grant: &Grant) -> Progress {
    Progress {
        lease: grant.lease,
        epoch: grant.epoch,
        job: grant.job,
        done: Span::with_len(grant.span.start(), 0),
        finished: false,
        hits: Vec::new(),
        shares: Vec::new(),
        sum: Vec::new(),
    }
}

fn full_report(grant: &Grant) -> Progress {
    Progress { done: grant.span, ..empty_report(grant) }
}

/// Checks that an honest client still solves the puzzle.
async fn still_serves(server: Running) {
    let honest = client(server.address, Transport::Auto, Duration::ZERO);
    let service = server.service.clone();
    let ServerEnding::Over(over) = server.ended().await else {
        panic!("the server was not stopped")
    };
    assert!(puzzle(12, "A7C02215FC").is_solved_by(&over.seed));
    assert!(matches!(end_of(honest).await, client::ClientEnding::Over(_, _)));
    check_coverage(&service, 1);
}

fn start() -> Running {
    Running::start(quick(), Some(search(12, "A7C02215FC")))
}
