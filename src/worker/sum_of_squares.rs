//! Runs a lease of a sum: adds up number by number, on as many threads as the client has.

use super::run::{OnHit, Run, Taken};
use crate::backend::{Backend, BackendError};
use crate::jobs::{Outcome, SumOfSquares};
use crate::span::Span;
use num_bigint::BigUint;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Numbers that one thread adds up before it looks at what is still wanted: a few milliseconds.
const CHUNK: u128 = 1 << 21;

/// Time between two looks at whether a pause is over.
const PAUSE_LOOK: Duration = Duration::from_millis(100);

/// A lease of a sum.
pub(super) struct SumRun {
    span: Span,
    stopped: AtomicBool,
    tested: AtomicU64,
    state: Mutex<State>,
}

struct State {
    /// Sums that the server has not counted yet, ascending and without a gap.
    parts: VecDeque<(Span, BigUint)>,
    end: u128,
}

impl SumRun {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            stopped: AtomicBool::new(false),
            tested: AtomicU64::new(0),
            state: Mutex::new(State { parts: VecDeque::new(), end: span.end() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds up the chunks from `at` on, one on each thread; returns where they end, or `None` at
    /// the end of the lease.
    fn add_up(&self, at: u128, threads: u32) -> Option<u128> {
        let end = self.state().end;
        let chunks: Vec<Span> = (0..u128::from(threads.max(1)))
            .map(|n| Span::with_len(at.saturating_add(n * CHUNK), CHUNK))
            .map(|chunk| Span::new(chunk.start(), chunk.end().min(end)))
            .filter(|chunk| !chunk.is_empty())
            .collect();
        let last = chunks.last()?.end();
        let parts = std::thread::scope(|scope| {
            let add = |&chunk| scope.spawn(move || (chunk, SumOfSquares::add_up(chunk)));
            let adding: Vec<_> = chunks.iter().map(add).collect();
            adding.into_iter().map_while(|part| part.join().ok()).collect::<Vec<_>>()
        });
        let units: u64 = parts.iter().map(|(span, _)| span.len() as u64).sum();
        self.tested.fetch_add(units, Ordering::Relaxed);
        self.state().parts.extend(parts);
        Some(last)
    }
}

impl Run for SumRun {
    fn run(
        self: Arc<Self>,
        backend: &dyn Backend,
        threads: u32,
        _on_hit: OnHit,
    ) -> Result<(), BackendError> {
        let mut at = Some(self.span.start());
        while let Some(start) = at.filter(|_| !self.stopped.load(Ordering::Relaxed)) {
            if backend.is_paused() {
                std::thread::sleep(PAUSE_LOOK);
            } else {
                at = self.add_up(start, threads);
            }
        }
        Ok(())
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn cut(&self, end: u128) {
        let mut state = self.state();
        state.end = state.end.min(end);
    }

    fn tested(&self) -> u64 {
        self.tested.load(Ordering::Relaxed)
    }

    fn take(&self, rest: Span, _room: usize) -> Taken {
        let mut state = self.state();
        while state.parts.front().is_some_and(|(span, _)| span.end() <= rest.start()) {
            state.parts.pop_front();
        }
        let (mut end, mut total) = (rest.start(), BigUint::ZERO);
        // What was cut off is another client's now: it was added up for nothing.
        for (span, part) in state.parts.iter().take_while(|(span, _)| span.start() < rest.end()) {
            let wanted = span.intersect(rest);
            // Where the server has moved the end, a part of a part is wanted.
            total += if wanted == *span { part.clone() } else { SumOfSquares::add_up(wanted) };
            end = end.max(wanted.end());
        }
        let span = Span::new(rest.start(), end);
        Taken { span, outcome: Outcome::SumOfSquares(total), all: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_parts() -> SumRun {
        let run = SumRun::new(Span::new(10, 70));
        let parts = [(10, 20), (20, 40), (40, 60)].map(|(from, to)| Span::new(from, to));
        run.state().parts = parts.map(|part| (part, SumOfSquares::add_up(part))).into();
        run
    }

    #[test]
    fn a_sum_is_taken_up_to_an_end_that_was_moved() {
        for end in [15, 20, 33, 60, 70] {
            let taken = with_parts().take(Span::new(10, end), 0);
            let wanted = Span::new(10, end.min(60));
            assert_eq!((taken.span, taken.all), (wanted, true));
            assert_eq!(taken.outcome, Outcome::SumOfSquares(SumOfSquares::add_up(wanted)));
        }
    }

    #[test]
    fn a_sum_is_taken_from_where_the_server_has_counted() {
        let run = with_parts();
        for start in [10, 20, 35, 60] {
            let taken = run.take(Span::new(start, 70), 0);
            let wanted = Span::new(start, 60);
            assert_eq!(taken.span, wanted);
            assert_eq!(taken.outcome, Outcome::SumOfSquares(SumOfSquares::add_up(wanted)));
        }
        assert!(run.take(Span::new(60, 70), 0).is_empty());
    }

    /// A sum needs no backend.
    struct NoBackend;

    impl Backend for NoBackend {
        fn describe(&self) -> String {
            "none".into()
        }

        fn search(&self, _: &crate::backend::Control) -> Result<(), BackendError> {
            panic!("a sum was searched");
        }
    }

    #[test]
    fn threads_add_up_everything_once() {
        let span = Span::new(5, 5 * CHUNK + 17);
        let run = Arc::new(SumRun::new(span));
        run.clone().run(&NoBackend, 2, Arc::new(|| ())).unwrap();
        let taken = run.take(span, 0);
        assert_eq!(taken.span, span);
        assert_eq!(u128::from(run.tested()), span.len());
        let (n, before) = (span.end() - 1, 1u128 + 4 + 9 + 16);
        let expected = BigUint::from(n * (n + 1) * (2 * n + 1) / 6 - before);
        assert_eq!(taken.outcome, Outcome::SumOfSquares(expected));
    }

    #[test]
    fn a_stopped_sum_does_nothing_more() {
        let run = Arc::new(SumRun::new(Span::new(0, 1 << 63)));
        run.stop();
        run.clone().run(&NoBackend, 1, Arc::new(|| ())).unwrap();
        assert_eq!(run.tested(), 0);
    }

    /// Is paused at the first looks at it; calls `look` at each.
    struct Pausing<F: Fn()> {
        looks: AtomicU64,
        look: F,
    }

    impl<F: Fn() + Send + Sync> Backend for Pausing<F> {
        fn describe(&self) -> String {
            "none".into()
        }

        fn search(&self, _: &crate::backend::Control) -> Result<(), BackendError> {
            panic!("a sum was searched");
        }

        fn is_paused(&self) -> bool {
            let paused = self.looks.fetch_add(1, Ordering::Relaxed) < 2;
            if paused {
                (self.look)();
            }
            paused
        }
    }

    #[test]
    fn a_paused_sum_rests_until_it_goes_on_or_is_stopped() {
        let span = Span::new(5, CHUNK);
        let run = Arc::new(SumRun::new(span));
        let rests = || assert_eq!(run.tested(), 0);
        let backend = Pausing { looks: AtomicU64::new(0), look: rests };
        run.clone().run(&backend, 1, Arc::new(|| ())).unwrap();
        assert_eq!(run.tested(), span.len() as u64);
        let run = Arc::new(SumRun::new(span));
        let backend = Pausing { looks: AtomicU64::new(0), look: || run.stop() };
        run.clone().run(&backend, 1, Arc::new(|| ())).unwrap();
        assert_eq!((run.tested(), backend.looks.into_inner()), (0, 1));
    }
}
