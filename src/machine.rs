//! Which backends of this machine search: what `--backend` says, and how they work as one.
//!
//! `auto` takes a hardware GPU where there is one and the search is long enough to pay for opening
//! it, else the cpu; the cpu also begins while the GPU's shader is compiled. Several backends pull sub-spans from one control, each at its own pace; what
//! one of them leaves undone when it fails is done by the others.

use crate::backend::{Backend, BackendError, Control};
use crate::cpu::{Cpu, Level, LevelError};
use crate::gpu::{Gpu, GpuError, Workload};
use crate::puzzle::Difficulty;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Searches of up to 2^28 expected candidates take the cpu less time than opening a GPU.
const CPU_BITS: u32 = 28;

/// The reserve searches for this long, about, before it looks whether the others have begun.
const BRIDGE_TIME: Duration = Duration::from_millis(10);

/// Its first piece: below that on any processor.
const BRIDGE_PIECE: u128 = 1 << 16;

/// Which kinds of backend search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// A hardware GPU if there is one, else the cpu.
    #[default]
    Auto,
    /// The cpu.
    Cpu,
    /// The selected GPUs.
    Gpu,
    /// Both.
    All,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::All => "all",
        })
    }
}

/// The word names no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown backend {0:?}: choose auto, cpu, gpu or all (the same as gpu,cpu)")]
pub struct UnknownChoice(String);

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            "all" | "gpu,cpu" | "cpu,gpu" => Ok(Self::All),
            _ => Err(UnknownChoice(word.to_owned())),
        }
    }
}

/// What is wanted of this machine. The default is what suits it best.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Which kinds of backend.
    pub choice: Choice,
    /// Level of the cpu backend; `None` takes the best.
    pub level: Option<Level>,
    /// Threads of the cpu backend; `None` takes all cores.
    pub threads: Option<NonZeroUsize>,
    /// Numbers or parts of names of GPUs; none takes the best hardware GPU.
    pub gpus: Vec<String>,
    /// How long a dispatch may keep a GPU; `None` takes what suits the machine.
    pub workload: Option<Workload>,
}

/// Why a backend is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The cpu lacks the level.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// There is no such GPU.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl Machine {
    /// The backends for a puzzle this difficult, as one.
    ///
    /// # Errors
    /// What was asked for by name is not to be had.
    pub fn open(&self, difficulty: Difficulty) -> Result<Team, MachineError> {
        let cpu =
            || Cpu::new(self.level, self.threads).map(|cpu| Box::new(cpu) as Box<dyn Backend>);
        let mut team = Team::new(Vec::new(), None);
        match self.choice {
            Choice::Cpu => team.members.push(cpu()?),
            Choice::Gpu => team.members = self.gpus()?,
            Choice::All => {
                team.members = self.gpus()?;
                team.members.push(cpu()?);
            }
            Choice::Auto if self.cpu_will_do(difficulty) => {
                team.members.push(cpu()?);
            }
            Choice::Auto => match self.gpus() {
                Ok(gpus) => (team.members, team.reserve) = (gpus, Some(cpu()?)),
                Err(error) if self.gpus.is_empty() => {
                    team.members.push(cpu()?);
                    let reason = error.brief();
                    team.note = Some(format!("using the cpu: {reason} (see `seedrush devices`)"));
                }
                Err(error) => return Err(error.into()),
            },
        }
        Ok(team)
    }

    /// Whether `auto` need not look for a GPU: none was named, and either options that only the cpu
    /// has were given or the search is short.
    fn cpu_will_do(&self, difficulty: Difficulty) -> bool {
        let cpu_is_meant = self.level.is_some() || self.threads.is_some();
        self.gpus.is_empty() && (cpu_is_meant || difficulty.bits() <= CPU_BITS)
    }

    fn gpus(&self) -> Result<Vec<Box<dyn Backend>>, GpuError> {
        let workload = self.workload.unwrap_or_else(Workload::of_this_machine);
        let gpus = Gpu::open(&self.gpus, workload)?.into_iter();
        Ok(gpus.map(|gpu| Box::new(gpu) as Box<dyn Backend>).collect())
    }
}

/// Backends that search together, and one that begins before they do and steps in when all of them
/// fail.
pub struct Team {
    members: Vec<Box<dyn Backend>>,
    reserve: Option<Box<dyn Backend>>,
    /// Whether a member has ever delivered: its shader is compiled.
    warm: AtomicBool,
    note: Option<String>,
    on_failure: Box<OnFailure>,
}

/// Is told when a backend fails, at once: the search may go on for long without it.
type OnFailure = dyn Fn(&BackendError) + Send + Sync;

impl Team {
    /// These backends, on equal terms; `reserve` searches until the first of them delivers for the
    /// first time, and finishes what they leave when all of them fail.
    pub fn new(members: Vec<Box<dyn Backend>>, reserve: Option<Box<dyn Backend>>) -> Self {
        let (warm, note) = (AtomicBool::new(false), None);
        Self { members, reserve, warm, note, on_failure: Box::new(|_| {}) }
    }

    /// Calls `tell` whenever a backend fails, also when others go on in its place.
    pub fn on_failure(&mut self, tell: impl Fn(&BackendError) + Send + Sync + 'static) {
        self.on_failure = Box::new(tell);
    }

    /// What the user should know about how the backends were chosen, in one line.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Relaxed)
    }

    fn one(&self, backend: &dyn Backend, control: &Control) -> Result<(), BackendError> {
        backend.search(control).inspect_err(|error| (self.on_failure)(error))
    }

    /// Searches with the reserve until someone else has delivered. What it claims it finishes.
    fn bridge(&self, reserve: &dyn Backend, control: &Control) {
        let (mut own, mut piece) = (0, BRIDGE_PIECE);
        // Everything beyond its own is theirs.
        while control.tested() == own {
            let Some(span) = control.claim(piece) else { return };
            let (part, began) = (control.part(span), Instant::now());
            if reserve.search(&part).is_err() || part.frontier() < span.end() {
                // It is asked again, and heard, when the others have failed too.
                return control.give_back(span);
            }
            let candidates: Vec<u128> = part.hits().iter().map(|hit| hit.nonce).collect();
            own += part.tested();
            control.submit(span, &candidates);
            if began.elapsed() < BRIDGE_TIME / 2 {
                piece *= 2;
            }
        }
        self.warm.store(true, Ordering::Relaxed);
    }

    /// All members at once.
    fn together(&self, control: &Control) -> Vec<Result<(), BackendError>> {
        std::thread::scope(|scope| {
            if let Some(reserve) = self.reserve.as_deref().filter(|_| !self.is_warm()) {
                scope.spawn(|| self.bridge(reserve, control));
            }
            let threads: Vec<_> = self
                .members
                .iter()
                .map(|member| scope.spawn(|| self.one(member.as_ref(), control)))
                .collect();
            let panicked = |_| Err(BackendError::Device("a search panicked".to_owned()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        })
    }
}

impl Backend for Team {
    fn describe(&self) -> String {
        let members: Vec<_> = self.members.iter().map(|member| member.describe()).collect();
        members.join(" and ")
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let mut results = self.together(control);
        let Some(failed) = results.iter().position(Result::is_err) else { return Ok(()) };
        // Members that had finished did not see what the failed ones gave back afterwards.
        let helpers = self.members.iter().zip(&results).filter(|(_, result)| result.is_ok());
        let helpers = helpers.map(|(member, _)| member).chain(&self.reserve);
        if helpers.into_iter().any(|helper| self.one(helper.as_ref(), control).is_ok()) {
            return Ok(());
        }
        results.swap_remove(failed)
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
    use crate::puzzle::{Encoding, Puzzle};
    use crate::seeds::{Layout, SeedSpace};
    use crate::span::{Span, SpanSet};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

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
        let span = Span::new(5, 1 << 27);
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

    #[test]
    fn words_are_choices() {
        for choice in [Choice::Auto, Choice::Cpu, Choice::Gpu, Choice::All] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("gpu,cpu".parse(), Ok(Choice::All));
        assert!("cuda".parse::<Choice>().unwrap_err().to_string().contains("gpu,cpu"));
    }

    #[test]
    fn auto_takes_the_cpu_for_short_searches() {
        let team = Machine::default().open(Difficulty::from_bits(20).unwrap()).unwrap();
        assert!(team.describe().starts_with("cpu"), "{team:?}");
        assert_eq!(team.note(), None);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        let gpus = vec!["no such card".to_owned()];
        for choice in [Choice::Auto, Choice::Gpu, Choice::All] {
            let machine = Machine { choice, gpus: gpus.clone(), ..Machine::default() };
            let error = machine.open(Difficulty::from_bits(64).unwrap()).unwrap_err();
            assert!(matches!(error, MachineError::Gpu(_)), "{error}");
        }
    }
}
