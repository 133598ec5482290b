//! Messages there and back, their bytes, and their limits.

mod golden;
mod limits;

use super::*;
use crate::jobs::JobKind;
use crate::lease::{ClientId, Epoch, Grant, Held, JobEnd, JobId, LeaseId, LeaseState, Verdict};
use crate::puzzle::{Difficulty, Encoding};
use crate::seeds::Layout;
use crate::span::Span;
use proptest::prelude::*;
use std::time::Duration;

fn hello() -> Hello {
    Hello {
        oldest_version: 1,
        newest_version: 1,
        key: *b"0123456789abcdef",
        name: "box".into(),
        backend: "cpu avx2".into(),
        threads: 8,
        rate_hint: 300,
        kinds: vec![JobKind::Md5Search, JobKind::SumOfSquares],
    }
}

fn part() -> Md5Part {
    Md5Part {
        difficulty: Difficulty::from_bytes(3).unwrap(),
        encoding: Encoding::Text,
        seed_prefix: true,
        layout: Some(Layout::Counting),
        solutions: 1,
        string_length: 4,
        offset: 0,
        digits: "ABCD".into(),
    }
}

fn progress() -> Progress {
    Progress {
        lease: LeaseId(7),
        epoch: Epoch(2),
        job: JobId(1),
        done: Span::with_len(1 << 70, 4096),
        finished: true,
        hits: vec![1 << 70, (1 << 70) + 4095],
        shares: vec![(1 << 70) + 5],
        sum: vec![1, 0],
    }
}

fn request(call: Call) -> Request {
    Request { number: 5, session: 9, notices_seen: 1, cookie: vec![1; 16], call }
}

fn reply(answer: Answer) -> Reply {
    Reply { number: 5, notice: None, answer: Some(answer) }
}

fn calls() -> Vec<Call> {
    let squares = Work::SumOfSquares(Squares { first: 1, last: 1 << 64 });
    vec![
        Call::Hello(hello()),
        Call::Ask,
        Call::Describe { job: 3, offset: 700 },
        Call::Progress(progress()),
        Call::Heartbeat,
        Call::Goodbye,
        Call::Submit(Submit { key: [3; 16], work: Work::Md5Search(part()), priority: 1 }),
        Call::Submit(Submit { key: [4; 16], work: squares, priority: 100 }),
        Call::Jobs(0),
        Call::Job { job: 3, offset: 7 },
        Call::Cancel(u64::MAX),
        Call::Clients(50),
        Call::Ban(Party::Address("2001:db8::1".parse().unwrap())),
        Call::Unban(Party::Client(3)),
        Call::Bans(u32::MAX),
    ]
}

fn held() -> Held {
    Held { lease: LeaseId(1), epoch: Epoch(2), job: JobId(3), done: 4, end: u128::MAX }
}

fn over() -> Over {
    let end = JobEnd::Finished { winner: Some(ClientId(3)) };
    Over { job: 1, end: Some(end), seed: "ab".into() }
}

fn grant() -> Grant {
    Grant {
        lease: LeaseId(1),
        epoch: Epoch(2),
        job: JobId(3),
        span: Span::with_len(u128::MAX - 5, 5),
        share_bits: Some(0),
        wanted: 1,
        patience: Duration::from_millis(2500),
    }
}

fn job_line() -> JobLine {
    JobLine {
        job: 1,
        title: "md5 3 zero bytes ABCD".into(),
        state: State::Running,
        done: 5.0,
        whole: 16_777_216.0,
        priority: 2,
        winner: 0,
        result: String::new(),
        solutions: 3,
        server: u64::MAX,
    }
}

fn client_line() -> ClientLine {
    ClientLine {
        client: 2,
        name: "box".into(),
        address: "[::1]:9".into(),
        backend: "cpu".into(),
        threads: 2,
        claimed_rate: 2.0,
        proven_rate: 1.0,
        done: 3.0,
        false_hits: 1,
        standing: "doubted: two shares of sixty-four".into(),
        connected: true,
        leases: 2,
        finished: 9,
    }
}

fn ban_line() -> BanLine {
    BanLine { who: Party::Client(u64::MAX), seconds: 7, turned_away: 9 }
}

fn answers() -> Vec<Answer> {
    vec![
        Answer::Welcome(Welcome {
            version: 1,
            client: 3,
            session: 4,
            server: 5,
            held: vec![held()],
        }),
        Answer::Refused(Refused {
            reason: RefusalReason::Banned,
            text: "three false solutions".into(),
        }),
        Answer::Challenge(vec![7; 16]),
        Answer::Grant(grant()),
        Answer::Wait(Duration::from_millis(300)),
        Answer::Description { job: 1, work: Work::Md5Search(part()) },
        Answer::Description { job: 2, work: Work::SumOfSquares(Squares { first: 0, last: 9 }) },
        Answer::Verdict(Verdict {
            counted: 0,
            lease: LeaseState::Held(held()),
            solutions: 1,
            false_hits: 2,
            job_end: Some(JobEnd::Exhausted),
        }),
        Answer::Ok,
        Answer::Submitted { job: 4, server: 5 },
        Answer::Jobs(vec![job_line(); 2], 2),
        Answer::Clients(vec![client_line()], 0),
        Answer::Bans(vec![ban_line(); 3], 4),
        Answer::Refused(Refused { reason: RefusalReason::Forbidden, text: "not for you".into() }),
        Answer::Ok,
    ]
}

#[test]
fn messages_round_trip() {
    for call in calls() {
        let request = request(call);
        for least in [0, PADDED_REQUEST, 500] {
            let bytes = request.encode(least);
            assert!(bytes.len() >= least);
            assert_eq!(Request::decode(&bytes).as_ref(), Ok(&request));
        }
    }
    for answer in answers() {
        let news = [
            Notification::Over(over()),
            Notification::Closing(Over::default()),
            Notification::Wake,
            Notification::Trimmed(held()),
            Notification::Revoked(held()),
        ];
        for what in news {
            let notice = Some(Notice { number: 2, what });
            let reply = Reply { notice, ..reply(answer.clone()) };
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }
}

#[test]
fn the_largest_messages_fit_a_datagram() {
    let full = Progress {
        lease: LeaseId(u32::MAX),
        epoch: Epoch(u64::MAX),
        job: JobId(u64::MAX),
        done: Span::with_len(u128::MAX - u128::from(u64::MAX), u64::MAX.into()),
        hits: vec![u128::MAX - 1; MAX_HITS],
        shares: vec![],
        sum: vec![255; 32],
        ..progress()
    };
    let largest = Request { number: u64::MAX, session: u64::MAX, ..request(Call::Progress(full)) };
    assert!(largest.encode(0).len() <= MAX_DATAGRAM);

    let part = Md5Part { digits: "f".repeat(MAX_PART_DIGITS), string_length: 10_000, ..part() };
    let over = Over {
        job: u64::MAX,
        end: Some(JobEnd::Finished { winner: Some(ClientId(u64::MAX)) }),
        seed: "f".repeat(128),
    };
    let notice = Notice { number: u64::MAX, what: Notification::Closing(over) };
    let answer = Answer::Description { job: u64::MAX, work: Work::Md5Search(part) };
    let reply = Reply { number: u64::MAX, notice: Some(notice), answer: Some(answer) };
    assert!(reply.encode().len() <= MAX_DATAGRAM);
}

#[test]
fn a_challenge_is_never_larger_than_a_padded_request() {
    let challenge = Reply { number: u64::MAX, ..reply(Answer::Challenge(vec![255; MAX_COOKIE])) };
    assert!(challenge.encode().len() <= PADDED_REQUEST);
}

#[test]
fn parts_of_a_description_join_without_a_gap() {
    let whole = Md5Part { string_length: 10, digits: "0123456789".into(), ..part() };
    let cut = |from: usize, to: usize| {
        let digits = whole.digits[from..to].to_owned();
        Work::Md5Search(Md5Part { offset: from, digits, ..whole.clone() })
    };
    let mut work = cut(0, 4);
    for (from, to) in [(4, 5), (5, 10)] {
        assert_eq!((work.is_whole(), work.next_offset()), (false, from));
        work = work.join(cut(from, to)).unwrap();
    }
    assert_eq!(work, Work::Md5Search(whole.clone()));
    for (front, next) in [((0, 4), (5, 10)), ((0, 4), (3, 10)), ((0, 4), (4, 4)), ((1, 4), (4, 10))]
    {
        let joined = cut(front.0, front.1).join(cut(next.0, next.1));
        assert!(matches!(joined, Err(ProtoError::Field { field: "offset", .. })), "{front:?}");
    }
    let sum = Work::SumOfSquares(Squares { first: 0, last: 1 });
    assert!(sum.is_whole() && sum.join(cut(0, 4)).is_err());
}

#[test]
fn empty_and_unknown_messages_are_refused() {
    assert_eq!(Request::decode(&[]), Err(ProtoError::NoBody));
    assert_eq!(Reply::decode(&[]), Err(ProtoError::NoBody));
    // Field 99, an empty message.
    assert_eq!(Request::decode(&[0x9a, 0x06, 0x00]), Err(ProtoError::NoBody));
    assert!(matches!(Request::decode(&[0xff; 9]), Err(ProtoError::Schema(_))));
}

#[test]
fn versions_are_negotiated() {
    assert_eq!(negotiate(1, 1), Ok(1));
    assert_eq!(negotiate(1, 9), Ok(1));
    assert!(negotiate(2, 3).unwrap_err().contains("update the server"));
    assert!(negotiate(0, 0).unwrap_err().contains("update the client"));
    assert!(negotiate(3, 1).is_err());
}

#[test]
fn cleaned_text_always_fits() {
    assert_eq!(cleaned("a\u{1b}[31mb\n", 64), "a?[31mb?");
    assert_eq!(cleaned("ééé", 5), "éé");
}

#[test]
fn invisible_characters_of_a_name_are_replaced() {
    let name = |name: &str| Call::Hello(Hello { name: name.into(), ..hello() });
    let sent = request(name("box\u{202e}\u{200b}gnp\u{2028}\u{ad}\u{e0041}")).encode(0);
    assert_eq!(Request::decode(&sent).unwrap().call, name("box??gnp???"));
    let control = request(name("box\u{1b}[2J")).encode(0);
    assert!(matches!(Request::decode(&control), Err(ProtoError::Field { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(Request::decode(&request.encode(0)), Ok(request));
        }
        if let Ok(reply) = Reply::decode(&bytes) {
            prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn a_damaged_message_is_a_message_or_an_error(
        which in 0usize..15, at in 0usize..100, to: u8, cut in 0usize..100
    ) {
        let mut bytes = request(calls()[which].clone()).encode(0);
        let length = bytes.len();
        bytes[at % length] = to;
        bytes.truncate(length - cut % length);
        if let Ok(request) = Request::decode(&bytes) {
            prop_assert_eq!(Request::decode(&request.encode(0)), Ok(request));
        }
        let mut bytes = reply(answers()[which].clone()).encode();
        let length = bytes.len();
        bytes[at % length] = to;
        if let Ok(reply) = Reply::decode(&bytes) {
            prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }
}

#[test]
fn a_party_is_parsed_and_displayed() {
    for (word, party) in [
        ("7", Party::Client(7)),
        ("192.0.2.1", Party::Address("192.0.2.1".parse().unwrap())),
        ("2001:db8::1", Party::Address("2001:db8::1".parse().unwrap())),
        ("2001:db8::/64", Party::Address("2001:db8::".parse().unwrap())),
        ("::ffff:192.0.2.1", Party::Address("192.0.2.1".parse().unwrap())),
    ] {
        assert_eq!(word.parse(), Ok(party));
    }
    assert_eq!(Party::Address("2001:db8::".parse().unwrap()).to_string(), "2001:db8::/64");
    for word in ["", "0", "-1", "client", "192.0.2", "192.0.2.1:5", "[::1]", "1/64", "192.0.2.1/64"]
    {
        assert!(word.parse::<Party>().is_err(), "{word}");
    }
    // Field 27, a ban without anyone or of what is no address.
    assert!(matches!(Request::decode(&[0xda, 1, 0]), Err(ProtoError::Field { .. })));
    assert!(matches!(Request::decode(&[0xda, 1, 3, 10, 1, b'x']), Err(ProtoError::Field { .. })));
}
