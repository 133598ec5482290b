//! Hostile peers that send anything: no panic, no growth, and the coverage stays whole.

use super::*;
use num_bigint::BigUint;
use proptest::prelude::*;

/// Numbers at which arithmetic is likely to fail.
fn number() -> impl Strategy<Value = u128> {
    prop_oneof![
        0u128..8,
        any::<u64>().prop_map(u128::from),
        any::<u128>(),
        (0u32..128, 0u128..3)
            .prop_map(|(bit, off)| (1u128 << bit).wrapping_add(off).wrapping_sub(1)),
        Just(u128::MAX),
    ]
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let numbers = || prop::collection::vec(number(), 0..6);
    prop_oneof![
        (numbers(), numbers())
            .prop_map(|(hits, shares)| Outcome::Md5Search(SearchOutcome { hits, shares })),
        number().prop_map(|n| Outcome::SumOfSquares(BigUint::from(n))),
    ]
}

#[derive(Clone, Debug)]
enum Say {
    Join {
        session: u8,
        threads: u32,
        rate: u64,
    },
    Request {
        client: u8,
        number: u64,
    },
    /// About a grant that was given, if there is one, with everything else at will.
    Report {
        client: u8,
        grant: usize,
        span: (u128, u128),
        outcome: Outcome,
        last: bool,
    },
    /// About anything.
    Forge {
        client: u8,
        ids: (u32, u64, u64),
        span: (u128, u128),
        outcome: Outcome,
    },
    Seed {
        client: u8,
        job: u64,
        seed: String,
    },
    Tested {
        client: u8,
        units: u64,
    },
    Pass {
        millis: u32,
    },
}

fn say() -> impl Strategy<Value = Say> {
    let client = 1u8..5;
    let span = || (number(), number());
    prop_oneof![
        (0u8..4, any::<u32>(), any::<u64>()).prop_map(|(session, threads, rate)| Say::Join {
            session,
            threads,
            rate
        }),
        (client.clone(), prop_oneof![0u64..20, any::<u64>()])
            .prop_map(|(client, number)| Say::Request { client, number }),
        (client.clone(), any::<usize>(), span(), any_outcome(), any::<bool>()).prop_map(
            |(client, grant, span, outcome, last)| Say::Report {
                client,
                grant,
                span,
                outcome,
                last
            }
        ),
        (client.clone(), (0u32..9, 0u64..9, 0u64..5), span(), any_outcome())
            .prop_map(|(client, ids, span, outcome)| Say::Forge { client, ids, span, outcome }),
        (client.clone(), 0u64..5, "\\PC{0,12}|[0-9a-f]{0,200}")
            .prop_map(|(client, job, seed)| Say::Seed { client, job, seed }),
        (client, any::<u64>()).prop_map(|(client, units)| Say::Tested { client, units }),
        any::<u32>().prop_map(|millis| Say::Pass { millis: millis % 40_000 }),
    ]
}

fn hear(coordinator: &mut Coordinator, now: &mut Duration, grants: &mut Vec<Grant>, said: Say) {
    let id = |client: u8| ClientId(client.into());
    match said {
        Say::Join { session, threads, rate } => {
            let join = Join { threads, ..newcomer(session.into(), rate) };
            // Refused or not: it must do no harm. The same holds below.
            let _ = coordinator.join(*now, join);
        }
        Say::Request { client, number } => {
            if let Some(grant) = coordinator.request(*now, id(client), number).ok().and_then(lent) {
                grants.push(grant);
            }
        }
        Say::Report { client, grant, span: (start, len), outcome, last } => {
            let Some(grant) = grants.get(grant % grants.len().max(1)) else { return };
            let (lease, epoch, job) = (grant.lease, grant.epoch, grant.job);
            let span = Span::with_len(grant.span.start().wrapping_add(start), len);
            let report = Report { lease, epoch, job, span, outcome, last };
            let _ = coordinator.report(*now, id(client), &report);
        }
        Say::Forge { client, ids, span: (start, end), outcome } => {
            let (lease, epoch, job) = (LeaseId(ids.0), Epoch(ids.1), JobId(ids.2));
            let span = Span::new(start, end);
            let report = Report { lease, epoch, job, span, outcome, last: true };
            let _ = coordinator.report(*now, id(client), &report);
        }
        Say::Seed { client, job, seed } => {
            let _ = coordinator.claim_seed(*now, id(client), JobId(job), &seed);
        }
        Say::Tested { client, units } => {
            let _ = coordinator.note_tested(*now, id(client), units);
        }
        Say::Pass { millis } => {
            *now += Duration::from_millis(millis.into());
            coordinator.expire(*now);
        }
    }
}

proptest! {
    #[test]
    fn hostile_messages_break_nothing(said in prop::collection::vec(say(), 1..80)) {
        let mut coordinator = coordinator();
        let (mut now, mut grants) = (Duration::ZERO, Vec::new());
        for (key, spec) in (0..).zip([search(100, 1), sum(0, 1 << 64), sum(5, 5), search(2, 30)]) {
            coordinator.submit(now, key, spec, 1).unwrap();
        }
        for say in said {
            hear(&mut coordinator, &mut now, &mut grants, say);
            // Audits are not run here: their sums and shares are checked elsewhere.
            prop_assert!(events(&mut coordinator).len() < 40);
            check_coverage(&coordinator);
            prop_assert!(coordinator.totals().leases <= 4 * coordinator.totals().clients);
        }
        for job in coordinator.jobs() {
            let solutions = coordinator.solutions(job.id, 0, usize::MAX);
            prop_assert_eq!(solutions.len(), job.solutions as usize);
            for solution in solutions {
                let JobSpec::Md5Search(search) = &job.spec else { panic!("a sum is not solved") };
                prop_assert!(search.puzzle().is_solved_by(&solution.seed), "{:?}", solution);
                // Nobody solves 100 bits by chance.
                prop_assert!(search.puzzle().difficulty().bits() < 100, "{:?}", solution);
            }
        }
    }
}
