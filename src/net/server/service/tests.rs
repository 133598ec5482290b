//! Who may do what, with senders at addresses of the test's choice.

use super::*;
use crate::jobs::{JobKind, samples};
use crate::lease::{Epoch, LeaseId};
use crate::proto::{BanLine, Hello, JobLine, Md5Part, Party, Progress, Refused, Submit, Work};
use crate::span::Span;
use std::net::IpAddr;

const HERE: &str = "127.0.0.1";
const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";

/// A service, and its outlets, which must be there as long as it is.
struct House {
    service: Arc<Service>,
    _outlets: Outlets,
    numbers: std::cell::Cell<u64>,
}

/// Someone who has said hello, or not yet.
struct Peer {
    sender: Sender,
    client: Option<ClientId>,
}

impl Peer {
    fn at(address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        let waker = Waker::Own(Arc::new(Notify::new()));
        Self { sender: Sender { address: (address, 4321).into(), waker }, client: None }
    }
}

impl House {
    fn new() -> Self {
        let config = Config { min_clients: 1, ..Config::default() };
        let (service, outlets) = Service::new(config);
        Self { service, _outlets: outlets, numbers: std::cell::Cell::new(0) }
    }

    fn open() -> Self {
        let house = Self::new();
        house.service.open();
        house
    }

    /// What `peer` gets for a call that has been over the wire.
    fn call(&self, peer: &mut Peer, call: Call) -> Answer {
        self.handle(peer, call, 0).reply.answer.unwrap()
    }

    /// The same by a peer that acknowledges notices up to `notices_seen`.
    fn handle(&self, peer: &mut Peer, call: Call, notices_seen: u64) -> Handled {
        self.numbers.set(self.numbers.get() + 1);
        let number = self.numbers.get();
        let (session, cookie) = (0, Vec::new());
        let request = Request { number, session, notices_seen, cookie, call };
        let request = Request::decode(&request.encode(0)).unwrap();
        let Handled { reply, last } = self.service.handle(&peer.sender, &mut peer.client, request);
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

#[test]
fn strangers_may_list_and_nothing_else() {
    let house = House::new();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    let changes = [
        submit(1, 1),
        Call::Cancel(1),
        Call::Ban(party(FAR)),
        Call::Unban(party(FAR)),
        Call::Bans(0),
    ];
    for address in [NEAR, "2001:db8::1", "::ffff:192.0.2.1"] {
        for call in changes.clone() {
            let answer = house.ask(address, call);
            assert!(forbidden(&answer).contains("127.0.0.1"), "{answer:?}");
        }
        for call in [Call::Jobs(0), Call::Job { job: 1, offset: 0 }] {
            assert!(matches!(house.ask(address, call), Answer::Jobs(jobs, 0) if jobs.len() == 1));
        }
        assert!(matches!(house.ask(address, Call::Clients(0)), Answer::Clients(..)));
    }
    // A client is a stranger, too.
    let mut client = house.joined(NEAR, 1);
    assert!(forbidden(&house.call(&mut client, Call::Cancel(1))).contains("--open"));
    assert_eq!(house.jobs().len(), 1);
    for here in [HERE, "::1", "::ffff:127.0.0.1"] {
        let answer = house.ask(here, submit(here.len() as u8, 100));
        assert!(matches!(answer, Answer::Submitted { .. }), "{answer:?}");
    }
    assert_eq!(house.ask(HERE, Call::Cancel(1)), Answer::Ok);
    assert!(house.service.closing().is_some(), "the main job has ended");
}

#[test]
fn on_an_open_server_strangers_may_submit_and_end_their_own() {
    let house = House::open();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    house.ask(HERE, submit(1, 100));
    for (key, address) in [(2, NEAR), (3, FAR)] {
        assert!(forbidden(&house.ask(address, submit(9, 2))).contains("--priority"));
        let answer = house.ask(address, submit(key, 1));
        assert!(matches!(answer, Answer::Submitted { job, .. } if job == u64::from(key) + 1));
    }
    for job in [1, 2, 4] {
        let answer = house.ask(NEAR, Call::Cancel(job));
        assert!(forbidden(&answer).contains("elsewhere"), "{answer:?}");
    }
    assert!(is_refused(&house.ask(NEAR, Call::Cancel(99)), RefusalReason::Unknown));
    assert_eq!(house.ask(NEAR, Call::Cancel(3)), Answer::Ok);
    assert_eq!(house.ask(HERE, Call::Cancel(4)), Answer::Ok);
    assert!(house.service.closing().is_none());
    // Who bans could have an open server for itself.
    for call in [Call::Ban(party(HERE)), Call::Unban(party(NEAR))] {
        assert!(forbidden(&house.ask(NEAR, call)).contains("127.0.0.1"));
    }
    assert_eq!(house.ask(NEAR, Call::Bans(0)), Answer::Bans(Vec::new(), 0));
}

#[test]
fn one_network_fills_its_own_places_only() {
    let house = House::open();
    let full =
        (0..=255).find(|&key| is_refused(&house.ask(NEAR, submit(key, 1)), RefusalReason::Full));
    assert_eq!(full, Some(62));
    // The same network, another address of it.
    let six = |n: u8| format!("2001:db8::{n:x}");
    let full = (0..=255).find(|&key| {
        let Call::Submit(submit) = submit(0, 1) else { unreachable!() };
        let submit = Submit { key: [key, 6, 6, 6, 6, 6, 6, 6, 0, 0, 0, 0, 0, 0, 0, 0], ..submit };
        is_refused(&house.ask(&six(key), Call::Submit(submit)), RefusalReason::Full)
    });
    assert_eq!(full, Some(62));
    for (key, address) in [(200, FAR), (201, HERE)] {
        assert!(matches!(house.ask(address, submit(key, 1)), Answer::Submitted { .. }));
    }
}

/// A claim that is not so; the third of them costs a client its trust.
fn lie(job: u64, nonce: u128) -> Call {
    let (done, sum) = (Span::new(0, 0), Vec::new());
    let (hits, shares) = (vec![nonce], Vec::new());
    let (lease, epoch, job, finished) = (LeaseId(0), Epoch(0), JobId(job), false);
    Call::Progress(Progress { lease, epoch, job, done, finished, hits, shares, sum })
}

#[test]
fn newcomers_from_where_someone_lied_are_let_in_and_suspect() {
    let house = House::new();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    let mut neighbour = house.joined(NEAR, 1);
    for round in 0..5u8 {
        let mut liar = house.joined(NEAR, 10 + round);
        for nonce in 0..3 {
            assert!(matches!(house.call(&mut liar, lie(1, nonce)), Answer::Verdict(_)));
        }
        // Its own session stays without work.
        assert!(is_refused(&house.call(&mut liar, Call::Ask), RefusalReason::Banned));
        let mut again = Peer::at(FAR);
        assert!(is_refused(&house.call(&mut again, hello(10 + round)), RefusalReason::Banned));
    }
    let mut newcomer = house.joined(NEAR, 2);
    let elsewhere = house.joined(FAR, 3);
    let standing = |peer: &Peer| house.standing(peer.client.unwrap().0);
    assert_eq!(standing(&newcomer), "good, suspect address");
    assert_eq!((standing(&neighbour), standing(&elsewhere)), ("good".into(), "good".into()));
    for peer in [&mut newcomer, &mut neighbour] {
        assert!(matches!(house.call(peer, Call::Ask), Answer::Grant(_)));
    }
    assert_eq!(house.bans(), []);
}

#[test]
fn a_banned_address_is_turned_away_with_its_clients_until_it_is_lifted() {
    let house = House::open();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    let (mut inside, mut other) = (house.joined(NEAR, 1), house.joined(FAR, 2));
    assert!(matches!(house.call(&mut inside, Call::Ask), Answer::Grant(_)));
    let leased = || house.service.with(|coordinator, _| coordinator.job(JobId(1)).unwrap().leased);
    assert!(leased() > 0);
    for _ in 0..2 {
        assert_eq!(house.ask(HERE, Call::Ban(party(NEAR))), Answer::Ok, "again is the same");
    }
    assert_eq!(leased(), 0, "what it held is free");
    let notices = house.service.notices(inside.client.unwrap());
    assert!(
        notices.iter().any(|notice| matches!(notice.what, Notification::Revoked(_))),
        "{notices:?}"
    );
    for call in [Call::Ask, Call::Heartbeat, lie(1, 5)] {
        assert!(is_refused(&house.call(&mut inside, call), RefusalReason::Banned));
    }
    // Its key, and any other, from there; and a job. Mapped addresses are the same.
    for call in [hello(1), hello(3), submit(1, 1)] {
        assert!(is_refused(&house.ask("::ffff:192.0.2.1", call), RefusalReason::Banned));
    }
    assert!(house.service.join_classic(&Peer::at(NEAR).sender).is_err());
    assert!(house.standing(1).contains("operator"), "{}", house.standing(1));
    assert_eq!(house.bans(), [(party(NEAR), 4)]);
    assert!(matches!(house.call(&mut other, Call::Ask), Answer::Grant(_)));
    assert!(is_refused(&house.ask(HERE, Call::Unban(party(FAR))), RefusalReason::Unknown));
    assert_eq!(house.ask(HERE, Call::Unban(party(NEAR))), Answer::Ok);
    for key in [1, 3] {
        let mut back = house.joined(NEAR, key);
        assert!(matches!(house.call(&mut back, Call::Ask), Answer::Grant(_)));
    }
    assert_eq!((house.standing(1), house.bans()), ("good".into(), Vec::new()));
}

#[test]
fn a_banned_client_is_not_its_address() {
    let house = House::new();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    let mut bad = house.joined(NEAR, 1);
    assert!(is_refused(&house.ask(HERE, Call::Ban(party("7"))), RefusalReason::Unknown));
    assert_eq!(house.ask(HERE, Call::Ban(party("1"))), Answer::Ok);
    assert!(is_refused(&house.call(&mut bad, Call::Ask), RefusalReason::Banned));
    // Also from elsewhere, and also when the coordinator has forgotten it.
    house.service.with(|coordinator, now| coordinator.expire(now + Duration::from_secs(7_200)));
    assert_eq!(house.service.with(|coordinator, _| coordinator.totals().clients), 0);
    assert!(is_refused(&house.ask(FAR, hello(1)), RefusalReason::Banned));
    let neighbour = house.joined(NEAR, 2);
    assert_eq!(house.standing(neighbour.client.unwrap().0), "good");
    assert_eq!(house.bans(), [(party("1"), 1)]);
    // An address may be lifted where a client of it stays banned.
    assert_eq!(house.ask(HERE, Call::Ban(party(NEAR))), Answer::Ok);
    assert_eq!(house.ask(HERE, Call::Unban(party(NEAR))), Answer::Ok);
    assert_eq!(house.standing(neighbour.client.unwrap().0), "good");
    assert!(is_refused(&house.ask(NEAR, hello(1)), RefusalReason::Banned));
    assert_eq!(house.ask(HERE, Call::Unban(party("1"))), Answer::Ok);
    house.joined(NEAR, 1);
}

#[test]
fn one_that_lost_its_trust_is_taken_back_by_the_operator() {
    let house = House::new();
    house.service.submit_main(samples::search(100, 1)).unwrap();
    let mut client = house.joined(NEAR, 1);
    for nonce in 0..3 {
        house.call(&mut client, lie(1, nonce));
    }
    assert!(is_refused(&house.call(&mut client, Call::Ask), RefusalReason::Banned));
    assert_eq!(house.ask(HERE, Call::Unban(party("1"))), Answer::Ok);
    assert!(matches!(house.call(&mut client, Call::Ask), Answer::Grant(_)));
    assert!(is_refused(&house.ask(HERE, Call::Unban(party("1"))), RefusalReason::Unknown));
}

#[test]
fn bans_are_listed_a_page_at_a_time_and_bounded() {
    let house = House::new();
    let ban = |n: u32| house.ask(HERE, Call::Ban(Party::Address(IpAddr::V4(n.into()))));
    assert!((1..=1_000).all(|n| ban(n) == Answer::Ok));
    let answer = ban(1_001);
    assert!(is_refused(&answer, RefusalReason::Full), "{answer:?}");
    let (mut listed, mut offset) = (0, 0);
    loop {
        let Answer::Bans(lines, next) = house.ask(HERE, Call::Bans(offset)) else { panic!() };
        listed += lines.len();
        if next == 0 {
            break;
        }
        offset = next;
    }
    assert_eq!(listed, 1_000);
}

#[test]
fn a_connection_ends_when_its_client_knows_that_the_server_closes() {
    let house = House::new();
    let mut peer = house.joined(NEAR, 1);
    let open = house.handle(&mut peer, Call::Heartbeat, 0);
    assert!(open.reply.notice.is_none() && !open.last);
    house.service.close();
    let told = house.handle(&mut peer, Call::Heartbeat, 0);
    assert!(matches!(
        &told.reply.notice,
        Some(Notice { number: 1, what: Notification::Closing(_) })
    ));
    assert!(!told.last);
    // A reply made before the server closed says nothing of its end, whenever it is sent.
    assert!(!open.last && !house.service.all_know());
    let known = house.handle(&mut peer, Call::Heartbeat, 1);
    assert!(known.reply.notice.is_none() && known.last && house.service.all_know());
}

#[test]
fn a_page_of_jobs_is_bounded_whatever_they_hold() {
    let house = House::new();
    let mut client = house.joined(HERE, 1);
    for key in 0..110 {
        let puzzle = samples::puzzle_of("ab".repeat(5_000), 0);
        let part = Md5Part::new(&puzzle, None, 1_000, 0, usize::MAX);
        let work = Work::Md5Search(part);
        house.ask(HERE, Call::Submit(Submit { key: [key; 16], work, priority: 1 }));
        for nonce in 0..12 {
            house.call(&mut client, lie(u64::from(key) + 1, nonce << 50));
        }
    }
    let jobs = house.jobs();
    assert_eq!(jobs.len(), 100);
    assert!(jobs.iter().all(|job| job.solutions == 12 && job.title.len() == 120));
    assert!(jobs.iter().all(|job| job.result.split(' ').count() == 4));
    let page = Reply { number: 1, notice: None, answer: Some(Answer::Jobs(jobs, 101)) };
    assert!(page.encode().len() <= crate::proto::MAX_FRAME);
    let Answer::Jobs(job, 0) = house.ask(FAR, Call::Job { job: 1, offset: 7 }) else { panic!() };
    assert_eq!(job[0].result.split(' ').count(), 5);
}
