//! Any events in any order: nothing is lost, nothing counted twice.

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
    Request {
        client: u8,
        request: u8,
    },
    /// Reports the next `eighths` of a grant, or of what was once one.
    Report {
        grant: usize,
        eighths: u8,
        last: bool,
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
    let client = 0u8..6;
    let index = 0usize..1000;
    prop_oneof![
        2 => client.clone().prop_map(|session| Step::Join { session }),
        6 => (client.clone(), 1u8..80).prop_map(|(client, request)| Step::Request { client, request }),
        8 => (index.clone(), 1u8..9, any::<bool>())
            .prop_map(|(grant, eighths, last)| Step::Report { grant, eighths, last }),
        3 => index.clone().prop_map(|message| Step::Repeat { message }),
        1 => (client.clone(), index.clone())
            .prop_map(|(client, message)| Step::Forge { client, message }),
        1 => index.prop_map(|grant| Step::Lie { grant }),
        1 => (client.clone(), any::<u16>()).prop_map(|(client, nonce)| Step::FalseHit { client, nonce }),
        1 => client.clone().prop_map(|client| Step::Disconnect { client }),
        1 => client.clone().prop_map(|client| Step::Leave { client }),
        1 => client.prop_map(|client| Step::Heartbeat { client }),
        2 => (0u8..20).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Audit),
    ]
}

/// A coordinator with a finite sum and an endless search, and everything that was ever said to it.
struct World {
    coordinator: Coordinator,
    now: Duration,
    clients: [Option<ClientId>; 6],
    sum: JobId,
    search: JobId,
    /// Every grant, with its holder and what was acknowledged.
    grants: Vec<(ClientId, Grant, u128)>,
    messages: Vec<(ClientId, Report)>,
    audits: Vec<Audit>,
    /// Units of the sum that a verdict has counted.
    counted: SpanSet,
}

impl World {
    fn new() -> Self {
        let config = Config {
            min_clients: 2,
            leases_per_client: 3,
            // A sum begins with a thousand units and a search with one; both grow from there.
            first_lease: Duration::from_micros(10),
            shortest_lease: Duration::from_millis(50),
            ..Config::default()
        };
        let mut coordinator = Coordinator::new(config, 7);
        let sum = coordinator.submit(Duration::ZERO, 1, sum(3, 40_000), 1).unwrap();
        let search = coordinator.submit(Duration::ZERO, 2, search(14, 2), 2).unwrap();
        Self {
            coordinator,
            now: Duration::ZERO,
            clients: [None; 6],
            sum,
            search,
            grants: Vec::new(),
            messages: Vec::new(),
            audits: Vec::new(),
            counted: SpanSet::new(),
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
            Step::Request { client, request } => self.request(client, request),
            Step::Report { grant, eighths, last } => {
                let Some((client, report)) = self.part(grant, eighths, last) else { return };
                self.send(client, report);
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
                    Outcome::Md5Search { .. } => {
                        Outcome::Md5Search { hits: Vec::new(), shares: Vec::new() }
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
                    self.coordinator.audited(&audit.run());
                }
            }
        }
        for event in events(&mut self.coordinator) {
            if let Event::Audit(audit) = event {
                self.audits.push(audit);
            }
        }
        check_coverage(&self.coordinator);
    }

    fn request(&mut self, client: u8, request: u8) {
        let Some(client) = self.client(client) else { return };
        let answer = self.coordinator.request(self.now, client, u64::from(request));
        if let Ok(Assignment::Lease(grant)) = answer {
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
            if let LeaseState::Held { done, .. } = verdict.lease {
                let key = (report.lease, report.epoch);
                let same = self.grants.iter_mut().filter(|(_, g, _)| (g.lease, g.epoch) == key);
                same.for_each(|(_, _, acknowledged)| *acknowledged = done);
            }
        }
        self.messages.push((client, report));
    }

    fn false_hit(&mut self, client: u8, nonce: u16) {
        let Some(client) = self.client(client) else { return };
        let hits = vec![u128::from(nonce) << 100, u128::MAX];
        let outcome = Outcome::Md5Search { hits, shares: Vec::new() };
        let (lease, epoch, job) = (LeaseId(0), Epoch(0), self.search);
        let span = Span::new(0, u128::MAX);
        self.send(client, Report { lease, epoch, job, span, outcome, last: true });
    }

    /// What has been folded is the sum over exactly what is done.
    fn check_sum(&self) {
        let done = self.coordinator.coverage(self.sum).unwrap().done;
        assert_eq!(done, self.counted);
        let expected: BigUint = done.iter().map(SumOfSquares::add_up).sum();
        let result = self.coordinator.result(self.sum).unwrap();
        assert_eq!(result, JobResult::SumOfSquares(expected));
    }

    /// Whatever has happened, two honest newcomers bring every job to its end.
    fn finish(&mut self) {
        let ids: Vec<ClientId> = [100, 101]
            .map(|session| self.coordinator.join(self.now, newcomer(session, 2000)).unwrap().client)
            .to_vec();
        for round in 1..2000 {
            for &client in &ids {
                let answer = self.coordinator.request(self.now, client, round).unwrap();
                if let Assignment::Lease(grant) = answer {
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

fn pick<T>(from: &[T], index: usize) -> Option<&T> {
    from.get(index % from.len().max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_is_lost_and_nothing_counts_twice(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.check_sum();
        world.finish();
        world.check_sum();
        check_coverage(&world.coordinator);
        let whole = sum(3, 40_000).whole();
        let expected = JobResult::SumOfSquares(SumOfSquares::add_up(whole));
        prop_assert_eq!(world.coordinator.result(world.sum).unwrap(), expected);
        prop_assert_eq!(world.coordinator.job(world.search).unwrap().solutions.len(), 2);
        prop_assert_eq!(world.coordinator.totals().leases, 0);
    }
}
