//! Audits on a backend.

use super::*;
use seedrush::coordinator::{Assignment, Audit, ClientId, Event, Join, Reason, Report, Standing};
use seedrush::cpu::Cpu;
use seedrush::jobs::{JobKind, Outcome, SearchOutcome};
use seedrush::lease::Grant;
use seedrush::net::server::examine;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns a coordinator with one client, whose leases are some millions of nonces.
fn with_client(key: u8) -> (Coordinator, ClientId) {
    let lease_time = Duration::from_millis(100);
    let config = Config { lease_time, first_units: 1 << 26, audit_budget: 1 << 26, ..quick() };
    let mut coordinator = Coordinator::new(config, [key; 32]);
    coordinator.submit(Duration::ZERO, 1, search(60, "A7C02215FC"), 1).unwrap();
    let join = Join {
        session: 1,
        name: "client".into(),
        address: "192.0.2.1:4000".into(),
        backend: "cpu".into(),
        threads: 1,
        kinds: JobKind::ALL.to_vec(),
        rate_hint: 0,
        suspect: false,
    };
    let client = coordinator.join(Duration::ZERO, join).unwrap().client;
    (coordinator, client)
}

fn shares_of(grant: &Grant, spec: &JobSpec, cpu: &Cpu) -> Vec<u128> {
    let JobSpec::Md5Search(search) = spec else { panic!("a sum") };
    let bits = grant.share_bits.unwrap();
    let control = Control::new(search.space().clone(), grant.span, bits, usize::MAX);
    cpu.search(&control).unwrap();
    control.hits().iter().map(|hit| hit.nonce).collect()
}

/// Does one lease, reports the shares that pass `keep`; returns the span, all shares and the audit.
fn lease_and_audit(
    coordinator: &mut Coordinator,
    client: ClientId,
    request: u64,
    cpu: &Cpu,
    keep: impl Fn(Span, u128) -> bool,
) -> (Span, Vec<u128>, Audit) {
    let answer = coordinator.request(Duration::ZERO, client, request).unwrap();
    let Assignment::Lease(grant, spec) = answer else { panic!("{answer:?}") };
    assert!(grant.share_bits >= Some(15), "shares rarer than the judge would audit: {grant:?}");
    let all = shares_of(&grant, &spec, cpu);
    let (lease, epoch, job, span) = (grant.lease, grant.epoch, grant.job, grant.span);
    let shares = all.iter().copied().filter(|&nonce| keep(span, nonce)).collect();
    let outcome = Outcome::Md5Search(SearchOutcome { hits: Vec::new(), shares });
    let report = Report { lease, epoch, job, span, outcome, last: true };
    assert_eq!(coordinator.report(Duration::ZERO, client, &report).unwrap().counted, span.len());
    let events = std::iter::from_fn(|| coordinator.poll_event());
    let audit = events.filter_map(|event| match event {
        Event::Audit(audit) => Some(audit),
        _ => None,
    });
    (span, all, audit.last().expect("every lease of a newcomer is audited"))
}

fn one_thread() -> Cpu {
    Cpu::new(None, Some(NonZeroUsize::MIN)).unwrap()
}

#[test]
fn an_audit_finds_withheld_shares_and_no_others() {
    let cpu = one_thread();
    let mut accused = 0;
    // The last sixteenth is withheld: too little for the number of shares to show it so soon.
    for key in 0..8 {
        let (mut coordinator, client) = with_client(key);
        let is_reported = |span: Span, nonce| nonce < span.start() + 15 * (span.len() / 16);
        let (span, all, audit) = lease_and_audit(&mut coordinator, client, 1, &cpu, is_reported);
        assert!(coordinator.still_wants(&audit));
        let result = examine(&audit, &cpu).unwrap();
        assert!(result.conclusive);
        let reached = audit.samples().iter().any(|sample| !is_reported(span, sample.span().end()));
        assert_eq!(result.missed.is_some(), reached, "an audited place is withheld");
        coordinator.audited(Duration::ZERO, &result);
        let standing = coordinator.client(client).unwrap().standing;
        if let Some(missed) = result.missed {
            assert!(all.contains(&missed) && !is_reported(span, missed), "{missed} of {span}");
            assert_eq!(standing, Standing::Distrusted(Reason::MissedShare));
            assert!(!coordinator.still_wants(&audit));
            assert_eq!(coordinator.job(JobId(1)).unwrap().confirmed, 0);
            accused += 1;
        }
    }
    assert!(accused > 0, "no audit looked where shares were withheld");
}

#[test]
fn an_audit_accuses_no_honest_client() {
    let (mut coordinator, client) = with_client(9);
    let cpu = one_thread();
    for request in 1..=2 {
        let (.., audit) = lease_and_audit(&mut coordinator, client, request, &cpu, |_, _| true);
        let result = examine(&audit, &cpu).unwrap();
        assert_eq!((result.missed, result.conclusive), (None, true));
        coordinator.audited(Duration::ZERO, &result);
    }
    assert_eq!(coordinator.client(client).unwrap().standing, Standing::Good);
}

/// A backend that counts the nonces it searches.
struct Counting(AtomicU64);

impl Backend for Counting {
    fn describe(&self) -> String {
        "counting".into()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let result = Scan { pause: Duration::ZERO }.search(control);
        self.0.fetch_add(control.tested(), Ordering::Relaxed);
        result
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_audits_on_its_backend() {
    let auditor = Arc::new(Counting(AtomicU64::new(0)));
    let handed = auditor.clone();
    let server = Running::start_with(quick(), Some(search(40, "A7C02215FC")), |server| {
        server.with_auditor(handed)
    });
    let _client = client(server.address, Transport::Tcp, Duration::from_millis(1));
    server.until(|_| auditor.0.load(Ordering::Relaxed) > 0).await;
    let standing = server.service.read(|coordinator| coordinator.clients()[0].standing);
    assert_eq!(standing, Standing::Good);
    server.stopped().await;
}
