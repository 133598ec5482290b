//! Bad networks in between: datagrams that are lost, doubled, late and out of order, and
//! connections that can be cut.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Chance from a fixed seed (SplitMix64), so that a run can be repeated.
struct Chance(AtomicU64);

impl Chance {
    fn percent(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 100
    }
}

/// 30 % loss, 10 % doubled, 50 ms of delay and up to 20 ms more, by which later ones overtake.
struct Weather {
    chance: Chance,
    passed: AtomicU64,
    lost: AtomicU64,
}

impl Weather {
    fn deliveries(&self) -> Vec<Duration> {
        if self.chance.percent() < 30 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        }
        self.passed.fetch_add(1, Ordering::Relaxed);
        let copies = if self.chance.percent() < 10 { 2 } else { 1 };
        (0..copies).map(|_| Duration::from_millis(50 + self.chance.percent() / 5)).collect()
    }
}

/// A relay of datagrams; ends when dropped.
pub(crate) struct LossyRelay {
    pub(crate) address: SocketAddr,
    weather: Arc<Weather>,
    _tasks: JoinSet<()>,
}

impl LossyRelay {
    pub(crate) async fn start(server: SocketAddr, seed: u64) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let weather = Arc::new(Weather {
            chance: Chance(AtomicU64::new(seed)),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(front, server, weather.clone()));
        Self { address, weather, _tasks: tasks }
    }

    /// Datagrams that got through, and that did not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.weather.passed.load(Ordering::Relaxed), self.weather.lost.load(Ordering::Relaxed))
    }
}

async fn forward(front: Arc<UdpSocket>, server: SocketAddr, weather: Arc<Weather>) {
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
                returning.spawn(bring_back(back.clone(), front.clone(), client, weather.clone()));
                back
            }
        };
        for delay in weather.deliveries() {
            let (back, datagram) = (back.clone(), buffer[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = back.send(&datagram).await;
            });
        }
    }
}

async fn bring_back(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    weather: Arc<Weather>,
) {
    let mut buffer = [0; 2048];
    loop {
        let Ok(length) = back.recv(&mut buffer).await else { continue };
        for delay in weather.deliveries() {
            let (front, datagram) = (front.clone(), buffer[..length].to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let _ = front.send_to(&datagram, client).await;
            });
        }
    }
}

/// A relay of connections that can be cut and mended; ends when dropped.
pub(crate) struct CutRelay {
    pub(crate) address: SocketAddr,
    whole: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl CutRelay {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let whole = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_on(listener, server, whole.clone()));
        Self { address, whole, _tasks: tasks }
    }

    pub(crate) fn cut(&self) {
        self.whole.store(false, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }
}

async fn pass_on(listener: TcpListener, server: SocketAddr, whole: Arc<AtomicBool>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let whole = whole.clone();
        connections.spawn(async move {
            if !whole.load(Ordering::Relaxed) {
                return;
            }
            let Ok(mut far) = TcpStream::connect(server).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = cut(&whole) => {}
            }
        });
    }
}

async fn cut(whole: &AtomicBool) {
    while whole.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
