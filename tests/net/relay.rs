//! Relays that make a network bad: they lose, duplicate, delay and reorder datagrams, and cut
//! connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Random numbers from a fixed seed (SplitMix64), so that a run can be repeated.
struct Random(AtomicU64);

impl Random {
    fn percent(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 100
    }
}

/// Loses 30 %, duplicates 10 %, and delays by 50 to 70 ms, so that datagrams overtake each other.
struct Faults {
    random: Random,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl Faults {
    /// Returns the delay of each copy of a datagram.
    fn deliveries(&self) -> Vec<Duration> {
        if self.random.percent() < 30 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
        let copies = if self.random.percent() < 10 { 2 } else { 1 };
        (0..copies).map(|_| Duration::from_millis(50 + self.random.percent() / 5)).collect()
    }
}

/// Relays datagrams until it is dropped.
pub(crate) struct LossyRelay {
    pub(crate) address: SocketAddr,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

impl LossyRelay {
    pub(crate) async fn start(server: SocketAddr, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let faults = Arc::new(Faults {
            random: Random(AtomicU64::new(seed)),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(front, server, faults.clone()));
        Self { address, faults, _tasks: tasks }
    }

    /// Returns the numbers of datagrams that were passed on and lost.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.faults.passed.load(Ordering::Relaxed), self.faults.lost.load(Ordering::Relaxed))
    }
}

async fn forward(front: Arc<UdpSocket>, server: SocketAddr, faults: Arc<Faults>) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut returning = JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        let Ok((length, client)) = front.recv_from(&mut buffer).await else { continue };
        let back = match backs.get(&client) {
            Some(back) => back.clone(),
            None => {
                let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                back.connect(server).await.unwrap();
                backs.insert(client, back.clone());
                returning.spawn(backward(back.clone(), front.clone(), client, faults.clone()));
                back
            }
        };
        for delay in faults.deliveries() {
            let (back, datagram) = (back.clone(), buffer[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = back.send(&datagram).await;
            });
        }
    }
}

async fn backward(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    faults: Arc<Faults>,
) {
    let mut buffer = [0; 2048];
    loop {
        let Ok(length) = back.recv(&mut buffer).await else { continue };
        for delay in faults.deliveries() {
            let (front, datagram) = (front.clone(), buffer[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = front.send_to(&datagram, client).await;
            });
        }
    }
}

/// Relays connections, which can be cut and mended, until it is dropped.
pub(crate) struct CutRelay {
    pub(crate) address: SocketAddr,
    intact: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl CutRelay {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let intact = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        tasks.spawn(relay_connections(listener, server, intact.clone()));
        Self { address, intact, _tasks: tasks }
    }

    pub(crate) fn cut(&self) {
        self.intact.store(false, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.intact.store(true, Ordering::Relaxed);
    }
}

async fn relay_connections(listener: TcpListener, server: SocketAddr, intact: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let intact = intact.clone();
        connections.spawn(async move {
            if !intact.load(Ordering::Relaxed) {
                return;
            }
            let Ok(mut far) = TcpStream::connect(server).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = until_cut(&intact) => {}
            }
        });
    }
}

async fn until_cut(intact: &AtomicBool) {
    while intact.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
