//! Costs of leases in the coordinator alone, without sockets.
//!
//! A round trip is a request, the grant, and the final report of the lease. The work of clients is no
//! part of it: sums are known in closed form, and the two thousand shares of a lease of a search are
//! looked up before the clock runs.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seedrush::backend::{Backend, Control};
use seedrush::coordinator::{
    Assignment, ClientId, Config, Coordinator, Event, Grant, Join, LeaseState, Report,
};
use seedrush::cpu::Cpu;
use seedrush::jobs::{JobKind, JobSpec, Md5Search, Outcome, SearchOutcome, SumOfSquares};
use seedrush::span::Span;
use seedrush::{Difficulty, Encoding, Layout, Puzzle};
use std::num::NonZeroUsize;
use std::time::Duration;

fn main() {
    divan::main();
}

/// Round trips in one measurement.
const ROUND: u64 = 1_000;

/// Units of a client's first lease.
const LEASE: u128 = 4096;

/// Every client holds one lease in reserve while it reports the other.
const CLIENTS: [u64; 3] = [1_000, 10_000, 100_000];

#[divan::bench(args = CLIENTS, sample_count = 20)]
fn sum_leases(bencher: Bencher, clients: u64) {
    let job = JobSpec::SumOfSquares(SumOfSquares::new(0, 1 << 38).expect("a range"));
    bench(bencher, clients, &job);
}

#[divan::bench(args = CLIENTS, sample_count = 20)]
fn search_leases_of_2048_shares(bencher: Bencher, clients: u64) {
    bench(bencher, clients, &search());
}

#[divan::bench(args = [10_000, 100_000], sample_count = 20)]
fn joins(bencher: Bencher, clients: u64) {
    bencher.counter(ItemsCount::new(clients)).bench(|| {
        let team = Team::new(clients, &search());
        assert_eq!(team.coordinator.totals().clients as u64, clients);
        team
    });
}

fn bench(bencher: Bencher, clients: u64, job: &JobSpec) {
    let prepare = || {
        let mut team = Team::new(clients, job);
        let now = team.now;
        team.clients.iter_mut().for_each(|client| client.fetch(now, &mut team.coordinator));
        let reports = team.work();
        (team, reports)
    };
    bencher.counter(ItemsCount::new(ROUND)).with_inputs(prepare).bench_local_refs(
        |(team, reports)| {
            let reported: u128 = reports.iter().map(|report| report.span.len()).sum();
            let counted = team.round(reports);
            assert_eq!(counted, reported);
            black_box(counted)
        },
    );
}

fn search() -> JobSpec {
    let difficulty = Difficulty::from_bytes(16).expect("all of a digest");
    let puzzle = Puzzle::new("A7C02215FC", difficulty, Encoding::Text).expect("hex");
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, 1).expect("a layout"))
}

struct Client {
    id: ClientId,
    requests: u64,
    lease: Option<(Grant, JobSpec)>,
}

impl Client {
    /// Asks for a lease.
    fn fetch(&mut self, now: Duration, coordinator: &mut Coordinator) {
        self.requests += 1;
        let answer = coordinator.request(now, self.id, self.requests);
        let Ok(Assignment::Lease(grant, spec)) = answer else { panic!("no lease: {answer:?}") };
        self.lease = Some((grant, spec));
    }
}

/// Returns the report of an honest client about a lease.
fn report((grant, spec): &(Grant, JobSpec), cpu: &Cpu) -> Report {
    let outcome = match spec {
        JobSpec::SumOfSquares(_) => Outcome::SumOfSquares(sum_over(grant.span).into()),
        JobSpec::Md5Search(search) => {
            let bits = grant.share_bits.expect("a lease with shares");
            let control = Control::new(search.space().clone(), grant.span, bits, usize::MAX);
            cpu.search(&control).expect("the cpu does not fail");
            let shares = control.hits().iter().map(|hit| hit.nonce).collect();
            Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares })
        }
    };
    let (lease, epoch, job, span) = (grant.lease, grant.epoch, grant.job, grant.span);
    Report { lease, epoch, job, span, outcome, last: true }
}

/// Returns the sum over numbers up to 2^38, so that everything fits.
fn sum_over(span: Span) -> u128 {
    let below = |end: u128| end.checked_sub(1).map_or(0, |n| n * (n + 1) * (2 * n + 1) / 6);
    below(span.end()) - below(span.start())
}

struct Team {
    coordinator: Coordinator,
    cpu: Cpu,
    clients: Vec<Client>,
    next: usize,
    now: Duration,
}

impl Team {
    fn new(clients: u64, job: &JobSpec) -> Self {
        // A lease a second for each client, and so each has the same length.
        let second = Duration::from_secs(1);
        let config = Config {
            first_units: LEASE,
            lease_time: second,
            first_lease: second,
            patience: Duration::from_secs(1 << 30),
            client_timeout: Duration::from_secs(1 << 30),
            min_clients: 1,
            ..Config::default()
        };
        let mut coordinator = Coordinator::new(config, [1; 32]);
        coordinator.submit(Duration::ZERO, 1, job.clone(), 1).expect("room for a job");
        let clients = (0..clients).map(|session| Client {
            id: join(&mut coordinator, session),
            requests: 0,
            lease: None,
        });
        let (clients, cpu) = (clients.collect(), Cpu::new(None, NonZeroUsize::new(1)));
        Self { coordinator, cpu: cpu.expect("the best level"), clients, next: 0, now: second }
    }

    /// Returns the reports of the next clients about the leases that they hold.
    fn work(&self) -> Vec<Report> {
        let places = (1..=ROUND as usize).map(|n| (self.next + n) % self.clients.len());
        // Where there are fewer clients than round trips, later leases are not known yet.
        let leases = places.take(self.clients.len());
        let lease = |place: usize| self.clients[place].lease.as_ref().expect("a lease in reserve");
        leases.map(|place| report(lease(place), &self.cpu)).collect()
    }

    /// Runs [`ROUND`] round trips of one client after the other; returns the units counted.
    fn round(&mut self, reports: &mut Vec<Report>) -> u128 {
        let mut counted = 0;
        for report in reports.drain(..) {
            self.next += 1;
            if self.next >= self.clients.len() {
                self.next = 0;
                self.now += Duration::from_secs(1);
            }
            let client = &mut self.clients[self.next];
            client.fetch(self.now, &mut self.coordinator);
            let verdict = self.coordinator.report(self.now, client.id, &report);
            let verdict = verdict.expect("an honest client");
            assert_eq!(verdict.lease, LeaseState::Over);
            counted += verdict.counted;
            // Audits are run elsewhere.
            while let Some(event) = self.coordinator.poll_event() {
                assert!(!matches!(event, Event::Distrusted(..) | Event::Banned(..)));
            }
        }
        counted
    }
}

fn join(coordinator: &mut Coordinator, session: u64) -> ClientId {
    let join = Join {
        session: u128::from(session),
        name: format!("client {session}"),
        address: "192.0.2.1:40000".into(),
        backend: "cpu avx2".into(),
        threads: 1,
        kinds: JobKind::ALL.to_vec(),
        rate_hint: 200,
        suspect: false,
    };
    coordinator.join(Duration::ZERO, join).expect("room for a client").client
}
