//! Jobs: how they are submitted, take turns, and end.

use super::*;
use crate::jobs::{Claim, JobResult, MAX_HITS, MAX_WANTED, MOST_BYTES, SearchResult};

fn hits(grant: &Grant, hits: Vec<u128>) -> Report {
    let span = Span::new(grant.span.start(), grant.span.start());
    let outcome = Outcome::Md5Search(SearchOutcome { hits, shares: Vec::new() });
    Report { lease: grant.lease, epoch: grant.epoch, job: grant.job, span, outcome, last: false }
}

/// Returns the first nonces that solve `spec`.
fn solutions(spec: &JobSpec, count: usize) -> Vec<u128> {
    let mut found = Vec::new();
    for start in (0..).step_by(1 << 12) {
        if let Outcome::Md5Search(SearchOutcome { hits, .. }) =
            outcome(spec, Span::with_len(start, 1 << 12), Some(0))
        {
            found.extend(hits);
        }
        if found.len() >= count {
            break;
        }
    }
    found.truncate(count);
    found
}

#[test]
fn a_search_ends_at_its_kth_solution_and_each_counts_once() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let spec = search(10, 3);
    let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let found = solutions(&spec, 4);
    for expected in [1, 0] {
        let verdict = coordinator.report(SECOND, client, &hits(&grant, vec![found[2]])).unwrap();
        assert_eq!((verdict.solutions, verdict.job_end), (expected, None));
    }
    let verdict = coordinator.report(SECOND, client, &hits(&grant, found.clone())).unwrap();
    let end = JobEnd::Finished { winner: Some(client) };
    assert_eq!((verdict.solutions, verdict.job_end), (2, Some(end)));
    assert_eq!(verdict.lease, LeaseState::Over);
    let ended =
        |event: &Event| matches!(event, Event::JobEnded { holders, .. } if *holders == [client]);
    assert!(events(&mut coordinator).iter().any(ended));
    let Some(JobResult::Md5Search(SearchResult { solutions, smallest })) = coordinator.result(job)
    else {
        panic!("no result")
    };
    assert_eq!(solutions.iter().filter_map(|s| s.nonce).collect::<Vec<_>>(), found[..3]);
    assert!(!smallest, "nothing below them is known to have been searched");
    check_coverage(&coordinator);
}

#[test]
fn the_smallest_seed_is_known_to_be_it_when_all_below_is_confirmed() {
    let mut coordinator = Coordinator::new(Config { first_units: 1 << 16, ..config() }, [1; 32]);
    let client = coordinator.join(Duration::ZERO, newcomer(1, 100_000)).unwrap().client;
    let spec = search(13, 1);
    let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let first = solutions(&spec, 1)[0];
    assert!(first > 3000, "the shares below it are enough");
    let span = Span::new(0, first + 1);
    coordinator.report(SECOND, client, &report(&grant, span, true)).unwrap();
    let result = coordinator.result(job).unwrap();
    assert!(
        matches!(result, JobResult::Md5Search(SearchResult { smallest: true, .. })),
        "{result:?}"
    );
}

#[test]
fn seeds_may_be_claimed_from_outside_the_leases_and_the_space() {
    let mut coordinator = coordinator();
    let join = Join { kinds: Vec::new(), ..newcomer(1, 0) };
    let classic = coordinator.join(Duration::ZERO, join).unwrap().client;
    let spec = search(8, 2);
    let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    let answer = coordinator.request(Duration::ZERO, classic, 1).unwrap();
    assert!(matches!(answer, Assignment::Wait(_)), "it never gets a lease");
    let JobSpec::Md5Search(md5) = &spec else { unreachable!() };
    let outside = (0..).map(|n| format!("0x{n:x}")).find(|s| md5.puzzle().is_solved_by(s)).unwrap();
    let inside = md5.space().seed(solutions(&spec, 1)[0]).unwrap();
    for (seed, in_space) in [(&outside, false), (&inside, true)] {
        let claim = coordinator.claim_seed(SECOND, classic, job, seed).unwrap();
        let Claim::New(solution) = claim else { panic!("{claim:?}") };
        assert_eq!((&solution.seed, solution.nonce.is_some()), (seed, in_space));
    }
    let end = coordinator.job(job).unwrap().ended.unwrap().1;
    assert_eq!(end, JobEnd::Finished { winner: Some(classic) });
    let result = coordinator.result(job).unwrap();
    assert!(matches!(result, JobResult::Md5Search(SearchResult { smallest: false, .. })));
}

#[test]
fn a_lie_about_a_whole_space_does_not_end_its_job() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1 << 40)).unwrap().client;
    let spec = samples::search_of_one_word();
    let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert!(grant.span.len() <= FIRST);
    let outcome = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: Vec::new() });
    let (lease, epoch) = (grant.lease, grant.epoch);
    let lie = Report { lease, epoch, job, span: grant.span, outcome, last: true };
    assert_eq!(coordinator.report(SECOND, client, &lie).unwrap().counted, 0);
    assert_eq!(coordinator.job(job).unwrap().ended, None);
    assert_eq!(coordinator.job(job).unwrap().free, spec.whole().len());
    let status = coordinator.client(client).unwrap();
    assert_eq!(status.standing, Standing::Distrusted(Reason::TooFewShares));
}

#[test]
fn jobs_take_turns_by_priority() {
    let mut coordinator = coordinator();
    let [plain, urgent] = [(1, 1), (2, 3)].map(|(key, priority)| {
        coordinator.submit(Duration::ZERO, key, search(60, 1), priority).unwrap()
    });
    let mut turns = [0; 2];
    for session in 0..40 {
        let client = coordinator.join(Duration::ZERO, newcomer(session, 1_000)).unwrap().client;
        let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        assert!(grant.job == plain || grant.job == urgent);
        turns[usize::from(grant.job == urgent)] += 1;
    }
    assert_eq!(turns, [10, 30]);
    // A job that comes later begins level with the others, and is not paid for the past.
    let late = coordinator.submit(SECOND, 3, search(60, 1), 1).unwrap();
    let mut lent = 0;
    for session in 100..150 {
        let client = coordinator.join(SECOND, newcomer(session, 1_000)).unwrap().client;
        lent += u32::from(lease(coordinator.request(SECOND, client, 1).unwrap()).job == late);
    }
    assert!((9..=11).contains(&lent), "{lent}");
}

#[test]
fn clients_get_only_what_they_can_do() {
    let mut coordinator = coordinator();
    let join = Join { kinds: vec![JobKind::SumOfSquares], ..newcomer(1, 0) };
    let client = coordinator.join(Duration::ZERO, join).unwrap().client;
    coordinator.submit(Duration::ZERO, 1, search(40, 1), 100).unwrap();
    let answer = coordinator.request(Duration::ZERO, client, 1).unwrap();
    assert!(matches!(answer, Assignment::Wait(_)));
    let job = coordinator.submit(Duration::ZERO, 2, sum(1, 10), 1).unwrap();
    assert_eq!(lease(coordinator.request(Duration::ZERO, client, 1).unwrap()).job, job);
}

#[test]
fn submitting_again_is_the_same_job_and_cancelling_frees_its_clients() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 7, search(40, 1), 1).unwrap();
    assert_eq!(coordinator.submit(Duration::ZERO, 7, search(40, 1), 1), Ok(job));
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert!(coordinator.cancel(SECOND, job));
    assert!(!coordinator.cancel(SECOND, job));
    let verdict = coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    assert_eq!((verdict.counted, verdict.job_end), (0, Some(JobEnd::Cancelled)));
    assert_eq!(coordinator.totals().leases, 0);
    check_coverage(&coordinator);
}

#[test]
fn ended_jobs_are_kept_for_a_while_and_new_ones_are_limited() {
    let mut coordinator = Coordinator::new(Config { max_jobs: 1, ..config() }, [1; 32]);
    for key in 0..300 {
        let job = coordinator.submit(Duration::ZERO, key, search(40, 1), 1).unwrap();
        assert_eq!(
            coordinator.submit(Duration::ZERO, 1000, search(40, 1), 1),
            Err(SubmitError::TooMany)
        );
        coordinator.cancel(Duration::ZERO, job);
    }
    let jobs = coordinator.jobs();
    assert_eq!(jobs.len(), 256);
    assert_eq!(jobs[0].id, JobId(45), "the oldest are forgotten");
}

#[test]
fn hits_take_bounded_memory_and_summaries_none() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(0, MAX_WANTED), 1).unwrap();
    let bytes = |coordinator: &Coordinator| {
        coordinator.tables.jobs.find(job).map_or(0, |entry| entry.job.solution_bytes())
    };
    let mut solutions = 0;
    // Each hit is sent twice, and more than are wanted.
    for round in 0..4 * u128::from(MAX_WANTED) / MAX_HITS as u128 {
        let from = round / 2 * MAX_HITS as u128;
        let outcome = Outcome::Md5Search(SearchOutcome {
            hits: (from..from + MAX_HITS as u128).collect(),
            shares: Vec::new(),
        });
        let (lease, epoch, span) = (LeaseId(0), Epoch(0), Span::new(from, from));
        let report = Report { lease, epoch, job, span, outcome, last: false };
        solutions += coordinator.report(SECOND, client, &report).unwrap().solutions;
        events(&mut coordinator);
        assert!(bytes(&coordinator) <= MOST_BYTES, "{} bytes", bytes(&coordinator));
    }
    assert_eq!((solutions, coordinator.job(job).unwrap().solutions), (MAX_WANTED, MAX_WANTED));
    // A page is as long as was asked for, and the summary holds no solutions.
    let page: Vec<_> = coordinator.solutions(job, 990, 5).iter().map(|s| s.nonce).collect();
    assert_eq!(page, [990, 991, 992, 993, 994].map(Some));
    assert_eq!(coordinator.solutions(job, 990, 50).len(), 10);
    assert_eq!(coordinator.seeds(job, 999).collect::<Vec<_>>(), ["3e7"]);
    assert_eq!(coordinator.seeds(job, usize::MAX).count(), 0);
    assert!(size_of::<JobStatus>() < 512);
}

fn network(address: &str) -> Submitter {
    Submitter::Network(address.parse().unwrap())
}

#[test]
fn networks_cancel_only_their_own_jobs() {
    let mut coordinator = coordinator();
    let (near, far) = (network("192.0.2.1"), network("192.0.2.2"));
    let mut submit = |submitter, key| {
        let spec = search(40, 1);
        coordinator.submit_as(Duration::ZERO, submitter, key, spec, 1).unwrap()
    };
    let [main, here, nears, fars] =
        [(Submitter::Server, 1), (Submitter::Here, 2), (near, 3), (far, 4)]
            .map(|(s, k)| submit(s, k));
    for job in [main, here, nears] {
        let refused = coordinator.cancel_as(SECOND, far, job);
        assert_eq!(refused, Err(CancelError::NotYours(job)));
        assert_eq!(coordinator.job(job).unwrap().ended, None);
    }
    assert_eq!(coordinator.cancel_as(SECOND, far, fars), Ok(()));
    assert_eq!(coordinator.cancel_as(SECOND, far, fars), Err(CancelError::Ended(fars)));
    for job in [main, here, nears] {
        assert_eq!(coordinator.cancel_as(SECOND, Submitter::Here, job), Ok(()));
    }
}

#[test]
fn a_network_fills_only_its_own_places_and_evicts_no_result_of_others() {
    let mut coordinator = coordinator();
    let (liar, other) = (network("192.0.2.1"), network("192.0.2.2"));
    let mut key = 0;
    let mut submit = |coordinator: &mut Coordinator, submitter| {
        key += 1;
        coordinator.submit_as(Duration::ZERO, submitter, key, search(40, 1), 1)
    };
    let main = submit(&mut coordinator, Submitter::Server).unwrap();
    let kept = [Submitter::Here, other].map(|submitter| {
        let job = submit(&mut coordinator, submitter).unwrap();
        coordinator.cancel(SECOND, job);
        job
    });
    coordinator.cancel(SECOND, main);
    for _ in 0..600 {
        let job = submit(&mut coordinator, liar).unwrap();
        assert_eq!(coordinator.cancel_as(SECOND, liar, job), Ok(()));
    }
    assert!([main, kept[0], kept[1]].iter().all(|&job| coordinator.job(job).is_some()));
    assert_eq!(coordinator.jobs().len(), 1 + 256);
    let full = (0..).find(|_| submit(&mut coordinator, liar).is_err()).unwrap();
    assert_eq!(full, 62);
    assert_eq!(submit(&mut coordinator, liar), Err(SubmitError::TooManyOfYours));
    assert!(submit(&mut coordinator, other).is_ok());
    assert!(submit(&mut coordinator, Submitter::Here).is_ok());
}

/// Searches all of a small space for `wanted` solutions; returns how the job ended.
fn end_of_a_search_for(wanted: u32, finder: u128) -> (Coordinator, JobId, JobEnd) {
    let mut coordinator = Coordinator::new(Config { first_units: 1 << 16, ..config() }, [1; 32]);
    let client = coordinator.join(Duration::ZERO, newcomer(finder, 0)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, small_search(13, wanted), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert_eq!(grant.span, grant.spec.whole());
    coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    let told = events(&mut coordinator);
    let audits = told.iter().filter_map(|event| match event {
        Event::Audit(audit) => Some(audit.run()),
        _ => None,
    });
    audits.for_each(|result| coordinator.audited(2 * SECOND, &result));
    let ends = told.into_iter().chain(events(&mut coordinator));
    let ends: Vec<JobEnd> = ends
        .filter_map(|event| if let Event::JobEnded { end, .. } = event { Some(end) } else { None })
        .collect();
    let &[end] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!(coordinator.job(job).unwrap().state, JobState::Ended(end));
    (coordinator, job, end)
}

#[test]
fn a_search_of_everything_is_finished_with_its_last_solution_and_exhausted_one_short_of_it() {
    let Outcome::Md5Search(SearchOutcome { hits, .. }) =
        outcome(&small_search(13, 1), Span::new(0, 1 << 16), Some(13))
    else {
        unreachable!()
    };
    let there_are = hits.len() as u32;
    assert!(there_are > 1);
    let (coordinator, job, end) = end_of_a_search_for(there_are, 1);
    assert_eq!(end, JobEnd::Finished { winner: Some(ClientId(1)) });
    assert_eq!(coordinator.job(job).unwrap().solutions, there_are);
    let (coordinator, job, end) = end_of_a_search_for(there_are + 1, 1);
    assert_eq!(end, JobEnd::Exhausted);
    let nonces = coordinator.solutions(job, 0, usize::MAX).into_iter().filter_map(|s| s.nonce);
    assert_eq!(nonces.collect::<Vec<_>>(), hits);
    assert_eq!(coordinator.coverage(job).unwrap().confirmed.len(), 1 << 16);
}

#[test]
fn a_sum_is_finished_without_a_winner_when_all_is_confirmed() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, sum(1, 1000), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    let (front, back) = grant.span.split_at(999);
    let verdict = coordinator.report(SECOND, client, &report(&grant, front, false)).unwrap();
    assert_eq!(verdict.job_end, None);
    let verdict = coordinator.report(SECOND, client, &report(&grant, back, false)).unwrap();
    assert_eq!(verdict.job_end, Some(JobEnd::Finished { winner: None }));
    assert_eq!(coordinator.result(job).unwrap().to_string(), "333833500");
}

#[test]
fn a_job_that_is_forgotten_at_its_own_end_leaves_no_lease_behind() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    let submit = |coordinator: &mut Coordinator, n: u32| {
        let submitter = Submitter::Network(std::net::IpAddr::V4(n.into()));
        coordinator.submit_as(Duration::ZERO, submitter, n.into(), search(40, 1), 1).unwrap()
    };
    let oldest = submit(&mut coordinator, 0);
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    assert_eq!(grant.job, oldest);
    for n in 1..=256 {
        let job = submit(&mut coordinator, n);
        coordinator.cancel(SECOND, job);
    }
    assert!(coordinator.cancel(SECOND, oldest));
    assert!(coordinator.job(oldest).is_none(), "of all that ended it is the oldest");
    assert_eq!(coordinator.client(client).unwrap().leases, 0);
    let verdict = coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    assert_eq!((verdict.counted, verdict.lease), (0, LeaseState::Over));
}
