//! Events and snapshots for those who observe the server.

use super::*;
use crate::net::limits::PLAINTEXT_LINES_PER_SECOND;

#[test]
fn each_consumer_gets_all_events_and_a_slow_one_learns_how_many_it_missed() {
    let server = Fixture::new();
    let (mut fast, mut slow) = (server.service.subscribe(), server.service.subscribe());
    let total = EVENT_QUEUE as u64 + 10;
    let mut seen = 0;
    for n in 0..total {
        server.service.emit(ServerEvent::Left(n));
        while let Some(event) = fast.try_next() {
            assert!(matches!(event, ServerEvent::Left(left) if left == seen));
            seen += 1;
        }
    }
    assert_eq!(seen, total);
    assert!(matches!(slow.try_next(), Some(ServerEvent::Missed(10))));
    let rest = std::iter::from_fn(|| slow.try_next());
    let rest: Vec<u64> = rest
        .map(|event| match event {
            ServerEvent::Left(n) => n,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(rest.into_iter().eq(10..total));
}

#[tokio::test]
async fn a_consumer_may_wait_for_events() {
    let server = Fixture::new();
    let mut events = server.service.subscribe();
    let waiting = tokio::spawn(async move { (events.next().await, events) });
    tokio::task::yield_now().await;
    server.service.emit(ServerEvent::Left(7));
    let (event, mut events) = waiting.await.unwrap();
    assert!(matches!(event, Some(ServerEvent::Left(7))), "{event:?}");
    for n in 0..=EVENT_QUEUE as u64 {
        server.service.emit(ServerEvent::Left(n));
    }
    assert!(matches!(events.next().await, Some(ServerEvent::Missed(1))));
    assert!(matches!(events.next().await, Some(ServerEvent::Left(1))));
}

#[tokio::test(start_paused = true)]
async fn lines_of_plaintext_clients_are_limited_by_the_second() {
    let server = Fixture::new();
    let mut events = server.service.subscribe();
    let mut shown = || std::iter::from_fn(|| events.try_next()).count() as u64;
    for _ in 0..3 {
        for _ in 0..2 * PLAINTEXT_LINES_PER_SECOND {
            server.service.emit_line(ClientId(1), "Computed 1 hashes".into());
        }
        assert_eq!(shown(), PLAINTEXT_LINES_PER_SECOND);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[test]
fn snapshots_are_json_with_large_numbers_as_decimal_strings() {
    let server = Fixture::new();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let mut client = server.joined(NEAR, 1);
    assert!(matches!(server.call(&mut client, Call::Ask), Answer::Grant(_)));
    let totals = serde_json::to_value(server.service.snapshot()).unwrap();
    assert_eq!((&totals["clients"], &totals["leases"]), (&1.into(), &1.into()));
    assert_eq!((&totals["started"], &totals["closing"]), (&true.into(), &false.into()));
    assert!(totals["instance"].is_string() && totals["search_rate"].is_string());
    let jobs = serde_json::to_value(server.service.job_page(0, 10)).unwrap();
    let units = |field: &str| jobs[0][field].as_str().unwrap().parse::<u128>().unwrap();
    assert_eq!((&jobs[0]["job"], &jobs[0]["state"]), (&1.into(), &"running".into()));
    assert!(units("leased") > 0);
    let parts = ["confirmed", "claimed", "leased", "free"].map(units);
    assert_eq!(parts.into_iter().sum::<u128>(), units("whole"));
    let clients = serde_json::to_value(server.service.client_page(0, 10)).unwrap();
    assert_eq!((&clients[0]["client"], &clients[0]["standing"]), (&1.into(), &"good".into()));
    assert!(server.service.job_page(2, 10).is_empty());
    assert!(server.service.client_page(0, 0).is_empty());
    assert_eq!(server.ask(HERE, Call::Cancel(1)), Answer::Ok);
    assert_eq!(server.service.job_page(0, 10)[0].state, "cancelled");
    assert!(server.service.snapshot().closing);
}
