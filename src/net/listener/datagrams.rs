//! The loop that receives all datagrams and sends all replies.

use crate::net::limits::DATAGRAM_TICK;
use crate::net::plaintext::{Problem, UdpPeers};
use crate::net::server::Service;
use crate::net::server::udp::Endpoint;
use crate::proto::MAX_DATAGRAM;
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Serves datagrams until the future is dropped; with a `problem` those of plain-text clients too.
pub(super) async fn serve(socket: &UdpSocket, service: &Service, problem: Option<Problem>) {
    let now = Instant::now();
    let mut endpoint = Endpoint::new(now);
    let mut plaintext = problem.map(|problem| UdpPeers::new(problem, now));
    let mut buffer = [0; MAX_DATAGRAM + 1];
    let mut tick = tokio::time::interval(DATAGRAM_TICK);
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else {
                    // Reports an earlier datagram that did not arrive. Any pause would let its
                    // receiver delay the others.
                    tokio::task::yield_now().await;
                    continue;
                };
                let (datagram, now) = (&buffer[..length], Instant::now());
                let reply = match plaintext.as_mut().filter(|_| UdpPeers::accepts(datagram)) {
                    Some(peers) => peers.receive(service, datagram, from, now),
                    None => endpoint.handle_datagram(service, datagram, from, now),
                };
                if let Some(reply) = reply {
                    send(socket, from, &reply).await;
                }
                continue;
            }
            () = service.datagrams_due.notified() => endpoint.handle_due(service),
            _ = tick.tick() => endpoint.handle_tick(service, Instant::now()),
        }
        for (to, line) in plaintext.iter_mut().flat_map(|peers| peers.due(service, Instant::now()))
        {
            send(socket, to, &line).await;
        }
        while let Some((to, push)) = endpoint.poll_transmit(service, Instant::now()) {
            send(socket, to, &push).await;
        }
    }
}

async fn send(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    // A datagram may be lost anywhere on its way: peers ask again, and notices are repeated.
    let _ = socket.send_to(datagram, to).await;
}
