//! Seed spaces: ordered sets of seeds that map a `nonce` (u128) to a seed and back.
//!
//! For fast searches a space divides itself into [`Segment`]s. Inside one, candidates differ only
//! in a few digits of the base and in the member of the family. `plan` and `docs/performance.md`
//! explain why that is fast; this module only defines the seeds.

mod counting;
mod digits;
mod trailing;
mod tunnel;

pub use digits::Digit;
pub use tunnel::TUNNEL_START;

use crate::puzzle::{Encoding, Puzzle};
use crate::span::Span;
use std::fmt;
use std::str::FromStr;

/// Most digits of a base that vary inside one segment: eight fit a `u32`.
pub(crate) const SEGMENT_DIGITS: usize = 8;

/// Highest difficulty in bits at which `auto` chooses `counting`: it takes an instant and finds the
/// smallest seed of all.
const COUNTING_BITS: u32 = 26;

/// Room that `auto` demands of a layout, as a multiple of the expected work: the chance that it
/// holds no solution is below e^-64.
const ROOM_FACTOR: f64 = 64.0;

/// A set of seeds and the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 0, 1, 2, .. in hex without leading zeros; the smallest seed is found first.
    Counting,
    /// Seeds of one length; the digits right before the string vary fastest.
    Trailing,
    /// Prefixes with a message-modification tunnel: 38 steps per candidate instead of 61.
    Tunnel,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 3] = [Layout::Counting, Layout::Trailing, Layout::Tunnel];
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Counting => "counting",
            Self::Trailing => "trailing",
            Self::Tunnel => "tunnel",
        })
    }
}

/// Reports a layout that does not exist or cannot hold the puzzle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The name is not a layout.
    #[error("unknown seed layout {0:?}: choose auto, counting, trailing or tunnel")]
    Unknown(String),
    /// The string leaves the seed no message word in the block.
    #[error(
        "the string is too long for the trailing layout: it has {digits} digits, the limit is \
         {most}; choose tunnel or counting"
    )]
    StringTooLong {
        /// Number of digits of the string.
        digits: usize,
        /// Longest string that this layout takes in the encoding of the puzzle.
        most: usize,
    },
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(name: &str) -> Result<Self, LayoutError> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.to_string() == name)
            .ok_or_else(|| LayoutError::Unknown(name.to_owned()))
    }
}

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

/// A run of nonces that one plan serves, where nonce = base * F + member. Bases of one segment
/// differ only in `base_digits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The nonces of the segment. Its first and last base may be cut; the others are complete.
    pub span: Span,
    /// The base whose varying digits are all zero; a multiple of 16^(number of base digits).
    pub first_base: u128,
    /// The complete unpadded message of `first_base`, with zero bits where digits vary.
    pub message: Vec<u8>,
    /// The places of the base's varying digits, least significant first.
    pub base_digits: Vec<Digit>,
    /// The words or digits that differ between members.
    pub family: Family,
}

/// The members of every base; kernels try them in the inner loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// The last digits of the seed, all in one message word; 16^n members.
    Digits(Vec<Digit>),
    /// Words 3, 4 and 7 of the first block for each member; all members share the other words and
    /// the state before step 23.
    Tunnel(Vec<[u32; 3]>),
}

impl Family {
    /// Returns the number of members.
    pub fn size(&self) -> u32 {
        match self {
            Self::Digits(digits) => 1 << (4 * digits.len()),
            Self::Tunnel(members) => members.len() as u32,
        }
    }
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

/// The characters before and after the seed's digits, and their encoding.
#[derive(Clone, Debug)]
struct Surroundings {
    encoding: Encoding,
    prefix: &'static str,
    string: String,
}

impl Surroundings {
    fn of(puzzle: &Puzzle) -> Self {
        Self {
            encoding: puzzle.encoding(),
            prefix: if puzzle.seed_prefix() { "0x" } else { "" },
            string: puzzle.string().to_owned(),
        }
    }

    /// Returns the message of `digits`, which must make the total even in `bytes`.
    fn message(&self, digits: &str) -> Vec<u8> {
        self.encoding.message(format!("{}{digits}{}", self.prefix, self.string))
    }

    /// Returns the places of the `count` digits before digit `end` of the seed (the prefix does not
    /// count), least significant first.
    fn places(&self, end: usize, count: usize) -> Vec<Digit> {
        (0..count).map(|n| Digit::new(self.encoding, self.prefix.len() + end - 1 - n)).collect()
    }

    /// Returns the length of the string in message bytes, without a digit that shares the seed's
    /// last byte.
    fn string_bytes(&self) -> usize {
        match self.encoding {
            Encoding::Text => self.string.len(),
            Encoding::Bytes => self.string.len() / 2,
        }
    }
}

/// Returns how many of the `digits` of a seed form the family: the last two if they share a message
/// word, else one, so that a family never varies two words.
fn family_digits(surroundings: &Surroundings, digits: usize) -> usize {
    let last_two = surroundings.places(digits, digits.min(2));
    last_two.iter().filter(|digit| digit.word() == last_two[0].word()).count()
}

/// Returns a segment of seeds that are plain hex numbers of `digits` digits: the part of `span` whose
/// bases share all but the last eight digits with the base of `nonce`.
fn number_segment(around: &Surroundings, digits: usize, span: Span, nonce: u128) -> Segment {
    let family = family_digits(around, digits);
    let low = (digits - family).min(SEGMENT_DIGITS);
    let size = 1u128 << (4 * (family + low));
    let first = nonce - nonce % size;
    let mut message = around.message(&format!("{first:0digits$x}"));
    let base_digits = around.places(digits - family, low);
    let family = around.places(digits, family);
    for digit in base_digits.iter().chain(&family) {
        digit.clear(&mut message);
    }
    Segment {
        span: span.intersect(Span::with_len(first, size)),
        first_base: first >> (4 * family.len()),
        message,
        base_digits,
        family: Family::Digits(family),
    }
}

#[cfg(test)]
mod tests;
