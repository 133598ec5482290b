//! Evidence: what it confirms, and how little liars gain who leave in time.

use super::sim::{Manner, Sim, find};
use super::*;
use crate::coordinator::evidence::{Conduct, Evidence};
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Poisson};

/// Returns a report of `span` that holds only those shares that `kept` keeps.
fn lie(grant: &Grant, span: Span, kept: impl Fn(u128) -> bool) -> Report {
    let mut report = Report { outcome: find(grant, span), ..claim_of(grant, span) };
    if let Outcome::Md5Search(SearchOutcome { shares, hits }) = &mut report.outcome {
        shares.retain(|&nonce| kept(nonce));
        hits.clear();
    }
    report
}

/// Returns a report of `span` that holds nothing.
fn claim_of(grant: &Grant, span: Span) -> Report {
    let outcome = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: Vec::new() });
    let (lease, epoch, job) = (grant.lease, grant.epoch, grant.job);
    Report { lease, epoch, job, span, outcome, last: false }
}

/// Returns the front of a lease that is expected to hold so many shares.
fn worth(grant: &Grant, shares: u128) -> Span {
    grant.span.split_at(shares << grant.share_bits.unwrap()).0
}

#[test]
fn claims_of_clients_that_leave_count_for_nothing() {
    // A claim without a share is found out at 40 expected ones: below, at and above that.
    for shares in [1, 5, 10, 20, 30, 34, 39, 40, 45, 100, 1000] {
        let mut coordinator = coordinator();
        let job = coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
        for session in 0..2_000 {
            let now = Duration::from_millis(session);
            let client = coordinator.join(now, newcomer(session.into(), 1 << 40)).unwrap().client;
            let grant = lease(coordinator.request(now, client, 1).unwrap());
            let claim = claim_of(&grant, worth(&grant, shares));
            let verdict = coordinator.report(now, client, &claim).unwrap();
            assert_eq!(verdict.job_end, None);
            coordinator.leave(client);
        }
        let status = coordinator.job(job).unwrap();
        assert_eq!((status.confirmed, status.claimed), (0, 0), "at {shares} shares");
        check_coverage(&coordinator);
    }
}

#[test]
fn claims_without_shares_confirm_nothing_and_end_no_job() {
    let mut coordinator = coordinator();
    let spec = small_search(20, 1);
    let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    // More than the whole space, 30 shares' worth at a time.
    for session in 0..4_000 {
        let client = coordinator.join(SECOND, newcomer(session, 0)).unwrap().client;
        let Some(grant) = lent(coordinator.request(SECOND, client, 1).unwrap()) else {
            continue;
        };
        let (front, _) = worth(&grant, 30).split_at(grant.span.len());
        let report = Report { last: true, ..claim_of(&grant, front) };
        coordinator.report(SECOND, client, &report).unwrap();
        check_coverage(&coordinator);
    }
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.confirmed, status.ended), (0, None));
    assert_eq!(status.free, spec.whole().len());
}

#[test]
fn a_claim_is_claimed_until_its_shares_make_it_credible() {
    let mut coordinator = coordinator();
    let job = coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (few, rest) = grant.span.split_at(500);
    coordinator.report(SECOND, client, &report(&grant, few, false)).unwrap();
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.confirmed, status.claimed), (0, 500), "250 shares are not enough");
    coordinator.report(SECOND, client, &report(&grant, rest, false)).unwrap();
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.confirmed, status.claimed), (FIRST, 0), "2,000 are");
    assert_eq!(coordinator.client(client).unwrap().units, FIRST);
}

/// Returns the units that sessions get confirmed which do a part of their work: those that they
/// searched, and others.
fn confirmed_of(sessions: u128, searched: impl Fn(u128) -> bool) -> (u128, u128) {
    let mut coordinator = coordinator();
    let job = coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    for session in 0..sessions {
        let now = Duration::from_millis(session as u64);
        let client = coordinator.join(now, newcomer(session, 0)).unwrap().client;
        let grant = lease(coordinator.request(now, client, 1).unwrap());
        // In reports of a tenth, as a client sends them.
        let mut rest = grant.span;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(grant.span.len() / 10 + 1);
            coordinator.report(now, client, &lie(&grant, part, &searched)).unwrap();
            rest = later;
        }
        coordinator.leave(client);
    }
    check_coverage(&coordinator);
    let confirmed = coordinator.coverage(job).unwrap().confirmed;
    let units = || confirmed.iter().flat_map(|span| span.start()..span.end());
    (
        units().filter(|&n| searched(n)).count() as u128,
        units().filter(|&n| !searched(n)).count() as u128,
    )
}

#[test]
fn sessions_that_search_three_quarters_or_less_get_nothing_confirmed() {
    // Parts that are too small, in runs of several lengths.
    for percent in [5, 25, 50, 70, 75] {
        for run in [1, 10, 40] {
            let searched = move |nonce: u128| nonce / run % 100 < percent;
            let (_, false_units) = confirmed_of(200, searched);
            assert_eq!(false_units, 0, "{percent} % in runs of {run}");
        }
    }
}

#[test]
fn clients_that_skip_a_little_pay_several_honest_units_for_each_false_one() {
    for percent in [80, 85, 90, 95] {
        let searched = move |nonce: u128| nonce % 100 < percent;
        let (honest, false_units) = confirmed_of(200, searched);
        assert!(false_units * 3 <= honest, "{percent} %: {false_units} for {honest}");
    }
}

#[test]
fn the_rate_that_a_client_names_has_no_effect_on_its_leases() {
    let mut coordinator = coordinator();
    coordinator.submit(Duration::ZERO, 1, search(60, 1), 1).unwrap();
    for (session, hint) in [(1, 0), (2, 1_000_000_000_000_000), (3, u64::MAX)] {
        let join = Join { threads: 1 << 20, ..newcomer(session, hint) };
        let client = coordinator.join(Duration::ZERO, join).unwrap().client;
        let mut longest = FIRST;
        for request in 1..=12 {
            let now = SECOND + request * Duration::from_micros(10);
            let grant = lease(coordinator.request(now, client, request.into()).unwrap());
            assert!(grant.span.len() <= longest, "lease {request} of {}", grant.span.len());
            let report = report(&grant, grant.span.split_at(1 << 14).0, true);
            coordinator.report(now, client, &report).unwrap();
            longest = 4 * longest.min(1 << 14);
        }
    }
}

#[test]
fn shares_count_once_and_in_their_own_lease_only() {
    let mut coordinator = coordinator();
    let job = coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
    let [one, two] = [1, 2]
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
    let [first, second] =
        [one, two].map(|client| lease(coordinator.request(Duration::ZERO, client, 1).unwrap()));
    let honest = report(&first, first.span, false);
    // Shares of another lease do not count, nor the same ones again for the next part.
    let stolen = Report { outcome: honest.outcome.clone(), ..claim_of(&second, second.span) };
    assert_eq!(coordinator.report(SECOND, two, &stolen).unwrap().counted, 0);
    let (front, back) = first.span.split_at(400);
    coordinator.report(SECOND, one, &report(&first, front, false)).unwrap();
    let replayed = Report { outcome: find(&first, front), ..claim_of(&first, back) };
    assert_eq!(coordinator.report(SECOND, one, &replayed).unwrap().counted, 0);
    assert_eq!(coordinator.job(job).unwrap().confirmed, 0);
    // Sent again together with their own part, they count for it alone.
    let both =
        Report { outcome: find(&first, front), ..claim_of(&first, first.span.split_at(440).0) };
    assert_eq!(coordinator.report(SECOND, one, &both).unwrap().counted, 40);
    assert_eq!(coordinator.job(job).unwrap().confirmed, 0);
    for client in [one, two] {
        assert!(coordinator.client(client).unwrap().false_claims > 0);
    }
}

#[test]
fn a_team_with_liars_finishes_with_the_work_of_its_honest_client() {
    for part in [0.0, 0.05, 0.3, 0.6, 0.75] {
        let liar = Manner::Searches(part);
        let team = [(3_000.0, liar), (3_000.0, liar), (3_000.0, Manner::Honest)];
        let mut sim = Sim::new(&team);
        let job = sim.coordinator.submit(Duration::ZERO, 1, small_search(30, 1), 1).unwrap();
        assert!(sim.run(200 * SECOND), "{part}");
        let status = sim.coordinator.job(job).unwrap();
        assert_eq!(status.ended.unwrap().1, JobEnd::Exhausted);
        // The honest client did all that is done.
        assert_eq!(sim.coordinator.client(sim.clients[2].id).unwrap().units, status.whole);
        assert_eq!(sim.coordinator.client(sim.clients[2].id).unwrap().standing, Standing::Good);
    }
}

/// A job of which everything is confirmed and one audit is out.
fn all_but_an_audit(wanted: u32) -> (Coordinator, ClientId, JobId, Audit) {
    let mut coordinator = Coordinator::new(Config { first_units: 1 << 16, ..config() }, [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, small_search(20, wanted), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let verdict = coordinator.report(SECOND, client, &lie(&grant, grant.span, |_| true)).unwrap();
    assert_eq!((verdict.counted, verdict.job_end), (1 << 16, None));
    let audit = events(&mut coordinator).into_iter().find_map(|event| match event {
        Event::Audit(audit) => Some(audit),
        _ => None,
    });
    assert_eq!(coordinator.job(job).unwrap().state, JobState::Checking);
    assert!(coordinator.waits_for_audits());
    (coordinator, client, job, audit.unwrap())
}

#[test]
fn a_job_that_found_nothing_waits_for_its_audits() {
    let (mut coordinator, _, job, audit) = all_but_an_audit(1);
    coordinator.audited(SECOND, &audit.run());
    assert_eq!(coordinator.job(job).unwrap().state, JobState::Ended(JobEnd::Exhausted));
    assert!(!coordinator.still_wants(&audit));
}

#[test]
fn an_audit_that_finds_a_lie_reopens_a_job_that_was_being_checked() {
    let (mut coordinator, client, job, audit) = all_but_an_audit(1);
    let missed = AuditResult { missed: Some(1), ..audit.run() };
    coordinator.leave(client);
    coordinator.audited(SECOND, &missed);
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.ended, status.free, status.confirmed), (None, 1 << 16, 0));
}

#[test]
fn a_solution_found_while_a_job_is_checked_wins_at_once() {
    let (mut coordinator, client, job, _) = all_but_an_audit(1);
    let JobSpec::Md5Search(search) = small_search(20, 1) else { unreachable!() };
    let solves = |seed: &String| search.puzzle().is_solved_by(seed);
    let seed = (0u64..).map(|n| format!("{n:x}")).find(solves).unwrap();
    coordinator.claim_seed(SECOND, client, job, &seed).unwrap();
    let end = JobEnd::Finished { winner: Some(client) };
    assert_eq!(coordinator.job(job).unwrap().state, JobState::Ended(end));
}

#[test]
fn a_solution_that_is_reported_only_as_a_share_counts() {
    let (mut coordinator, client) = (coordinator(), newcomer(1, 0));
    let client = coordinator.join(Duration::ZERO, client).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, small_search(10, 1), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    // The client leaves the hits out.
    let verdict = coordinator.report(SECOND, client, &lie(&grant, grant.span, |_| true)).unwrap();
    assert_eq!(verdict.job_end, Some(JobEnd::Finished { winner: Some(client) }));
    assert_eq!(coordinator.job(job).unwrap().solutions, 1);
}

#[test]
fn spans_too_short_for_shares_are_searched_again_by_the_judge() {
    let mut coordinator = Coordinator::new(Config { first_units: 1000, ..config() }, [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, small_search(8, 1000), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert_eq!((grant.span.len(), grant.share_bits), (1000, None));
    // The client holds its solutions back, in vain.
    let verdict = coordinator.report(SECOND, client, &claim_of(&grant, grant.span)).unwrap();
    assert_eq!(verdict.counted, 1000);
    let status = coordinator.job(job).unwrap();
    assert_eq!(status.confirmed, 1000);
    let Outcome::Md5Search(SearchOutcome { hits, .. }) = find(&grant, grant.span) else {
        unreachable!()
    };
    let solutions = events(&mut coordinator);
    let solutions = solutions.iter().filter(|event| matches!(event, Event::Solution(..))).count();
    assert!(!hits.is_empty());
    assert_eq!(solutions, hits.len());
}

#[test]
fn a_span_short_of_shares_is_searched_again_with_more_of_them() {
    for (units, bits, next) in [(1u128 << 14, Some(3), Some(2)), (FIRST, Some(1), None)] {
        let mut coordinator = Coordinator::new(Config { first_units: units, ..config() }, [1; 32]);
        let job = coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
        let [unlucky, other] = [1, 2]
            .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
        let grant = lease(coordinator.request(Duration::ZERO, unlucky, 1).unwrap());
        assert_eq!((grant.span.len(), grant.share_bits), (units, bits));
        // Evidence of 9, where honest leases mostly have 77, and 23 are needed.
        let mut short = lie(&grant, grant.span, |_| true);
        if let Outcome::Md5Search(SearchOutcome { shares, .. }) = &mut short.outcome {
            shares.truncate(1812);
        }
        coordinator.report(SECOND, unlucky, &short).unwrap();
        assert_eq!(coordinator.job(job).unwrap().confirmed, 0);
        let again = lease(coordinator.request(SECOND, other, 1).unwrap());
        assert_eq!((again.span, again.share_bits), (grant.span, next));
        let (front, back) = again.span.split_at(units / 2);
        for part in [front, back] {
            coordinator.report(2 * SECOND, other, &lie(&again, part, |_| true)).unwrap();
        }
        assert_eq!(coordinator.job(job).unwrap().confirmed, units);
    }
}

#[test]
fn a_span_is_leased_with_more_shares_only_once_for_each_time_that_it_was_short() {
    let units = 1 << 14;
    let mut coordinator = Coordinator::new(Config { first_units: units, ..config() }, [1; 32]);
    coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
    let mut bits = Vec::new();
    for session in 1..=3 {
        let client = coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client;
        let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        assert_eq!(grant.span, Span::new(0, units));
        bits.push(grant.share_bits);
        if session == 1 {
            let mut short = lie(&grant, grant.span, |_| true);
            if let Outcome::Md5Search(SearchOutcome { shares, .. }) = &mut short.outcome {
                shares.truncate(1812);
            }
            coordinator.report(SECOND, client, &short).unwrap();
        }
        coordinator.leave(client);
    }
    assert_eq!(bits, [Some(3), Some(2), Some(3)]);
}

#[test]
fn every_client_that_claims_the_same_span_falsely_is_accused() {
    let mut coordinator = coordinator();
    coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    for session in 0..10 {
        let client = coordinator.join(SECOND, newcomer(session, 0)).unwrap().client;
        for request in 1..=3 {
            let Some(grant) = coordinator.request(SECOND, client, request).ok().and_then(lent)
            else {
                break;
            };
            coordinator.report(SECOND, client, &claim_of(&grant, grant.span)).unwrap();
        }
        let standing = coordinator.client(client).unwrap().standing;
        assert_eq!(standing, Standing::Distrusted(Reason::TooFewShares), "session {session}");
    }
}

#[test]
fn shares_beyond_the_lease_are_neither_hashed_nor_held_against_the_client() {
    let mut coordinator = coordinator();
    coordinator.submit(Duration::ZERO, 1, small_search(20, 1), 1).unwrap();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    // The shares beyond the lease are false, which hashing them would show.
    let all = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: (0..200).collect() });
    let Outcome::Md5Search(SearchOutcome { shares, .. }) = find(&grant, grant.span) else {
        unreachable!()
    };
    let said: Vec<u128> = shares.iter().copied().chain(5_000..5_100).collect();
    let beyond = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: said });
    let report = Report { outcome: beyond, ..claim_of(&grant, Span::new(0, 6_000)) };
    assert_eq!(coordinator.report(SECOND, client, &report).unwrap().counted, FIRST);
    assert_eq!(coordinator.client(client).unwrap().false_claims, 0);
    let report = Report { outcome: all, ..claim_of(&grant, Span::new(0, 200)) };
    assert_eq!(coordinator.report(SECOND, client, &report).unwrap().counted, 0, "it is over");
}

/// Fates of the leases of clients that search a part of what they claim.
#[derive(Debug, Default)]
struct Fates {
    confirmed: u32,
    accused: u32,
}

/// Simulates leases of some length in which the shares are Poisson draws, in so many reports.
fn fates(leases: u32, part: f64, expected: f64, reports: u32) -> Fates {
    let mut random = rand_chacha::ChaCha20Rng::from_seed([9; 32]);
    let each = expected / f64::from(reports);
    let draws = Poisson::new(f64::max(each * part, 1e-9)).unwrap();
    let (mut fates, mut trust) = (Fates::default(), Conduct::default());
    for _ in 0..leases {
        let mut evidence = Evidence::default();
        let mut confirmed = false;
        for report in 1..=reports {
            let shares = draws.sample(&mut random) as usize;
            evidence.add(shares, each);
            // A liar stops when it is confirmed; an honest client must be so at its end.
            confirmed = evidence.is_credible() || (confirmed && part < 1.0);
            if trust.weigh(shares, each) {
                fates.accused += 1;
                trust = Conduct::default();
                break;
            }
            if report == reports || (confirmed && part < 1.0) {
                fates.confirmed += u32::from(confirmed);
                break;
            }
        }
    }
    fates
}

#[test]
fn a_million_honest_leases_are_never_accused_and_hardly_ever_short_of_evidence() {
    // Ends of leases that were cut are shorter; reports are long, or hold next to nothing.
    for (leases, expected, reports) in
        [(900_000, 2048.0, 5), (90_000, 2048.0, 50), (10_000, 30.0, 60)]
    {
        let fates = fates(leases, 1.0, expected, reports);
        assert_eq!(fates.accused, 0, "of {leases} leases of {expected} shares");
        if expected > 2000.0 {
            assert!(leases - fates.confirmed < leases / 10_000, "{fates:?} of {leases}");
        }
    }
}

#[test]
fn a_client_that_searches_three_quarters_is_not_confirmed() {
    for (part, expected) in [(0.75, 8192.0), (0.75, 2048.0), (0.6, 2048.0), (0.2, 2048.0)] {
        assert_eq!(fates(20_000, part, expected, 60).confirmed, 0, "{part} of {expected}");
    }
    assert_eq!(fates(1_000, 0.0, 2048.0, 60).confirmed, 0);
}

#[test]
fn a_client_that_skips_a_part_is_accused_within_a_few_leases() {
    let mut random = rand_chacha::ChaCha20Rng::from_seed([11; 32]);
    for (part, most) in [(0.0, 1), (0.5, 1), (0.8, 2), (0.9, 8), (0.95, 30)] {
        let (honest, lying) = (Poisson::new(2048.0).unwrap(), 2048.0 * part);
        // A long honest past excuses nothing.
        let mut trust = Conduct::default();
        for _ in 0..100 {
            assert!(!trust.weigh(honest.sample(&mut random) as usize, 2048.0));
        }
        let leases = (1..1_000).find(|_| {
            let noise = Poisson::new(f64::max(lying, 1e-9)).unwrap().sample(&mut random);
            trust.weigh(noise as usize, 2048.0)
        });
        assert!(leases.is_some_and(|leases| leases <= most), "{part}: {leases:?}");
    }
}
