//! Backends that work as one: each pulls sub-spans from one control at its own pace, and what one of
//! them leaves undone when it fails is done by the others.

use crate::backend::{Backend, BackendError, Control};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The reserve searches for this long, about, before it looks whether the others have begun.
const BRIDGE_TIME: Duration = Duration::from_millis(10);

/// Its first piece: below that on any processor.
const BRIDGE_PIECE: u128 = 1 << 16;

/// Backends that search together, and one that begins before they do and steps in when all of them
/// fail.
pub struct Team {
    members: Vec<Member>,
    reserve: Option<Member>,
    /// Whether a member has ever delivered: its shader is compiled.
    warm: AtomicBool,
    note: Option<String>,
    on_failure: Box<OnFailure>,
}

struct Member {
    backend: Box<dyn Backend>,
    /// Whether its last search failed, and that was told.
    failed: AtomicBool,
}

impl From<Box<dyn Backend>> for Member {
    fn from(backend: Box<dyn Backend>) -> Self {
        Self { backend, failed: AtomicBool::new(false) }
    }
}

/// Is told when a backend fails, at once: the search may go on for long without it.
type OnFailure = dyn Fn(&BackendError) + Send + Sync;

impl Team {
    /// These backends, on equal terms; `reserve` searches until the first of them delivers for the
    /// first time, and finishes what they leave when all of them fail.
    pub fn new(members: Vec<Box<dyn Backend>>, reserve: Option<Box<dyn Backend>>) -> Self {
        let (warm, note) = (AtomicBool::new(false), None);
        let members = members.into_iter().map(Member::from).collect();
        let reserve = reserve.map(Member::from);
        Self { members, reserve, warm, note, on_failure: Box::new(|_| {}) }
    }

    /// Calls `tell` when a backend begins to fail, also when others go on in its place.
    pub fn on_failure(&mut self, tell: impl Fn(&BackendError) + Send + Sync + 'static) {
        self.on_failure = Box::new(tell);
    }

    /// The same team, with what the user should know about how it was chosen.
    pub(super) fn with_note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }

    /// What the user should know about how the backends were chosen, in one line.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    fn one(&self, member: &Member, control: &Control) -> Result<(), BackendError> {
        let result = member.backend.search(control);
        // At once: the search may go on for long without it.
        self.tell(member, &result);
        result
    }

    /// Searches with the reserve until someone else has delivered, or all others have ended. Whether
    /// it has done all that it claimed.
    fn bridge(&self, reserve: &dyn Backend, control: &Control, others: &AtomicUsize) -> bool {
        let (mut own, mut piece) = (0, BRIDGE_PIECE);
        while others.load(Ordering::Acquire) > 0 {
            // Everything beyond its own is theirs.
            if control.tested() > own {
                self.warm.store(true, Ordering::Relaxed);
                break;
            }
            let Some(span) = control.claim(piece) else { break };
            let (part, began) = (control.part(span), Instant::now());
            let result = reserve.search(&part);
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

    /// All members at once, and until they are under way the reserve. What they came to, and whether
    /// the reserve left nothing of its own.
    fn together(&self, control: &Control) -> (Vec<Result<(), BackendError>>, bool) {
        let others = AtomicUsize::new(self.members.len());
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .members
                .iter()
                .map(|member| {
                    scope.spawn(|| {
                        let _ended = Countdown(&others);
                        self.one(member, control)
                    })
                })
                .collect();
            let bridged = match self.reserve.as_ref().filter(|_| !self.is_warm()) {
                Some(reserve) => self.bridge(reserve.backend.as_ref(), control, &others),
                None => true,
            };
            let joined = threads.into_iter().zip(&self.members).map(|(thread, member)| {
                thread.join().unwrap_or_else(|_| {
                    let panicked = Err(BackendError::Device("a search panicked".to_owned()));
                    self.tell(member, &panicked);
                    panicked
                })
            });
            (joined.collect(), bridged)
        })
    }

    /// Tells of a failure, once until it works again.
    fn tell(&self, member: &Member, result: &Result<(), BackendError>) {
        let failed = result.is_err();
        let told = member.failed.swap(failed, Ordering::Relaxed);
        if let (Err(error), false) = (result, told) {
            (self.on_failure)(error);
        }
    }
}

/// One less when it is dropped, also by a panic.
struct Countdown<'a>(&'a AtomicUsize);

impl Drop for Countdown<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Backend for Team {
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
        // Members that had finished did not see what the failed ones gave back afterwards.
        let helpers = self.members.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let helpers = helpers.map(|(member, _)| member).chain(&self.reserve);
        if helpers.into_iter().any(|helper| self.one(helper, control).is_ok()) {
            return Ok(());
        }
        match failed {
            Some(failed) => results.swap_remove(failed),
            None => Err(BackendError::Device("nothing here can search any more".to_owned())),
        }
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Team").field(&self.describe()).finish()
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

    /// Claims, and fails with the claim in hand.
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
    fn what_one_leaves_another_does() {
        for team in [
            Team::new(vec![failing(), cpu()], None),
            Team::new(vec![failing(), failing()], Some(cpu())),
            Team::new(vec![cpu(), cpu()], Some(failing())),
        ] {
            let control = control();
            team.search(&control).unwrap();
            assert_eq!(control.done(), SpanSet::from(Span::new(0, 50_000)), "{team:?}");
        }
    }

    /// Begins only when someone else has delivered something.
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
    fn the_reserve_begins_and_leaves_the_rest_to_the_others() {
        let [late, watched] = [0; 2].map(|_| Arc::new(AtomicU32::new(0)));
        let team = Team::new(
            vec![Box::new(Late { cpu: cpu(), searches: late.clone() })],
            Some(Box::new(Watched { cpu: cpu(), searches: watched.clone() })),
        );
        let bits = Difficulty::from_bits(60).unwrap();
        let puzzle = Puzzle::new("abc", bits, Encoding::Text).unwrap();
        let space = Arc::new(SeedSpace::new(&puzzle, Layout::Trailing).unwrap());
        // More than the reserve does alone; a debug build is slower by far.
        let span = Span::new(5, 1 << if cfg!(debug_assertions) { 22 } else { 27 });
        let begun = |control: &Control| {
            team.search(control).unwrap();
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
    fn a_team_without_anyone_left_says_why() {
        let control = control();
        let mut team = Team::new(vec![failing()], Some(failing()));
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        team.on_failure(move |error| {
            assert_eq!(error.to_string(), "broken");
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(team.search(&control).unwrap_err().to_string(), "broken");
        assert_eq!(told.load(Ordering::Relaxed), 2, "of both");
        assert_eq!(control.claim(u128::MAX), Some(Span::new(0, 50_000)), "all of it is free");
    }
}
