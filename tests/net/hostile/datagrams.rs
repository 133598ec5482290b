//! Datagrams that are repeated, late, or from another address. Amplification, cookies and
//! repetitions are tested in virtual time, beside `server/udp`.

use super::*;
use seedrush::proto::PADDED_REQUEST;
use tokio::net::UdpSocket;

/// Returns a socket that exchanges datagrams with the server.
pub(super) async fn datagram_socket(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket
}

pub(super) async fn answer_to(socket: &UdpSocket, bytes: &[u8]) -> Option<Vec<u8>> {
    socket.send(bytes).await.unwrap();
    next_datagram(socket).await
}

pub(super) async fn next_datagram(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    // Long for loopback: a datagram that is sent at all arrives at once.
    let received = timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await;
    received.ok().map(|length| buffer[..length.unwrap()].to_vec())
}

pub(super) async fn cookie(socket: &UdpSocket) -> Vec<u8> {
    let ask = Request { number: 1, session: 0, notices_seen: 0, cookie: vec![], call: Call::Ask };
    let reply = answer_to(socket, &ask.encode(PADDED_REQUEST)).await.unwrap();
    match Reply::decode(&reply).unwrap().answer {
        Some(Answer::Challenge(cookie)) => cookie,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_stolen_datagrams_change_nothing() {
    let server = start();
    let socket = datagram_socket(server.address).await;
    let proof = cookie(&socket).await;
    let request = |number, session, cookie: &Vec<u8>, call| Request {
        number,
        session,
        notices_seen: 0,
        cookie: cookie.clone(),
        call,
    };
    let said = request(2, 0, &proof, hello(1)).encode(0);
    let welcome = answer_to(&socket, &said).await.unwrap();
    let Some(Answer::Welcome(Welcome { session, .. })) = Reply::decode(&welcome).unwrap().answer
    else {
        panic!("no welcome");
    };
    let ask = request(3, session, &proof, Call::Ask).encode(0);
    let grant = answer_to(&socket, &ask).await.unwrap();
    assert!(matches!(Reply::decode(&grant).unwrap().answer, Some(Answer::Grant(_))));
    for _ in 0..3 {
        assert_eq!(answer_to(&socket, &ask).await.as_ref(), Some(&grant));
        // The same client and session, with the lease that it holds now.
        let again = Reply::decode(&answer_to(&socket, &said).await.unwrap()).unwrap().answer;
        let Some(Answer::Welcome(again)) = again else { panic!("{again:?}") };
        assert_eq!((again.client, again.session, again.held.len()), (1, session, 1));
    }
    // A request that was overtaken by many others is answered nevertheless.
    for number in 100..140 {
        let beat = request(number, session, &proof, Call::Heartbeat).encode(0);
        answer_to(&socket, &beat).await.unwrap();
    }
    let late = request(50, session, &proof, Call::Heartbeat).encode(0);
    let reply = Reply::decode(&answer_to(&socket, &late).await.unwrap()).unwrap();
    assert_eq!((reply.number, reply.answer), (50, Some(Answer::Ok)));
    // The same datagrams, cookie and session included, from another address.
    let elsewhere = datagram_socket(server.address).await;
    for stolen in [&ask, &request(4, session, &proof, Call::Goodbye).encode(0)] {
        let reply = answer_to(&elsewhere, stolen).await.unwrap();
        let answer = Reply::decode(&reply).unwrap().answer;
        assert!(matches!(answer, Some(Answer::Challenge(_))), "{answer:?}");
    }
    let totals = server.service.read(|coordinator| coordinator.totals());
    assert_eq!((totals.clients, totals.leases), (1, 1));
    answer_to(&socket, &request(5, session, &proof, Call::Goodbye).encode(0)).await.unwrap();
    still_serves(server).await;
}
