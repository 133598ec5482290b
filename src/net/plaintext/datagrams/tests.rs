use super::*;
use crate::coordinator::Config;
use crate::jobs::{JobSpec, Md5Search};
use crate::net::limits::{FIRST_NUMBER, MAX_PEERS, NEWCOMERS, PEERS_PER_ADDRESS};
use crate::puzzle::{Difficulty, Digest, Encoding, Puzzle};
use crate::seeds::Layout;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

const GREETING: &[u8] = b"hello";
const WORK: &[u8] = b"Computed 5 hashes\n";

struct Fixture {
    service: Arc<Service>,
    peers: UdpPeers,
    now: Instant,
}

impl Fixture {
    fn new(string: &str) -> Self {
        Self::waiting_for(1, string)
    }

    fn waiting_for(min_clients: usize, string: &str) -> Self {
        let puzzle = Puzzle::new(string, Difficulty::from_bytes(2).unwrap(), Encoding::Text);
        let puzzle = puzzle.unwrap();
        let (service, _) = Service::new(Config { min_clients, ..Config::default() });
        let search = Md5Search::new(&puzzle, Layout::Counting, 1).unwrap();
        service.submit_main(JobSpec::Md5Search(search)).unwrap();
        let now = Instant::now();
        let peers = UdpPeers::new(Problem::new(&puzzle).unwrap(), now);
        Self { service, peers, now }
    }

    fn say(&mut self, address: SocketAddr, line: &[u8]) -> Option<Vec<u8>> {
        self.peers.receive(&self.service, line, address, self.now)
    }

    fn due(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.peers.due(&self.service, self.now)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn clients(&self) -> usize {
        self.service.read(|coordinator| coordinator.totals().clients)
    }
}

/// Returns a port of one of many addresses.
fn address(host: u32, port: u16) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + host).to_be_bytes(), port))
}

fn true_claim(string: &str) -> Vec<u8> {
    let digest = |n: u64| (n, Digest::of(format!("0x{n:x}{string}").as_bytes()));
    let (n, digest) = (0..).map(digest).find(|(_, digest)| digest.zero_bits() >= 16).unwrap();
    format!("ok,0x{n:x},{digest}").into_bytes()
}

#[test]
fn an_address_is_sent_what_it_sent_and_all_addresses_share_the_loans() {
    for digits in [10, 1000] {
        let mut net = Fixture::new(&"a".repeat(digits));
        let (mut came, mut went) = (HashMap::new(), HashMap::new());
        for second in 0..100 {
            for host in 0..100 {
                // Half of them send a word once, the others one every second.
                let from = address(host, 9);
                if host % 2 == 0 || second == host {
                    let reply = net.say(from, GREETING);
                    assert_eq!(reply, None);
                    *came.entry(from).or_insert(0) += GREETING.len();
                }
            }
            for (to, datagram) in net.due() {
                *went.entry(to).or_insert(0) += datagram.len();
            }
            net.wait(Duration::from_secs(1));
        }
        let problem = net.peers.problem.segment(FIRST_NUMBER).len();
        let mut borrowed = 0;
        for (address, went) in went {
            let over = went.saturating_sub(came[&address]);
            assert!(over <= 10 * problem, "one loan in ten seconds: {over}");
            borrowed += over;
        }
        assert!(borrowed <= (LOANS.0 + 100 * LOANS.1) as usize, "{borrowed}");
        assert!(borrowed > 0);
    }
}

#[test]
fn a_flood_of_forged_addresses_is_sent_no_more_than_the_loans() {
    let mut net = Fixture::new(&"a".repeat(1000));
    let (mut came, mut went) = (0, 0);
    for host in 0..20_000 {
        net.say(address(host, 9), b"\n");
        came += 1;
        if host % 100 == 0 {
            net.wait(Duration::from_millis(10));
            went += net.due().iter().map(|(_, datagram)| datagram.len()).sum::<usize>();
        }
    }
    assert!(went <= came + (LOANS.0 + 2 * LOANS.1) as usize, "{went}");
    assert_eq!(net.clients(), 0, "none has answered");
}

#[test]
fn an_address_that_sends_enough_is_sent_the_problem_without_a_loan() {
    let mut net = Fixture::new("A7C02215FC");
    net.peers.loans = Allowance::new(0, 0, net.now);
    let from = address(1, 9);
    net.say(from, GREETING);
    assert!(net.due().is_empty());
    for _ in 0..3 {
        net.say(from, GREETING);
    }
    assert_eq!(net.due(), [(from, b"1000001,2,A7C02215FC".to_vec())]);
    assert!(net.due().is_empty(), "once");
}

#[test]
fn an_address_becomes_a_client_when_it_has_answered() {
    let mut net = Fixture::new("A7C02215FC");
    let from = address(1, 9);
    net.say(from, WORK);
    assert_eq!((net.clients(), net.due().len()), (0, 1), "it has no problem yet");
    net.say(from, GREETING);
    assert_eq!(net.clients(), 0);
    net.say(from, WORK);
    assert_eq!(net.clients(), 1);
}

#[test]
fn the_problem_is_sent_when_enough_clients_are_here() {
    let mut net = Fixture::waiting_for(3, "A7C02215FC");
    net.say(address(1, 9), GREETING);
    net.say(address(2, 9), GREETING);
    net.wait(Duration::from_secs(3600));
    assert!(net.due().is_empty());
    net.say(address(3, 9), GREETING);
    assert_eq!(net.due().len(), 3);
    let started = net.service.read(|coordinator| coordinator.totals().started);
    assert!(!started, "only clients count for the coordinator");
    for host in 1..=3 {
        net.say(address(host, 9), WORK);
    }
    assert!(net.service.read(|coordinator| coordinator.totals().started));
}

#[test]
fn a_forged_false_claim_harms_nobody() {
    let mut net = Fixture::new("A7C02215FC");
    let (honest, other) = (address(1, 9), address(2, 9));
    for from in [honest, other] {
        net.say(from, GREETING);
        net.due();
        net.say(from, WORK);
    }
    // A forger may have sent these from the honest client's address.
    for n in 0..100 {
        net.say(honest, format!("ok,0x{n:x},{}", "0".repeat(32)).as_bytes());
    }
    let faults = net.service.read(|coordinator| coordinator.clients()[0].false_claims);
    assert_eq!(faults, 0);
    net.say(honest, WORK);
    let units = net.service.read(|coordinator| coordinator.clients().len());
    assert_eq!(units, 2);
    assert!(net.service.closing().is_none());
    net.say(honest, &true_claim("A7C02215FC"));
    assert_eq!(net.service.closing().unwrap().winner(), 1);
    // Both learn who has won, by the number in its problem.
    let mut stops = net.due();
    stops.sort();
    let stop = b"stop,1000001".to_vec();
    assert_eq!(stops, [(honest, stop.clone()), (other, stop)]);
}

#[test]
fn a_stop_is_never_longer_than_what_it_answers() {
    let mut net = Fixture::new("A7C02215FC");
    let winner = address(1, 9);
    // A client may find a seed before its first progress line.
    net.say(winner, &true_claim("A7C02215FC"));
    assert!(net.service.closing().is_some());
    assert_eq!(net.say(address(2, 9), b"hi"), None);
    let reply = net.say(address(2, 9), WORK).unwrap();
    assert!(reply.starts_with(b"stop,") && reply.len() <= WORK.len());
}

#[test]
fn the_table_is_bounded_and_working_clients_keep_their_place() {
    let mut net = Fixture::new("A7C02215FC");
    let honest = address(0, 9);
    net.say(honest, GREETING);
    net.due();
    net.say(honest, WORK);
    let mut seen = 0;
    for round in 0..25 {
        for host in 1..=1000 {
            net.say(address(1000 * round + host, 9), b"x");
        }
        net.say(honest, WORK);
        net.wait(Duration::from_secs(1));
        seen = seen.max(net.peers.peers.iter_mut().count());
    }
    assert_eq!(seen, MAX_PEERS);
    net.say(honest, WORK);
    assert_eq!((net.clients(), net.peers.peers.number_of(1)), (1, FIRST_NUMBER));
    // One address with many ports.
    let mut net = Fixture::new("A7C02215FC");
    for port in 1..=1000 {
        net.say(address(7, port), b"x");
    }
    assert_eq!(net.peers.peers.iter_mut().count(), PEERS_PER_ADDRESS);
    // A flood at one moment.
    let mut net = Fixture::new("A7C02215FC");
    for host in 1..=3000 {
        net.say(address(host, 9), b"x");
    }
    assert_eq!(net.peers.peers.iter_mut().count(), NEWCOMERS.0 as usize);
    net.wait(IDLE_TIME);
    assert!(net.due().is_empty());
    assert!(net.peers.peers.is_empty(), "silent addresses are forgotten");
}
