//! The channel with a clock of the test's choice, and a server that the test writes.

use super::super::core::{LinkError, Status};
use super::*;
use crate::net::limits::SHORTEST_WAIT;
use crate::proto::{Hello, Notice, Notification, Welcome};
use tokio::sync::{mpsc, oneshot, watch};

const SECOND: Duration = Duration::from_secs(1);

/// A core, with the ends that its link would hold.
struct Parts {
    core: Core,
    status: watch::Receiver<Status>,
    notifications: mpsc::UnboundedReceiver<Notification>,
    _requests: mpsc::Sender<Outgoing>,
}

fn parts(hello: Option<Hello>) -> Parts {
    let (requests, receiver) = mpsc::channel(4);
    let (core, status, notifications) = Core::new(hello, receiver, SHORTEST_WAIT);
    Parts { core, status, notifications, _requests: requests }
}

fn hello() -> Hello {
    Hello {
        oldest_version: 1,
        newest_version: 1,
        key: [1; 16],
        name: "box".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: Vec::new(),
    }
}

fn address() -> SocketAddr {
    "192.0.2.1:1800".parse().unwrap()
}

type AnswerReceiver = oneshot::Receiver<Result<Answer, LinkError>>;

fn ask(channel: &mut Channel<'_>, call: Call, now: Instant) -> AnswerReceiver {
    let (answer, answered) = oneshot::channel();
    channel.handle_request(Outgoing { call, server: None, answer }, now);
    answered
}

/// Takes the requests that are to be sent.
fn sent(channel: &mut Channel<'_>) -> Vec<Request> {
    channel.outgoing.drain(..).map(|datagram| Request::decode(&datagram).unwrap()).collect()
}

fn reply(channel: &mut Channel<'_>, number: u64, answer: Answer, now: Instant) -> Result<(), End> {
    let reply = Reply { number, notice: None, answer: Some(answer) };
    channel.handle_datagram(&reply.encode(), now)
}

fn welcome(session: u64) -> Answer {
    Answer::Welcome(Welcome { version: 1, client: 1, session, server: 1, held: Vec::new() })
}

/// Says hello and is welcomed.
fn joined<'a>(parts: &'a mut Parts, now: Instant) -> Channel<'a> {
    let mut channel = Channel::new(&mut parts.core, address(), now);
    let number = sent(&mut channel)[0].number;
    reply(&mut channel, number, welcome(7), now).unwrap();
    assert_eq!(channel.core.session, 7);
    channel
}

#[test]
fn a_challenge_to_a_request_gives_it_a_cookie() {
    let now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = Channel::new(&mut parts.core, address(), now);
    assert!(channel.outgoing[0].len() >= PADDED_REQUEST, "room for the challenge");
    let first = sent(&mut channel).remove(0);
    assert!(first.cookie.is_empty() && matches!(first.call, Call::Hello(_)));
    reply(&mut channel, first.number, Answer::Challenge(vec![5; 16]), now).unwrap();
    let again = sent(&mut channel);
    assert_eq!(again, [Request { cookie: vec![5; 16], ..first }]);
    assert!(channel.hello.is_some() && !channel.up, "a challenge proves no server");
}

#[test]
fn an_unasked_challenge_changes_nothing() {
    let now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    let _answer = ask(&mut channel, Call::Ask, now);
    let number = sent(&mut channel)[0].number;
    reply(&mut channel, number, Answer::Ok, now).unwrap();
    // To a request that has its answer, to one that never was, and to none.
    for unasked in [number, number + 1, 0] {
        reply(&mut channel, unasked, Answer::Challenge(vec![6; 16]), now).unwrap();
        assert_eq!(sent(&mut channel), []);
        assert!(channel.core.cookie.is_empty());
    }
}

#[test]
fn a_challenge_to_a_heartbeat_is_answered_with_another() {
    let mut now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    now += HEARTBEAT;
    channel.handle_timeout(now);
    let beat = sent(&mut channel).remove(0);
    assert_eq!(beat.call, Call::Heartbeat);
    reply(&mut channel, beat.number, Answer::Challenge(vec![6; 16]), now).unwrap();
    let again = sent(&mut channel);
    assert_eq!((again.len(), &again[0].call, &again[0].cookie[..]), (1, &beat.call, &[6; 16][..]));
}

#[test]
fn requests_are_repeated_ever_more_slowly_until_they_are_answered() {
    let mut now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    let mut answer = ask(&mut channel, Call::Ask, now);
    let number = sent(&mut channel)[0].number;
    let mut pause = FIRST_REPEAT;
    for _ in 0..8 {
        // Half of a pause is random.
        now += pause / 2 - Duration::from_millis(1);
        channel.handle_timeout(now);
        assert_eq!(sent(&mut channel), []);
        now += pause / 2 + Duration::from_millis(1);
        channel.handle_timeout(now);
        let again = sent(&mut channel);
        assert!(again.len() == 1 && again[0].number == number, "{again:?}");
        pause = (pause * 2).min(SLOWEST_REPEAT);
    }
    assert!(channel.next_deadline() <= now + SLOWEST_REPEAT);
    reply(&mut channel, number, Answer::Wait(SECOND), now).unwrap();
    assert_eq!(answer.try_recv().unwrap(), Ok(Answer::Wait(SECOND)));
    now += SLOWEST_REPEAT;
    channel.handle_timeout(now);
    assert_eq!(sent(&mut channel), []);
    assert_eq!(channel.next_deadline(), channel.last_sent + HEARTBEAT);
}

#[test]
fn a_server_is_lost_after_a_silence_however_much_is_sent() {
    let mut now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    let began = now;
    while channel.end(now).is_none() {
        assert!(now <= began + SILENCE + SECOND, "it is never lost");
        now += SECOND;
        channel.handle_timeout(now);
        // Noise is no sign of life.
        channel.handle_datagram(b"noise", now).unwrap();
    }
    assert_eq!(now, began + SILENCE + SECOND);
    assert_eq!(channel.end(now), Some(End::Lost));
    let beats = sent(&mut channel);
    assert_eq!(beats.len(), 3, "one heartbeat every ten seconds");
    assert!(beats.iter().all(|request| request.call == Call::Heartbeat));
}

#[test]
fn a_server_that_answers_heartbeats_is_never_lost() {
    let mut now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    for _ in 0..20 {
        now += HEARTBEAT;
        channel.handle_timeout(now);
        let beat = sent(&mut channel).remove(0);
        reply(&mut channel, beat.number, Answer::Ok, now).unwrap();
        assert_eq!(channel.end(now), None);
    }
}

#[test]
fn a_server_that_never_answers_is_unreachable() {
    let now = Instant::now();
    let mut hello_parts = parts(Some(hello()));
    let channel = Channel::new(&mut hello_parts.core, address(), now);
    assert_eq!(channel.end(now + CONNECT_TIME), None);
    let end = channel.end(now + CONNECT_TIME + SECOND);
    assert!(matches!(end, Some(End::Unreachable(_))), "{end:?}");
    // Without a hello, an unanswered request shows it sooner.
    let mut parts = parts(None);
    let mut channel = Channel::new(&mut parts.core, address(), now);
    assert_eq!(channel.end(now + CONNECT_TIME + SECOND), None, "nothing was asked");
    let _answer = ask(&mut channel, Call::Jobs(0), now);
    assert_eq!(channel.end(now + SHORTEST_WAIT), None);
    let end = channel.end(now + SHORTEST_WAIT + Duration::from_millis(1));
    assert!(matches!(end, Some(End::Unreachable(_))), "{end:?}");
}

#[test]
fn a_lost_session_is_greeted_anew_and_its_requests_are_sent_again() {
    let now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    let mut answer = ask(&mut channel, Call::Ask, now);
    let number = sent(&mut channel)[0].number;
    let refused = Refused { reason: RefusalReason::Session, text: "say hello again".into() };
    for _ in 0..2 {
        // The refusal may come twice; one hello is enough.
        reply(&mut channel, number, Answer::Refused(refused.clone()), now).unwrap();
    }
    let greetings = sent(&mut channel);
    assert!(greetings.len() == 1 && matches!(greetings[0].call, Call::Hello(_)), "{greetings:?}");
    reply(&mut channel, greetings[0].number, welcome(8), now).unwrap();
    let again = sent(&mut channel);
    assert_eq!((again.len(), again[0].number, again[0].session), (1, number, 8));
    reply(&mut channel, number, Answer::Ok, now).unwrap();
    assert_eq!(answer.try_recv().unwrap(), Ok(Answer::Ok));
}

#[test]
fn notices_are_delivered_once_in_order_and_acknowledged() {
    let now = Instant::now();
    let mut parts = parts(Some(hello()));
    let mut channel = joined(&mut parts, now);
    let mut push = |number| {
        let notice = Some(Notice { number, what: Notification::Wake });
        let push = Reply { number: 0, notice, answer: None };
        channel.handle_datagram(&push.encode(), now).unwrap();
        let beats = sent(&mut channel);
        beats.iter().map(|beat| beat.notices_seen).collect::<Vec<_>>()
    };
    assert_eq!(push(1), [1]);
    assert_eq!(push(1), [1], "the acknowledgement may have been lost");
    assert_eq!(push(3), [1], "the second was overtaken, and comes again");
    assert_eq!((push(2), push(3)), (vec![2], vec![3]));
    assert!(push(0).is_empty(), "a push without a number needs no acknowledgement");
    let delivered = std::iter::from_fn(|| parts.notifications.try_recv().ok()).count();
    assert_eq!(delivered, 4);
    assert!(matches!(&*parts.status.borrow(), Status::Up(Some(_))));
}

#[test]
fn a_client_says_goodbye_several_times_and_only_with_a_session() {
    let now = Instant::now();
    let mut hello_parts = parts(Some(hello()));
    let mut channel = joined(&mut hello_parts, now);
    channel.say_goodbye(now);
    let goodbyes = sent(&mut channel);
    assert_eq!(goodbyes.len(), GOODBYES as usize);
    assert!(goodbyes.iter().all(|request| *request == goodbyes[0]));
    assert_eq!((&goodbyes[0].call, goodbyes[0].session), (&Call::Goodbye, 7));
    let mut parts = parts(None);
    let mut channel = Channel::new(&mut parts.core, address(), now);
    channel.say_goodbye(now);
    assert_eq!(sent(&mut channel), []);
}
