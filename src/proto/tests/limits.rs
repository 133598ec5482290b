//! Every limit of every message: a field at its limit is accepted, and one step beyond it the
//! message is refused with the field's name.

use super::*;
use crate::puzzle::MAX_SEED_CHARACTERS;
use prost::Message as _;
use wire::notice::What;
use wire::{reply, request};

/// Checks that `take` accepts a message with one value of a field, and refuses it with another one.
macro_rules! limit {
    ($take:ident($base:expr), $field:ident: $good:expr, $bad:expr) => {{
        let (mut good, mut bad) = ($base.clone(), $base);
        good.$field = $good;
        bad.$field = $bad;
        assert_eq!($take(good), Ok(()), "{}: at the limit", stringify!($field));
        assert_eq!(refused_field($take(bad)), stringify!($field), "beyond the limit");
    }};
}

fn refused_field(result: Result<(), ProtoError>) -> &'static str {
    match result {
        Err(ProtoError::Field { field, .. }) => field,
        other => panic!("not refused for a field: {other:?}"),
    }
}

fn ask(request: wire::Request) -> Result<(), ProtoError> {
    Request::decode(&request.encode_to_vec()).map(drop)
}

fn call(body: request::Body) -> Result<(), ProtoError> {
    ask(wire::Request { body: Some(body), ..wire::Request::default() })
}

fn say(body: reply::Body) -> Result<(), ProtoError> {
    let reply = wire::Reply { body: Some(body), ..wire::Reply::default() };
    Reply::decode(&reply.encode_to_vec()).map(drop)
}

fn hello(hello: wire::Hello) -> Result<(), ProtoError> {
    call(request::Body::Hello(hello))
}

fn progress(progress: wire::Progress) -> Result<(), ProtoError> {
    call(request::Body::Progress(progress))
}

fn submit(submit: wire::Submit) -> Result<(), ProtoError> {
    call(request::Body::Submit(submit))
}

fn a_submission() -> wire::Submit {
    let kind = wire::submit::Kind::Md5Search(part().into());
    wire::Submit { key: vec![7; 16], kind: Some(kind), priority: 1 }
}

fn submit_search(search: wire::Md5Search) -> Result<(), ProtoError> {
    submit(wire::Submit { kind: Some(wire::submit::Kind::Md5Search(search)), ..a_submission() })
}

fn describe_search(search: wire::Md5Search) -> Result<(), ProtoError> {
    let kind = Some(wire::description::Kind::Md5Search(search));
    say(reply::Body::Description(wire::Description { job: 1, kind }))
}

fn submit_sum(sum: wire::SumOfSquares) -> Result<(), ProtoError> {
    submit(wire::Submit { kind: Some(wire::submit::Kind::SumOfSquares(sum)), ..a_submission() })
}

fn describe_sum(sum: wire::SumOfSquares) -> Result<(), ProtoError> {
    let kind = Some(wire::description::Kind::SumOfSquares(sum));
    say(reply::Body::Description(wire::Description { job: 1, kind }))
}

fn ban(who: wire::Ban) -> Result<(), ProtoError> {
    call(request::Body::Ban(who.clone()))?;
    call(request::Body::Unban(who))
}

fn welcome(welcome: wire::Welcome) -> Result<(), ProtoError> {
    say(reply::Body::Welcome(welcome))
}

fn refuse(refused: wire::Refused) -> Result<(), ProtoError> {
    say(reply::Body::Refused(refused))
}

fn challenge(challenge: wire::Challenge) -> Result<(), ProtoError> {
    say(reply::Body::Challenge(challenge))
}

fn lend(grant: wire::Grant) -> Result<(), ProtoError> {
    say(reply::Body::Grant(grant))
}

fn judge(verdict: wire::Verdict) -> Result<(), ProtoError> {
    say(reply::Body::Verdict(verdict))
}

/// Says that a lease goes on, in each message that can.
fn hold(held: wire::Held) -> Result<(), ProtoError> {
    judge(wire::Verdict { lease: Some(held), ..wire::Verdict::default() })?;
    welcome(wire::Welcome { held: vec![held], ..wire::Welcome::default() })?;
    tell(What::Trimmed(held))?;
    tell(What::Revoked(held))
}

fn tell(what: What) -> Result<(), ProtoError> {
    let notice = Some(wire::Notice { number: 1, what: Some(what) });
    Reply::decode(&wire::Reply { notice, ..wire::Reply::default() }.encode_to_vec()).map(drop)
}

fn end(over: wire::Over) -> Result<(), ProtoError> {
    tell(What::Over(over.clone()))?;
    tell(What::Closing(over))
}

fn list_job(job: wire::Job) -> Result<(), ProtoError> {
    say(reply::Body::Jobs(wire::JobList { jobs: vec![job], next: 0 }))
}

fn list_client(client: wire::Client) -> Result<(), ProtoError> {
    say(reply::Body::Clients(wire::ClientList { clients: vec![client], next: 0 }))
}

fn list_ban(ban: wire::BanLine) -> Result<(), ProtoError> {
    say(reply::Body::Bans(wire::BanList { bans: vec![ban], next: 0 }))
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

#[test]
fn limits_of_requests() {
    let body = Some(request::Body::Ask(wire::Ask {}));
    let request = wire::Request { body, ..wire::Request::default() };
    limit!(ask(request), cookie: vec![1; 16], vec![1; 17]);

    let base = || wire::Hello::from(super::hello());
    for length in [0, 15, 17] {
        limit!(hello(base()), key: vec![1; 16], vec![1; length]);
    }
    limit!(hello(base()), name: text(64), text(65));
    limit!(hello(base()), name: "\u{20ac}".repeat(21), "\u{20ac}".repeat(22));
    limit!(hello(base()), name: " ".into(), "\n".into());
    limit!(hello(base()), backend: text(64), text(65));
    limit!(hello(base()), backend: "~".into(), "\u{7f}".into());
    limit!(hello(base()), threads: 1 << 20, (1 << 20) + 1);

    let address = |text: &str| Some(wire::ban::Who::Address(text.into()));
    limit!(ban(wire::Ban { who: None }), who: Some(wire::ban::Who::Client(1)), None);
    let refused = ban(wire::Ban { who: address("192.0.2.1:80") });
    assert_eq!(ban(wire::Ban { who: address("192.0.2.1") }), Ok(()));
    assert_eq!(refused_field(refused), "address");
}

#[test]
fn limits_of_progress() {
    let base = || wire::Progress::from(super::progress());
    limit!(progress(base()), hits: vec![1; 64], vec![1; 65]);
    limit!(progress(base()), shares: vec![1; 4096], vec![1; 4097]);
    limit!(progress(base()), sum: vec![255; 32], vec![255; 33]);
    limit!(progress(base()), start: Some(wire::Wide { high: 0, low: 0 }), None);
    // Distances up to the end of all numbers, and beyond.
    let start = Some(wire::Wide { high: u64::MAX, low: u64::MAX - 5 });
    let late = || wire::Progress { start, done: 5, hits: vec![], shares: vec![], ..base() };
    limit!(progress(late()), done: 5, 6);
    limit!(progress(late()), hits: vec![5], vec![6]);
    limit!(progress(late()), shares: vec![5], vec![6]);
}

#[test]
fn limits_of_submissions_and_descriptions() {
    limit!(submit(a_submission()), priority: 0, 101);
    limit!(submit(a_submission()), priority: 100, 101);
    limit!(submit(a_submission()), key: vec![1; 16], vec![1; 15]);
    let without = wire::Submit { kind: None, ..a_submission() };
    assert_eq!(submit(without), Err(ProtoError::NoBody));
    let nothing = wire::Description { job: 1, kind: None };
    assert_eq!(say(reply::Body::Description(nothing)), Err(ProtoError::NoBody));

    let base = || wire::Md5Search::from(part());
    for take in [submit_search, describe_search] {
        limit!(take(base()), bits: 128, 129);
        limit!(take(base()), encoding: 1, 0);
        limit!(take(base()), encoding: 1, 3);
        limit!(take(wire::Md5Search { encoding: 2, ..base() }), seed_prefix: false, true);
        limit!(take(base()), layout: 0, 4);
        limit!(take(base()), layout: 3, -1);
        limit!(take(base()), solutions: 1, 0);
        limit!(take(base()), solutions: 1_000, 1_001);
        limit!(take(base()), digits: "abCD".into(), "abCG".into());
        limit!(take(base()), digits: "abcd".into(), "abcde".into());
        let long = wire::Md5Search { string_length: 10_000, ..base() };
        let long = wire::Md5Search { digits: "a".repeat(10_000), ..long };
        limit!(take(long), string_length: 10_000, 10_001);
    }
    // A description may come in parts, a submission may not.
    limit!(submit_search(base()), digits: "abcd".into(), "abc".into());
    let middle = wire::Md5Search { offset: 1, digits: "bc".into(), ..base() };
    assert_eq!(describe_search(middle.clone()), Ok(()));
    assert_eq!(refused_field(submit_search(middle.clone())), "digits");
    let beyond = wire::Md5Search { offset: u32::MAX, ..middle };
    assert_eq!(refused_field(describe_search(beyond)), "digits");

    let wide = |value: u128| fields::wide(value);
    let sum = || wire::SumOfSquares { first: wide(5), last: wide(9) };
    for take in [submit_sum, describe_sum] {
        limit!(take(sum()), last: wide(5), wide(4));
        limit!(take(sum()), last: wide(1 << 64), wide((1 << 64) + 1));
        limit!(take(sum()), last: wide(9), None);
        limit!(take(sum()), first: wide(0), None);
    }
}

#[test]
fn limits_of_leases() {
    let base = || wire::Grant::from(grant());
    limit!(lend(base()), length: 1, 0);
    limit!(lend(base()), start: fields::wide(7), None);
    limit!(lend(base()), share_bits: Some(128), Some(129));
    limit!(lend(base()), patience_millis: 1, 0);
    let late = wire::Grant { start: fields::wide(u128::MAX - 5), ..base() };
    limit!(lend(late), length: 5, 6);

    limit!(hold(wire::Held::from(held())), done: fields::wide(0), None);
    limit!(hold(wire::Held::from(held())), end: fields::wide(0), None);
    limit!(judge(wire::Verdict::default()), job_end: 3, 4);
    limit!(welcome(wire::Welcome::default()), held: vec![held().into(); 16], vec![held().into(); 17]);
}

#[test]
fn limits_of_refusals_and_notices() {
    let refusal = || wire::Refused { reason: 1, text: String::new() };
    limit!(refuse(refusal()), text: text(300), text(301));
    limit!(refuse(refusal()), text: String::new(), "\u{1b}".into());
    limit!(refuse(refusal()), reason: 1, 0);
    limit!(refuse(refusal()), reason: 8, 9);
    limit!(challenge(wire::Challenge::default()), cookie: vec![1; 16], vec![1; 17]);

    let over = || wire::Over::from(over());
    limit!(end(over()), seed: text(MAX_SEED_CHARACTERS), text(MAX_SEED_CHARACTERS + 1));
    limit!(end(over()), end: 0, -1);
    limit!(end(over()), end: 3, 4);
    let notice = Some(wire::Notice { number: 1, what: None });
    let empty = wire::Reply { notice, ..wire::Reply::default() };
    assert_eq!(Reply::decode(&empty.encode_to_vec()), Err(ProtoError::NoBody));
}

#[test]
fn limits_of_lists() {
    let job = || wire::Job::from(job_line());
    limit!(list_job(job()), title: text(120), text(121));
    limit!(list_job(job()), result: text(200), text(201));
    limit!(list_job(job()), state: 1, 0);
    limit!(list_job(job()), state: 6, 7);
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        limit!(list_job(job()), done: 0.0, bad);
        limit!(list_job(job()), whole: f64::MAX, bad);
    }

    let client = || wire::Client::from(client_line());
    limit!(list_client(client()), name: text(64), text(65));
    limit!(list_client(client()), address: text(64), text(65));
    limit!(list_client(client()), backend: text(64), text(65));
    limit!(list_client(client()), standing: text(120), text(121));
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        limit!(list_client(client()), claimed_rate: 0.0, bad);
        limit!(list_client(client()), proven_rate: 0.0, bad);
        limit!(list_client(client()), done: f64::MAX, bad);
    }

    let who = wire::ban::Who::Client(1);
    let ban = wire::BanLine { who: Some(wire::Ban { who: Some(who) }), ..Default::default() };
    limit!(list_ban(ban.clone()), who: ban.who.clone(), None);
}
