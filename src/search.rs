//! The library's front door: a puzzle and options in, solutions out.

use crate::backend::{Backend, BackendError, Control, Hit};
use crate::machine::{BackendPool, Machine, MachineError};
use crate::puzzle::{Digest, Puzzle};
use crate::seeds::{Layout, LayoutError, SeedSpace};
use crate::span::Span;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to search. The default finds one solution with a hardware GPU where there is one and the
/// search is long, else with all cores at their best level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Seeds to try; `None` lets [`SeedSpace::auto`] choose.
    pub layout: Option<Layout>,
    /// Backends that search.
    pub machine: Machine,
    /// Stop after this many solutions, the first ones in nonce order.
    pub solutions: NonZeroUsize,
    /// First nonce.
    pub start: u128,
    /// Number of nonces; `None` searches to the end of the layout's room.
    pub count: Option<u128>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            layout: None,
            machine: Machine::default(),
            solutions: NonZeroUsize::MIN,
            start: 0,
            count: None,
        }
    }
}

/// Reasons why a search cannot be made, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The layout does not fit the puzzle.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The machine lacks a level or GPU.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The span leaves the layout's room.
    #[error(
        "{count} nonces from {start} leave the {layout} layout, which has room for {room} seeds"
    )]
    OutsideRoom {
        /// First nonce asked for.
        start: u128,
        /// Number of nonces asked for.
        count: u128,
        /// The layout.
        layout: Layout,
        /// Its number of seeds.
        room: u128,
    },
    /// The backend broke down.
    #[error("{error}")]
    Backend {
        /// The backend's own words.
        error: BackendError,
        /// Work done until then.
        report: Box<Report>,
    },
}

/// A seed that the judge has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// As written in front of the string.
    pub seed: String,
    /// MD5 of seed and string.
    pub digest: Digest,
    /// The seed's number in its space.
    pub nonce: u128,
}

/// Work that a search did.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The first solutions of the span in nonce order, at most as many as asked for.
    pub solutions: Vec<Solution>,
    /// Candidates tested.
    pub tested: u64,
    /// The first nonce that is not searched; what lies before it in the span is.
    pub next: u128,
    /// Time from the first claim to the last result, without pauses.
    pub elapsed: Duration,
}

/// A search that is ready to run; [`Search::control`] stops it and shows its progress meanwhile.
pub struct Search {
    control: Arc<Control>,
    pool: BackendPool,
    span: Span,
}

impl Search {
    /// Checks `options` against `puzzle` and this machine.
    ///
    /// # Errors
    /// The layout, level, GPU or span is impossible.
    pub fn new(puzzle: &Puzzle, options: &Options) -> Result<Self, SearchError> {
        let space = match options.layout {
            Some(layout) => SeedSpace::new(puzzle, layout)?,
            None => SeedSpace::auto(puzzle),
        };
        let span = span_in(&space, options.start, options.count)?;
        let pool = options.machine.open(puzzle.difficulty())?;
        let bits = puzzle.difficulty().bits();
        let control = Control::new(Arc::new(space), span, bits, options.solutions.get());
        Ok(Self { control: Arc::new(control), pool, span })
    }

    /// Returns the shared state of the search.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Returns the backend that does the work.
    pub fn backend(&self) -> &dyn Backend {
        &self.pool
    }

    /// Calls `tell` whenever a backend fails, also when others go on in its place.
    pub fn on_failure(&mut self, tell: impl Fn(&BackendError) + Send + Sync + 'static) {
        self.pool.on_failure(tell);
    }

    /// Returns what the user should know about how the backends were chosen, in one line.
    pub fn note(&self) -> Option<&str> {
        self.pool.note()
    }

    /// Returns the nonces that are searched.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Searches until enough is found, the span ends, or the control is told to stop; rests while the
    /// control is paused.
    ///
    /// # Errors
    /// The backend broke down.
    pub fn run(&self) -> Result<Report, SearchError> {
        let mut elapsed = Duration::ZERO;
        let result = self.control.outlast_pauses(|| {
            let began = Instant::now();
            let result = self.pool.search(&self.control);
            elapsed += began.elapsed();
            result
        });
        let report = Report {
            solutions: self.solutions(),
            tested: self.control.tested(),
            next: self.control.frontier(),
            elapsed,
        };
        match result {
            Ok(()) => Ok(report),
            Err(error) => Err(SearchError::Backend { error, report: Box::new(report) }),
        }
    }

    /// Returns the solutions so far before which nothing was missed, in nonce order. Later calls
    /// return the same ones and more.
    pub fn solutions(&self) -> Vec<Solution> {
        self.solutions_after(0)
    }

    /// Returns the same without the first `known` ones, for those who tell of each as it is found.
    pub fn solutions_after(&self, known: usize) -> Vec<Solution> {
        let space = self.control.space();
        let solution = |hit: Hit| {
            let seed = space.seed(hit.nonce)?;
            let digest = space.puzzle().digest(&seed).ok()?;
            Some(Solution { seed, digest, nonce: hit.nonce })
        };
        self.control.settled_solutions().into_iter().skip(known).filter_map(solution).collect()
    }
}

/// Searches this machine for solutions of `puzzle`.
///
/// # Errors
/// The options do not fit the puzzle or the machine, or the backend broke down.
///
/// ```
/// use seedrush::{Difficulty, Encoding, Options, Puzzle, search};
/// let puzzle = Puzzle::new("abcdf", Difficulty::from_bytes(2)?, Encoding::Text)?;
/// let report = search(&puzzle, &Options::default())?;
/// assert_eq!(report.solutions[0].seed, "3a97");
/// assert_eq!(report.solutions[0].digest.to_string(), "0000667d1dbe19858405446a9a4f62eb");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn search(puzzle: &Puzzle, options: &Options) -> Result<Report, SearchError> {
    Search::new(puzzle, options)?.run()
}

/// Returns the span of `count` nonces from `start`, or of all from there; it must lie in the room.
fn span_in(space: &SeedSpace, start: u128, count: Option<u128>) -> Result<Span, SearchError> {
    let room = space.room();
    let end = match count {
        Some(count) => start.checked_add(count),
        None => Some(room.max(start)),
    };
    match end {
        Some(end) if start <= room && end <= room => Ok(Span::new(start, end)),
        _ => Err(SearchError::OutsideRoom {
            start,
            count: count.unwrap_or(1),
            layout: space.layout(),
            room,
        }),
    }
}
