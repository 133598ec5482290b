//! What a lease costs the coordinator, sockets and all else left out.
//!
//! A round trip is a request, the grant, and the final report of the lease. Clients do not search:
//! sums are known in closed form, and in the searches every nonce is a share, so that the client
//! has nothing to compute and the coordinator judges a hundred shares a lease.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use seedrush::coordinator::{
    Assignment, ClientId, Config, Coordinator, Event, Join, LeaseState, Report,
};
use seedrush::jobs::{JobKind, JobSpec, Md5Search, Outcome, SumOfSquares};
use seedrush::span::Span;
use seedrush::{Difficulty, Encoding, Layout, Puzzle};
use std::time::Duration;

fn main() {
    divan::main();
}

/// Round trips in one measurement.
const ROUND: u64 = 10_000;

/// Every client holds one lease in reserve while it reports the other.
const CLIENTS: [u64; 3] = [100, 10_000, 100_000];

#[divan::bench(args = CLIENTS, sample_count = 20)]
fn sum_leases(bencher: Bencher, clients: u64) {
    let job = JobSpec::SumOfSquares(SumOfSquares::new(0, 1 << 38).expect("a range"));
    bench(bencher, clients, &job);
}

#[divan::bench(args = CLIENTS, sample_count = 20)]
fn search_leases_of_100_shares(bencher: Bencher, clients: u64) {
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
    let mut team = Team::new(clients, job);
    team.clients.iter_mut().for_each(|client| client.fetch(&mut team.coordinator));
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        let counted = team.round();
        assert!(counted >= u128::from(ROUND));
        black_box(counted)
    });
}

fn search() -> JobSpec {
    let difficulty = Difficulty::from_bytes(16).expect("all of a digest");
    let puzzle = Puzzle::new("A7C02215FC", difficulty, Encoding::Text).expect("hex");
    JobSpec::Md5Search(Md5Search::new(&puzzle, Layout::Counting, 1).expect("a layout"))
}

struct Client {
    id: ClientId,
    requests: u64,
    lease: Option<Report>,
}

impl Client {
    /// Asks for a lease; what to report of it is known at once.
    fn fetch(&mut self, coordinator: &mut Coordinator) {
        self.requests += 1;
        let answer = coordinator.request(Duration::ZERO, self.id, self.requests);
        let Ok(Assignment::Lease(grant)) = answer else { panic!("no lease: {answer:?}") };
        let outcome = match grant.spec {
            JobSpec::SumOfSquares(_) => Outcome::SumOfSquares(sum_over(grant.span).into()),
            JobSpec::Md5Search(_) => {
                assert_eq!(grant.share_bits, Some(0));
                let shares = (grant.span.start()..grant.span.end()).collect();
                Outcome::Md5Search { hits: Vec::new(), shares }
            }
        };
        let (lease, epoch, job, span) = (grant.lease, grant.epoch, grant.job, grant.span);
        self.lease = Some(Report { lease, epoch, job, span, outcome, last: true });
    }
}

/// Of numbers up to 2^38, so that everything fits.
fn sum_over(span: Span) -> u128 {
    let below = |end: u128| end.checked_sub(1).map_or(0, |n| n * (n + 1) * (2 * n + 1) / 6);
    below(span.end()) - below(span.start())
}

struct Team {
    coordinator: Coordinator,
    clients: Vec<Client>,
    next: usize,
}

impl Team {
    fn new(clients: u64, job: &JobSpec) -> Self {
        // Leases of a hundred units: time stands still, so rates stay what they are said to be.
        let (lease_time, min_clients) = match job.kind() {
            JobKind::Md5Search => (Duration::from_millis(500), 1),
            JobKind::SumOfSquares => (Duration::from_micros(1), 1),
        };
        let (first_lease, shortest_lease) = (lease_time, Duration::from_nanos(1));
        let config =
            Config { lease_time, first_lease, shortest_lease, min_clients, ..Config::default() };
        let mut coordinator = Coordinator::new(config, 1);
        coordinator.submit(Duration::ZERO, 1, job.clone(), 1).expect("room for a job");
        let clients = (0..clients).map(|session| Client {
            id: join(&mut coordinator, session),
            requests: 0,
            lease: None,
        });
        let clients = clients.collect();
        Self { coordinator, clients, next: 0 }
    }

    /// [`ROUND`] round trips of one client after the other; returns what was counted.
    fn round(&mut self) -> u128 {
        let mut counted = 0;
        for _ in 0..ROUND {
            self.next = (self.next + 1) % self.clients.len();
            let client = &mut self.clients[self.next];
            let report = client.lease.take().expect("a lease in reserve");
            client.fetch(&mut self.coordinator);
            let verdict = self.coordinator.report(Duration::ZERO, client.id, &report);
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
