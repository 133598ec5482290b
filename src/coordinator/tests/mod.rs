//! The coordinator under virtual time, with simulated clients and with random events.

mod ban;
mod damaged;
mod evidence;
mod fairness;
mod hostile;
mod invariants;
mod jobs;
mod leases;
mod liars;
mod pace;
mod restore;
mod sim;
mod status;
mod trust;
mod turns;

use super::*;
use crate::jobs::{JobKind, JobSpec, Outcome, SearchOutcome, SumOfSquares, samples};
use crate::span::SpanSet;
use std::ops::Deref;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) use samples::{long_search, search, small_search};

pub(super) fn sum(first: u128, last: u128) -> JobSpec {
    JobSpec::SumOfSquares(SumOfSquares::new(first, last).unwrap())
}

/// Units of a first lease: enough for 2,048 shares, and few enough to search in a test.
pub(super) const FIRST: u128 = 4096;

/// Returns a configuration in which a single client gets work.
pub(super) fn config() -> Config {
    Config { min_clients: 1, first_units: FIRST, ..Config::default() }
}

pub(super) fn coordinator() -> Coordinator {
    Coordinator::new(config(), [1; 32])
}

pub(super) fn newcomer(session: u128, rate_hint: u64) -> Join {
    Join {
        session,
        name: format!("client {session}"),
        address: "192.0.2.1".into(),
        backend: "sim".into(),
        threads: 1,
        kinds: JobKind::ALL.to_vec(),
        rate_hint,
        suspect: false,
    }
}

/// A lease with its job.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    grant: crate::lease::Grant,
    pub(super) spec: JobSpec,
}

impl Deref for Grant {
    type Target = crate::lease::Grant;

    fn deref(&self) -> &Self::Target {
        &self.grant
    }
}

pub(super) fn lent(assignment: Assignment) -> Option<Grant> {
    match assignment {
        Assignment::Lease(grant, spec) => Some(Grant { grant, spec }),
        Assignment::Wait(_) | Assignment::Spent => None,
    }
}

pub(super) fn lease(assignment: Assignment) -> Grant {
    lent(assignment).expect("a lease")
}

/// Returns the outcome of an honest client for `span`.
pub(super) fn outcome(spec: &JobSpec, span: Span, share_bits: Option<u32>) -> Outcome {
    let JobSpec::Md5Search(search) = spec else {
        return Outcome::SumOfSquares(SumOfSquares::add_up(span));
    };
    let target = search.puzzle().difficulty().bits();
    let share_bits = share_bits.unwrap_or(target);
    let bits_of = |nonce| {
        let seed = search.space().seed(nonce).unwrap();
        search.puzzle().digest(&seed).unwrap().zero_bits()
    };
    let mut shares: Vec<(u128, u32)> =
        (span.start()..span.end()).map(|n| (n, bits_of(n))).collect();
    shares.retain(|&(_, bits)| bits >= share_bits);
    Outcome::Md5Search(SearchOutcome {
        hits: shares.iter().filter(|&&(_, bits)| bits >= target).map(|&(n, _)| n).collect(),
        shares: shares.into_iter().map(|(n, _)| n).collect(),
    })
}

/// Returns the state of a lease that goes on.
pub(super) fn held(grant: &Grant, done: u128, end: u128) -> LeaseState {
    let (lease, epoch, job) = (grant.lease, grant.epoch, grant.job);
    LeaseState::Held(Held { lease, epoch, job, done, end })
}

/// Returns an honest report of `span`.
pub(super) fn report(grant: &Grant, span: Span, last: bool) -> Report {
    let outcome = outcome(&grant.spec, span, grant.share_bits);
    Report { lease: grant.lease, epoch: grant.epoch, job: grant.job, span, outcome, last }
}

/// Checks for every job that confirmed + claimed + leased + free = whole, and that no unit is in two
/// of them.
pub(super) fn check_coverage(coordinator: &Coordinator) {
    for job in coordinator.jobs() {
        let coverage = coordinator.coverage(job.id).unwrap();
        let mut all = SpanSet::new();
        let sets = [&coverage.confirmed, &coverage.claimed, &coverage.leased, &coverage.free];
        for part in sets.into_iter().flat_map(SpanSet::iter) {
            assert_eq!(all.insert(part), part.len(), "{part} of job {} is there twice", job.id);
        }
        assert_eq!(all, SpanSet::from(job.spec.whole()), "something of job {} is lost", job.id);
        assert_eq!(job.confirmed + job.claimed + job.leased + job.free, job.whole);
    }
}

pub(super) fn events(coordinator: &mut Coordinator) -> Vec<Event> {
    std::iter::from_fn(|| coordinator.poll_event()).collect()
}
