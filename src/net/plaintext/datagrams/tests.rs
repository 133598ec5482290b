use super::peers::{FIRST_NUMBER, MOST_OF_AN_ADDRESS, MOST_PEERS, NEWCOMERS};
use super::*;
use crate::coordinator::Config;
use crate::jobs::{JobSpec, Md5Search};
use crate::puzzle::{Difficulty, Digest, Encoding, Puzzle};
use crate::seeds::Layout;
use std::collections::HashMap;
use std::sync::Arc;

const GREETING: &[u8] = b"hello";
const WORK: &[u8] = b"Computed 5 hashes\n";

struct World {
    service: Arc<Service>,
    old: UdpPeers,
    now: Instant,
}

impl World {
    fn new(string: &str) -> Self {
        Self::waiting_for(1, string)
    }

    fn waiting_for(min_clients: usize, string: &str) -> Self {
        let puzzle = Puzzle::new(string, Difficulty::from_bytes(2).unwrap(), Encoding::Text);
        let puzzle = puzzle.unwrap();
        let (service, _) = Service::new(Config { min_clients, ..Config::default() });
        let search = Md5Search::new(&puzzle, Layout::Counting, 1).unwrap();
        service.submit_main(JobSpec::Md5Search(search)).unwrap();
        let old = UdpPeers::new(Problem::new(&puzzle).unwrap());
        Self { service, old, now: Instant::now() }
    }

    fn say(&mut self, address: SocketAddr, line: &[u8]) -> Option<Vec<u8>> {
        self.old.receive(&self.service, line, address, self.now)
    }

    fn due(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        self.old.due(&self.service, self.now)
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn clients(&self) -> usize {
        self.service.with(|coordinator, _| coordinator.totals().clients)
    }
}

/// A port of one of as many addresses as anyone may want.
fn address(host: u32, port: u16) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + host).to_be_bytes(), port))
}

fn true_claim(string: &str) -> Vec<u8> {
    let digest = |n: u64| (n, Digest::of(format!("0x{n:x}{string}").as_bytes()));
    let (n, digest) = (0..).map(digest).find(|(_, digest)| digest.zero_bits() >= 16).unwrap();
    format!("ok,0x{n:x},{digest}").into_bytes()
}

#[test]
fn an_address_is_sent_what_came_from_it_and_all_together_the_loans() {
    for digits in [10, 1000] {
        let mut world = World::new(&"a".repeat(digits));
        let (mut came, mut went) = (HashMap::new(), HashMap::new());
        for second in 0..100 {
            for host in 0..100 {
                // Half of them say a word once, the others one every second.
                let from = address(host, 9);
                if host % 2 == 0 || second == host {
                    let reply = world.say(from, GREETING);
                    assert_eq!(reply, None);
                    *came.entry(from).or_insert(0) += GREETING.len();
                }
            }
            for (to, datagram) in world.due() {
                *went.entry(to).or_insert(0) += datagram.len();
            }
            world.wait(Duration::from_secs(1));
        }
        let problem = world.old.problem.segment(FIRST_NUMBER).len();
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
    let mut world = World::new(&"a".repeat(1000));
    let (mut came, mut went) = (0, 0);
    for host in 0..20_000 {
        world.say(address(host, 9), b"\n");
        came += 1;
        if host % 100 == 0 {
            world.wait(Duration::from_millis(10));
            went += world.due().iter().map(|(_, datagram)| datagram.len()).sum::<usize>();
        }
    }
    assert!(went <= came + (LOANS.0 + 2 * LOANS.1) as usize, "{went}");
    assert_eq!(world.clients(), 0, "nobody has answered");
}

#[test]
fn who_says_enough_is_told_without_a_loan() {
    let mut world = World::new("A7C02215FC");
    world.old.loans = Allowance::new(0, 0, world.now);
    let from = address(1, 9);
    world.say(from, GREETING);
    assert!(world.due().is_empty());
    for _ in 0..3 {
        world.say(from, GREETING);
    }
    assert_eq!(world.due(), [(from, b"1000001,2,A7C02215FC".to_vec())]);
    assert!(world.due().is_empty(), "once");
}

#[test]
fn an_address_is_a_client_when_it_has_answered() {
    let mut world = World::new("A7C02215FC");
    let from = address(1, 9);
    world.say(from, WORK);
    assert_eq!((world.clients(), world.due().len()), (0, 1), "it was told nothing yet");
    world.say(from, GREETING);
    assert_eq!(world.clients(), 0);
    world.say(from, WORK);
    assert_eq!(world.clients(), 1);
}

#[test]
fn the_problem_is_kept_back_until_enough_are_there() {
    let mut world = World::waiting_for(3, "A7C02215FC");
    world.say(address(1, 9), GREETING);
    world.say(address(2, 9), GREETING);
    world.wait(Duration::from_secs(3600));
    assert!(world.due().is_empty());
    world.say(address(3, 9), GREETING);
    assert_eq!(world.due().len(), 3);
    let started = world.service.with(|coordinator, _| coordinator.totals().started);
    assert!(!started, "that is for clients to decide");
    for host in 1..=3 {
        world.say(address(host, 9), WORK);
    }
    assert!(world.service.with(|coordinator, _| coordinator.totals().started));
}

#[test]
fn false_claims_silence_nobody() {
    let mut world = World::new("A7C02215FC");
    let (honest, other) = (address(1, 9), address(2, 9));
    for from in [honest, other] {
        world.say(from, GREETING);
        world.due();
        world.say(from, WORK);
    }
    // Whoever says this, it comes from the honest client's address.
    for n in 0..100 {
        world.say(honest, format!("ok,0x{n:x},{}", "0".repeat(32)).as_bytes());
    }
    let faults = world.service.with(|coordinator, _| coordinator.clients()[0].false_claims);
    assert_eq!(faults, 0);
    world.say(honest, WORK);
    let units = world.service.with(|coordinator, _| coordinator.clients().len());
    assert_eq!(units, 2);
    assert!(world.service.closing().is_none());
    world.say(honest, &true_claim("A7C02215FC"));
    assert_eq!(world.service.closing().unwrap().winner(), 1);
    // Both know who has won, by the number that it has in their problem.
    let mut stops = world.due();
    stops.sort();
    let stop = b"stop,1000001".to_vec();
    assert_eq!(stops, [(honest, stop.clone()), (other, stop)]);
}

#[test]
fn a_stop_is_never_longer_than_what_it_answers() {
    let mut world = World::new("A7C02215FC");
    let winner = address(1, 9);
    // A seed may be there before anything was computed.
    world.say(winner, &true_claim("A7C02215FC"));
    assert!(world.service.closing().is_some());
    assert_eq!(world.say(address(2, 9), b"hi"), None);
    let reply = world.say(address(2, 9), WORK).unwrap();
    assert!(reply.starts_with(b"stop,") && reply.len() <= WORK.len());
}

#[test]
fn the_table_is_as_large_as_it_may_be_and_who_works_keeps_its_place() {
    let mut world = World::new("A7C02215FC");
    let honest = address(0, 9);
    world.say(honest, GREETING);
    world.due();
    world.say(honest, WORK);
    let mut seen = 0;
    for round in 0..100 {
        for host in 1..=1000 {
            world.say(address(1000 * round + host, 9), b"x");
        }
        world.say(honest, WORK);
        world.wait(Duration::from_secs(1));
        seen = seen.max(world.old.peers.iter_mut().count());
    }
    assert_eq!(seen, MOST_PEERS);
    world.say(honest, WORK);
    assert_eq!((world.clients(), world.old.peers.number_of(1)), (1, FIRST_NUMBER));
    // One address with all its ports.
    let mut world = World::new("A7C02215FC");
    for port in 1..=1000 {
        world.say(address(7, port), b"x");
    }
    assert_eq!(world.old.peers.iter_mut().count(), MOST_OF_AN_ADDRESS);
    // A flood within a moment.
    let mut world = World::new("A7C02215FC");
    for host in 1..=3000 {
        world.say(address(host, 9), b"x");
    }
    assert_eq!(world.old.peers.iter_mut().count(), NEWCOMERS.0 as usize);
    world.wait(IDLE_TIME);
    assert!(world.due().is_empty());
    assert!(world.old.peers.is_empty(), "who says nothing more is forgotten");
}
