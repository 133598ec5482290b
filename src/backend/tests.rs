use super::*;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use crate::seeds::Layout;

/// A backend that reports given nonces and fails at a given one.
struct MockBackend {
    candidates: Vec<u128>,
    claim: u128,
    gives_up_at: u128,
}

impl Backend for MockBackend {
    fn describe(&self) -> String {
        "mock".into()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        while let Some(span) = control.claim(self.claim) {
            if span.contains(self.gives_up_at) {
                control.give_back(span);
                return Err(BackendError::Device("gone".into()));
            }
            let reported: Vec<u128> =
                self.candidates.iter().copied().filter(|&nonce| span.contains(nonce)).collect();
            control.submit(span, &reported);
        }
        Ok(())
    }
}

/// Searches `abcdf` at two bytes: 14999 is the first solution; one nonce in 256 is an 8-bit hit.
fn control(span: Span, filter_bits: u32, wanted: usize) -> Control {
    let difficulty = Difficulty::from_bytes(2).unwrap();
    let puzzle = Puzzle::new("abcdf", difficulty, Encoding::Text).unwrap();
    let space = SeedSpace::new(&puzzle, Layout::Counting).unwrap();
    Control::new(Arc::new(space), span, filter_bits, wanted)
}

#[test]
fn a_paused_search_goes_on_where_it_was() {
    let control = control(Span::new(0, 100_000), 16, usize::MAX);
    let mut calls = 0;
    let result = control.outlast_pauses(|| {
        calls += 1;
        // The backend sees the pause, returns with work left, and the pause ends at once.
        if calls < 3 {
            let span = control.claim(1000).unwrap();
            control.pause();
            assert!(control.is_stopped());
            assert_eq!(control.claim(1000), None);
            control.submit(span, &[]);
            control.resume();
            return Ok(());
        }
        assert!(!control.is_stopped());
        while let Some(span) = control.claim(1000) {
            control.submit(span, &[]);
        }
        Ok::<(), BackendError>(())
    });
    result.unwrap();
    assert_eq!((calls, control.frontier()), (3, 100_000));
}

#[test]
fn a_stop_ends_a_pause_for_ever() {
    let control = control(Span::new(0, 100_000), 16, usize::MAX);
    control.pause();
    control.stop();
    let mut calls = 0;
    let result = control.outlast_pauses(|| {
        calls += 1;
        Ok::<(), BackendError>(())
    });
    assert_eq!((result.is_ok(), calls), (true, 1));
    control.resume();
    assert!(control.is_stopped());
}

#[test]
fn an_error_ends_a_search_that_was_paused() {
    let control = control(Span::new(0, 100_000), 16, usize::MAX);
    let result = control.outlast_pauses(|| {
        control.pause();
        Err(BackendError::Device("gone".into()))
    });
    assert!(result.is_err());
}

/// Returns the first nonces that solve the puzzle.
fn solutions(count: usize) -> Vec<u128> {
    let control = control(Span::new(0, 1), 0, 1);
    let space = control.space();
    let solves = |nonce: &u128| space.puzzle().is_solved_by(&space.seed(*nonce).unwrap());
    (0..).filter(solves).take(count).collect()
}

fn nonces(hits: &[Hit]) -> Vec<u128> {
    hits.iter().map(|hit| hit.nonce).collect()
}

#[test]
fn claims_ascend_and_cover_the_span() {
    let control = control(Span::new(100, 2000), 16, 1);
    let mut at = 100;
    while let Some(span) = control.claim(300) {
        assert_eq!(span.start(), at);
        at = span.end();
    }
    assert_eq!(at, 2000);
}

#[test]
fn the_frontier_waits_for_the_first_gap() {
    let control = control(Span::new(0, 1024), 16, 1);
    let spans: Vec<Span> = std::iter::from_fn(|| control.claim(256)).collect();
    assert_eq!(spans.len(), 4);
    control.submit(spans[1], &[]);
    assert_eq!(control.frontier(), 0);
    control.submit(spans[0], &[]);
    assert_eq!(control.frontier(), 512);
    control.give_back(spans[2]);
    control.submit(spans[3], &[]);
    assert_eq!(control.frontier(), 512);
    assert_eq!(control.claim(9999), Some(spans[2]), "what was given back is claimed again");
    control.submit(spans[2], &[]);
    assert_eq!(control.frontier(), 1024);
    assert_eq!((control.tested(), control.done().len()), (1024, 1024));
}

#[test]
fn solutions_settle_in_nonce_order() {
    let known = solutions(3);
    let control = control(Span::new(0, known[2] + 1000), 16, 2);
    let late = Span::new(known[0] + 1, known[2] + 1000);
    let first = control.claim(known[0] + 1).unwrap();
    let rest = control.claim(u128::MAX).unwrap();
    assert!(late.covers(rest) && rest.contains(known[1]), "{rest}");
    control.submit(rest, &known[1..]);
    assert!(control.settled_solutions().is_empty(), "a smaller one may still come");
    control.submit(first, &known[..1]);
    assert_eq!(nonces(&control.settled_solutions()), known[..2]);
}

#[test]
fn nothing_is_claimed_above_enough_solutions() {
    let known = solutions(1);
    let control = control(Span::new(0, 1 << 30), 16, 1);
    let mock = MockBackend { candidates: known.clone(), claim: 4096, gives_up_at: u128::MAX };
    mock.search(&control).unwrap();
    assert_eq!(nonces(&control.settled_solutions()), known);
    assert!(control.frontier() <= known[0] + 1 + 4096);
    assert_eq!(control.claim(1), None);
}

#[test]
fn the_judge_refuses_false_candidates_and_counts_them() {
    let control = control(Span::new(0, 8192), 16, 1);
    let liar = MockBackend { candidates: vec![1, 2, 3], claim: 8192, gives_up_at: u128::MAX };
    liar.search(&control).unwrap();
    assert_eq!(control.false_candidates(), 3);
    assert!(control.hits().is_empty() && control.settled_solutions().is_empty());
}

#[test]
fn near_solutions_are_hits_but_settle_nothing() {
    let control = control(Span::new(0, 4096), 8, 1);
    let all = MockBackend { candidates: (0..4096).collect(), claim: 512, gives_up_at: u128::MAX };
    all.search(&control).unwrap();
    assert!(control.hits().len() > 4 && control.hits().iter().all(|hit| hit.zero_bits >= 8));
    assert!(control.settled_solutions().is_empty());
    assert_eq!(control.frontier(), 4096);
}

#[test]
fn spans_given_back_by_a_failed_backend_are_searched_by_another() {
    let control = control(Span::new(0, 4096), 16, 1);
    let breaks = MockBackend { candidates: vec![], claim: 1024, gives_up_at: 2000 };
    assert!(breaks.search(&control).is_err());
    assert_eq!(control.frontier(), 1024);
    MockBackend { gives_up_at: u128::MAX, ..breaks }.search(&control).unwrap();
    assert_eq!(control.frontier(), 4096);
}

#[test]
fn a_stopped_control_grants_no_claims() {
    let control = control(Span::new(0, 4096), 16, 1);
    control.stop();
    assert_eq!(control.claim(1), None);
    assert!(control.is_stopped());
}

#[test]
fn the_results_of_a_part_are_absorbed_and_its_rest_is_freed() {
    let control = control(Span::new(0, 8192), 8, usize::MAX);
    assert_eq!(control.next_claim(), Some(0));
    let claim = control.claim(4096).unwrap();
    assert_eq!(control.next_claim(), Some(4096));
    let part = control.part(claim);
    let breaks = MockBackend { candidates: (0..4096).collect(), claim: 1024, gives_up_at: 2500 };
    assert!(breaks.search(&part).is_err());
    assert!(!control.absorb(&part));
    assert_eq!(control.done(), SpanSet::from(Span::new(0, 2048)));
    assert_eq!(control.hits(), part.hits());
    assert_eq!(control.false_candidates(), part.false_candidates());
    assert_eq!((control.tested(), control.next_claim()), (2048, Some(2048)));
    let rest = control.part(control.claim(u128::MAX).unwrap());
    MockBackend { gives_up_at: u128::MAX, ..breaks }.search(&rest).unwrap();
    assert!(control.absorb(&rest));
    assert_eq!(control.frontier(), 8192);
    control.stop();
    assert_eq!(control.next_claim(), None);
}
