//! Jobs that have nothing free for a while, and clients that wait for something.

use super::*;

/// Returns the job of the first lease of a newcomer.
fn next_job(coordinator: &mut Coordinator, now: Duration, session: u128) -> JobId {
    let client = coordinator.join(now, newcomer(session, 0)).unwrap().client;
    lease(coordinator.request(now, client, 1).unwrap()).job
}

#[test]
fn a_job_that_comes_back_into_the_queue_is_not_owed_the_time_without() {
    let mut coordinator = coordinator();
    let small = coordinator.submit(Duration::ZERO, 1, small_search(60, 1), 1).unwrap();
    // One client searches all of it; only its audits are missing.
    let holder = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    for request in 1..100 {
        let now = Duration::from_millis(request);
        match coordinator.request(now, holder, request).unwrap() {
            Assignment::Lease(grant, spec) => {
                let grant = Grant { grant, spec };
                coordinator.report(now, holder, &report(&grant, grant.span, true)).unwrap();
            }
            _ => break,
        }
    }
    assert_eq!(coordinator.job(small).unwrap().state, JobState::Checking);
    // Meanwhile another job has many turns.
    let endless = coordinator.submit(SECOND, 2, search(60, 1), 1).unwrap();
    for session in 100..140 {
        assert_eq!(next_job(&mut coordinator, SECOND, session), endless);
    }
    coordinator.ban(holder);
    assert_eq!(coordinator.job(small).unwrap().free, 1 << 16);
    let turns: Vec<JobId> =
        (200..210).map(|session| next_job(&mut coordinator, 2 * SECOND, session)).collect();
    let small_turns = turns.iter().filter(|&&job| job == small).count();
    assert!((4..=6).contains(&small_turns), "{turns:?}");
}

fn woken(coordinator: &mut Coordinator) -> Vec<ClientId> {
    let wake = |event| if let Event::Wake(client) = event { Some(client) } else { None };
    events(coordinator).into_iter().filter_map(wake).collect()
}

#[test]
fn a_span_that_becomes_free_wakes_those_who_wait() {
    let mut coordinator = coordinator();
    coordinator.submit(Duration::ZERO, 1, sum(1, FIRST), 1).unwrap();
    let clients = [1, 2, 3, 4]
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
    lease(coordinator.request(Duration::ZERO, clients[0], 1).unwrap());
    for client in &clients[1..] {
        let answer = coordinator.request(Duration::ZERO, *client, 1).unwrap();
        assert!(matches!(answer, Assignment::Wait(_)));
    }
    assert_eq!(woken(&mut coordinator), []);
    // Nobody's rate is known: each unit might take a second.
    coordinator.leave(clients[0]);
    assert_eq!(woken(&mut coordinator), clients[1..]);
    // A client that was woken has to ask again before it is woken again.
    lease(coordinator.request(SECOND, clients[1], 1).unwrap());
    assert!(matches!(coordinator.request(SECOND, clients[3], 1).unwrap(), Assignment::Wait(_)));
    coordinator.leave(clients[1]);
    assert_eq!(woken(&mut coordinator), [clients[3]]);
}

#[test]
fn one_client_is_woken_for_each_second_of_work_that_becomes_free() {
    let mut tables = Tables::new(config());
    let spec = sum(1, 1 << 40);
    let (job, at, submitter) = (JobId(1), Duration::ZERO, Submitter::Here);
    tables.jobs.insert(Submitted { job, at, key: 1, submitter, priority: 1, spec });
    let mut scheduler = Scheduler::default();
    // A team of six that does 6,000 units a second; five of them wait.
    for session in 1..=6 {
        let client = Client::new(Duration::ZERO, newcomer(session, 0));
        let before = client.rates;
        let id = tables.clients.insert(client);
        let mut rates = before;
        rates.proved[JobKind::SumOfSquares.index()] = 1_000;
        scheduler.count(&before, &rates);
        if session > 1 {
            scheduler.park(&mut tables.clients[id], id);
        }
    }
    let mut wakes = |scheduler: &mut Scheduler, len: u128| {
        let mut outbox = Outbox::new(false);
        scheduler.offer(&mut tables, &mut outbox, job, Span::new(1, 1 + len));
        std::iter::from_fn(|| outbox.next_event()).count()
    };
    assert_eq!(wakes(&mut scheduler, 5_000), 0, "work has not begun");
    scheduler.started = true;
    assert_eq!(wakes(&mut scheduler, 0), 0);
    assert_eq!(wakes(&mut scheduler, 999), 1);
    assert_eq!(wakes(&mut scheduler, 1_000), 2);
    assert_eq!(wakes(&mut scheduler, u128::MAX - 1), 2, "all that are left");
}
