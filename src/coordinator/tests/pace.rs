//! How fast clients are, and how their leases grow.

use super::*;
use crate::coordinator::pace::{Pace, Supply};

fn supply() -> Supply {
    Supply { free: 1 << 100, team_rate: 1.0, first: 1000, time: 20 * SECOND, unshared: 1 << 13 }
}

#[test]
fn a_rate_fades_by_half_in_twenty_seconds() {
    let mut pace = Pace::default();
    assert_eq!((pace.claimed_rate(), pace.proved_rate()), (0.0, 0.0));
    pace.note(20 * SECOND, 2000.0, 1000.0);
    assert_eq!((pace.claimed_rate(), pace.proved_rate()), (100.0, 50.0));
    // As long again, twice as fast: the new part weighs twice as much as the old one.
    pace.note(20 * SECOND, 4000.0, 3000.0);
    assert_eq!(pace.claimed_rate(), (1000.0 + 4000.0) / (10.0 + 20.0));
    assert_eq!(pace.proved_rate(), (500.0 + 3000.0) / (10.0 + 20.0));
    // After a long time nothing else is left of the past.
    pace.note(1000 * SECOND, 10_000.0, 0.0);
    assert!((pace.claimed_rate() - 10.0).abs() < 1e-9 && pace.proved_rate() < 1e-9);
}

#[test]
fn too_short_a_measurement_gives_no_rate() {
    let mut pace = Pace::default();
    pace.note(Duration::from_micros(900), 1e9, 1e9);
    assert_eq!((pace.claimed_rate(), pace.proved_rate()), (0.0, 0.0));
}

#[test]
fn leases_grow_fourfold_and_those_of_suspects_twofold() {
    for (suspect, growth) in [(false, 4), (true, 2)] {
        let mut pace = Pace::default();
        assert_eq!(pace.next_len(&config(), &supply(), suspect), 1000, "nothing is known");
        pace.note(SECOND, 1e12, 1e12);
        assert_eq!(pace.next_len(&config(), &supply(), suspect), 1000, "nothing is confirmed");
        // The longest counts, whatever came after it.
        for len in [300, 500, 400] {
            pace.note_confirmed(len);
        }
        assert_eq!(pace.next_len(&config(), &supply(), suspect), growth * 500);
        pace.forget_confirmed();
        assert!(!pace.is_proven());
    }
}

#[test]
fn a_lease_takes_the_wanted_time_or_half_of_what_all_need_together_if_that_is_less() {
    let mut pace = Pace::default();
    pace.note(10 * SECOND, 1000.0, 1000.0);
    pace.note_confirmed(1 << 40);
    let len = |free, team_rate| {
        let supply = Supply { free, team_rate, ..supply() };
        pace.next_len(&config(), &supply, false)
    };
    assert_eq!(len(1 << 100, 100.0), 20 * 100);
    // 10,000 units take a team of 1,000 a second ten seconds: half of that for a client of 100.
    assert_eq!(len(10_000, 1_000.0), 500);
    assert_eq!(len(100, 1_000.0), 25, "no lease is shorter than a quarter of a second");
}

#[test]
fn a_pause_without_work_is_no_part_of_a_rate_and_costs_no_lease() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let first = coordinator.submit(Duration::ZERO, 1, sum(1, FIRST), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    assert!(coordinator.job(first).unwrap().ended.is_some());
    // It says that it is there, for longer than it may hold a lease in silence.
    for second in 2..42 {
        coordinator.heartbeat(second * SECOND, client).unwrap();
        let answer = coordinator.request(second * SECOND, client, 2).unwrap();
        assert!(matches!(answer, Assignment::Wait(_)));
        coordinator.expire(second * SECOND);
    }
    let second = coordinator.submit(42 * SECOND, 2, sum(1, 1 << 40), 1).unwrap();
    let grant = lease(coordinator.request(42 * SECOND, client, 2).unwrap());
    assert_eq!(grant.job, second);
    coordinator.expire(45 * SECOND);
    assert_eq!(coordinator.job(second).unwrap().leased, grant.span.len(), "not late");
    coordinator.report(46 * SECOND, client, &report(&grant, grant.span, true)).unwrap();
    let rate = (grant.span.len() / 4) as u64;
    assert_eq!(coordinator.client(client).unwrap().claimed_rate, rate);
}
