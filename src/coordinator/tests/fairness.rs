//! Fairness: clients that hold leases and do not search, jobs of unlike cost, clients that wait.

use super::sim::{Manner, Sim};
use super::*;
use crate::jobs::JobResult;

/// Returns the time that a team takes for a finite job; panics where it does not end.
fn time_of(team: &[(f64, Manner)], spec: &JobSpec) -> Duration {
    let mut sim = Sim::new(team);
    let job = sim.coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
    assert!(sim.run(600 * SECOND), "{team:?}");
    match spec {
        JobSpec::Md5Search(_) => {
            assert_eq!(sim.coordinator.job(job).unwrap().ended.unwrap().1, JobEnd::Exhausted);
        }
        JobSpec::SumOfSquares(_) => {
            let expected = JobResult::SumOfSquares(SumOfSquares::add_up(spec.whole()));
            assert_eq!(sim.coordinator.result(job), Some(expected));
        }
    }
    sim.now
}

#[test]
fn idle_and_dripping_clients_delay_a_job_by_a_few_seconds_at_most() {
    let honest = (2_000.0, Manner::Honest);
    let idle = (1e15, Manner::Idle);
    let drip = (1e15, Manner::Drips(8 * SECOND));
    let fast_drip = (1e15, Manner::Drips(SECOND));
    for spec in [small_search(40, 1), sum(1, 60_000)] {
        let alone = time_of(&[honest], &spec);
        for team in [
            vec![honest, idle],
            vec![idle, honest],
            vec![honest, drip],
            vec![fast_drip, honest],
            vec![idle, idle, drip, fast_drip, idle, honest],
        ] {
            let together = time_of(&team, &spec);
            let most = alone.mul_f64(1.2) + 5 * SECOND;
            assert!(together <= most, "{together:?}, alone {alone:?}: {team:?} {spec}");
        }
    }
}

#[test]
fn a_proven_client_that_falls_silent_delays_a_job_by_a_few_seconds_at_most() {
    let spec = small_search(40, 1);
    let honest = (2_000.0, Manner::Honest);
    let alone = time_of(&[honest], &spec);
    for silent in [5, 12, 18] {
        let team = [honest, (2_000.0, Manner::CrashesAt(silent * SECOND))];
        let together = time_of(&team, &spec);
        assert!(together <= alone.mul_f64(1.2) + 5 * SECOND, "{together:?}, alone {alone:?}");
    }
}

#[test]
fn a_span_that_is_leased_twice_counts_for_the_first_to_confirm_it() {
    for late_one_first in [true, false] {
        let mut coordinator = coordinator();
        let [slow, quick] = [1, 2]
            .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
        let spec = sum(1, FIRST);
        let job = coordinator.submit(Duration::ZERO, 1, spec.clone(), 1).unwrap();
        let first = lease(coordinator.request(Duration::ZERO, slow, 1).unwrap());
        assert_eq!(first.span.len(), FIRST);
        // A span is not leased twice too early.
        let early = coordinator.request(SECOND / 2, quick, 1).unwrap();
        assert!(matches!(early, Assignment::Wait(_)), "{early:?}");
        let second = lease(coordinator.request(2 * SECOND, quick, 1).unwrap());
        assert_eq!(second.span, first.span);
        check_coverage(&coordinator);
        let (front, back) = first.span.split_at(1000);
        if late_one_first {
            // An outcome that does not divide counts as a whole only.
            let verdict = coordinator.report(3 * SECOND, slow, &report(&first, front, false));
            assert_eq!(verdict.unwrap().counted, 0);
            let verdict = coordinator.report(3 * SECOND, slow, &report(&first, first.span, false));
            assert_eq!(verdict.unwrap().counted, FIRST);
            let verdict = coordinator.report(3 * SECOND, quick, &report(&second, front, false));
            let verdict = verdict.unwrap();
            assert_eq!((verdict.counted, verdict.lease), (0, LeaseState::Over));
        } else {
            coordinator.report(3 * SECOND, quick, &report(&second, front, false)).unwrap();
            let verdict = coordinator.report(3 * SECOND, slow, &report(&first, first.span, false));
            let verdict = verdict.unwrap();
            let held = held(&first, front.end(), first.span.end());
            assert_eq!((verdict.counted, verdict.lease), (0, held), "told where to go on");
            coordinator.report(3 * SECOND, quick, &report(&second, back, false)).unwrap();
        }
        check_coverage(&coordinator);
        let status = coordinator.job(job).unwrap();
        assert_eq!((status.confirmed, status.ended.is_some()), (FIRST, true));
        let expected = JobResult::SumOfSquares(SumOfSquares::add_up(spec.whole()));
        assert_eq!(coordinator.result(job), Some(expected));
        let units = [slow, quick].map(|client| coordinator.client(client).unwrap().units);
        assert_eq!(units[0] + units[1], FIRST, "{units:?}");
    }
}

/// Returns the blocks of MD5 that clients have hashed for a job.
fn blocks(sim: &Sim, job: JobId) -> u128 {
    let status = sim.coordinator.job(job).unwrap();
    (status.confirmed + status.claimed) * u128::from(status.spec.unit_cost())
}

#[test]
fn jobs_of_unlike_cost_get_half_of_the_time_each() {
    for clients in [1, 3] {
        let team = vec![(3_000.0, Manner::Honest); clients];
        let mut sim = Sim::new(&team);
        let cheap = sim.coordinator.submit(Duration::ZERO, 1, search(60, 1), 1).unwrap();
        sim.run(40 * SECOND);
        let dear = sim.coordinator.submit(sim.now, 2, long_search(60), 1).unwrap();
        sim.run(sim.now + 10 * SECOND);
        // Ten seconds after the second job came, each has half of the time.
        let before = [cheap, dear].map(|job| blocks(&sim, job));
        sim.run(sim.now + 10 * SECOND);
        let after = [cheap, dear].map(|job| blocks(&sim, job));
        let [cheap, dear] = [after[0] - before[0], after[1] - before[1]].map(|n| n as f64);
        let share = dear / (cheap + dear);
        assert!((0.4..0.6).contains(&share), "{share} of the time, {clients} clients");
    }
}

#[test]
fn clients_that_wait_longest_are_woken_first() {
    let mut coordinator = coordinator();
    let clients: Vec<ClientId> = (0..6)
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client)
        .collect();
    let order = [3, 0, 5, 1, 4, 2].map(|place| clients[place]);
    for round in 1..3 {
        for &client in &order {
            // A client that asks again keeps its place.
            let answer = coordinator.request(SECOND * round, client, 1).unwrap();
            assert!(matches!(answer, Assignment::Wait(_)));
        }
    }
    events(&mut coordinator);
    coordinator.submit(3 * SECOND, 1, search(40, 1), 1).unwrap();
    let woken: Vec<ClientId> = events(&mut coordinator)
        .into_iter()
        .filter_map(|event| if let Event::Wake(client) = event { Some(client) } else { None })
        .collect();
    assert_eq!(woken, order);
}

#[test]
fn strangers_that_only_hold_leases_do_not_delay_the_end_of_a_job() {
    // One for each second: each would hold up the end for a while if it could.
    let mut team = vec![(1e12, Manner::Idle); 40];
    team.push((4_000.0, Manner::Honest));
    let alone = time_of(&[(4_000.0, Manner::Honest)], &small_search(40, 1));
    let together = time_of(&team, &small_search(40, 1));
    assert!(together <= alone.mul_f64(1.2) + 5 * SECOND, "{together:?}, alone {alone:?}");
}

#[test]
fn giving_up_leases_and_asking_again_does_not_delay_a_job() {
    let mut coordinator = coordinator();
    let [holder, honest] = [1, 2]
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
    let job = coordinator.submit(Duration::ZERO, 1, sum(1, 3 * FIRST), 1).unwrap();
    // Both prove themselves; the holder has what is left.
    for client in [holder, honest] {
        let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
        coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    }
    let (mut now, mut numbers) = (SECOND, [1, 1]);
    let mut held: Vec<Grant> = Vec::new();
    while coordinator.job(job).unwrap().ended.is_none() {
        assert!(now < 12 * SECOND, "{:?}", coordinator.job(job));
        for grant in held.drain(..) {
            let nothing = grant.span.split_at(0).0;
            coordinator.report(now, holder, &report(&grant, nothing, true)).unwrap();
        }
        loop {
            numbers[0] += 1;
            match lent(coordinator.request(now, holder, numbers[0]).unwrap()) {
                Some(grant) => held.push(grant),
                None => break,
            }
        }
        numbers[1] += 1;
        let answer = coordinator.request(now, honest, numbers[1]).unwrap();
        if let Some(grant) = lent(answer) {
            coordinator.report(now, honest, &report(&grant, grant.span, true)).unwrap();
        }
        now += SECOND / 2;
        coordinator.expire(now);
    }
}

#[test]
fn leases_of_long_strings_grow_long_enough_for_shares() {
    let mut coordinator = Coordinator::new(Config { min_clients: 1, ..Config::default() }, [1; 32]);
    let client = coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap().client;
    coordinator.submit(Duration::ZERO, 1, long_search(60), 1).unwrap();
    for request in 1..=2 {
        let now = Duration::from_millis(request);
        let grant = lease(coordinator.request(now, client, request).unwrap());
        if let Some(bits) = grant.share_bits {
            assert!(grant.span.len() >> bits >= 2048);
            return;
        }
        assert!(grant.span.len() * 157 <= 1 << 15);
        coordinator.report(now, client, &report(&grant, grant.span, true)).unwrap();
    }
    panic!("still too short for shares");
}
