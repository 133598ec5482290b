//! Backends that search together: each claims sub-spans from one control, and the others finish what a
//! failed one leaves.

use crate::backend::{Backend, BackendError, Control};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time for which the fallback searches between two checks that a member has delivered.
const BRIDGE_TIME: Duration = Duration::from_millis(10);

/// The fallback's first piece: it takes less time than that on any processor.
const BRIDGE_PIECE: u128 = 1 << 16;

/// Backends that search together, and a fallback that starts before they are ready and takes over
/// when all of them fail.
pub struct BackendPool {
    members: Vec<Member>,
    fallback: Option<Member>,
    /// True once a member has delivered: its shader is compiled.
    warm: AtomicBool,
    note: Option<String>,
    on_failure: Box<OnFailure>,
}

struct Member {
    backend: Box<dyn Backend>,
    /// True if its last search failed and that was reported.
    failed: AtomicBool,
}

impl From<Box<dyn Backend>> for Member {
    fn from(backend: Box<dyn Backend>) -> Self {
        Self { backend, failed: AtomicBool::new(false) }
    }
}

/// Receives a backend's failure at once, because the search may go on for long without it.
type OnFailure = dyn Fn(&BackendError) + Send + Sync;

impl BackendPool {
    /// Pools `members`. The fallback searches until the first of them delivers for the first time, and
    /// finishes what they leave when all of them fail.
    pub fn new(members: Vec<Box<dyn Backend>>, fallback: Option<Box<dyn Backend>>) -> Self {
        let (warm, note) = (AtomicBool::new(false), None);
        let members = members.into_iter().map(Member::from).collect();
        let fallback = fallback.map(Member::from);
        Self { members, fallback, warm, note, on_failure: Box::new(|_| {}) }
    }

    /// Calls `tell` when a backend starts to fail, even if others go on in its place.
    pub fn on_failure(&mut self, tell: impl Fn(&BackendError) + Send + Sync + 'static) {
        self.on_failure = Box::new(tell);
    }

    /// Adds a note on how the backends were chosen.
    pub(super) fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    /// Returns the note on how the backends were chosen, one line.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    /// Searches with one member and reports its failure at once.
    fn search_with(&self, member: &Member, control: &Control) -> Result<(), BackendError> {
        let result = member.backend.search(control);
        self.report(member, &result);
        result
    }

    /// Searches with the fallback until a member has delivered or all members have ended. Returns true
    /// if the fallback finished everything it claimed.
    fn bridge(&self, fallback: &dyn Backend, control: &Control, others: &AtomicUsize) -> bool {
        let (mut own, mut piece) = (0, BRIDGE_PIECE);
        while others.load(Ordering::Acquire) > 0 {
            // More than its own work: a member has delivered.
            if control.tested() > own {
                self.warm.store(true, Ordering::Relaxed);
                break;
            }
            let Some(span) = control.claim(piece) else { break };
            let (part, began) = (control.part(span), Instant::now());
            let result = fallback.search(&part);
            own += part.tested();
            if !control.absorb(&part) || result.is_err() {
                return false;
            }
            if began.elapsed() < BRIDGE_TIME / 2 {
                piece *= 2;
            }
        }
        true
    }

    /// Searches with all members at once, and with the fallback until one has delivered. Returns the
    /// members' results, and true if the fallback finished everything it claimed.
    fn together(&self, control: &Control) -> (Vec<Result<(), BackendError>>, bool) {
        let others = AtomicUsize::new(self.members.len());
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .members
                .iter()
                .map(|member| {
                    scope.spawn(|| {
                        let _ended = Countdown(&others);
                        self.search_with(member, control)
                    })
                })
                .collect();
            let bridged = match self.fallback.as_ref().filter(|_| !self.is_warm()) {
                Some(fallback) => self.bridge(fallback.backend.as_ref(), control, &others),
                None => true,
            };
            let joined = threads.into_iter().zip(&self.members).map(|(thread, member)| {
                thread.join().unwrap_or_else(|_| {
                    let panicked = Err(BackendError::Device("a search panicked".to_owned()));
                    self.report(member, &panicked);
                    panicked
                })
            });
            (joined.collect(), bridged)
        })
    }

    /// Reports a failure, once until the member works again.
    fn report(&self, member: &Member, result: &Result<(), BackendError>) {
        let failed = result.is_err();
        let reported = member.failed.swap(failed, Ordering::Relaxed);
        if let (Err(error), false) = (result, reported) {
            (self.on_failure)(error);
        }
    }
}

/// Decrements a counter when it is dropped, also by a panic.
struct Countdown<'a>(&'a AtomicUsize);

impl Drop for Countdown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Backend for BackendPool {
    fn describe(&self) -> String {
        let members: Vec<_> = self.members.iter().map(|member| member.backend.describe()).collect();
        members.join(" and ")
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let (mut results, bridged) = self.together(control);
        let failed = results.iter().position(Result::is_err);
        if failed.is_none() && bridged {
            return Ok(());
        }
        // Members that ended early did not see what the failed ones gave back later.
        let helpers = self.members.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let helpers = helpers.map(|(member, _)| member).chain(&self.fallback);
        if helpers.into_iter().any(|helper| self.search_with(helper, control).is_ok()) {
            return Ok(());
        }
        match failed {
            Some(failed) => results.swap_remove(failed),
            None => Err(BackendError::Device("no backend can search any more".to_owned())),
        }
    }
}

impl fmt::Debug for BackendPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BackendPool").field(&self.describe()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::puzzle::{Difficulty, Encoding, Puzzle};
    use crate::seeds::{Layout, SeedSpace};
    use crate::span::{Span, SpanSet};
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    /// Claims, gives back and fails.
    struct Failing;

    impl Backend for Failing {
        fn describe(&self) -> String {
            "failing".to_owned()
        }

        fn search(&self, control: &Control) -> Result<(), BackendError> {
            if let Some(span) = control.claim(1000) {
                control.give_back(span);
            }
            Err(BackendError::Device("broken".to_owned()))
        }
    }

    fn failing() -> Box<dyn Backend> {
        Box::new(Failing)
    }

    fn cpu() -> Box<dyn Backend> {
        Box::new(Cpu::new(None, NonZeroUsize::new(1)).unwrap())
    }

    fn control() -> Control {
        let bits = Difficulty::from_bits(8).unwrap();
        let puzzle = Puzzle::new("abc", bits, Encoding::Text).unwrap();
        let space = SeedSpace::new(&puzzle, Layout::Trailing).unwrap();
        Control::new(Arc::new(space), Span::new(0, 50_000), 8, usize::MAX)
    }

    #[test]
    fn other_backends_finish_what_a_failed_one_leaves() {
        for pool in [
            BackendPool::new(vec![failing(), cpu()], None),
            BackendPool::new(vec![failing(), failing()], Some(cpu())),
            BackendPool::new(vec![cpu(), cpu()], Some(failing())),
        ] {
            let control = control();
            pool.search(&control).unwrap();
            assert_eq!(control.done(), SpanSet::from(Span::new(0, 50_000)), "{pool:?}");
        }
    }

    /// Starts only when another backend has delivered.
    struct Late {
        cpu: Box<dyn Backend>,
        searches: Arc<AtomicU32>,
    }

    impl Backend for Late {
        fn describe(&self) -> String {
            "late".to_owned()
        }

        fn search(&self, control: &Control) -> Result<(), BackendError> {
            if self.searches.fetch_add(1, Ordering::Relaxed) == 0 {
                while control.tested() == 0 {
                    std::thread::yield_now();
                }
            }
            self.cpu.search(control)
        }
    }

    /// Counts its searches.
    struct Watched {
        cpu: Box<dyn Backend>,
        searches: Arc<AtomicU32>,
    }

    impl Backend for Watched {
        fn describe(&self) -> String {
            "watched".to_owned()
        }

        fn search(&self, control: &Control) -> Result<(), BackendError> {
            self.searches.fetch_add(1, Ordering::Relaxed);
            self.cpu.search(control)
        }
    }

    #[test]
    fn the_fallback_starts_and_leaves_the_rest_to_the_others() {
        let [late, watched] = [0; 2].map(|_| Arc::new(AtomicU32::new(0)));
        let pool = BackendPool::new(
            vec![Box::new(Late { cpu: cpu(), searches: late.clone() })],
            Some(Box::new(Watched { cpu: cpu(), searches: watched.clone() })),
        );
        let bits = Difficulty::from_bits(60).unwrap();
        let puzzle = Puzzle::new("abc", bits, Encoding::Text).unwrap();
        let space = Arc::new(SeedSpace::new(&puzzle, Layout::Trailing).unwrap());
        // More than the fallback does alone; a debug build is far slower.
        let span = Span::new(5, 1 << if cfg!(debug_assertions) { 22 } else { 27 });
        let begun = |control: &Control| {
            pool.search(control).unwrap();
            assert_eq!(control.done(), SpanSet::from(span));
            assert_eq!(control.tested(), u64::try_from(span.len()).unwrap(), "nothing twice");
            watched.load(Ordering::Relaxed)
        };
        let first = Control::new(space.clone(), span, 16, usize::MAX);
        let pieces = begun(&first);
        assert!(pieces > 0);
        let second = Control::new(space, span, 16, usize::MAX);
        assert_eq!(begun(&second), pieces, "the others are warm now");
        assert_eq!(first.hits(), second.hits());
        assert_eq!(late.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_pool_reports_why_every_backend_failed() {
        let control = control();
        let mut pool = BackendPool::new(vec![failing()], Some(failing()));
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        pool.on_failure(move |error| {
            assert_eq!(error.to_string(), "broken");
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(pool.search(&control).unwrap_err().to_string(), "broken");
        assert_eq!(told.load(Ordering::Relaxed), 2, "of both");
        assert_eq!(control.claim(u128::MAX), Some(Span::new(0, 50_000)), "all of it is free");
    }
}
