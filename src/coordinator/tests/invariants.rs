//! Any events in any order: nothing is lost, nothing counted twice.

use super::restore::{check_restored, facts, with_facts};
use super::*;
use crate::jobs::JobResult;
use num_bigint::BigUint;
use proptest::prelude::*;

/// One thing that happens. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
enum Step {
    Join {
        session: u8,
    },
    /// A new request, or one as far `back`.
    Request {
        client: u8,
        back: u8,
    },
    /// Reports the next `eighths` of a grant, or of what was once one.
    Report {
        grant: usize,
        eighths: u8,
        last: bool,
    },
    /// Reports the last `eighths` of a grant and leaves out what comes before.
    Gap {
        grant: usize,
        eighths: u8,
    },
    /// The same message once more.
    Repeat {
        message: usize,
    },
    /// A report under someone else's name.
    Forge {
        client: u8,
        message: usize,
    },
    /// A report that claims its whole lease and holds nothing.
    Lie {
        grant: usize,
    },
    FalseHit {
        client: u8,
        nonce: u16,
    },
    Disconnect {
        client: u8,
    },
    Leave {
        client: u8,
    },
    Heartbeat {
        client: u8,
    },
    /// Time passes; leases and clients run out.
    Pass {
        seconds: u8,
    },
    Audit,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0u8..4;
    // Counted from the last one back: mostly what is new, sometimes what is long gone.
    let index = prop_oneof![4 => 0usize..6, 1 => 0usize..1000];
    prop_oneof![
        3 => client.clone().prop_map(|session| Step::Join { session }),
        16 => (client.clone(), prop_oneof![3 => Just(0), 1 => 1u8..9])
            .prop_map(|(client, back)| Step::Request { client, back }),
        16 => (index.clone(), 1u8..9, any::<bool>())
            .prop_map(|(grant, eighths, last)| Step::Report { grant, eighths, last }),
        2 => (index.clone(), 1u8..9).prop_map(|(grant, eighths)| Step::Gap { grant, eighths }),
        4 => index.clone().prop_map(|message| Step::Repeat { message }),
        2 => (client.clone(), index.clone())
            .prop_map(|(client, message)| Step::Forge { client, message }),
        1 => index.prop_map(|grant| Step::Lie { grant }),
        1 => (client.clone(), any::<u16>())
            .prop_map(|(client, nonce)| Step::FalseHit { client, nonce }),
        1 => client.clone().prop_map(|client| Step::Disconnect { client }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        1 => client.prop_map(|client| Step::Heartbeat { client }),
        6 => (0u8..5).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Pass { seconds: 16 }),
        1 => Just(Step::Audit),
    ]
}

/// A coordinator with a finite sum and perhaps an endless search, and everything that was ever said
/// to it.
struct World {
    coordinator: Coordinator,
    now: Duration,
    clients: [Option<ClientId>; 4],
    requests: [u64; 4],
    sum: JobId,
    /// Without it everything free is leased some day, and tails are cut.
    search: Option<JobId>,
    /// Every grant, with its holder and what was acknowledged.
    grants: Vec<(ClientId, Grant, u128)>,
    messages: Vec<(ClientId, Report)>,
    audits: Vec<Audit>,
    /// Units of the sum that a verdict has counted.
    counted: SpanSet,
    /// Every fact so far.
    log: Vec<Fact>,
}

impl World {
    fn new(with_search: bool) -> Self {
        let config = Config {
            min_clients: 2,
            leases_per_client: 3,
            first_units: 500,
            first_lease: Duration::from_micros(10),
            shortest_lease: Duration::from_millis(50),
            ..Config::default()
        };
        let mut coordinator = Coordinator::new(with_facts(config), [7; 32]);
        let sum = coordinator.submit(Duration::ZERO, 1, sum(3, 40_000), 1).unwrap();
        let search =
            with_search.then(|| coordinator.submit(Duration::ZERO, 2, search(14, 2), 2).unwrap());
        Self {
            coordinator,
            now: Duration::ZERO,
            clients: [None; 4],
            requests: [0; 4],
            sum,
            search,
            grants: Vec::new(),
            messages: Vec::new(),
            audits: Vec::new(),
            counted: SpanSet::new(),
            log: Vec::new(),
        }
    }

    fn client(&self, number: u8) -> Option<ClientId> {
        self.clients[usize::from(number)]
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join { session } => {
                // Small rates, so that spans stay small enough to search them here.
                let mut join = newcomer(u128::from(session), 500);
                join.threads = 0;
                if let Ok(joined) = self.coordinator.join(self.now, join) {
                    self.clients[usize::from(session)] = Some(joined.client);
                }
            }
            Step::Request { client, back } => self.request(client, back),
            Step::Report { grant, eighths, last } => {
                let Some((client, report)) = self.part(grant, eighths, last) else { return };
                self.send(client, report);
            }
            Step::Gap { grant, eighths } => {
                let Some((client, grant, _)) = pick(&self.grants, grant).cloned() else { return };
                let skipped = grant.span.len() * u128::from(8 - eighths) / 8;
                let (_, tail) = grant.span.split_at(skipped);
                self.send(client, report(&grant, tail, false));
            }
            Step::Repeat { message } => {
                if let Some((client, report)) = pick(&self.messages, message).cloned() {
                    self.send(client, report);
                }
            }
            Step::Forge { client, message } => {
                let report = pick(&self.messages, message).map(|(_, report)| report.clone());
                if let (Some(client), Some(report)) = (self.client(client), report) {
                    self.send(client, report);
                }
            }
            Step::Lie { grant } => {
                let Some((client, mut report)) = self.part(grant, 8, true) else { return };
                report.outcome = match report.outcome {
                    Outcome::Md5Search(_) => {
                        Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares: Vec::new() })
                    }
                    Outcome::SumOfSquares(sum) => Outcome::SumOfSquares(sum + 1u32),
                };
                self.send(client, report);
            }
            Step::FalseHit { client, nonce } => self.false_hit(client, nonce),
            Step::Disconnect { client } => {
                self.client(client).into_iter().for_each(|c| self.coordinator.disconnected(c));
            }
            Step::Leave { client } => {
                self.client(client).into_iter().for_each(|c| self.coordinator.leave(c));
            }
            Step::Heartbeat { client } => {
                if let Some(client) = self.client(client) {
                    let _unknown_or_banned_by_now = self.coordinator.heartbeat(self.now, client);
                }
            }
            Step::Pass { seconds } => {
                self.now += u32::from(seconds) * SECOND;
                self.coordinator.expire(self.now);
                assert!(self.coordinator.next_deadline().is_none_or(|at| at > self.now));
            }
            Step::Audit => {
                for audit in std::mem::take(&mut self.audits) {
                    self.coordinator.audited(self.now, &audit.run());
                }
            }
        }
        self.log.extend(facts(&mut self.coordinator));
        for event in events(&mut self.coordinator) {
            if let Event::Audit(audit) = event {
                self.audits.push(audit);
            }
        }
        check_coverage(&self.coordinator);
    }

    fn request(&mut self, number: u8, back: u8) {
        let Some(client) = self.client(number) else { return };
        let newest = &mut self.requests[usize::from(number)];
        *newest += u64::from(back == 0);
        let request = newest.saturating_sub(back.into()).max(1);
        let answer = self.coordinator.request(self.now, client, request);
        if let Some(grant) = answer.ok().and_then(lent) {
            let done = grant.span.start();
            self.grants.push((client, grant, done));
        }
    }

    fn part(&self, grant: usize, eighths: u8, last: bool) -> Option<(ClientId, Report)> {
        let (client, grant, done) = pick(&self.grants, grant)?;
        let len = grant.span.len() * u128::from(eighths) / 8;
        let span = Span::with_len(*done, len).intersect(grant.span);
        let span = if span.is_empty() { grant.span } else { span };
        Some((*client, report(grant, span, last)))
    }

    fn send(&mut self, client: ClientId, report: Report) {
        if let Ok(verdict) = self.coordinator.report(self.now, client, &report) {
            assert!(verdict.counted <= report.span.len());
            if report.job == self.sum && verdict.counted > 0 {
                assert_eq!(verdict.counted, report.span.len(), "a sum counts as a whole or not");
                assert_eq!(self.counted.insert(report.span), verdict.counted, "counted twice");
            }
            if let LeaseState::Held(Held { done, .. }) = verdict.lease {
                let key = (report.lease, report.epoch);
                let same = self.grants.iter_mut().filter(|(_, g, _)| (g.lease, g.epoch) == key);
                same.for_each(|(_, _, acknowledged)| *acknowledged = done);
            }
        }
        self.messages.push((client, report));
    }

    fn false_hit(&mut self, client: u8, nonce: u16) {
        let Some(client) = self.client(client) else { return };
        let hits = vec![u128::from(nonce) << 100];
        let outcome = Outcome::Md5Search(SearchOutcome { hits, shares: Vec::new() });
        let (lease, epoch, job) = (LeaseId(0), Epoch(0), self.search.unwrap_or(self.sum));
        let span = Span::new(0, u128::MAX);
        self.send(client, Report { lease, epoch, job, span, outcome, last: true });
    }

    /// Checks that what was folded is the sum over exactly what is done.
    fn check_sum(&self) {
        let done = self.coordinator.coverage(self.sum).unwrap().confirmed;
        assert_eq!(done, self.counted);
        let expected: BigUint = done.iter().map(SumOfSquares::add_up).sum();
        let result = self.coordinator.result(self.sum).unwrap();
        assert_eq!(result, JobResult::SumOfSquares(expected));
    }

    /// Ends the process, as it were, and goes on with one that is restored from the facts; checks that
    /// it has the same state.
    fn restart(&mut self) {
        self.coordinator = check_restored(&self.coordinator, &mut self.log);
        self.clients = [None; 4];
        self.grants.clear();
    }

    /// Lets two honest newcomers bring every job to its end, whatever has happened.
    fn finish(&mut self) {
        let ids: Vec<ClientId> = [100, 101]
            .map(|session| self.coordinator.join(self.now, newcomer(session, 2000)).unwrap().client)
            .to_vec();
        for round in 1..2000 {
            for &client in &ids {
                let answer = self.coordinator.request(self.now, client, round).unwrap();
                if let Some(grant) = lent(answer) {
                    let span = grant.span;
                    self.send(client, report(&grant, span, true));
                }
            }
            self.now += SECOND;
            self.coordinator.expire(self.now);
            if self.coordinator.totals().active_jobs == 0 {
                return;
            }
        }
        panic!("unfinished: {:?}", self.coordinator.jobs());
    }
}

/// Returns the item so many places back from the last.
fn pick<T>(from: &[T], index: usize) -> Option<&T> {
    from.iter().rev().nth(index % from.len().max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_lost_and_nothing_counts_twice(
        with_search: bool,
        steps in prop::collection::vec(step(), 1..160),
        restart in prop::option::of(0usize..160),
    ) {
        let mut world = World::new(with_search);
        (0..3).for_each(|session| world.take(Step::Join { session }));
        for (place, step) in steps.into_iter().enumerate() {
            if restart == Some(place) {
                world.restart();
            }
            world.take(step);
        }
        world.check_sum();
        world.restart();
        world.finish();
        world.check_sum();
        check_coverage(&world.coordinator);
        let whole = sum(3, 40_000).whole();
        let expected = JobResult::SumOfSquares(SumOfSquares::add_up(whole));
        prop_assert_eq!(world.coordinator.result(world.sum).unwrap(), expected);
        if let Some(search) = world.search {
            prop_assert_eq!(world.coordinator.job(search).unwrap().solutions, 2);
        }
        prop_assert_eq!(world.coordinator.totals().leases, 0);
    }
}
