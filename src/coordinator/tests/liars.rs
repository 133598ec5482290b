//! The whole life of a client that lies: accused, banned, forgotten.

use super::*;

/// A search and a client that has proved itself at it.
fn proven_client() -> (Coordinator, ClientId, JobId) {
    let mut coordinator = Coordinator::new(Config { lease_time: SECOND, ..config() }, [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, search(12, 1000), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    for request in 1..=2u32 {
        let now = request * SECOND;
        let grant = lease(coordinator.request(now - SECOND, client, request.into()).unwrap());
        let honest = report(&grant, grant.span, true);
        assert!(coordinator.report(now, client, &honest).unwrap().counted > 0);
    }
    (coordinator, client, job)
}

fn standing(coordinator: &Coordinator, client: ClientId) -> Standing {
    coordinator.client(client).unwrap().standing
}

/// Claims the whole of a third lease and reports nothing that is in it.
fn lie(coordinator: &mut Coordinator, client: ClientId) {
    let grant = lease(coordinator.request(2 * SECOND, client, 3).unwrap());
    let outcome = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: Vec::new() });
    let lie = Report { outcome, ..report(&grant, grant.span, true) };
    coordinator.report(3 * SECOND, client, &lie).unwrap();
}

/// A report of hits outside any lease.
fn claim(job: JobId, hits: Vec<u128>) -> Report {
    let (lease, epoch, span) = (LeaseId(0), Epoch(0), Span::new(0, 0));
    let outcome = Outcome::Md5Search(SearchOutcome { hits, shares: Vec::new() });
    Report { lease, epoch, job, span, outcome, last: false }
}

#[test]
fn a_distrusted_client_is_out_of_the_team_and_still_heard_until_it_is_banned() {
    let (mut coordinator, client, job) = proven_client();
    assert!(coordinator.totals().search_rate > 0);
    assert!(!coordinator.scheduler.is_unproven());
    lie(&mut coordinator, client);
    let distrusted = Refusal::Distrusted(Reason::TooFewShares);
    assert_eq!(coordinator.request(3 * SECOND, client, 4).unwrap_err(), distrusted);
    assert_eq!(coordinator.totals().search_rate, 0);
    assert!(coordinator.scheduler.is_unproven());
    assert_eq!(coordinator.job(job).unwrap().confirmed, 0, "nor do its first leases count");
    // Its solutions still count.
    let Outcome::Md5Search(SearchOutcome { hits, .. }) =
        outcome(&search(12, 1), Span::new(20 * FIRST, 30 * FIRST), None)
    else {
        unreachable!()
    };
    let verdict = coordinator.report(3 * SECOND, client, &claim(job, vec![hits[0]])).unwrap();
    assert_eq!(verdict.solutions, 1);
    // A second accusation of the same sort changes nothing; false claims do.
    events(&mut coordinator);
    let false_hit = hits[0] + 1;
    assert!(!hits.contains(&false_hit));
    let verdict = coordinator.report(3 * SECOND, client, &claim(job, vec![false_hit; 3])).unwrap();
    assert_eq!(verdict.false_hits, 3);
    assert_eq!(standing(&coordinator, client), Standing::Banned(Reason::FalseClaims));
    let banned =
        |event: &Event| matches!(event, Event::Banned(c, Reason::FalseClaims) if *c == client);
    assert_eq!(events(&mut coordinator).iter().filter(|event| banned(event)).count(), 1);
    assert!(coordinator.report(3 * SECOND, client, &claim(job, vec![hits[1]])).is_err());
    // A ban is never lowered to distrust.
    coordinator.lower(client, Standing::Distrusted(Reason::WrongResult));
    assert_eq!(standing(&coordinator, client), Standing::Banned(Reason::FalseClaims));
}

#[test]
fn a_liar_is_remembered_for_as_long_as_its_address_is_suspect() {
    let (mut coordinator, client, _) = proven_client();
    lie(&mut coordinator, client);
    coordinator.leave(client);
    let forgotten = 3 * SECOND + coordinator.config().suspicion_time;
    for at in [62 * SECOND, forgotten - Duration::from_nanos(1)] {
        coordinator.expire(at);
        assert_eq!(standing(&coordinator, client), Standing::Distrusted(Reason::TooFewShares));
    }
    assert!(coordinator.knows(1));
    coordinator.expire(forgotten);
    assert!(!coordinator.knows(1));
    assert!(!coordinator.join(forgotten, newcomer(1, 0)).unwrap().resumed);
}

#[test]
fn the_first_liar_is_forgotten_when_there_are_too_many_that_are_still_here() {
    let mut coordinator = coordinator();
    let ban = |coordinator: &mut Coordinator, session: u128| {
        let client = coordinator.join(SECOND, newcomer(session, 0)).unwrap().client;
        coordinator.ban(client);
        client
    };
    // Neither those that are pardoned nor those that are forgotten take the place of others.
    for session in 0..100 {
        let pardoned = ban(&mut coordinator, session);
        assert!(coordinator.unban(pardoned));
    }
    // A client that is accused twice takes one place.
    let first = coordinator.join(SECOND, newcomer(1_000, 0)).unwrap().client;
    coordinator.lower(first, Standing::Distrusted(Reason::WrongResult));
    coordinator.ban(first);
    for session in 1..4096 {
        ban(&mut coordinator, 1_000 + session);
    }
    coordinator.expire(SECOND);
    assert!(coordinator.client(first).is_some(), "as many as are remembered");
    ban(&mut coordinator, 10_000);
    coordinator.expire(SECOND);
    assert!(coordinator.client(first).is_none());
    assert!(coordinator.knows(1_001) && coordinator.knows(10_000));
}

#[test]
fn the_last_64_leases_of_a_liar_are_returned_and_older_ones_stand() {
    let mut coordinator = Coordinator::new(Config { lease_time: SECOND, ..config() }, [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, search(60, 1), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let mut spans = Vec::new();
    for request in 1..=65u32 {
        let now = request * SECOND;
        let grant = lease(coordinator.request(now, client, request.into()).unwrap());
        coordinator.report(now + SECOND, client, &report(&grant, grant.span, true)).unwrap();
        spans.push(grant.span);
    }
    let confirmed = |coordinator: &Coordinator| coordinator.coverage(job).unwrap().confirmed;
    assert!(spans.iter().all(|&span| confirmed(&coordinator).covers(span)));
    coordinator.ban(client);
    assert_eq!(confirmed(&coordinator), SpanSet::from(spans[0]));
    check_coverage(&coordinator);
}
