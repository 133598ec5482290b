//! Permissions, bans and limits, with senders at addresses of the test's choice.

mod bans;
mod observers;

use super::*;
use crate::jobs::{JobKind, samples};
use crate::lease::{Epoch, LeaseId};
use crate::net::limits::CLIENTS_PER_ADDRESS;
use crate::proto::{BanLine, Hello, JobLine, Md5Part, Party, Progress, Refused, Submit, Work};
use crate::span::Span;
use std::net::IpAddr;

const HERE: &str = "127.0.0.1";
const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";

/// A service, with the outlets that must live as long.
struct Fixture {
    service: Arc<Service>,
    _outlets: Outlets,
    numbers: std::cell::Cell<u64>,
}

/// A sender, which is a client once it has said hello.
struct Peer {
    origin: Origin,
    client: Option<ClientId>,
}

impl Peer {
    fn at(address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let waker = Waker::Connection(Arc::new(Notify::new()));
        Self { origin: Origin { address: (address, 4321).into(), waker }, client: None }
    }
}

impl Fixture {
    fn new() -> Self {
        let config = Config { min_clients: 1, ..Config::default() };
        let (service, outlets) = Service::new(config);
        Self { service, _outlets: outlets, numbers: std::cell::Cell::new(0) }
    }

    /// Returns a server that goes on where one was that stayed for another's job.
    fn resumed_while_lingering() -> Self {
        let mut coordinator = Coordinator::new(Config::default(), [0; 32]);
        let mut submit = |submitter, key| {
            let job = samples::search(90, 1);
            coordinator.submit_as(Duration::ZERO, submitter, key, job, 1).unwrap()
        };
        let main = submit(Submitter::Server, 1);
        submit(Submitter::Here, 2);
        assert!(coordinator.cancel(Duration::ZERO, main));
        let facts = coordinator.snapshot();
        let (service, outlets) = Service::restored(Config::default(), facts).unwrap();
        Self { service, _outlets: outlets, numbers: std::cell::Cell::new(0) }
    }

    fn open() -> Self {
        let server = Self::new();
        server.service.open();
        server
    }

    /// Returns the answer to a call that has been encoded and decoded.
    fn call(&self, peer: &mut Peer, call: Call) -> Answer {
        self.handle(peer, call, 0).reply.answer.unwrap()
    }

    /// Handles a call of a peer that acknowledges notices up to number `notices_seen`.
    fn handle(&self, peer: &mut Peer, call: Call, notices_seen: u64) -> Handled {
        self.numbers.set(self.numbers.get() + 1);
        let number = self.numbers.get();
        let (session, cookie) = (0, Vec::new());
        let request = Request { number, session, notices_seen, cookie, call };
        let request = Request::decode(&request.encode(0)).unwrap();
        let Handled { reply, last } = self.service.handle(&peer.origin, &mut peer.client, request);
        Handled { reply: Reply::decode(&reply.encode()).unwrap(), last }
    }

    fn ask(&self, address: &str, call: Call) -> Answer {
        self.call(&mut Peer::at(address), call)
    }

    fn joined(&self, address: &str, key: u8) -> Peer {
        let mut peer = Peer::at(address);
        let answer = self.call(&mut peer, hello(key));
        assert!(matches!(answer, Answer::Welcome(_)), "{answer:?}");
        peer
    }

    fn jobs(&self) -> Vec<JobLine> {
        match self.ask(FAR, Call::Jobs(0)) {
            Answer::Jobs(jobs, _) => jobs,
            other => panic!("{other:?}"),
        }
    }

    fn standing(&self, client: u64) -> String {
        match self.ask(FAR, Call::Clients(client.try_into().unwrap())) {
            Answer::Clients(clients, _) => clients[0].standing.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn bans(&self) -> Vec<(Party, u64)> {
        match self.ask(HERE, Call::Bans(0)) {
            Answer::Bans(bans, 0) => {
                bans.iter().map(|BanLine { who, turned_away, .. }| (*who, *turned_away)).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

fn hello(key: u8) -> Call {
    Call::Hello(Hello {
        oldest_version: 1,
        newest_version: 1,
        key: [key; 16],
        name: "peer".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: JobKind::ALL.to_vec(),
    })
}

fn submit(key: u8, priority: u32) -> Call {
    let part = Md5Part::new(&samples::puzzle_of("ab".into(), 128), None, 1, 0, usize::MAX);
    Call::Submit(Submit { key: [key; 16], work: Work::Md5Search(part), priority })
}

fn party(word: &str) -> Party {
    word.parse().unwrap()
}

fn forbidden(answer: &Answer) -> &str {
    match answer {
        Answer::Refused(Refused { reason: RefusalReason::Forbidden, text }) => text,
        other => panic!("{other:?}"),
    }
}

fn is_refused(answer: &Answer, why: RefusalReason) -> bool {
    matches!(answer, Answer::Refused(Refused { reason, .. }) if *reason == why)
}

/// A false claim. The third one costs a client its trust.
fn false_claim(job: u64, nonce: u128) -> Call {
    let (done, sum) = (Span::new(0, 0), Vec::new());
    let (hits, shares) = (vec![nonce], Vec::new());
    let (lease, epoch, job, finished) = (LeaseId(0), Epoch(0), JobId(job), false);
    Call::Progress(Progress { lease, epoch, job, done, finished, hits, shares, sum })
}

#[test]
fn other_machines_may_only_list() {
    let server = Fixture::new();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let changes = [
        submit(1, 1),
        Call::Cancel(1),
        Call::Ban(party(FAR)),
        Call::Unban(party(FAR)),
        Call::Bans(0),
    ];
    for address in [NEAR, "2001:db8::1", "::ffff:192.0.2.1"] {
        for call in changes.clone() {
            let answer = server.ask(address, call);
            assert!(forbidden(&answer).contains("127.0.0.1"), "{answer:?}");
        }
        for call in [Call::Jobs(0), Call::Job { job: 1, offset: 0 }] {
            assert!(matches!(server.ask(address, call), Answer::Jobs(jobs, 0) if jobs.len() == 1));
        }
        assert!(matches!(server.ask(address, Call::Clients(0)), Answer::Clients(..)));
    }
    // Clients have no more rights.
    let mut client = server.joined(NEAR, 1);
    assert!(forbidden(&server.call(&mut client, Call::Cancel(1))).contains("--open"));
    assert_eq!(server.jobs().len(), 1);
    for here in [HERE, "::1", "::ffff:127.0.0.1"] {
        let answer = server.ask(here, submit(here.len() as u8, 100));
        assert!(matches!(answer, Answer::Submitted { .. }), "{answer:?}");
    }
    assert_eq!(server.ask(HERE, Call::Cancel(1)), Answer::Ok);
    assert!(server.service.closing().is_none(), "it stays for the jobs of others");
    for job in 2..=4 {
        assert_eq!(server.ask(HERE, Call::Cancel(job)), Answer::Ok);
    }
    assert!(server.service.closing().is_some(), "all jobs have ended");
}

#[test]
fn on_an_open_server_other_machines_may_submit_and_cancel_their_own() {
    let server = Fixture::open();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    server.ask(HERE, submit(1, 100));
    for (key, address) in [(2, NEAR), (3, FAR)] {
        assert!(forbidden(&server.ask(address, submit(9, 2))).contains("--priority"));
        let answer = server.ask(address, submit(key, 1));
        assert!(matches!(answer, Answer::Submitted { job, .. } if job == u64::from(key) + 1));
    }
    for job in [1, 2, 4] {
        let answer = server.ask(NEAR, Call::Cancel(job));
        assert!(forbidden(&answer).contains("elsewhere"), "{answer:?}");
    }
    assert!(is_refused(&server.ask(NEAR, Call::Cancel(99)), RefusalReason::Unknown));
    assert_eq!(server.ask(NEAR, Call::Cancel(3)), Answer::Ok);
    assert_eq!(server.ask(HERE, Call::Cancel(4)), Answer::Ok);
    assert!(server.service.closing().is_none());
    // A stranger who may ban could lock all others out.
    for call in [Call::Ban(party(HERE)), Call::Unban(party(NEAR))] {
        assert!(forbidden(&server.ask(NEAR, call)).contains("127.0.0.1"));
    }
    assert_eq!(server.ask(NEAR, Call::Bans(0)), Answer::Bans(Vec::new(), 0));
}

#[test]
fn one_network_fills_only_its_own_job_places() {
    let server = Fixture::open();
    let full =
        (0..=255).find(|&key| is_refused(&server.ask(NEAR, submit(key, 1)), RefusalReason::Full));
    assert_eq!(full, Some(62));
    // Other addresses of one network share its places.
    let six = |n: u8| format!("2001:db8::{n:x}");
    let full = (0..=255).find(|&key| {
        let Call::Submit(submit) = submit(0, 1) else { unreachable!() };
        let submit = Submit { key: [key, 6, 6, 6, 6, 6, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0], ..submit };
        is_refused(&server.ask(&six(key), Call::Submit(submit)), RefusalReason::Full)
    });
    assert_eq!(full, Some(62));
    for (key, address) in [(200, FAR), (201, HERE)] {
        assert!(matches!(server.ask(address, submit(key, 1)), Answer::Submitted { .. }));
    }
}

#[test]
fn newcomers_from_an_address_that_lied_are_admitted_and_suspect() {
    let server = Fixture::new();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let mut neighbour = server.joined(NEAR, 1);
    for round in 0..5u8 {
        let mut liar = server.joined(NEAR, 10 + round);
        for nonce in 0..3 {
            assert!(matches!(server.call(&mut liar, false_claim(1, nonce)), Answer::Verdict(_)));
        }
        // The liar itself gets no more work.
        assert!(is_refused(&server.call(&mut liar, Call::Ask), RefusalReason::Banned));
        let mut again = Peer::at(FAR);
        assert!(is_refused(&server.call(&mut again, hello(10 + round)), RefusalReason::Banned));
    }
    let mut newcomer = server.joined(NEAR, 2);
    let elsewhere = server.joined(FAR, 3);
    let standing = |peer: &Peer| server.standing(peer.client.unwrap().0);
    assert_eq!(standing(&newcomer), "good, suspect address");
    assert_eq!((standing(&neighbour), standing(&elsewhere)), ("good".into(), "good".into()));
    for peer in [&mut newcomer, &mut neighbour] {
        assert!(matches!(server.call(peer, Call::Ask), Answer::Grant(_)));
    }
    assert_eq!(server.bans(), []);
}

#[test]
fn a_connection_ends_once_its_client_has_acknowledged_the_closing() {
    let server = Fixture::new();
    let mut peer = server.joined(NEAR, 1);
    let open = server.handle(&mut peer, Call::Heartbeat, 0);
    assert!(open.reply.notice.is_none() && !open.last);
    server.service.close();
    let told = server.handle(&mut peer, Call::Heartbeat, 0);
    assert!(matches!(
        &told.reply.notice,
        Some(Notice { number: 1, what: Notification::Closing(_) })
    ));
    assert!(!told.last);
    // A reply made before the server closed does not end the connection, whenever it is sent.
    assert!(!open.last && !server.service.all_acknowledged());
    let known = server.handle(&mut peer, Call::Heartbeat, 1);
    assert!(known.reply.notice.is_none() && known.last && server.service.all_acknowledged());
}

#[test]
fn a_page_of_jobs_is_bounded_whatever_the_jobs_hold() {
    let server = Fixture::new();
    let mut client = server.joined(HERE, 1);
    for key in 0..110 {
        let puzzle = samples::puzzle_of("ab".repeat(5_000), 0);
        let part = Md5Part::new(&puzzle, None, 1_000, 0, usize::MAX);
        let work = Work::Md5Search(part);
        server.ask(HERE, Call::Submit(Submit { key: [key; 16], work, priority: 1 }));
        for nonce in 0..12 {
            server.call(&mut client, false_claim(u64::from(key) + 1, nonce << 50));
        }
    }
    let jobs = server.jobs();
    assert_eq!(jobs.len(), 100);
    assert!(jobs.iter().all(|job| job.solutions == 12 && job.title.len() == 120));
    assert!(jobs.iter().all(|job| job.result.split(' ').count() == 4));
    let page = Reply { number: 1, notice: None, answer: Some(Answer::Jobs(jobs, 101)) };
    assert!(page.encode().len() <= crate::proto::MAX_FRAME);
    let Answer::Jobs(job, 0) = server.ask(FAR, Call::Job { job: 1, offset: 7 }) else { panic!() };
    assert_eq!(job[0].result.split(' ').count(), 5);
}

/// Says hello with a key of its own for each `n`.
fn join(server: &Fixture, address: &str, n: u32) -> Answer {
    let Call::Hello(hello) = hello(0) else { unreachable!() };
    let mut key = [7; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    server.ask(address, Call::Hello(Hello { key, ..hello }))
}

#[test]
fn clients_of_one_network_are_limited_and_those_of_this_machine_are_not() {
    let server = Fixture::new();
    let limit = u32::try_from(CLIENTS_PER_ADDRESS).unwrap();
    let subnet = |n: u32| format!("2001:db8::{n:x}");
    for n in 0..limit {
        assert!(matches!(join(&server, &subnet(n), n), Answer::Welcome(_)), "client {n}");
        assert!(matches!(join(&server, HERE, limit + n), Answer::Welcome(_)), "client {n}");
    }
    let newcomer = 2 * limit;
    assert!(is_refused(&join(&server, &subnet(newcomer), newcomer), RefusalReason::Full));
    let plaintext = server.service.join_plaintext(&Peer::at(&subnet(1)).origin);
    assert!(plaintext.unwrap_err().contains("too many"));
    // Known clients may come back; this machine and other networks have room.
    assert!(matches!(join(&server, &subnet(9), 5), Answer::Welcome(_)));
    assert!(matches!(join(&server, HERE, newcomer + 1), Answer::Welcome(_)));
    assert!(matches!(join(&server, NEAR, newcomer + 2), Answer::Welcome(_)));
    // A place is free again when its client leaves.
    let first = ClientId(1);
    assert!(server.service.read(|coordinator| coordinator.client(first)).is_some());
    server.service.leave(first);
    assert!(matches!(join(&server, &subnet(newcomer), newcomer), Answer::Welcome(_)));
    assert!(is_refused(&join(&server, &subnet(newcomer), newcomer + 3), RefusalReason::Full));
}

#[test]
fn a_server_resumed_while_it_lingered_goes_on_so() {
    let server = Fixture::resumed_while_lingering();
    assert!(server.service.has_lingered() && server.service.closing().is_none());
    assert_eq!(server.ask(HERE, Call::Cancel(2)), Answer::Ok);
    assert_eq!(server.service.closing().map(|over| over.job), Some(1));
    let server = Fixture::resumed_while_lingering();
    server.service.close_after_main();
    assert_eq!(server.service.closing().map(|over| over.job), Some(1));
}
