//! Seed spaces: ordered sets of seeds that map a `nonce` (u128) to a seed and back.
//!
//! For fast searches a space divides itself into [`Segment`]s. Inside one, candidates differ only
//! in a few digits of the base and in the member of the family. `plan` and `docs/performance.md`
//! explain why that is fast; this module only defines the seeds.

mod counting;
mod digits;
mod layout;
mod segment;
mod trailing;
mod tunnel;

pub use digits::Digit;
pub use layout::{Layout, LayoutError};
pub use segment::{Family, Segment};
pub use tunnel::TUNNEL_START;

use crate::puzzle::Puzzle;
use crate::span::Span;

/// Highest difficulty in bits at which `auto` chooses `counting`: it takes an instant and finds the
/// smallest seed of all.
const COUNTING_BITS: u32 = 26;

/// Room that `auto` demands of a layout, as a multiple of the expected work: the chance that it
/// holds no solution is below e^-64.
const ROOM_FACTOR: f64 = 64.0;

/// An ordered set of seeds for one puzzle, numbered by nonces from 0 to `room`.
///
/// ```
/// use seedrush::{Difficulty, Encoding, Layout, Puzzle, SeedSpace};
/// let puzzle = Puzzle::new("abcdf", Difficulty::from_bytes(2)?, Encoding::Text)?;
/// let space = SeedSpace::new(&puzzle, Layout::Counting)?;
/// assert_eq!(space.seed(0x3a97), Some("3a97".to_owned()));
/// assert_eq!(space.nonce("3a97"), Some(0x3a97));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SeedSpace {
    puzzle: Puzzle,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Counting(counting::Counting),
    Trailing(trailing::Trailing),
    Tunnel(tunnel::Tunnel),
}

impl SeedSpace {
    /// Creates the space of `layout` for `puzzle`.
    ///
    /// # Errors
    /// Fails if the puzzle's string is too long for the layout.
    pub fn new(puzzle: &Puzzle, layout: Layout) -> Result<Self, LayoutError> {
        let kind = match layout {
            Layout::Counting => Kind::Counting(counting::Counting::new(puzzle)),
            Layout::Trailing => Kind::Trailing(trailing::Trailing::new(puzzle)?),
            Layout::Tunnel => Kind::Tunnel(tunnel::Tunnel::new(puzzle)),
        };
        Ok(Self { puzzle: puzzle.clone(), kind })
    }

    /// Chooses the best space for `puzzle`: `counting` for easy ones, else the layout with the fewest
    /// steps among those with room for 64 times the expected work.
    pub fn auto(puzzle: &Puzzle) -> Self {
        let counting =
            Self { puzzle: puzzle.clone(), kind: Kind::Counting(counting::Counting::new(puzzle)) };
        if puzzle.difficulty().bits() <= COUNTING_BITS {
            return counting;
        }
        let wanted = puzzle.difficulty().expected_work() * ROOM_FACTOR;
        [Layout::Tunnel, Layout::Trailing]
            .into_iter()
            .filter_map(|layout| Self::new(puzzle, layout).ok())
            .filter(|space| space.room() as f64 >= wanted)
            .chain([counting.clone()])
            .min_by_key(|space| space.steps())
            .unwrap_or(counting)
    }

    /// Returns the puzzle of this space.
    pub fn puzzle(&self) -> &Puzzle {
        &self.puzzle
    }

    /// Returns the layout of this space.
    pub fn layout(&self) -> Layout {
        match self.kind {
            Kind::Counting(_) => Layout::Counting,
            Kind::Trailing(_) => Layout::Trailing,
            Kind::Tunnel(_) => Layout::Tunnel,
        }
    }

    /// Returns the number of seeds; `u128::MAX` if there is no end.
    pub fn room(&self) -> u128 {
        match &self.kind {
            Kind::Counting(_) => u128::MAX,
            Kind::Trailing(trailing) => trailing.room(),
            Kind::Tunnel(tunnel) => tunnel.room(),
        }
    }

    /// Returns the span of all nonces.
    pub fn whole(&self) -> Span {
        Span::new(0, self.room())
    }

    /// Returns the MD5 steps per candidate, without those done once per base.
    pub fn steps(&self) -> usize {
        let (start, length) = match &self.kind {
            // Message lengths differ; take that of the seeds where a solution is expected.
            Kind::Counting(counting) => {
                let bits = self.puzzle.difficulty().bits().clamp(32, 127);
                (1, counting.message_len(1 << bits))
            }
            Kind::Trailing(trailing) => (trailing.family_word(), 0),
            Kind::Tunnel(tunnel) => (TUNNEL_START, tunnel.message_len()),
        };
        let blocks = (length + 9).div_ceil(64).max(1);
        64 * (blocks - 1) + 61 - start
    }

    /// Returns the seed of `nonce` as the puzzle writes it; `None` outside the room.
    pub fn seed(&self, nonce: u128) -> Option<String> {
        if nonce >= self.room() {
            return None;
        }
        Some(match &self.kind {
            Kind::Counting(counting) => counting.seed(nonce),
            Kind::Trailing(trailing) => trailing.seed(nonce),
            Kind::Tunnel(tunnel) => tunnel.seed(nonce),
        })
    }

    /// Returns the nonce of a seed exactly as [`SeedSpace::seed`] writes it; `None` for any other.
    pub fn nonce(&self, seed: &str) -> Option<u128> {
        if !seed.is_ascii() {
            return None;
        }
        let nonce = match &self.kind {
            Kind::Counting(counting) => counting.nonce(seed),
            Kind::Trailing(trailing) => trailing.nonce(seed),
            Kind::Tunnel(tunnel) => tunnel.nonce(seed),
        }?;
        (self.seed(nonce).as_deref() == Some(seed)).then_some(nonce)
    }

    /// Returns the segment that contains `nonce`; `None` outside the room.
    pub fn segment(&self, nonce: u128) -> Option<Segment> {
        if nonce >= self.room() {
            return None;
        }
        Some(match &self.kind {
            Kind::Counting(counting) => counting.segment(nonce),
            Kind::Trailing(trailing) => trailing.segment(nonce),
            Kind::Tunnel(tunnel) => tunnel.segment(nonce),
        })
    }
}

#[cfg(test)]
mod tests;
