//! The endpoint with a clock and addresses of the test's choice.

use super::*;
use crate::coordinator::Config;
use crate::jobs::{JobKind, samples};
use crate::net::limits::COOKIE_PERIOD;
use crate::net::server::service::Outlets;
use crate::proto::{Call, Hello, Notice, Notification, PADDED_REQUEST, Party};
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    service: Arc<Service>,
    _outlets: Outlets,
    endpoint: Endpoint,
    now: Instant,
}

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
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

fn request(number: u64, call: Call) -> Request {
    Request { number, session: 0, notices_seen: 0, cookie: Vec::new(), call }
}

impl Fixture {
    fn new() -> Self {
        let (service, outlets) = Service::new(Config { min_clients: 1, ..Config::default() });
        service.submit_main(samples::search(100, 1)).unwrap();
        let now = Instant::now();
        Self { service, _outlets: outlets, endpoint: Endpoint::new(now), now }
    }

    fn send_bytes(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        self.endpoint.handle_datagram(&self.service, datagram, from, self.now)
    }

    fn send(&mut self, from: SocketAddr, request: &Request) -> Option<Reply> {
        let reply = self.send_bytes(from, &request.encode(PADDED_REQUEST))?;
        Some(Reply::decode(&reply).unwrap())
    }

    fn cookie(&mut self, from: SocketAddr) -> Vec<u8> {
        match self.send(from, &request(1, Call::Ask)).unwrap().answer {
            Some(Answer::Challenge(cookie)) => cookie,
            other => panic!("{other:?}"),
        }
    }

    /// A client with a session, as the request that it would send next.
    fn joined(&mut self, from: SocketAddr, key: u8) -> Request {
        let cookie = self.cookie(from);
        let hello = Request { cookie: cookie.clone(), ..request(2, hello(key)) };
        match self.send(from, &hello).unwrap().answer {
            Some(Answer::Welcome(Welcome { session, .. })) => {
                Request { session, cookie, ..request(3, Call::Heartbeat) }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes all datagrams that are to be sent now.
    fn sent(&mut self) -> Vec<(SocketAddr, Notice)> {
        let (service, now) = (&self.service, self.now);
        std::iter::from_fn(|| self.endpoint.poll_transmit(service, now))
            .map(|(to, datagram)| (to, Reply::decode(&datagram).unwrap().notice.unwrap()))
            .collect()
    }

    fn clients(&self) -> usize {
        self.service.read(|coordinator| coordinator.totals().clients)
    }
}

#[test]
fn nothing_larger_than_it_sent_goes_to_an_unproved_address() {
    let mut server = Fixture::new();
    let (mut challenged, mut ignored) = (0, 0);
    let calls = [Call::Heartbeat, Call::Ask, Call::Jobs(0), Call::Clients(0), hello(1)];
    for call in calls {
        for cookie in [vec![], vec![7; 8], vec![7; 16]] {
            for least in 0..=PADDED_REQUEST {
                let sent = Request { cookie: cookie.clone(), ..request(1 << 40, call.clone()) };
                let sent = sent.encode(least);
                let Some(reply) = server.send_bytes(address(1), &sent) else {
                    assert!(sent.len() < PADDED_REQUEST, "a padded request gets its challenge");
                    ignored += 1;
                    continue;
                };
                assert!(reply.len() <= sent.len(), "{} for {}", reply.len(), sent.len());
                let answer = Reply::decode(&reply).unwrap().answer;
                assert!(matches!(answer, Some(Answer::Challenge(_))), "{answer:?}");
                challenged += 1;
            }
        }
    }
    assert!(challenged > 0 && ignored > 0, "{challenged} challenged, {ignored} ignored");
    for noise in [&[0xff; 60][..], &[], &[0; 1200], b"hello there"] {
        assert_eq!(server.send_bytes(address(1), noise), None);
    }
    assert_eq!(server.clients(), 0);
    assert!(server.endpoint.channels.is_empty(), "nothing is kept of an unproved address");
}

#[test]
fn a_datagram_beyond_the_limit_is_ignored() {
    let mut server = Fixture::new();
    let beat = server.joined(address(1), 1);
    let mut lengths = Vec::new();
    for least in MAX_DATAGRAM - 10..MAX_DATAGRAM + 10 {
        let sent = beat.encode(least);
        let answered = server.send_bytes(address(1), &sent).is_some();
        assert_eq!(answered, sent.len() <= MAX_DATAGRAM, "{} bytes", sent.len());
        lengths.push(sent.len());
    }
    assert!(lengths.contains(&MAX_DATAGRAM) && lengths.contains(&(MAX_DATAGRAM + 1)));
}

#[test]
fn a_cookie_of_the_previous_period_is_valid_and_an_older_one_is_challenged() {
    let mut server = Fixture::new();
    let mut beat = server.joined(address(1), 1);
    server.now += 2 * COOKIE_PERIOD - SECOND;
    assert_eq!(server.send(address(1), &beat).unwrap().answer, Some(Answer::Ok));
    server.now += SECOND;
    beat.number += 1;
    let Some(Answer::Challenge(cookie)) = server.send(address(1), &beat).unwrap().answer else {
        panic!("an old cookie was accepted");
    };
    assert_ne!(cookie, beat.cookie);
    // The session goes on with the new one.
    beat.cookie = cookie;
    assert_eq!(server.send(address(1), &beat).unwrap().answer, Some(Answer::Ok));
}

#[test]
fn a_repeated_request_gets_the_same_reply_while_it_is_kept() {
    let mut server = Fixture::new();
    let ask = Request { call: Call::Ask, ..server.joined(address(1), 1) };
    let wire = ask.encode(0);
    let grant = server.send_bytes(address(1), &wire).unwrap();
    assert!(matches!(Reply::decode(&grant).unwrap().answer, Some(Answer::Grant(_))));
    for number in 4..3 + KEPT_REPLIES as u64 {
        assert_eq!(server.send_bytes(address(1), &wire).as_ref(), Some(&grant));
        let beat = Request { number, call: Call::Heartbeat, ..ask.clone() };
        assert_eq!(server.send(address(1), &beat).unwrap().answer, Some(Answer::Ok));
    }
    // A kept reply is sent unchanged, although the server closes meanwhile.
    server.service.close();
    assert_eq!(server.send_bytes(address(1), &wire).as_ref(), Some(&grant));
    let last = Request { number: 3 + KEPT_REPLIES as u64, call: Call::Heartbeat, ..ask.clone() };
    assert!(server.send(address(1), &last).unwrap().notice.is_some());
    // Now it is answered anew, with the lease that its client still holds.
    let again = Reply::decode(&server.send_bytes(address(1), &wire).unwrap()).unwrap();
    assert!(again.notice.is_some() && matches!(again.answer, Some(Answer::Grant(_))), "{again:?}");
    assert_eq!(server.service.read(|coordinator| coordinator.totals().leases), 1);
    let kept = server.endpoint.channels.values().next().unwrap().replies.len();
    assert_eq!(kept, KEPT_REPLIES);
}

#[test]
fn a_repeated_hello_gives_the_same_session() {
    let mut server = Fixture::new();
    let first = server.joined(address(1), 1);
    assert_eq!(server.joined(address(1), 1).session, first.session);
    assert_ne!(server.joined(address(1), 2).session, first.session);
    assert_eq!((server.clients(), server.endpoint.channels.len()), (2, 2));
}

#[test]
fn notices_are_repeated_ever_more_slowly_until_they_are_acknowledged() {
    let mut server = Fixture::new();
    let mut beat = server.joined(address(1), 1);
    server.service.close();
    server.endpoint.handle_due(&server.service);
    let began = server.now;
    assert_eq!(server.sent().len(), 1);
    let mut times = vec![0];
    while server.now <= began + 8 * SECOND {
        server.endpoint.handle_tick(&server.service, server.now);
        for (to, notice) in server.sent() {
            assert_eq!(to, address(1));
            assert!(notice.number == 1 && matches!(notice.what, Notification::Closing(_)));
            times.push((server.now - began).as_millis());
        }
        server.now += Duration::from_millis(100);
    }
    assert_eq!(times, [0, 200, 600, 1400, 3000, 5000, 7000]);
    // A request that does not acknowledge it changes nothing; one that does ends the repetitions.
    server.send(address(1), &beat).unwrap();
    server.now += SLOWEST_PUSH;
    server.endpoint.handle_tick(&server.service, server.now);
    assert_eq!(server.sent().len(), 1);
    (beat.number, beat.notices_seen) = (beat.number + 1, 1);
    server.send(address(1), &beat).unwrap();
    server.now += SLOWEST_PUSH;
    server.endpoint.handle_tick(&server.service, server.now);
    assert_eq!(server.sent(), []);
    assert!(server.service.all_acknowledged() && server.endpoint.unacknowledged.is_empty());
}

#[test]
fn a_new_notice_begins_the_repetitions_anew() {
    let mut server = Fixture::new();
    server.joined(address(1), 1);
    server.service.close();
    server.endpoint.handle_due(&server.service);
    for _ in 0..10 {
        assert_eq!(server.sent().len(), 1);
        server.now += SLOWEST_PUSH;
        server.endpoint.handle_tick(&server.service, server.now);
    }
    server.sent();
    let operator = Origin { address: ([127, 0, 0, 1], 9).into(), waker: Waker::Datagrams };
    let ban = request(1, Call::Ban(Party::Client(1)));
    assert_eq!(server.service.handle(&operator, &mut None, ban).reply.answer, Some(Answer::Ok));
    server.endpoint.handle_due(&server.service);
    let numbers: Vec<u64> = server.sent().iter().map(|(_, notice)| notice.number).collect();
    assert_eq!(numbers, [0, 1], "the push, and the notice once more");
    server.now += FIRST_PUSH;
    server.endpoint.handle_tick(&server.service, server.now);
    let numbers: Vec<u64> = server.sent().iter().map(|(_, notice)| notice.number).collect();
    assert_eq!(numbers, [1], "a push is sent once");
}

#[test]
fn notices_follow_a_client_to_its_new_address() {
    let mut server = Fixture::new();
    let mut beat = server.joined(address(1), 1);
    beat.cookie = server.cookie(address(2));
    server.send(address(2), &beat).unwrap();
    server.service.close();
    server.endpoint.handle_due(&server.service);
    let to: Vec<SocketAddr> = server.sent().into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, [address(2)]);
}

#[test]
fn a_session_that_has_ended_is_refused_and_swept() {
    let mut server = Fixture::new();
    let beat = server.joined(address(1), 1);
    let goodbye = Request { call: Call::Goodbye, ..beat.clone() };
    server.send(address(1), &goodbye).unwrap();
    let late = Request { number: 9, ..beat };
    let answer = server.send(address(1), &late).unwrap().answer;
    let Some(Answer::Refused(refused)) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.reason, RefusalReason::Session);
    server.now += SWEEP_TIME - SECOND;
    server.endpoint.handle_tick(&server.service, server.now);
    assert_eq!(server.endpoint.channels.len(), 1);
    server.now += SECOND;
    server.endpoint.handle_tick(&server.service, server.now);
    assert!(server.endpoint.channels.is_empty());
}
