//! Leases: granted once, renewed by progress, fenced by epochs, cut, and leased again.

use super::*;

/// A coordinator with a search and one client that does 1,000 nonces a second.
fn one_client() -> (Coordinator, ClientId, JobId) {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    (coordinator, client, job)
}

#[test]
fn the_first_lease_is_short_and_later_ones_grow_fourfold_at_most() {
    let (mut coordinator, client, job) = one_client();
    let mut longest = FIRST;
    for request in 1..=5 {
        let now = u32::try_from(request).unwrap() * Duration::from_millis(10);
        let grant = lease(coordinator.request(now, client, request).unwrap());
        assert_eq!(grant.job, job);
        assert!(grant.span.len() <= longest, "{} after {longest}", grant.span.len());
        let expected = grant.span.len() >> grant.share_bits.unwrap();
        assert!((2048..=4096).contains(&expected), "{expected}");
        longest = 4 * grant.span.len();
        // The client is fast: it reports all of it the next moment.
        coordinator.report(now, client, &report(&grant, grant.span, true)).unwrap();
    }
    assert!(longest > 256 * FIRST, "it has grown");
}

#[test]
fn a_slow_client_gets_shorter_leases() {
    let (mut coordinator, client, _) = one_client();
    let first = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (front, _) = first.span.split_at(10);
    coordinator.report(10 * SECOND, client, &report(&first, front, true)).unwrap();
    let next = lease(coordinator.request(10 * SECOND, client, 2).unwrap());
    assert_eq!(next.span.len(), 1, "half a second of one a second");
}

#[test]
fn share_bits_never_exceed_the_target_and_easy_leases_stay_short() {
    let mut coordinator = Coordinator::new(Config { first_units: 1 << 40, ..config() }, [1; 32]);
    let client = coordinator.join(Duration::ZERO, newcomer(1, u64::MAX)).unwrap().client;
    coordinator.submit(Duration::ZERO, 1, search(2, 1000), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert_eq!(grant.share_bits, Some(2));
    assert_eq!(grant.span.len(), 4096 << 2);
}

/// Ends the leases of a client, and two leases more, a second each.
fn prove(coordinator: &mut Coordinator, client: ClientId, requests: u64) {
    for held in coordinator.heartbeat(Duration::ZERO, client).unwrap() {
        let grant = lease(coordinator.grant(held.lease));
        coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    }
    for request in requests..requests + 2 {
        let grant = lease(coordinator.request(SECOND, client, request).unwrap());
        coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    }
    for request in requests + 2..requests + 4 {
        lease(coordinator.request(SECOND, client, request).unwrap());
    }
}

#[test]
fn work_begins_with_enough_clients_and_wakes_those_who_wait() {
    let mut coordinator = Coordinator::new(Config { min_clients: 2, ..config() }, [1; 32]);
    coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    let first = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let answer = coordinator.request(Duration::ZERO, first, 1).unwrap();
    assert!(matches!(answer, Assignment::Wait(_)));
    coordinator.join(Duration::ZERO, newcomer(2, 1_000)).unwrap();
    let woken = |event: &Event| matches!(event, Event::Wake(client) if *client == first);
    assert!(events(&mut coordinator).iter().any(woken));
    lease(coordinator.request(Duration::ZERO, first, 1).unwrap());
}

#[test]
fn a_repeated_request_gets_the_same_lease_and_a_late_one_none() {
    let (mut coordinator, client, _) = one_client();
    let first = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let again = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert_eq!((first.lease, first.epoch, first.span), (again.lease, again.epoch, again.span));
    coordinator.report(SECOND, client, &report(&first, first.span, true)).unwrap();
    let third = lease(coordinator.request(Duration::ZERO, client, 3).unwrap());
    let second = lease(coordinator.request(Duration::ZERO, client, 2).unwrap());
    assert!(third.epoch < second.epoch && third.lease != second.lease);
    let late = coordinator.request(SECOND, client, 1).unwrap();
    assert!(matches!(late, Assignment::Spent), "{late:?}");
    check_coverage(&coordinator);
}

#[test]
fn a_client_holds_a_limited_number_of_leases() {
    let (mut coordinator, client, _) = one_client();
    for request in 1..=2 {
        lease(coordinator.request(Duration::ZERO, client, request).unwrap());
    }
    let third = coordinator.request(Duration::ZERO, client, 3).unwrap();
    assert!(matches!(third, Assignment::Wait(_)), "it has proved nothing yet");
    prove(&mut coordinator, client, 10);
    for request in 20..=21 {
        lease(coordinator.request(SECOND, client, request).unwrap());
    }
    let fifth = coordinator.request(SECOND, client, 22).unwrap();
    assert!(matches!(fifth, Assignment::Wait(_)));
    assert_eq!(coordinator.totals().leases, 4);
}

#[test]
fn enough_progress_renews_every_lease_and_less_renews_none() {
    // A first lease should be done within the patience; a quarter of that pace is enough.
    for (units, renewed) in [(1100, true), (500, false), (1, false)] {
        let (mut coordinator, client, _) = one_client();
        let first = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        lease(coordinator.request(Duration::ZERO, client, 2).unwrap());
        let (early, late) = first.span.split_at(units);
        coordinator.report(10 * SECOND, client, &report(&first, early, false)).unwrap();
        coordinator.expire(20 * SECOND);
        let held = coordinator.heartbeat(20 * SECOND, client).unwrap().len();
        assert_eq!(held, if renewed { 2 } else { 0 }, "{units}");
        if renewed {
            // An empty report is no progress either.
            let empty = report(&first, late.split_at(0).0, false);
            coordinator.report(24 * SECOND, client, &empty).unwrap();
            coordinator.expire(26 * SECOND);
            assert_eq!(coordinator.heartbeat(26 * SECOND, client).unwrap(), []);
        }
        assert_eq!(coordinator.totals().leases, 0);
        check_coverage(&coordinator);
    }
}

#[test]
fn a_late_report_counts_where_it_is_confirmed_first() {
    let mut coordinator = coordinator();
    let slow = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let other = coordinator.join(Duration::ZERO, newcomer(2, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    let old = lease(coordinator.request(Duration::ZERO, slow, 1).unwrap());
    coordinator.expire(16 * SECOND);
    let new = lease(coordinator.request(16 * SECOND, other, 1).unwrap());
    assert_eq!(old.span, new.span, "lent again");
    assert!(old.epoch < new.epoch);
    let (few, more) = old.span.split_at(500);
    coordinator.report(17 * SECOND, slow, &report(&old, few, false)).unwrap();
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.claimed, status.leased), (0, FIRST), "the other has it");
    coordinator.report(17 * SECOND, slow, &report(&old, more, true)).unwrap();
    assert_eq!(coordinator.job(job).unwrap().confirmed, FIRST);
    let late = report(&new, new.span, true);
    assert_eq!(coordinator.report(17 * SECOND, other, &late).unwrap().lease, LeaseState::Over);
    let units = [slow, other].map(|client| coordinator.client(client).unwrap().units);
    assert_eq!(units, [FIRST, 0]);
    check_coverage(&coordinator);
}

#[test]
fn a_late_lease_goes_on_once_where_nobody_has_taken_the_span() {
    let (mut coordinator, client, job) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    coordinator.expire(16 * SECOND);
    assert_eq!(coordinator.job(job).unwrap().leased, 0);
    assert_eq!(coordinator.heartbeat(16 * SECOND, client).unwrap(), []);
    let (part, _) = grant.span.split_at(300);
    let verdict = coordinator.report(17 * SECOND, client, &report(&grant, part, false)).unwrap();
    assert_eq!(verdict.counted, 300);
    check_coverage(&coordinator);
    coordinator.expire(31 * SECOND);
    let held = coordinator.join(31 * SECOND, newcomer(1, 0)).unwrap().held;
    assert_eq!(held[0].done, part.end(), "it goes on");
    coordinator.expire(33 * SECOND);
    let held = coordinator.join(34 * SECOND, newcomer(1, 0)).unwrap().held;
    assert_eq!(held, [], "once is enough");
    coordinator.expire(50 * SECOND);
    lease(coordinator.request(51 * SECOND, client, 2).unwrap());
    let verdict = coordinator.report(52 * SECOND, client, &report(&grant, grant.span, true));
    assert_eq!(verdict.unwrap().lease, LeaseState::Over, "other work instead");
    check_coverage(&coordinator);
}

#[test]
fn slots_are_used_again_and_epochs_are_not() {
    let (mut coordinator, client, _) = one_client();
    let first = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    coordinator.report(SECOND, client, &report(&first, first.span, true)).unwrap();
    let second = lease(coordinator.request(SECOND, client, 2).unwrap());
    assert_eq!(first.lease, second.lease);
    assert!(first.epoch < second.epoch);
    let late = report(&first, second.span, true);
    assert_eq!(coordinator.report(SECOND, client, &late).unwrap().counted, 0);
}

#[test]
fn forged_leases_count_nothing() {
    let (mut coordinator, client, job) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let thief = coordinator.join(Duration::ZERO, newcomer(2, 1_000)).unwrap().client;
    let honest = report(&grant, grant.span, true);
    let forged = [
        (thief, honest.clone()),
        (client, Report { epoch: Epoch(grant.epoch.0 + 1), ..honest.clone() }),
        (client, Report { lease: LeaseId(u32::MAX), ..honest.clone() }),
        (client, Report { job: JobId(99), ..honest.clone() }),
    ];
    for (sender, report) in forged {
        assert_eq!(coordinator.report(SECOND, sender, &report).unwrap().counted, 0);
    }
    assert_eq!(coordinator.job(job).unwrap().leased, grant.span.len());
    assert_eq!(coordinator.report(SECOND, client, &honest).unwrap().counted, grant.span.len());
}

#[test]
fn a_gap_in_the_reports_is_not_counted() {
    let (mut coordinator, client, _) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (_, tail) = grant.span.split_at(200);
    let verdict = coordinator.report(SECOND, client, &report(&grant, tail, false)).unwrap();
    assert_eq!(verdict.counted, 0);
    let held = held(&grant, grant.span.start(), grant.span.end());
    assert_eq!(verdict.lease, held, "the answer says where to go on");
}

#[test]
fn an_overlap_counts_its_new_part() {
    let (mut coordinator, client, job) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (part, _) = grant.span.split_at(200);
    coordinator.report(SECOND, client, &report(&grant, part, false)).unwrap();
    let verdict = coordinator.report(SECOND, client, &report(&grant, grant.span, false)).unwrap();
    assert_eq!(verdict.counted, grant.span.len() - 200);
    assert_eq!(verdict.lease, LeaseState::Over);
    assert_eq!(coordinator.job(job).unwrap().confirmed, grant.span.len());
}

#[test]
fn the_rest_of_a_lease_that_is_given_up_is_free_again() {
    let (mut coordinator, client, job) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (part, rest) = grant.span.split_at(3000);
    coordinator.report(SECOND, client, &report(&grant, part, true)).unwrap();
    assert_eq!(coordinator.coverage(job).unwrap().free.first().unwrap().start(), rest.start());
}

#[test]
fn leases_are_free_when_their_client_leaves_or_has_been_lost_for_its_patience() {
    for leaves in [true, false] {
        let (mut coordinator, client, job) = one_client();
        lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        if leaves {
            coordinator.leave(client)
        } else {
            coordinator.disconnected(client)
        }
        assert_eq!(coordinator.job(job).unwrap().leased == 0, leaves);
        coordinator.expire(coordinator.config().patience);
        assert_eq!(coordinator.job(job).unwrap().leased, 0);
        check_coverage(&coordinator);
    }
}

#[test]
fn joining_again_is_the_same_client_with_its_leases() {
    let (mut coordinator, client, _) = one_client();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    coordinator.disconnected(client);
    assert!(!coordinator.client(client).unwrap().connected);
    let joined = coordinator.join(SECOND, newcomer(1, 1_000)).unwrap();
    assert_eq!((joined.client, joined.resumed), (client, true));
    assert_eq!(joined.held[0].epoch, grant.epoch);
    assert!(coordinator.client(client).unwrap().connected);
    coordinator.expire(100 * SECOND);
    assert_eq!(coordinator.heartbeat(100 * SECOND, client), Err(Refusal::UnknownClient));
    let stranger = coordinator.join(100 * SECOND, newcomer(1, 1_000)).unwrap();
    assert!(stranger.client != client && !stranger.resumed, "numbers are not used twice");
}

#[test]
fn an_idle_client_takes_the_tail_of_one_that_has_become_slow() {
    let mut coordinator = coordinator();
    let [slow, fast] = [1, 2]
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
    coordinator.submit(Duration::ZERO, 1, sum(1, 20_000), 1).unwrap();
    let begin = |coordinator: &mut Coordinator, client| {
        let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
        lease(coordinator.request(SECOND, client, 2).unwrap())
    };
    let [first, _] = [slow, fast].map(|client| begin(&mut coordinator, client));
    let (part, rest) = first.span.split_at(100);
    coordinator.report(3 * SECOND, slow, &report(&first, part, false)).unwrap();
    let mut requests = 3;
    let tail = loop {
        let grant = lease(coordinator.request(3 * SECOND, fast, requests).unwrap());
        if rest.contains(grant.span.start()) {
            break grant;
        }
        coordinator.report(3 * SECOND, fast, &report(&grant, grant.span, true)).unwrap();
        requests += 1;
    };
    assert!(tail.span.end() == rest.end() && tail.span.len() > rest.len() / 2, "{}", tail.span);
    let end = tail.span.start();
    let trimmed = |event: &Event| matches!(event, Event::Trimmed { end: e, .. } if *e == end);
    assert!(events(&mut coordinator).iter().any(trimmed));
    // The slow client went beyond the cut before it heard of it: it is told where to go on.
    let far = Span::new(part.end(), end + 1);
    let verdict = coordinator.report(3 * SECOND, slow, &report(&first, far, false)).unwrap();
    let held = held(&first, part.end(), end);
    assert_eq!((verdict.counted, verdict.lease), (0, held));
    check_coverage(&coordinator);
}

#[test]
fn names_are_stripped_of_control_characters_and_cut() {
    let mut coordinator = coordinator();
    let name = format!("\x1b[2J{}", "x".repeat(1000));
    let join = Join { name, ..newcomer(1, 0) };
    let client = coordinator.join(Duration::ZERO, join).unwrap().client;
    let status = coordinator.client(client).unwrap();
    assert_eq!(status.name.len(), MAX_NAME);
    assert!(!status.name.contains('\x1b'));
}

#[test]
fn a_full_server_refuses_newcomers_and_knows_its_clients() {
    let mut coordinator = Coordinator::new(Config { max_clients: 1, ..config() }, [1; 32]);
    coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap();
    assert_eq!(coordinator.join(Duration::ZERO, newcomer(2, 0)), Err(Refusal::Full));
    assert!(coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().resumed);
}

#[test]
fn requests_are_known_64_numbers_back_and_older_ones_have_had_their_lease() {
    let (mut coordinator, client, _) = one_client();
    let mut epochs = std::collections::BTreeSet::new();
    let mut take = |coordinator: &mut Coordinator, request: u64| {
        let grant = lease(coordinator.request(Duration::ZERO, client, request).unwrap());
        let nothing = grant.span.split_at(0).0;
        coordinator.report(Duration::ZERO, client, &report(&grant, nothing, true)).unwrap();
        assert!(epochs.insert(grant.epoch), "a lease of its own");
    };
    // All but these two are used. The window is 2 to 65, then 3 to 66.
    for request in (3..=65).filter(|&request| request != 40) {
        take(&mut coordinator, request);
    }
    let spent = |coordinator: &mut Coordinator, request: u64| {
        let answer = coordinator.request(SECOND, client, request).unwrap();
        assert!(matches!(answer, Assignment::Spent), "request {request}: {answer:?}");
    };
    spent(&mut coordinator, 1);
    take(&mut coordinator, 2);
    take(&mut coordinator, 40);
    take(&mut coordinator, 66);
    for request in 0..=66 {
        spent(&mut coordinator, request);
    }
    // A leap leaves the numbers between unused, as far as they are known.
    take(&mut coordinator, 200);
    for request in [200, 136, 66, 3] {
        spent(&mut coordinator, request);
    }
    take(&mut coordinator, 137);
    spent(&mut coordinator, 137);
}
