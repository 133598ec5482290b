//! The plain-text protocol, with a scripted peer on either side.

use super::*;
use seedrush::Digest;
use seedrush::net::plaintext::{self, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

fn start(config: Config) -> Running {
    let problem = Problem::new(&puzzle(16, "A7C02215FC")).unwrap();
    Running::start_with(config, Some(search(16, "A7C02215FC")), |s| s.with_plaintext(problem))
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 1024];
    let length = timeout(GUARD, stream.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// `ok,SEED,DIGEST` for a seed as the old programs write it.
fn solved(string: &str) -> String {
    let digest = |n: u64| (n, Digest::of(format!("0x{n:x}{string}").as_bytes()));
    let (n, digest) = (0..).map(digest).find(|(_, digest)| digest.zero_bits() >= 16).unwrap();
    format!("ok,0x{n:x},{digest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_are_served_and_their_claims_verified() {
    let server = start(Config { min_clients: 2, ..quick() });
    let mut first = TcpStream::connect(server.address).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let (one, two) = (read_some(&mut first).await, read_some(&mut second).await);
    let mut problems = [one.as_str(), two.as_str()];
    problems.sort_unstable();
    assert_eq!(problems, ["1,2,A7C02215FC", "2,2,A7C02215FC"]);
    first.write_all(b"Computed 100000 hashes\nComputed 5 ha").await.unwrap();
    first.write_all(b"shes\n").await.unwrap();
    // Claims that are none, by a third client: they are not believed, and after four it is not
    // served any more.
    let mut liar = TcpStream::connect(server.address).await.unwrap();
    read_some(&mut liar).await;
    let lie = format!("ok,0x1,{}\n", "0".repeat(32));
    liar.write_all(lie.repeat(4).as_bytes()).await.unwrap();
    assert_eq!(read_some(&mut liar).await, "");
    let claim = solved("A7C02215FC");
    first.write_all(claim.as_bytes()).await.unwrap();
    let winner = one.split(',').next().unwrap();
    let stop = format!("stop,{winner}");
    assert_eq!(read_some(&mut first).await, stop);
    assert_eq!(read_some(&mut second).await, stop);
    assert_eq!(read_some(&mut second).await, "");
    assert!(server.has_shown("Computed 100000 hashes"));
    assert!(server.has_shown("Computed 5 hashes"));
    let ServerEnding::Over(over) = server.ended().await else {
        panic!("the server was not stopped")
    };
    assert_eq!(over.winner().to_string(), winner);
    assert_eq!(Some(over.seed.as_str()), claim.split(',').nth(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_native_clients_work_on_the_same_puzzle() {
    let server = start(Config { min_clients: 2, ..quick() });
    let mut old = TcpStream::connect(server.address).await.unwrap();
    let native = client(server.address, Transport::Tcp, Duration::from_micros(100));
    assert!(read_some(&mut old).await.ends_with(",2,A7C02215FC"));
    let client::ClientEnding::Over(over, id) = end_of(native).await else { panic!("not over") };
    assert_eq!(over.winner(), id);
    assert_eq!(read_some(&mut old).await, format!("stop,{id}"));
    assert!(matches!(server.ended().await, ServerEnding::Over(_)));
}

/// An old client over UDP, which has sent its first datagram.
async fn datagram_peer(server: SocketAddr, first: &[u8]) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(first).await.unwrap();
    socket
}

async fn datagram(socket: &UdpSocket) -> String {
    let mut buffer = [0; 1024];
    let length = timeout(GUARD, socket.recv(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clients_are_served_over_udp_too() {
    let server = start(Config { min_clients: 3, ..quick() });
    let first = datagram_peer(server.address, b"hello").await;
    let second = datagram_peer(server.address, b"\n").await;
    // Over TCP as well, at the same time.
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let (one, two) = (datagram(&first).await, datagram(&second).await);
    let mut problems = [one.clone(), two];
    problems.sort_unstable();
    assert_eq!(problems, ["1000001,2,A7C02215FC", "1000002,2,A7C02215FC"]);
    // They are clients when they have answered.
    server.until(|coordinator| coordinator.totals().clients == 1).await;
    assert!(!server.has_shown("Started"));
    for peer in [&first, &second] {
        peer.send(b"Computed 777 hashes\n").await.unwrap();
    }
    assert!(read_some(&mut third).await.ends_with(",2,A7C02215FC"));
    // Who has lost the problem gets it again, when it has said as much.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    first.send(b"Computed 0 hashes\n").await.unwrap();
    assert_eq!(datagram(&first).await, one);
    // A claim that is none changes nothing: it need not be this client's own.
    let lie = format!("ok,0x1,{}", "0".repeat(32));
    for _ in 0..5 {
        first.send(lie.as_bytes()).await.unwrap();
    }
    first.send(solved("A7C02215FC").as_bytes()).await.unwrap();
    let stop = format!("stop,{}", one.split(',').next().unwrap());
    assert_eq!(datagram(&first).await, stop);
    assert_eq!(datagram(&second).await, stop);
    // Over TCP clients have the coordinator's numbers.
    let stopped = read_some(&mut third).await;
    assert!(["stop,1", "stop,2", "stop,3"].contains(&stopped.as_str()), "{stopped}");
    assert!(server.has_shown("Computed 777 hashes") && !server.has_shown("Distrusted"));
    assert!(matches!(server.ended().await, ServerEnding::Over(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn our_classic_client_works_for_our_server_over_either() {
    for transport in [Transport::Tcp, Transport::Udp, Transport::Auto] {
        let server = start(Config { min_clients: 1, ..quick() });
        let backend = Arc::new(Scan { pause: Duration::from_micros(100) });
        let addresses = [server.address];
        let running =
            plaintext::run(&addresses, transport, backend, std::future::pending(), |_, _, _| {});
        let ending = timeout(GUARD, running).await.unwrap();
        let id = if transport == Transport::Udp { 1_000_001 } else { 1 };
        assert_eq!(ending, plaintext::PlaintextEnding::Finished { winner: Some(id), client: id });
        assert!(matches!(server.ended().await, ServerEnding::Over(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_works_for_an_old_server_over_udp() {
    let old = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = old.local_addr().unwrap();
    let backend = Arc::new(Scan { pause: Duration::from_micros(500) });
    let client = tokio::spawn(async move {
        // Nobody listens on TCP.
        let transport = Transport::Auto;
        plaintext::run(&[address], transport, backend, std::future::pending(), |_, _, _| {}).await
    });
    let mut buffer = [0; 1024];
    let (length, from) = timeout(GUARD, old.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], b"Computed 0 hashes\n");
    old.send_to(b"3,2,abcdf", from).await.unwrap();
    // The claim comes again as long as there is no answer to it.
    let mut claims = Vec::new();
    while claims.len() < 2 {
        let (length, _) = timeout(GUARD, old.recv_from(&mut buffer)).await.unwrap().unwrap();
        let line = String::from_utf8(buffer[..length].to_vec()).unwrap();
        match line.strip_prefix("ok,") {
            Some(claim) => claims.push(claim.to_owned()),
            None => assert!(line.starts_with("Computed ") && line.ends_with(" hashes\n"), "{line}"),
        }
    }
    assert_eq!(claims[0], claims[1]);
    let (seed, digest) = claims[0].split_once(',').unwrap();
    assert_eq!(digest, Digest::of(format!("{seed}abcdf").as_bytes()).to_string());
    assert!(seed.starts_with("0x") && digest.starts_with("0000"), "{seed} {digest}");
    old.send_to(b"stop,3", from).await.unwrap();
    let ending = timeout(GUARD, client).await.unwrap().unwrap();
    assert_eq!(ending, plaintext::PlaintextEnding::Finished { winner: Some(3), client: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn our_client_works_for_an_old_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = Arc::new(Scan { pause: Duration::from_micros(500) });
    let client = tokio::spawn(async move {
        let transport = Transport::Tcp;
        plaintext::run(&[address], transport, backend, std::future::pending(), |_, _, _| {}).await
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"3,2,abcdf").await.unwrap();
    let mut heard = String::new();
    while !heard.contains("ok,") || heard.rsplit(',').next().unwrap().len() < 32 {
        let more = read_some(&mut stream).await;
        assert_ne!(more, "", "the client has hung up after {heard:?}");
        heard += &more;
    }
    let (progress, claim) = heard.split_once("ok,").unwrap();
    for line in progress.lines() {
        assert!(line.starts_with("Computed ") && line.ends_with(" hashes"), "{line:?}");
    }
    assert!(progress.lines().count() >= 1);
    let (seed, digest) = claim.split_once(',').unwrap();
    assert!(seed.starts_with("0x"), "{seed}");
    let digest = digest.lines().next().unwrap();
    assert_eq!(digest, Digest::of(format!("{seed}abcdf").as_bytes()).to_string());
    assert!(digest.starts_with("0000"));
    stream.write_all(b"stop,3").await.unwrap();
    let ending = timeout(GUARD, client).await.unwrap().unwrap();
    assert_eq!(ending, plaintext::PlaintextEnding::Finished { winner: Some(3), client: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_protocol_is_told_from_one_that_is_not_there() {
    for (words, why) in [
        ("", "not started with --classic"),
        ("HTTP/1.1 400 Bad Request\r\n", "it said \"HTTP/1.1 400"),
        ("7,99,ab", "it said \"7,99,ab\""),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [listener.local_addr().unwrap()];
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
        });
        let backend = Arc::new(Scan { pause: Duration::ZERO });
        let running = plaintext::run(
            &addresses,
            Transport::Tcp,
            backend.clone(),
            std::future::pending(),
            |_, _, _| {},
        );
        let ending = timeout(GUARD, running).await.unwrap();
        assert!(
            matches!(&ending, plaintext::PlaintextEnding::OtherProtocol(text) if text.contains(why)),
            "{words:?}: {ending:?}"
        );
        serving.await.unwrap();
        let running = plaintext::run(
            &addresses,
            Transport::Tcp,
            backend,
            std::future::pending(),
            |_, _, _| {},
        );
        let ending = timeout(GUARD, running).await.unwrap();
        assert!(matches!(ending, plaintext::PlaintextEnding::Unreachable(_)), "{ending:?}");
    }
}
