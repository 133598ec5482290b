use super::*;
use crate::jobs::SumOfSquares;
use crate::lease::Held;
use crate::net::client::link::{Target, Transport};
use crate::span::Span;
use std::sync::mpsc::Receiver;

/// The instance of the server that the client is connected to.
const SERVER: u64 = 7;

/// An engine whose searcher is the test, and whose server is never there.
fn engine() -> (Engine, Receiver<Arc<Task>>) {
    let route = Route {
        target: Target { host: "127.0.0.1".into(), port: Some(9) },
        port: 0,
        transport: Transport::Tcp,
        retry_for: Duration::from_secs(3600),
    };
    let (link, _) = Link::start(route, None);
    let (searcher, tasks) = std::sync::mpsc::channel();
    let mut engine = Engine::new(link, searcher, false);
    engine.server = Some(SERVER);
    (engine, tasks)
}

fn grant(epoch: u64) -> Grant {
    Grant {
        lease: LeaseId(1),
        epoch: Epoch(epoch),
        job: JobId(1),
        span: Span::new(0, 1 << 40),
        share_bits: None,
        wanted: 0,
        patience: Duration::from_secs(1),
    }
}

fn spec() -> JobSpec {
    JobSpec::SumOfSquares(SumOfSquares::new(0, 1 << 40).unwrap())
}

fn held(grant: &Grant, end: u128) -> Held {
    Held { lease: grant.lease, epoch: grant.epoch, job: grant.job, done: 0, end }
}

/// The engine gets a lease from the server with this instance.
fn lend(engine: &mut Engine, grant: Grant, server: u64) {
    assert_eq!(engine.answered(Ok(Asked::Lease(grant, spec(), server)), &|_| ()), None);
}

fn tell(engine: &mut Engine, what: Notification) {
    assert_eq!(engine.told(what, &|_| ()), None);
}

#[tokio::test]
async fn a_lease_of_an_old_server_is_not_begun() {
    let (mut engine, tasks) = engine();
    lend(&mut engine, grant(1), SERVER - 1);
    assert!(tasks.try_recv().is_err() && engine.tasks.is_empty());
    assert!(engine.jobs.is_empty(), "its jobs have the same numbers");
    lend(&mut engine, grant(1), SERVER);
    assert!(tasks.try_recv().is_ok());
}

#[tokio::test]
async fn a_lease_is_abandoned_when_another_server_answers() {
    let (mut engine, tasks) = engine();
    lend(&mut engine, grant(1), SERVER);
    let task = tasks.try_recv().unwrap();
    let welcome =
        proto::Welcome { version: 1, client: 2, session: 3, server: SERVER + 1, held: Vec::new() };
    assert_eq!(engine.connection(Status::Up(Some(welcome)), &|_| ()), None);
    assert!(task.is_over() && engine.tasks.is_empty() && engine.jobs.is_empty());
}

#[tokio::test]
async fn a_repeated_grant_is_begun_once() {
    let (mut engine, tasks) = engine();
    lend(&mut engine, grant(1), SERVER);
    lend(&mut engine, grant(1), SERVER);
    assert_eq!(tasks.try_iter().count(), 1);
    lend(&mut engine, grant(2), SERVER);
    assert_eq!(tasks.try_iter().count(), 1, "the same number, lent again");
}

#[tokio::test]
async fn a_push_that_overtakes_its_grant_does_no_harm() {
    let (mut engine, tasks) = engine();
    tell(&mut engine, Notification::Trimmed(held(&grant(1), 10)));
    tell(&mut engine, Notification::Revoked(held(&grant(1), 0)));
    lend(&mut engine, grant(1), SERVER);
    let task = tasks.try_recv().unwrap();
    // The grant stands: its next report tells that it is over.
    assert!(!task.is_over());
}

#[tokio::test]
async fn a_push_is_for_the_epoch_that_it_names() {
    let (mut engine, tasks) = engine();
    lend(&mut engine, grant(2), SERVER);
    let task = tasks.try_recv().unwrap();
    tell(&mut engine, Notification::Revoked(held(&grant(1), 0)));
    assert!(!task.is_over(), "an earlier lease of the same number");
    tell(&mut engine, Notification::Trimmed(held(&grant(2), 1000)));
    let tested = AtomicU64::new(0);
    let backend = crate::cpu::Cpu::new(None, std::num::NonZeroUsize::new(1)).unwrap();
    task.search(&backend, 1, &tested).unwrap();
    assert_eq!(tested.into_inner(), 1000, "the lease ends where the push says");
    tell(&mut engine, Notification::Revoked(held(&grant(2), 0)));
    assert!(task.is_over());
}

#[tokio::test]
async fn leases_of_a_job_that_has_ended_are_abandoned() {
    let (mut engine, tasks) = engine();
    lend(&mut engine, grant(1), SERVER);
    lend(&mut engine, Grant { lease: LeaseId(2), job: JobId(2), ..grant(2) }, SERVER);
    tell(&mut engine, Notification::Over(Over { job: 1, ..Over::default() }));
    let over: Vec<bool> = tasks.try_iter().map(|task| task.is_over()).collect();
    assert_eq!(over, [true, false]);
    assert!(engine.jobs.keys().eq([&JobId(2)]));
}

#[tokio::test]
async fn a_wait_puts_the_next_request_off_until_its_time_or_a_wake() {
    let (mut engine, _tasks) = engine();
    assert!(!engine.waits());
    assert_eq!(engine.answered(Ok(Asked::Wait(Duration::from_secs(60))), &|_| ()), None);
    assert!(engine.waits());
    engine.fill();
    assert!(engine.asks.is_empty());
    tell(&mut engine, Notification::Wake);
    engine.fill();
    assert_eq!(engine.asks.len(), 1);
}
