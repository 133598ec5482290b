//! Measures rates of tested candidates and compares them with the best rate of the machine.

use crate::backend::{Backend, BackendError, Control};
use crate::cpu::{self, Cpu, Level, LevelError};
use crate::gpu::Gpu;
use crate::plan::Plan;
use crate::puzzle::{Difficulty, Encoding, Puzzle, PuzzleError};
use crate::seeds::{Layout, LayoutError, SeedSpace};
use crate::span::Span;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Zero bits of a counted hit: a second has enough of them to show that none is missing, and too few
/// to slow the search down.
pub const HIT_BITS: u32 = 20;

/// First nonce of a measured search: in `counting`, seeds have eight digits or more.
const START: u128 = 1 << 28;

/// Time before a GPU's measurement starts: its shader is compiled and its dispatches grow.
const GPU_WARM_UP: Duration = Duration::from_millis(500);

/// A combination to measure.
#[derive(Clone, Debug)]
pub struct Case {
    /// Backend that searches.
    pub searcher: Searcher,
    /// Layout of the seeds.
    pub layout: Layout,
    /// Encoding of the puzzle.
    pub encoding: Encoding,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layout, encoding) = (self.layout, self.encoding);
        match &self.searcher {
            Searcher::Cpu(level, threads) => {
                write!(f, "cpu {level} (threads: {threads}), {layout}, {encoding}")
            }
            Searcher::Gpu(gpu) => write!(f, "gpu {}, {layout}, {encoding}", gpu.info().name),
        }
    }
}

/// A backend to measure.
#[derive(Clone, Debug)]
pub enum Searcher {
    /// The cpu backend at a level, with a number of threads.
    Cpu(Level, NonZeroUsize),
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// One measured combination.
#[derive(Clone, Debug)]
pub struct Row {
    /// `cpu` or `gpu`.
    pub backend: String,
    /// Level of the cpu backend, or name of the GPU.
    pub level: String,
    /// Layout of the seeds.
    pub layout: String,
    /// Encoding of the puzzle.
    pub encoding: String,
    /// Number of threads.
    pub threads: usize,
    /// Candidates tested.
    pub candidates: u64,
    /// Time that took.
    pub seconds: f64,
    /// Candidates a second.
    pub rate: f64,
    /// Candidates found with [`HIT_BITS`] zero bits.
    pub hits: usize,
    /// Expected number of them: `candidates / 2^HIT_BITS`.
    pub expected_hits: f64,
    /// Clock during the search, if it can be measured.
    pub clock_hz: Option<f64>,
    /// Rate as a fraction of the best one: for the cpu, the instruction floor at that clock for all
    /// threads; for a GPU, its rate of MD5 steps alone, measured in the same run.
    pub efficiency: Option<f64>,
}

/// Reasons why a row could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The string does not make a puzzle.
    #[error(transparent)]
    Puzzle(#[from] PuzzleError),
    /// The string does not fit the layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The machine lacks the level.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Returns a control over a space for `string` that counts hits of [`HIT_BITS`] and never ends early.
///
/// # Errors
/// The string makes no puzzle, or does not fit the layout.
pub fn control(string: &str, layout: Layout, encoding: Encoding) -> Result<Control, BenchError> {
    let puzzle = Puzzle::new(string, Difficulty::from_bits(128)?, encoding)?;
    let space = SeedSpace::new(&puzzle, layout)?;
    let start = START.min(space.room() / 2);
    let span = Span::new(start, space.room());
    Ok(Control::new(Arc::new(space), span, HIT_BITS, usize::MAX))
}

/// Returns the plan of the first seeds of a measurement.
fn plan_at_start(control: &Control) -> Option<Plan> {
    let space = control.space();
    Plan::new(space, START.min(space.room() / 2))
}

/// Runs `backend` on `control` for about `time`; returns the time it took.
///
/// # Errors
/// The backend failed.
pub fn run(
    backend: &dyn Backend,
    control: &Control,
    time: Duration,
) -> Result<Duration, BackendError> {
    let began = Instant::now();
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || send.send(backend.search(control)));
        let early = receive.recv_timeout(time);
        control.stop();
        early.or_else(|_| receive.recv()).unwrap_or(Ok(()))
    })?;
    Ok(began.elapsed())
}

/// Measures one combination for about `time`.
///
/// # Errors
/// The string or the machine does not support the case.
pub fn measure(string: &str, case: &Case, time: Duration) -> Result<Row, BenchError> {
    let control = control(string, case.layout, case.encoding)?;
    match &case.searcher {
        Searcher::Cpu(level, threads) => {
            let cpu = Cpu::new(Some(*level), Some(*threads))?;
            let before = cpu::clock_hz(*level)?;
            let seconds = run(&cpu, &control, time)?.as_secs_f64();
            let clock_hz = before.zip(cpu::clock_hz(*level)?).map(|(a, b)| (a + b) / 2.0);
            let floor = plan_at_start(&control).map(|plan| cpu::floor_cycles(*level, &plan));
            let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
            let busy = (*threads).min(cores).get() as f64;
            let best = clock_hz.zip(floor).map(|(hz, cycles)| hz / cycles * busy);
            let row = Row::new(case, &control, seconds);
            Ok(Row { clock_hz, efficiency: best.map(|best| row.rate / best), ..row })
        }
        Searcher::Gpu(gpu) => {
            let warm_up = self::control(string, case.layout, case.encoding)?;
            run(gpu.as_ref(), &warm_up, GPU_WARM_UP)?;
            let before = gpu.most_steps()?;
            let seconds = run(gpu.as_ref(), &control, time)?.as_secs_f64();
            let most_steps = (before + gpu.most_steps()?) / 2.0;
            let row = Row::new(case, &control, seconds);
            let plan = plan_at_start(&control);
            let efficiency = plan.map(|plan| row.rate * plan.steps() as f64 / most_steps);
            Ok(Row { efficiency, ..row })
        }
    }
}

impl Row {
    fn new(case: &Case, control: &Control, seconds: f64) -> Self {
        let (backend, level, threads) = match &case.searcher {
            Searcher::Cpu(level, threads) => ("cpu", level.to_string(), threads.get()),
            Searcher::Gpu(gpu) => ("gpu", gpu.info().name.clone(), 1),
        };
        Self {
            backend: backend.to_owned(),
            level,
            layout: case.layout.to_string(),
            encoding: case.encoding.to_string(),
            threads,
            candidates: control.tested(),
            seconds,
            rate: control.tested() as f64 / seconds,
            hits: control.hits().len(),
            expected_hits: control.tested() as f64 / f64::from(HIT_BITS).exp2(),
            clock_hz: None,
            efficiency: None,
        }
    }
}
