//! Restarts: the facts give the same state, whatever happened.

use super::*;

/// Returns the configuration of a coordinator that keeps facts.
pub(super) fn with_facts(config: Config) -> Config {
    Config { facts: true, ..config }
}

pub(super) fn facts(coordinator: &mut Coordinator) -> Vec<Fact> {
    std::iter::from_fn(|| coordinator.poll_fact()).collect()
}

/// Returns facts as a store writes and reads them.
pub(super) fn stored(facts: &[Fact]) -> Vec<Fact> {
    let text = serde_json::to_string(facts).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn restored(before: &Coordinator, facts: &[Fact]) -> Coordinator {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&before.instance().to_le_bytes());
    Coordinator::restore(before.config().clone(), key, stored(facts)).unwrap()
}

/// Returns a snapshot as text, without the ends of `jobs`.
fn snapshot_but_ends_of(coordinator: &Coordinator, jobs: &[JobId]) -> Vec<String> {
    let ends = |fact: &Fact| matches!(fact, Fact::Ended { job, .. } if jobs.contains(job));
    let mut facts = coordinator.snapshot();
    facts.retain(|fact| !ends(fact));
    for fact in &mut facts {
        // There is no fact of an accused client that is heard of again.
        if let Fact::Accused(accused) = fact {
            accused.at = Duration::ZERO;
        }
    }
    facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect()
}

/// Restarts from a log and from a snapshot; checks that the state is the same but for what no fact
/// tells. Returns the coordinator that goes on with the log.
pub(super) fn check_restored(before: &Coordinator, log: &mut Vec<Fact>) -> Coordinator {
    let mut after = restored(before, log);
    check_coverage(&after);
    let new = facts(&mut after);
    log.extend(new.iter().cloned());
    let ended: Vec<JobId> = new
        .iter()
        .filter_map(|fact| if let Fact::Ended { job, .. } = fact { Some(*job) } else { None })
        .collect();
    for &job in &ended {
        let waited = before.job(job).unwrap();
        assert_eq!((waited.confirmed, waited.ended), (waited.whole, None), "no audit holds it up");
    }
    let by_snapshot = restored(before, &before.snapshot());
    for after in [&after, &by_snapshot] {
        assert_eq!(snapshot_but_ends_of(after, &ended), snapshot_but_ends_of(before, &[]));
        check_jobs(before, after, &ended);
        let liars = |coordinator: &Coordinator| -> Vec<_> {
            let all = coordinator.clients().into_iter();
            let liars = all.filter(|client| client.standing != Standing::Good);
            liars.map(|c| (c.id, c.name, c.standing, c.suspect)).collect()
        };
        assert_eq!(liars(after), liars(before));
        assert_eq!(after.clients().len(), liars(before).len(), "the others join again");
    }
    check_numbers(before, &mut after);
    after
}

fn check_jobs(before: &Coordinator, after: &Coordinator, ended: &[JobId]) {
    let (was, is) = (before.jobs(), after.jobs());
    assert_eq!(was.len(), is.len());
    for (was, is) in was.iter().zip(&is) {
        let told = |status: &JobStatus| {
            let spec = status.spec.to_string();
            (status.id, spec, status.priority, status.submitted, status.confirmed, status.solutions)
        };
        assert_eq!(told(was), told(is));
        assert_eq!(was.ended.is_some() || ended.contains(&was.id), is.ended.is_some());
        if was.ended.is_some() {
            assert_eq!(was.ended, is.ended);
        }
        assert_eq!((is.claimed, is.leased), (0, 0));
        assert_eq!(is.free, was.free + was.leased + was.claimed);
        let confirmed = |coordinator: &Coordinator| coordinator.coverage(was.id).unwrap().confirmed;
        assert_eq!(confirmed(before), confirmed(after));
        assert_eq!(before.result(was.id), after.result(was.id));
    }
}

/// Checks that numbers of clients and epochs go on after those of `before`.
fn check_numbers(before: &Coordinator, after: &mut Coordinator) {
    assert!(after.tables.clients.last() >= before.tables.clients.last());
    assert!(after.leases.last_epoch() >= before.leases.last_epoch());
    assert_eq!(after.tables.jobs.last(), before.tables.jobs.last());
    assert_ne!(after.instance(), before.instance(), "clients drop what they hold");
}

#[test]
fn facts_are_kept_only_for_those_who_take_them() {
    for kept in [false, true] {
        let mut coordinator = Coordinator::new(Config { facts: kept, ..config() }, [1; 32]);
        coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
        coordinator.join(Duration::ZERO, newcomer(1, 0)).unwrap();
        assert_eq!(facts(&mut coordinator).len() > 2, kept);
    }
}

#[test]
fn jobs_of_every_kind_are_read_as_they_were_written() {
    use crate::jobs::Md5Search;
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::Layout;
    let puzzle = |encoding| {
        let difficulty = Difficulty::from_bits(13).unwrap();
        Puzzle::new("A7C02215FC", difficulty, encoding).unwrap()
    };
    let prefixed = puzzle(Encoding::Text).with_seed_prefix().unwrap();
    let mut specs = vec![sum(3, 1 << 64)];
    for puzzle in [puzzle(Encoding::Text), puzzle(Encoding::Bytes), prefixed] {
        let searches = Layout::ALL.into_iter().map(|layout| Md5Search::new(&puzzle, layout, 7));
        specs.extend(searches.filter_map(Result::ok).map(JobSpec::Md5Search));
    }
    assert!(specs.len() > 8, "{}", specs.len());
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    for (key, spec) in (0..).zip(&specs) {
        let here = Submitter::Network("2001:db8::".parse().unwrap());
        coordinator.submit_as(SECOND, here, key, spec.clone(), 3).unwrap();
    }
    let mut log = facts(&mut coordinator);
    let mut after = check_restored(&coordinator, &mut log);
    for (status, spec) in after.jobs().iter().zip(&specs) {
        assert_eq!(format!("{:?}", status.spec), format!("{spec:?}"));
    }
    // The same key is the same job, its places are taken, and only its owner ends it.
    assert_eq!(after.submit(SECOND, 0, specs[0].clone(), 1), Ok(JobId(1)));
    let other = Submitter::Network("2001:db8:1::".parse().unwrap());
    assert_eq!(after.cancel_as(SECOND, other, JobId(1)), Err(CancelError::NotYours(JobId(1))));
    let next = after.submit(SECOND, 99, sum(1, 2), 1).unwrap();
    assert_eq!(next, JobId(specs.len() as u64 + 1));
}

#[test]
fn ended_jobs_are_forgotten_in_the_same_order_after_a_restart() {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    let mut log = Vec::new();
    let submitters = [Submitter::Server, Submitter::Here, network(1), network(2)];
    for key in 0..480u128 {
        let submitter = submitters[key as usize % 4];
        coordinator.submit_as(SECOND, submitter, key, sum(0, key), 1).unwrap();
        // They do not end in the order in which they came.
        if key % 2 == 1 {
            coordinator.cancel(SECOND, JobId(key as u64 + 1));
            coordinator.cancel(SECOND, JobId(key as u64));
        }
        log.extend(facts(&mut coordinator));
    }
    let mut after = check_restored(&coordinator, &mut log);
    assert!(after.jobs().len() < 480, "some are forgotten");
    for key in 480..520 {
        for coordinator in [&mut coordinator, &mut after] {
            let job = coordinator.submit_as(SECOND, network(1), key, sum(1, 2), 1).unwrap();
            coordinator.cancel(SECOND, job);
        }
        let kept = |c: &Coordinator| c.jobs().iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(kept(&coordinator), kept(&after));
    }
}

fn network(n: u32) -> Submitter {
    Submitter::Network(std::net::IpAddr::V4(n.into()))
}

#[test]
fn a_banned_client_is_banned_after_a_restart_and_forgotten_in_time() {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    let [banned, pardoned] = [1, 2].map(|session| {
        let client = coordinator.join(SECOND, newcomer(session, 0)).unwrap().client;
        coordinator.ban(client);
        client
    });
    assert!(coordinator.unban(pardoned));
    let mut log = facts(&mut coordinator);
    let mut after = check_restored(&coordinator, &mut log);
    let reason = Reason::Operator;
    assert_eq!(after.join(SECOND, newcomer(1, 0)), Err(Refusal::Banned(reason)));
    let joined = after.join(SECOND, newcomer(2, 0)).unwrap();
    assert!(!joined.resumed && joined.client > pardoned, "numbers are not used twice");
    // A client that is pardoned now is the same one and may work.
    after.submit(SECOND, 1, search(40, 1), 1).unwrap();
    log.extend(facts(&mut after));
    let mut twin = check_restored(&after, &mut log);
    assert!(twin.unban(banned));
    twin.join(SECOND, newcomer(1, 0)).unwrap();
    lease(twin.request(SECOND, banned, 1).unwrap());
    after.expire(SECOND + after.config().suspicion_time);
    assert!(matches!(facts(&mut after)[..], [Fact::Forgotten { client }] if client == banned));
    assert!(after.join(4000 * SECOND, newcomer(1, 0)).is_ok());
}

#[test]
fn units_whose_evidence_was_false_are_free_after_a_restart() {
    for by_audit in [false, true] {
        let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
        let job = coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
        let mut log = Vec::new();
        let mut audits = Vec::new();
        let clients = [1, 2].map(|session| {
            let client = coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client;
            let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
            coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
            client
        });
        for event in events(&mut coordinator) {
            if let Event::Audit(audit) = event {
                audits.push(audit);
            }
        }
        log.extend(facts(&mut coordinator));
        let after = check_restored(&coordinator, &mut log);
        assert_eq!(after.job(job).unwrap().confirmed, 2 * FIRST);
        if by_audit {
            // Its client is gone: only the audited lease is returned.
            coordinator.leave(clients[0]);
            let missed = AuditResult { missed: Some(1), ..audits[0].run() };
            coordinator.audited(2 * SECOND, &missed);
        } else {
            coordinator.ban(clients[0]);
        }
        assert_eq!(coordinator.job(job).unwrap().confirmed, FIRST);
        log.extend(facts(&mut coordinator));
        let after = check_restored(&coordinator, &mut log);
        assert_eq!(after.job(job).unwrap().confirmed, FIRST);
    }
}

#[test]
fn solutions_and_their_finders_outlive_a_restart() {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, search(0, 4), 1).unwrap();
    let clients = [1, 2, 3]
        .map(|session| coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client);
    let mut log = Vec::new();
    // The newest solution is not the last one in the order of the space.
    for (client, seed) in clients.iter().zip(["0x5", "9", "7"]) {
        coordinator.claim_seed(SECOND, *client, job, seed).unwrap();
        log.extend(facts(&mut coordinator));
        check_restored(&coordinator, &mut log);
    }
    coordinator.claim_seed(SECOND, clients[1], job, "1").unwrap();
    log.extend(facts(&mut coordinator));
    let end = JobEnd::Finished { winner: Some(clients[1]) };
    // The server crashed before it stored the end: the solutions tell how the job ended.
    log.retain(|fact| !matches!(fact, Fact::Ended { .. }));
    let after = restored(&coordinator, &log);
    assert_eq!(after.job(job).unwrap().state, JobState::Ended(end));
    assert_eq!(after.solutions(job, 0, 9), coordinator.solutions(job, 0, 9));
}

#[test]
fn a_sum_with_gaps_is_restored() {
    let mut coordinator = Coordinator::new(with_facts(config()), [1; 32]);
    let job = coordinator.submit(Duration::ZERO, 1, sum(1, 4 * FIRST), 1).unwrap();
    let grants = [1, 2, 3].map(|session| {
        let client = coordinator.join(Duration::ZERO, newcomer(session, 0)).unwrap().client;
        (client, lease(coordinator.request(Duration::ZERO, client, 1).unwrap()))
    });
    for (client, grant) in [&grants[0], &grants[2]] {
        coordinator.report(SECOND, *client, &report(grant, grant.span, true)).unwrap();
    }
    assert_eq!(coordinator.coverage(job).unwrap().confirmed.fragments(), 2);
    let mut log = facts(&mut coordinator);
    check_restored(&coordinator, &mut log);
}

#[test]
fn clients_without_trust_do_not_count_for_the_start() {
    let config = Config { min_clients: 2, ..with_facts(config()) };
    let mut coordinator = Coordinator::new(config, [1; 32]);
    let liar = coordinator.join(SECOND, newcomer(1, 0)).unwrap().client;
    coordinator.ban(liar);
    let mut log = facts(&mut coordinator);
    let mut after = check_restored(&coordinator, &mut log);
    for coordinator in [&mut coordinator, &mut after] {
        assert_eq!(coordinator.totals().clients, 0);
        coordinator.join(SECOND, newcomer(2, 0)).unwrap();
        assert_eq!((coordinator.totals().clients, coordinator.totals().started), (1, false));
    }
    // One that is pardoned counts again.
    assert!(coordinator.unban(liar));
    assert_eq!((coordinator.totals().clients, coordinator.totals().started), (2, true));
    after.join(SECOND, newcomer(3, 0)).unwrap();
    assert_eq!((after.totals().clients, after.totals().started), (2, true));
}
