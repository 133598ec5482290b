//! Damaged or hostile facts: a coordinator is restored from none that no coordinator emits.

use super::restore::{facts, stored, with_facts};
use super::*;
use crate::coordinator::facts::RestoreError;

#[test]
fn facts_that_contradict_each_other_are_refused() {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    coordinator.submit(Duration::ZERO, 1, sum(1, 10), 1).unwrap();
    coordinator.submit(Duration::ZERO, 2, search(20, 1), 1).unwrap();
    let log = facts(&mut coordinator);
    let (job, unknown, search) = (JobId(1), JobId(9), JobId(2));
    let outcome = || Some(Outcome::SumOfSquares(5u32.into()));
    let confirmed =
        |job, from, to, outcome| Fact::Confirmed { job, span: Span::new(from, to), outcome };
    let solution =
        Fact::Solution { job: search, client: ClientId(1), nonce: Some(3), seed: "3".into() };
    let end = |job| Fact::Ended { job, at: SECOND, end: JobEnd::Cancelled };
    let (client, at, join) = (ClientId(1), SECOND, newcomer(1, 0));
    let accused = Fact::Accused(Accused { client, at, standing: Standing::Good, join });
    let units = |from, to| RestoreError::Units { job, span: Span::new(from, to) };
    let cases = [
        (vec![log[1].clone()], RestoreError::RepeatedJob(job)),
        (vec![confirmed(unknown, 1, 2, None)], RestoreError::UnknownJob(unknown)),
        (
            vec![Fact::Returned { job: unknown, span: Span::new(0, 1) }],
            RestoreError::UnknownJob(unknown),
        ),
        (vec![confirmed(job, 5, 12, outcome())], units(5, 12)),
        (vec![confirmed(job, 1, 3, outcome()), confirmed(job, 2, 4, outcome())], units(2, 4)),
        (vec![solution], RestoreError::Solution { job: search, seed: "3".into() }),
        (vec![end(job), end(job)], RestoreError::EndedTwice(job)),
        (vec![accused], RestoreError::Innocent(client)),
    ];
    for (wrong, error) in cases {
        let all = [log.clone(), wrong].concat();
        let refused = Coordinator::restore(config(), [1; 32], stored(&all)).map(|_| ());
        assert_eq!(refused, Err(error));
    }
}

/// Returns why facts are refused after those of a job 1, a sum over 1 to 10, and a job 2, a search.
fn refusal(wrong: Vec<Fact>) -> RestoreError {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    coordinator.submit(Duration::ZERO, 1, sum(1, 10), 1).unwrap();
    coordinator.submit(Duration::ZERO, 2, search(0, 4), 1).unwrap();
    let all = [facts(&mut coordinator), wrong].concat();
    Coordinator::restore(config(), [1; 32], stored(&all)).map(|_| ()).unwrap_err()
}

fn submitted(job: u64, at: Duration, priority: u32) -> Fact {
    let (key, submitter) = (job.into(), Submitter::Here);
    let submitted = Submitted { job: JobId(job), at, key, submitter, priority, spec: sum(1, 2) };
    Fact::Submitted(submitted)
}

fn accused(client: u64, at: Duration, session: u128) -> Fact {
    let standing = Standing::Banned(Reason::Operator);
    let join = newcomer(session, 0);
    Fact::Accused(Accused { client: ClientId(client), at, standing, join })
}

#[test]
fn times_and_numbers_that_would_overflow_are_refused() {
    let never = Duration::from_secs(u64::MAX);
    let end = |at, end| Fact::Ended { job: JobId(1), at, end };
    for fact in [submitted(3, never, 1), end(never, JobEnd::Cancelled), accused(1, never, 1)] {
        assert_eq!(refusal(vec![fact]), RestoreError::OutOfRange("time"));
    }
    let winner = Some(ClientId(u64::MAX));
    let seed = "1".to_owned();
    let none = Numbers::default();
    for fact in [
        submitted(u64::MAX, SECOND, 1),
        end(SECOND, JobEnd::Finished { winner }),
        accused(u64::MAX, SECOND, 1),
        Fact::Solution { job: JobId(2), client: ClientId(u64::MAX), nonce: Some(1), seed },
        Fact::Numbers(Numbers { jobs: u64::MAX, ..none }),
        Fact::Numbers(Numbers { clients: u64::MAX, ..none }),
        Fact::Numbers(Numbers { epochs: u64::MAX, ..none }),
    ] {
        assert_eq!(refusal(vec![fact]), RestoreError::OutOfRange("number"));
    }
}

#[test]
fn a_server_goes_on_after_the_largest_times_and_numbers() {
    let (last, at) = (1 << 62, Duration::from_secs(1 << 40));
    let log = [
        submitted(last - 1, at, 1),
        accused(last - 1, at, 1),
        Fact::Numbers(Numbers { jobs: last, clients: last, epochs: last }),
    ];
    let mut after = Coordinator::restore(config(), [1; 32], stored(&log)).unwrap();
    let now = after.now() + SECOND;
    assert_eq!(after.submit(now, 0, sum(1, 3), 1), Ok(JobId(last + 1)));
    let client = after.join(now, newcomer(2, 0)).unwrap().client;
    assert!(client.0 > last);
    let grant = lease(after.request(now, client, 1).unwrap());
    after.report(now + SECOND, client, &report(&grant, grant.span, true)).unwrap();
    after.expire(now + 9000 * SECOND);
    assert!(after.clients().is_empty());
}

#[test]
fn more_than_a_coordinator_takes_is_refused() {
    for priority in [0, 101] {
        let refused = refusal(vec![submitted(3, SECOND, priority)]);
        assert_eq!(refused, RestoreError::OutOfRange("priority"));
    }
    let seed = "1".repeat(131);
    let solution = Fact::Solution { job: JobId(2), client: ClientId(1), nonce: Some(1), seed };
    assert_eq!(refusal(vec![solution]), RestoreError::OutOfRange("seed"));
    let sessions = vec![accused(1, SECOND, 7), accused(2, SECOND, 7)];
    assert_eq!(refusal(sessions), RestoreError::RepeatedSession(ClientId(2)));
    let solutions = |n| Fact::Solution {
        job: JobId(2),
        client: ClientId(1),
        nonce: Some(n),
        seed: n.to_string(),
    };
    let refused = refusal((0..5).map(solutions).collect());
    assert_eq!(refused, RestoreError::Solution { job: JobId(2), seed: "4".into() });
    // One job more than there may be under way, and far more.
    for jobs in [config().max_jobs + 1, 3 * config().max_jobs] {
        let all: Vec<Fact> = (1..=jobs as u64).map(|job| submitted(job, SECOND, 1)).collect();
        let refused = Coordinator::restore(config(), [1; 32], all).map(|_| ());
        assert_eq!(refused, Err(RestoreError::TooMany("jobs")));
    }
    let config = Config { max_clients: 2, ..config() };
    let clients = |n| (1..=n).map(|client| accused(client, SECOND, client.into()));
    assert!(Coordinator::restore(config.clone(), [1; 32], clients(2)).is_ok());
    let refused = Coordinator::restore(config, [1; 32], clients(3)).map(|_| ());
    assert_eq!(refused, Err(RestoreError::TooMany("clients")));
    let digits = format!("{{\"sum_of_squares\":\"{}\"}}", "9".repeat(100));
    assert!(serde_json::from_str::<Outcome>(&digits).is_err());
}

#[test]
fn only_the_right_sum_of_units_that_are_new_is_restored() {
    let (job, searched) = (JobId(1), JobId(2));
    let span = Span::new(1, 4);
    let total = |sum: u32| Some(Outcome::SumOfSquares(sum.into()));
    let found = || Some(Outcome::Md5Search(SearchOutcome { hits: vec![], shares: vec![] }));
    let confirmed = |job, span, outcome| Fact::Confirmed { job, span, outcome };
    let units = |job, span| RestoreError::Units { job, span };
    let none = Span::new(2, 2);
    let returned = Fact::Returned { job, span };
    let wrong = RestoreError::WrongResult(job);
    let cases = [
        (vec![confirmed(job, span, None)], wrong.clone()),
        (vec![confirmed(job, span, total(15))], wrong),
        (vec![confirmed(job, span, found())], units(job, span)),
        (vec![confirmed(job, none, total(4))], units(job, none)),
        (vec![confirmed(searched, none, None)], units(searched, none)),
        (vec![confirmed(searched, span, found())], units(searched, span)),
        (vec![confirmed(searched, span, total(14))], units(searched, span)),
        (vec![confirmed(job, span, total(14)), returned], RestoreError::Returned { job, span }),
    ];
    for (facts, error) in cases {
        assert_eq!(refusal(facts), error);
    }
}
