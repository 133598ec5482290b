//! False claims, wrong results and audits.

use super::*;

fn with_client(spec: JobSpec) -> (Coordinator, ClientId, JobId) {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, spec, 1).unwrap();
    (coordinator, client, job)
}

fn standing(coordinator: &Coordinator, client: ClientId) -> Standing {
    coordinator.client(client).unwrap().standing
}

#[test]
fn false_hits_are_refused_counted_each_time_and_banned_after_three() {
    let (mut coordinator, client, job) = with_client(search(30, 1));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let claim = |nonce| {
        let outcome = Outcome::Md5Search(SearchOutcome { hits: vec![nonce], shares: Vec::new() });
        let span = Span::new(0, 0);
        let (lease, epoch) = (grant.lease, grant.epoch);
        Report { lease, epoch, job, span, outcome, last: false }
    };
    for nonce in [5, 5] {
        assert_eq!(coordinator.report(SECOND, client, &claim(nonce)).unwrap().false_hits, 1);
    }
    assert_eq!(coordinator.client(client).unwrap().false_claims, 2, "the same one, twice");
    assert_eq!(standing(&coordinator, client), Standing::Good);
    coordinator.report(SECOND, client, &claim(5)).unwrap();
    let reason = Reason::FalseClaims;
    assert_eq!(standing(&coordinator, client), Standing::Banned(reason));
    assert_eq!(coordinator.report(SECOND, client, &claim(8)), Err(Refusal::Banned(reason)));
    assert_eq!(coordinator.join(SECOND, newcomer(1, 0)), Err(Refusal::Banned(reason)));
    assert!(coordinator.request(SECOND, client, 2).is_err());
    assert_eq!(coordinator.job(job).unwrap().leased, 0, "what it held is free");
    assert_eq!(coordinator.job(job).unwrap().solutions, 0);
    let banned = |event: &Event| matches!(event, Event::Banned(c, _) if *c == client);
    assert!(events(&mut coordinator).iter().any(banned));
}

#[test]
fn a_false_share_makes_the_whole_report_count_nothing() {
    let (mut coordinator, client, _) = with_client(search(30, 1));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let honest = report(&grant, grant.span, true);
    let Outcome::Md5Search(SearchOutcome { shares, .. }) = &honest.outcome else { unreachable!() };
    let not_a_share = (0..).find(|nonce| !shares.contains(nonce)).unwrap();
    let [mut wrong, mut twice, mut outside] = [shares.clone(), shares.clone(), shares.clone()];
    wrong.push(not_a_share);
    twice.push(shares[0]);
    outside.push(grant.span.end());
    for shares in [wrong, twice, outside] {
        let outcome = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares });
        let report = Report { outcome, last: false, ..honest.clone() };
        assert_eq!(coordinator.report(SECOND, client, &report).unwrap().counted, 0);
    }
    assert_eq!(standing(&coordinator, client), Standing::Banned(Reason::FalseClaims));
}

#[test]
fn a_wrong_sum_costs_the_trust_and_the_span_is_free_again() {
    let (mut coordinator, client, job) = with_client(sum(1, 1_000));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let mut lie = report(&grant, grant.span, true);
    if let Outcome::SumOfSquares(sum) = &mut lie.outcome {
        *sum += 1u32;
    }
    assert_eq!(coordinator.report(SECOND, client, &lie).unwrap().counted, 0);
    assert_eq!(standing(&coordinator, client), Standing::Distrusted(Reason::WrongResult));
    assert_eq!(coordinator.job(job).unwrap().free, 1_000);
}

#[test]
fn outcomes_of_another_kind_and_endless_ones_are_ignored() {
    let (mut coordinator, client, _) = with_client(search(30, 1));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let honest = report(&grant, grant.span, false);
    let outcomes = [
        Outcome::SumOfSquares(1u32.into()),
        Outcome::SumOfSquares(num_bigint::BigUint::from(1u32) << 100_000),
        Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: vec![0; 100_000] }),
    ];
    for outcome in outcomes {
        let report = Report { outcome, ..honest.clone() };
        assert_eq!(coordinator.report(SECOND, client, &report).unwrap().counted, 0);
        assert_eq!(standing(&coordinator, client), Standing::Good);
    }
    assert_eq!(coordinator.report(SECOND, client, &honest).unwrap().counted, grant.span.len());
}

fn audits_in(coordinator: &mut Coordinator) -> Vec<Audit> {
    let audit = |event| if let Event::Audit(audit) = event { Some(audit) } else { None };
    events(coordinator).into_iter().filter_map(audit).collect()
}

/// Removes every twentieth share: too few to be missed in the count at once.
fn thinned(mut report: Report) -> Report {
    if let Outcome::Md5Search(SearchOutcome { shares, .. }) = &mut report.outcome {
        let mut n = 0;
        shares.retain(|_| {
            n += 1;
            n % 20 > 0
        });
    }
    report
}

#[test]
fn an_audit_finds_a_missing_share_and_what_was_confirmed_is_free_again() {
    for leaves in [false, true] {
        let (mut coordinator, _, job) = with_client(search(30, 1));
        // One lease from each of several sessions, with one share in twenty missing.
        let mut missed = 0;
        for session in 10..60 {
            let client = coordinator.join(SECOND, newcomer(session, 0)).unwrap().client;
            let grant = lease(coordinator.request(SECOND, client, 1).unwrap());
            let lie = thinned(report(&grant, grant.span, true));
            coordinator.report(2 * SECOND, client, &lie).unwrap();
            let confirmed = coordinator.job(job).unwrap().confirmed;
            let audits = audits_in(&mut coordinator);
            assert_eq!(audits.len(), 1, "every lease of a newcomer is audited");
            if leaves {
                coordinator.leave(client);
            }
            assert!(coordinator.still_wants(&audits[0]), "also when its client has left");
            let result = audits[0].run();
            assert!(result.conclusive);
            coordinator.audited(2 * SECOND, &result);
            // The same result again changes nothing.
            coordinator.audited(2 * SECOND, &result);
            check_coverage(&coordinator);
            let after = coordinator.job(job).unwrap().confirmed;
            if result.missed.is_none() {
                assert_eq!(after, confirmed);
                continue;
            }
            missed += 1;
            assert!(after + FIRST / 2 < confirmed, "{after} of {confirmed}");
            if !leaves {
                let reason = Reason::MissedShare;
                assert_eq!(standing(&coordinator, client), Standing::Distrusted(reason));
            }
        }
        // Four places are audited in each lease, so a fifth of the sessions are found out.
        assert!((2..25).contains(&missed), "{missed} of 50");
    }
}

#[test]
fn honest_leases_pass_their_audits() {
    let mut coordinator = with_leases_of(SECOND);
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(30, 1), 1).unwrap();
    let mut passed = 0;
    for request in 1..=40 {
        let now = u32::try_from(request).unwrap() * SECOND;
        let grant = lease(coordinator.request(now, client, request).unwrap());
        let end = now + SECOND;
        let (first, rest) = grant.span.split_at(grant.span.len() / 3);
        coordinator.report(end, client, &report(&grant, first, false)).unwrap();
        coordinator.report(end, client, &report(&grant, rest, true)).unwrap();
        for audit in audits_in(&mut coordinator) {
            let result = audit.run();
            assert_eq!(result.missed, None);
            passed += u32::from(result.conclusive);
            coordinator.audited(now, &result);
        }
    }
    assert!((15..30).contains(&passed), "17 at first, then few: {passed}");
    assert_eq!(standing(&coordinator, client), Standing::Good);
    assert!(coordinator.job(job).unwrap().confirmed > 40_000);
}

#[test]
fn audits_under_way_are_bounded_in_all_and_for_each_client() {
    let mut coordinator = with_leases_of(SECOND * 11 / 10);
    coordinator.submit(Duration::ZERO, 1, search(60, 1), 1).unwrap();
    let mut audits = Vec::new();
    for session in 0..50 {
        let client = coordinator.join(SECOND, newcomer(session, 2)).unwrap().client;
        let mut own = 0;
        for request in 1..=8 {
            let now = u32::try_from(request).unwrap() * SECOND;
            let grant = lease(coordinator.request(now, client, request).unwrap());
            coordinator.report(now + SECOND, client, &report(&grant, grant.span, true)).unwrap();
            let new = audits_in(&mut coordinator);
            own += new.len();
            audits.extend(new);
        }
        assert!(own <= 6);
    }
    assert_eq!(audits.len(), 256);
    audits.iter().for_each(|audit| coordinator.audited(SECOND, &audit.compare(&[])));
    let client = coordinator.join(SECOND, newcomer(5_000, 2)).unwrap().client;
    let grant = lease(coordinator.request(SECOND, client, 1).unwrap());
    coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    assert_eq!(audits_in(&mut coordinator).len(), 1);
}

fn with_leases_of(lease_time: Duration) -> Coordinator {
    Coordinator::new(Config { lease_time, ..config() }, [1; 32])
}

#[test]
fn a_suspect_has_more_shares_and_all_its_leases_audited() {
    let mut coordinator = with_leases_of(SECOND / 2);
    coordinator.submit(Duration::ZERO, 1, search(60, 1), 1).unwrap();
    let join = Join { suspect: true, ..newcomer(2, 0) };
    let suspect = coordinator.join(Duration::ZERO, join).unwrap().client;
    let (mut longest, mut audited) = (0, 0);
    for request in 1..=24 {
        let now = u32::try_from(request).unwrap() * SECOND;
        let grant = lease(coordinator.request(now, suspect, request).unwrap());
        assert!(grant.span.len() <= (2 * longest).max(FIRST), "{longest}, then {}", grant.span);
        longest = longest.max(grant.span.len());
        assert!(grant.span.len() >> grant.share_bits.unwrap() >= grant.span.len().min(8192) / 2);
        let end = now + SECOND / 2;
        coordinator.report(end, suspect, &report(&grant, grant.span, true)).unwrap();
        for audit in audits_in(&mut coordinator) {
            audited += 1;
            assert!(audit.samples().len() > 4);
            coordinator.audited(end, &audit.run());
        }
    }
    assert_eq!(audited, 24);
    assert_eq!(standing(&coordinator, suspect), Standing::Good);
}
