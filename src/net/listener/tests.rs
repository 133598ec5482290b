//! Connections over streams that are no sockets, as TLS will be.

use super::*;
use crate::jobs::samples;
use crate::net::limits::{IDLE_TIME, NATIVE_TIME, SEGMENT_TIME};
use crate::proto::{Answer, Call, Reply, Request};
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

fn problem() -> Problem {
    let puzzle = Puzzle::new("ab", Difficulty::from_bytes(2).unwrap(), Encoding::Text).unwrap();
    Problem::new(&puzzle).unwrap()
}

/// Serves one peer until it hangs up or is cut off; returns how long that took.
async fn serve_peer(
    plaintext: Option<&Problem>,
    peer: impl AsyncFnOnce(&mut DuplexStream),
) -> Duration {
    let (service, _outlets) = Service::new(Config { min_clients: 1, ..Config::default() });
    service.submit_main(samples::search(100, 1)).unwrap();
    let (mut near, far) = duplex(1 << 16);
    let address: SocketAddr = "192.0.2.1:5".parse().unwrap();
    let seat = Admission::new(SeatLimits::new(64)).enter(address.ip());
    let began = Instant::now();
    let serving = serve(far, address, seat, &service, plaintext);
    tokio::join!(serving, peer(&mut near));
    began.elapsed()
}

async fn asks_for_jobs(stream: &mut DuplexStream) {
    let mut frames = framing::frames(&mut *stream, &[]);
    for number in 1..=2 {
        let (session, notices_seen, cookie) = (0, 0, Vec::new());
        let request = Request { number, session, notices_seen, cookie, call: Call::Jobs(0) };
        frames.send(&request.encode(0)[..]).await.unwrap();
        let reply = Reply::decode(&frames.next().await.unwrap().unwrap()).unwrap();
        assert!(matches!(reply.answer, Some(Answer::Jobs(jobs, 0)) if jobs.len() == 1));
    }
    stream.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn native_peers_are_served_at_once_beside_plaintext_ones() {
    assert_eq!(serve_peer(None, asks_for_jobs).await, Duration::ZERO);
    assert_eq!(serve_peer(Some(&problem()), asks_for_jobs).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_a_plaintext_client_where_those_are_served() {
    let reads_problem = async |stream: &mut DuplexStream| {
        let mut buffer = [0; 64];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"1,2,ab");
    };
    let time = serve_peer(Some(&problem()), reads_problem).await;
    assert_eq!(time, NATIVE_TIME + 2 * SEGMENT_TIME + IDLE_TIME);
}
