//! Those who claim what is not so.

use super::*;
use crate::coordinator::trust::Trust;

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
fn false_hits_are_refused_counted_once_and_banned_after_three() {
    let (mut coordinator, client, job) = with_client(search(30, 1));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let claim = |nonce| {
        let outcome = Outcome::Md5Search { hits: vec![nonce], shares: Vec::new() };
        let span = Span::new(0, 0);
        let (lease, epoch) = (grant.lease, grant.epoch);
        Report { lease, epoch, job, span, outcome, last: false }
    };
    for nonce in [5, 5, 5, 6] {
        assert_eq!(coordinator.report(SECOND, client, &claim(nonce)).unwrap().false_hits, 1);
    }
    assert_eq!(coordinator.client(client).unwrap().false_claims, 2, "a repeated message is one");
    assert_eq!(standing(&coordinator, client), Standing::Good);
    coordinator.report(SECOND, client, &claim(7)).unwrap();
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
    let Outcome::Md5Search { shares, .. } = &honest.outcome else { unreachable!() };
    let not_a_share = (0..).find(|nonce| !shares.contains(nonce)).unwrap();
    let [mut wrong, mut twice, mut outside] = [shares.clone(), shares.clone(), shares.clone()];
    wrong.push(not_a_share);
    twice.push(shares[0]);
    outside.push(grant.span.end());
    for shares in [wrong, twice, outside] {
        let outcome = Outcome::Md5Search { hits: Vec::new(), shares };
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
fn outcomes_of_another_kind_or_without_end_are_ignored() {
    let (mut coordinator, client, _) = with_client(search(30, 1));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let honest = report(&grant, grant.span, false);
    let outcomes = [
        Outcome::SumOfSquares(1u32.into()),
        Outcome::SumOfSquares(num_bigint::BigUint::from(1u32) << 100_000),
        Outcome::Md5Search { hits: Vec::new(), shares: vec![0; 100_000] },
    ];
    for outcome in outcomes {
        let report = Report { outcome, ..honest.clone() };
        assert_eq!(coordinator.report(SECOND, client, &report).unwrap().counted, 0);
        assert_eq!(standing(&coordinator, client), Standing::Good);
    }
    assert_eq!(coordinator.report(SECOND, client, &honest).unwrap().counted, grant.span.len());
}

#[test]
fn an_audit_finds_one_missing_share_and_what_was_claimed_is_free_again() {
    let mut config = Config { min_clients: 1, ..Config::default() };
    config.lease_time = SECOND;
    let mut coordinator = Coordinator::new(config, 5);
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(30, 1), 1).unwrap();
    let mut audits = Vec::new();
    for request in 1..=8 {
        let now = u32::try_from(request).unwrap() * SECOND;
        let grant = lease(coordinator.request(now, client, request).unwrap());
        let mut lie = report(&grant, grant.span, true);
        // Every third share is kept back: too few to be seen in the count so soon.
        if let Outcome::Md5Search { shares, .. } = &mut lie.outcome {
            let mut n = 0;
            shares.retain(|_| {
                n += 1;
                n % 3 > 0
            });
        }
        coordinator.report(now + SECOND / 2, client, &lie).unwrap();
        audits.extend(events(&mut coordinator).into_iter().filter_map(|event| match event {
            Event::Audit(audit) => Some(audit),
            _ => None,
        }));
        if standing(&coordinator, client) != Standing::Good {
            break;
        }
    }
    assert!(!audits.is_empty(), "every lease of a newcomer is audited");
    let results: Vec<AuditResult> = audits.iter().map(Audit::run).collect();
    assert!(results.iter().any(|result| result.conclusive));
    let missed = results.iter().find(|result| result.missed.is_some()).expect("one in three");
    coordinator.audited(missed);
    assert!(matches!(standing(&coordinator, client), Standing::Distrusted(_)));
    assert_eq!(coordinator.job(job).unwrap().done, 0);
    // The same result again, or one of nobody, does nothing.
    coordinator.audited(missed);
    check_coverage(&coordinator);
}

#[test]
fn honest_leases_pass_their_audits() {
    let (mut coordinator, client, job) = with_client(search(30, 1));
    let mut passed = 0;
    for request in 1..=40 {
        let now = u32::try_from(request).unwrap() * SECOND;
        let grant = lease(coordinator.request(now, client, request).unwrap());
        let span = grant.span.split_at(1_000).0;
        coordinator.report(now + SECOND, client, &report(&grant, span, true)).unwrap();
        for event in events(&mut coordinator) {
            if let Event::Audit(audit) = event {
                let result = audit.run();
                assert_eq!(result.missed, None);
                passed += u32::from(result.conclusive);
                coordinator.audited(&result);
            }
        }
    }
    assert!((10..30).contains(&passed), "16 at first, then few: {passed}");
    assert_eq!(standing(&coordinator, client), Standing::Good);
    assert!(coordinator.job(job).unwrap().done > 10_000);
}

#[test]
fn audits_that_nobody_runs_do_not_pile_up() {
    let (mut coordinator, _, _) = with_client(search(60, 1));
    let mut audits = Vec::new();
    for session in 0..1_500 {
        let client = coordinator.join(SECOND, newcomer(session, 2)).unwrap().client;
        let grant = lease(coordinator.request(SECOND, client, 1).unwrap());
        coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
        let audit = |event| if let Event::Audit(audit) = event { Some(audit) } else { None };
        audits.extend(events(&mut coordinator).into_iter().filter_map(audit));
    }
    assert_eq!(audits.len(), 64);
    audits.iter().for_each(|audit| coordinator.audited(&audit.run()));
    let client = coordinator.join(SECOND, newcomer(5_000, 2)).unwrap().client;
    let grant = lease(coordinator.request(SECOND, client, 1).unwrap());
    coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    assert!(events(&mut coordinator).iter().any(|event| matches!(event, Event::Audit(_))));
}

/// Shares of a Poisson process with this mean, by counting exponential gaps.
fn poisson(random: &mut Random, mean: f64) -> usize {
    let mut gaps = 0.0;
    (0..)
        .find(|_| {
            let uniform = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
            gaps -= (1.0 - uniform).ln();
            gaps > mean
        })
        .unwrap_or(0)
}

#[test]
fn the_honest_are_never_accused_and_the_rest_in_time() {
    let mut random = Random(11);
    let mut honest = Trust::default();
    for report in 0..200_000 {
        let mean = [0.3, 4.0, 90.0][report % 3];
        let shares = poisson(&mut random, mean);
        assert!(!honest.weigh(shares, mean), "accused after {report} reports");
    }
    for (part, most) in [(0.0, 1), (0.5, 10), (0.8, 60), (0.9, 250)] {
        // A long honest past pays for nothing.
        let mut trust = honest.clone();
        let leases = (1..1_000).find(|_| trust.weigh(poisson(&mut random, 90.0 * part), 90.0));
        assert!(leases.is_some_and(|leases| leases <= most), "{part}: {leases:?}");
    }
}
