//! Simulated clients: they search at a rate, report every second, fetch their next lease in time,
//! and misbehave as told. The clock is a number.

use super::restore::{check_restored, facts, with_facts};
use super::*;
use crate::jobs::{JobResult, Md5Search};
use std::collections::VecDeque;
use std::sync::LazyLock;

/// Zero bits of the first nonces of [`search`] and of all of [`small_search`], hashed once for all
/// simulations.
const TABLE_LEN: u128 = 1 << 20;
static ZERO_BITS: LazyLock<Vec<u8>> = LazyLock::new(|| table(&search(20, 1), TABLE_LEN));
static SMALL_ZERO_BITS: LazyLock<Vec<u8>> = LazyLock::new(|| table(&small_search(20, 1), 1 << 16));

fn table(spec: &JobSpec, len: u128) -> Vec<u8> {
    let JobSpec::Md5Search(search) = spec else { unreachable!() };
    (0..len).map(|nonce| zero_bits(search, nonce)).collect()
}

fn zero_bits(search: &Md5Search, nonce: u128) -> u8 {
    let seed = search.space().seed(nonce).unwrap();
    search.puzzle().digest(&seed).unwrap().zero_bits() as u8
}

/// Simulations advance in steps of this.
const TICK: Duration = Duration::from_millis(50);

/// Behaviour of a simulated client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Manner {
    Honest,
    /// Says nothing more from this moment on.
    CrashesAt(Duration),
    /// Stops at the first moment, goes on at the second as if nothing had happened.
    PausesFrom(Duration, Duration),
    /// Searches the first part of every stretch and claims all of it.
    Searches(f64),
    /// Takes all the leases that it can get, sends heartbeats and searches nothing.
    Idle,
    /// Reports one unit each time that this has passed.
    Drips(Duration),
}

/// A lease that a simulated client works on.
struct Work {
    grant: Grant,
    done: u128,
    end: u128,
}

pub(super) struct SimClient {
    pub(super) id: ClientId,
    manner: Manner,
    rate: f64,
    leases: VecDeque<Work>,
    /// Blocks that could have been hashed since the last report.
    credit: f64,
    requests: u64,
    reported: Duration,
    /// Time without work, after the first lease.
    pub(super) idle: Duration,
    pub(super) refused: Option<Refusal>,
}

impl SimClient {
    fn tick(&mut self, coordinator: &mut Coordinator, now: Duration) {
        match self.manner {
            Manner::CrashesAt(at) if now >= at => return,
            Manner::PausesFrom(from, to) if (from..to).contains(&now) => return,
            Manner::Idle => return self.idle(coordinator, now),
            Manner::Drips(time) => return self.drip(coordinator, now, time),
            _ => {}
        }
        self.credit += self.rate * TICK.as_secs_f64();
        let Some(work) = self.leases.front() else {
            self.credit = 0.0;
            if self.requests > 0 {
                self.idle += TICK;
            }
            return self.fetch(coordinator, now);
        };
        let left = (work.end - work.done) as f64 * work.grant.spec.unit_cost() as f64;
        if self.credit >= left || now >= self.reported + SECOND {
            self.report(coordinator, now);
        }
        if self.leases.len() < 2 && self.credit + self.rate * 2.0 > left {
            self.fetch(coordinator, now);
        }
    }

    fn idle(&mut self, coordinator: &mut Coordinator, now: Duration) {
        // A refusal does not stop it from asking.
        let _ = coordinator.heartbeat(now, self.id);
        self.fetch(coordinator, now);
    }

    fn drip(&mut self, coordinator: &mut Coordinator, now: Duration, time: Duration) {
        self.idle(coordinator, now);
        if now >= self.reported + time {
            self.credit = 1.0;
            self.report(coordinator, now);
        }
    }

    fn fetch(&mut self, coordinator: &mut Coordinator, now: Duration) {
        match coordinator.request(now, self.id, self.requests + 1).map(lent) {
            Ok(Some(grant)) => {
                self.requests += 1;
                let (done, end) = (grant.span.start(), grant.span.end());
                self.leases.push_back(Work { grant, done, end });
            }
            Ok(None) => {}
            Err(refusal) => self.refused = Some(refusal),
        }
    }

    fn report(&mut self, coordinator: &mut Coordinator, now: Duration) {
        let Some(work) = self.leases.front_mut() else { return };
        let cost = work.grant.spec.unit_cost() as f64;
        let to = work.done.saturating_add((self.credit / cost) as u128).min(work.end);
        let span = Span::new(work.done, to);
        self.credit -= span.len() as f64 * cost;
        self.reported = now;
        let searched = match self.manner {
            Manner::Searches(part) => span.split_at((span.len() as f64 * part) as u128).0,
            _ => span,
        };
        let report = Report {
            lease: work.grant.lease,
            epoch: work.grant.epoch,
            job: work.grant.job,
            span,
            outcome: find(&work.grant, searched),
            last: false,
        };
        match coordinator.report(now, self.id, &report) {
            Ok(Verdict { lease: LeaseState::Held(Held { done, end, .. }), .. }) => {
                (work.done, work.end) = (done, end);
            }
            Ok(_) => drop(self.leases.pop_front()),
            Err(refusal) => self.refused = Some(refusal),
        }
    }

    /// Acts on what the coordinator pushes.
    fn hear(&mut self, event: &Event) {
        let of = |work: &Work, lease: LeaseId, epoch: Epoch| {
            work.grant.lease == lease && work.grant.epoch == epoch
        };
        match *event {
            Event::Revoked { lease, epoch, .. } => self.leases.retain(|w| !of(w, lease, epoch)),
            Event::Trimmed { lease, epoch, end, .. } => {
                let trimmed = self.leases.iter_mut().filter(|w| of(w, lease, epoch));
                trimmed.for_each(|work| work.end = end.max(work.done));
            }
            Event::JobEnded { job, .. } => self.leases.retain(|work| work.grant.job != job),
            _ => {}
        }
    }
}

/// Returns [`outcome`], looked up in the table.
pub(super) fn find(grant: &Grant, span: Span) -> Outcome {
    let (JobSpec::Md5Search(search), Some(share_bits)) = (&grant.spec, grant.share_bits) else {
        return outcome(&grant.spec, span, None);
    };
    let small = grant.spec.whole() == small_search(1, 1).whole();
    let table = if small { &*SMALL_ZERO_BITS } else { &*ZERO_BITS };
    assert!(span.end() <= table.len() as u128, "the table is too short");
    let target = search.puzzle().difficulty().bits();
    let at_least = |bits: u32| {
        let units = span.start()..span.end();
        units.filter(move |&n| u32::from(table[n as usize]) >= bits).collect()
    };
    Outcome::Md5Search(SearchOutcome { hits: at_least(target), shares: at_least(share_bits) })
}

/// A coordinator and its clients.
pub(super) struct Sim {
    pub(super) coordinator: Coordinator,
    pub(super) clients: Vec<SimClient>,
    pub(super) now: Duration,
    /// Every fact so far.
    log: Vec<Fact>,
}

impl Sim {
    pub(super) fn new(clients: &[(f64, Manner)]) -> Self {
        let config = Config { min_clients: clients.len(), ..config() };
        let mut coordinator = Coordinator::new(with_facts(config), [3; 32]);
        let clients = clients.iter().zip(1u128..).map(|(&(rate, manner), session)| {
            let join = newcomer(session, rate as u64);
            SimClient {
                id: coordinator.join(Duration::ZERO, join).unwrap().client,
                manner,
                rate,
                leases: VecDeque::new(),
                credit: 0.0,
                requests: 0,
                reported: Duration::ZERO,
                idle: Duration::ZERO,
                refused: None,
            }
        });
        let clients = clients.collect();
        Self { coordinator, clients, now: Duration::ZERO, log: Vec::new() }
    }

    /// Runs until every job has ended; returns whether that was before `until`.
    pub(super) fn run(&mut self, until: Duration) -> bool {
        while self.coordinator.totals().active_jobs > 0 && self.now < until {
            self.now += TICK;
            for client in &mut self.clients {
                client.tick(&mut self.coordinator, self.now);
            }
            self.coordinator.expire(self.now);
            self.log.extend(facts(&mut self.coordinator));
            for event in events(&mut self.coordinator) {
                self.clients.iter_mut().for_each(|client| client.hear(&event));
                if let Event::Audit(audit) = &event {
                    self.coordinator.audited(self.now, &audit.run());
                }
            }
        }
        check_coverage(&self.coordinator);
        self.now < until
    }

    /// Goes on with a coordinator that is restored from the facts; the clients join it.
    fn restart(&mut self) {
        self.log.extend(facts(&mut self.coordinator));
        self.coordinator = check_restored(&self.coordinator, &mut self.log);
        for (client, session) in self.clients.iter_mut().zip(1u128..) {
            let join = newcomer(session, client.rate as u64);
            client.id = self.coordinator.join(self.now, join).unwrap().client;
            client.leases.clear();
            (client.credit, client.requests) = (0.0, 0);
        }
    }
}

/// Returns the nonces with at least `bits` zero bits, ascending.
fn solutions(bits: u32) -> impl Iterator<Item = u128> {
    let nonces = (0..).zip(ZERO_BITS.iter());
    nonces.filter(move |&(_, &zero_bits)| u32::from(zero_bits) >= bits).map(|(nonce, _)| nonce)
}

/// Returns the bits of a search with one solution within the nonces that anyone reaches.
fn bits_of_one_solution() -> u32 {
    let lonely = |&bits: &u32| {
        let first_two: Vec<u128> = solutions(bits).take(2).collect();
        first_two[0] > 4_000 && first_two[1] > 4 * first_two[0]
    };
    (10..19).find(lonely).unwrap()
}

#[test]
fn fast_and_slow_clients_share_a_sum_and_end_together() {
    let mut sim = Sim::new(&[(40_000.0, Manner::Honest), (4_000.0, Manner::Honest)]);
    let job = sim.coordinator.submit(Duration::ZERO, 1, sum(1, 4_400_000), 1).unwrap();
    assert!(sim.run(200 * SECOND));
    let expected = SumOfSquares::add_up(sum(1, 4_400_000).whole());
    assert_eq!(sim.coordinator.result(job), Some(JobResult::SumOfSquares(expected)));
    // Both together need 100 s at the least.
    assert!(sim.now < 106 * SECOND, "took {:?}", sim.now);
    for client in &sim.clients {
        assert!(client.idle < 5 * SECOND, "client {} idle for {:?}", client.id, client.idle);
    }
}

#[test]
fn a_solution_in_the_lease_of_a_crashed_client_is_found() {
    let bits = bits_of_one_solution();
    let solution = solutions(bits).next().unwrap();
    // It lies in the third lease of the one that crashes, five seconds before it gets there.
    let rate = solution as f64 / 20.0;
    let mut sim = Sim::new(&[(rate, Manner::CrashesAt(10 * SECOND)), (rate, Manner::Honest)]);
    let job = sim.coordinator.submit(Duration::ZERO, 1, search(bits, 1), 1).unwrap();
    assert!(sim.run(300 * SECOND));
    let status = sim.coordinator.job(job).unwrap();
    assert_eq!(status.ended.unwrap().1, JobEnd::Finished { winner: Some(sim.clients[1].id) });
    assert_eq!(status.solutions, 1);
    assert_eq!(sim.coordinator.solutions(job, 0, 1)[0].nonce, Some(solution));
    let done = sim.coordinator.coverage(job).unwrap().confirmed;
    let crashed_at = solution / 2;
    assert!(
        done.covers(Span::new(0, crashed_at)),
        "what the crashed client held was searched again"
    );
}

#[test]
fn a_client_that_paused_and_goes_on_late_does_no_harm() {
    let pause = Manner::PausesFrom(10 * SECOND, 40 * SECOND);
    let mut sim = Sim::new(&[(20_000.0, pause), (20_000.0, Manner::Honest)]);
    let job = sim.coordinator.submit(Duration::ZERO, 1, sum(1, 2_500_000), 1).unwrap();
    assert!(sim.run(200 * SECOND));
    let expected = SumOfSquares::add_up(sum(1, 2_500_000).whole());
    assert_eq!(sim.coordinator.result(job), Some(JobResult::SumOfSquares(expected)));
}

#[test]
fn leases_grow_to_the_wanted_length_and_clients_are_never_idle() {
    let mut sim = Sim::new(&[(2_000.0, Manner::Honest), (300.0, Manner::Honest)]);
    sim.coordinator.submit(Duration::ZERO, 1, search(40, 1), 1).unwrap();
    assert!(!sim.run(120 * SECOND));
    for (client, rate) in sim.clients.iter().zip([2_000, 300]) {
        let status = sim.coordinator.client(client.id).unwrap();
        assert_eq!(client.idle, Duration::ZERO);
        assert_eq!(status.standing, Standing::Good);
        assert!(status.claimed_rate.abs_diff(rate) < rate / 20, "{status:?}");
        assert!(status.proved_rate.abs_diff(rate) < rate / 4, "{status:?}");
        assert!((5..12).contains(&status.finished_leases), "{status:?}");
    }
}

#[test]
fn clients_that_search_a_part_are_found_out_and_their_spans_searched_again() {
    for part in [0.0, 0.5, 0.8] {
        let liar = Manner::Searches(part);
        let mut sim = Sim::new(&[(1_500.0, liar), (1_500.0, Manner::Honest)]);
        let job = sim.coordinator.submit(Duration::ZERO, 1, search(19, 3), 1).unwrap();
        sim.run(150 * SECOND);
        let [liar, honest] = [0, 1].map(|n| sim.coordinator.client(sim.clients[n].id).unwrap());
        assert!(matches!(liar.standing, Standing::Distrusted(_)), "{part}: {liar:?}");
        assert_eq!(honest.standing, Standing::Good);
        assert!(matches!(sim.clients[0].refused, Some(Refusal::Distrusted(_))));
        // The honest client did all that is done.
        let done = sim.coordinator.coverage(job).unwrap().confirmed;
        assert_eq!(done.len(), honest.units, "{part}");
    }
}

#[test]
fn a_search_that_is_restarted_ends_with_the_same_solution() {
    let bits = bits_of_one_solution();
    let first = solutions(bits).next().unwrap();
    let rate = first as f64 / 40.0;
    let mut sim = Sim::new(&[(rate, Manner::Honest), (rate, Manner::Honest)]);
    let job = sim.coordinator.submit(Duration::ZERO, 1, search(bits, 1), 1).unwrap();
    let mut restarts = 0;
    while !sim.run(sim.now + 9 * SECOND) {
        restarts += 1;
        assert!(restarts < 20, "{:?}", sim.coordinator.job(job));
        sim.restart();
    }
    assert!(restarts > 1);
    let nonces: Vec<_> = sim.coordinator.solutions(job, 0, 9).iter().map(|s| s.nonce).collect();
    assert_eq!(nonces, [Some(first)]);
}

#[test]
fn a_liar_gains_nothing_by_a_restart() {
    let mut sim = Sim::new(&[(3_000.0, Manner::Searches(0.3)), (1_500.0, Manner::Honest)]);
    let job = sim.coordinator.submit(Duration::ZERO, 1, small_search(30, 1), 1).unwrap();
    assert!(!sim.run(10 * SECOND));
    let standing = |sim: &Sim| sim.coordinator.client(sim.clients[0].id).unwrap().standing;
    assert_eq!(standing(&sim), Standing::Distrusted(Reason::TooFewShares));
    sim.restart();
    assert_eq!(standing(&sim), Standing::Distrusted(Reason::TooFewShares));
    let before = sim.coordinator.job(job).unwrap().confirmed;
    assert!(before > 0);
    assert!(sim.run(200 * SECOND));
    assert_eq!(sim.coordinator.job(job).unwrap().state, JobState::Ended(JobEnd::Exhausted));
    let honest = sim.coordinator.client(sim.clients[1].id).unwrap();
    assert_eq!(honest.units, (1 << 16) - before, "nothing is searched twice but what was leased");
}
