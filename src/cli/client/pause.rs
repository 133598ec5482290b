//! Pauses the backend while the user asks for it. Leases of a client that rests for long go to
//! others; what it reports later still counts where nobody was faster.

use crate::backend::{Backend, BackendError, Control};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Says whether backends are to rest.
#[derive(Debug, Default)]
pub(super) struct Gate {
    paused: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Begins a pause, or ends it; returns true if one lasts now.
    pub(super) fn toggle(&self) -> bool {
        let mut paused = self.paused();
        *paused = !*paused;
        self.changed.notify_all();
        *paused
    }

    /// Pauses `control` as this gate says, until `over` does.
    fn follow(&self, control: &Control, over: &AtomicBool) {
        let mut paused = self.paused();
        while !over.load(Ordering::Relaxed) {
            if *paused {
                control.pause();
            } else {
                control.resume();
            }
            paused = self.changed.wait(paused).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the following of a search.
    fn end(&self, over: &AtomicBool) {
        // Under the lock, or the follower could miss it between its look and its wait.
        let _paused = self.paused();
        over.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn paused(&self) -> MutexGuard<'_, bool> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A backend that rests while its gate says so.
pub(super) struct Pausable {
    pub(super) inner: Arc<dyn Backend>,
    pub(super) gate: Arc<Gate>,
}

impl Backend for Pausable {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.gate.follow(control, &over));
            // Also when the backend panics: the scope waits for the follower.
            let _end = EndOfSearch { gate: &self.gate, over: &over };
            control.outlast_pauses(|| self.inner.search(control))
        })
    }

    fn is_paused(&self) -> bool {
        *self.gate.paused()
    }
}

/// Ends the following of a search when it is dropped.
struct EndOfSearch<'a> {
    gate: &'a Gate,
    over: &'a AtomicBool,
}

impl Drop for EndOfSearch<'_> {
    fn drop(&mut self) {
        self.gate.end(self.over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::{Layout, SeedSpace};
    use crate::span::Span;

    /// Claims everything that there is.
    struct Steps;

    impl Backend for Steps {
        fn describe(&self) -> String {
            "steps".into()
        }

        fn search(&self, control: &Control) -> Result<(), BackendError> {
            while let Some(span) = control.claim(256) {
                control.submit(span, &[]);
            }
            Ok(())
        }
    }

    #[test]
    fn a_search_rests_while_the_gate_is_shut_and_ends_after() {
        let puzzle = Puzzle::new("ab", Difficulty::from_bits(60).unwrap(), Encoding::Text).unwrap();
        let space = Arc::new(SeedSpace::new(&puzzle, Layout::Counting).unwrap());
        let control = Arc::new(Control::new(space, Span::new(0, 1 << 16), 60, 1));
        let gate = Arc::new(Gate::default());
        assert!(gate.toggle());
        let backend = Pausable { inner: Arc::new(Steps), gate: gate.clone() };
        control.pause();
        let searching = std::thread::spawn({
            let control = control.clone();
            move || backend.search(&control)
        });
        assert!(control.is_paused());
        assert_eq!(control.tested(), 0);
        assert!(!gate.toggle());
        searching.join().unwrap().unwrap();
        assert_eq!(control.tested(), 1 << 16);
    }

    #[test]
    fn a_paused_search_can_be_stopped() {
        let puzzle = Puzzle::new("ab", Difficulty::from_bits(60).unwrap(), Encoding::Text).unwrap();
        let space = Arc::new(SeedSpace::new(&puzzle, Layout::Counting).unwrap());
        let control = Control::new(space, Span::new(0, 1 << 16), 60, 1);
        let gate = Arc::new(Gate::default());
        gate.toggle();
        control.pause();
        control.stop();
        Pausable { inner: Arc::new(Steps), gate }.search(&control).unwrap();
        assert_eq!(control.tested(), 0);
    }
}
