//! Seed spaces: ordered sets of seeds, `nonce` (u128) to seed and back.
//!
//! A space also says how it is best walked: it cuts itself into [`Segment`]s, in which all that
//! differs between candidates is a few digits of the base and the member of the family.
//! `docs/performance.md` and `plan` say why that is fast; this module says which seeds there are.

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

/// Most hex digits of a base that vary inside one segment: they fit a `u32`.
pub(crate) const SEGMENT_DIGITS: usize = 8;

/// Up to this many bits `auto` takes `counting`: a blink, and the smallest seed there is.
const COUNTING_BITS: u32 = 26;

/// A layout has room enough when it holds this many times the expected work; the chance that it
/// holds no solution is then below e^-64.
const ROOM_FACTOR: f64 = 64.0;

/// An order in which seeds are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 0, 1, 2, .. in hex without leading zeros: the smallest seed wins.
    Counting,
    /// Seeds of one length, the digits right before the string varying fastest.
    Trailing,
    /// Prefixes with a message-modification tunnel: 38 steps a candidate instead of 61.
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

/// Why there is no such seed space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The word names no layout.
    #[error("unknown seed layout {0:?}: choose auto, counting, trailing or tunnel")]
    Unknown(String),
    /// No message word is left for the seed in the last block.
    #[error(
        "the string is too long for the trailing layout: {digits} digits, at most {most} are \
         possible; choose tunnel or counting"
    )]
    StringTooLong {
        /// Digits of the string.
        digits: usize,
        /// The most that this layout takes in this encoding.
        most: usize,
    },
}

impl FromStr for Layout {
    type Err = LayoutError;

    fn from_str(word: &str) -> Result<Self, LayoutError> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.to_string() == word)
            .ok_or_else(|| LayoutError::Unknown(word.to_owned()))
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

/// A run of nonces that one plan serves: nonce = base * F + member, and of the base only
/// `base_digits` differ inside the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The nonces of the segment. Its ends may cut a base's family; bases between are whole.
    pub span: Span,
    /// The base whose varying digits are all zero; a multiple of 16^(number of base digits).
    pub first_base: u128,
    /// The whole unpadded message of `first_base`, zero bits where digits vary.
    pub message: Vec<u8>,
    /// Where the varying digits of the base stand, least significant first.
    pub base_digits: Vec<Digit>,
    /// What differs from member to member.
    pub family: Family,
}

/// The members of every base: what the inner loop walks through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// The last digits of the seed, all in one message word; 16^n members.
    Digits(Vec<Digit>),
    /// Words 3, 4 and 7 of the first block for each member; other words and the state before step
    /// 23 are the same for all of them.
    Tunnel(Vec<[u32; 3]>),
}

impl Family {
    /// Number of members.
    pub fn size(&self) -> u32 {
        match self {
            Self::Digits(digits) => 1 << (4 * digits.len()),
            Self::Tunnel(members) => members.len() as u32,
        }
    }
}

impl SeedSpace {
    /// The seeds of `layout` for `puzzle`.
    ///
    /// # Errors
    /// The layout cannot hold the puzzle's string.
    pub fn new(puzzle: &Puzzle, layout: Layout) -> Result<Self, LayoutError> {
        let kind = match layout {
            Layout::Counting => Kind::Counting(counting::Counting::new(puzzle)),
            Layout::Trailing => Kind::Trailing(trailing::Trailing::new(puzzle)?),
            Layout::Tunnel => Kind::Tunnel(tunnel::Tunnel::new(puzzle)),
        };
        Ok(Self { puzzle: puzzle.clone(), kind })
    }

    /// The space that suits `puzzle` best: `counting` while that takes a blink, beyond it the
    /// cheapest layout with room for 64 times the expected work.
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

    /// The puzzle whose seeds these are.
    pub fn puzzle(&self) -> &Puzzle {
        &self.puzzle
    }

    /// The layout of this space.
    pub fn layout(&self) -> Layout {
        match self.kind {
            Kind::Counting(_) => Layout::Counting,
            Kind::Trailing(_) => Layout::Trailing,
            Kind::Tunnel(_) => Layout::Tunnel,
        }
    }

    /// Number of seeds; `u128::MAX` where there is no end.
    pub fn room(&self) -> u128 {
        match &self.kind {
            Kind::Counting(_) => u128::MAX,
            Kind::Trailing(trailing) => trailing.room(),
            Kind::Tunnel(tunnel) => tunnel.room(),
        }
    }

    /// All nonces.
    pub fn whole(&self) -> Span {
        Span::new(0, self.room())
    }

    /// MD5 steps that one candidate costs, the work per base left out.
    pub fn steps(&self) -> usize {
        let (start, length) = match &self.kind {
            // The seed in whose neighbourhood a solution is to be expected stands for the rest.
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

    /// The seed with this nonce, as it is written in front of the string; `None` outside the room.
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

    /// The nonce of a seed exactly as [`SeedSpace::seed`] writes it; `None` for any other.
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

    /// The segment that holds `nonce`; `None` outside the room.
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

/// What the layouts need of a puzzle: the characters or digits around the seed's digits.
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

    /// The message for `digits`, which must make the total even in `bytes`.
    fn message(&self, digits: &str) -> Vec<u8> {
        digits::message(self.encoding, &format!("{}{digits}{}", self.prefix, self.string))
    }

    /// Places of the `count` digits that end at digit `end` of the seed (prefix not counted), least
    /// significant first.
    fn places(&self, end: usize, count: usize) -> Vec<Digit> {
        (0..count).map(|n| Digit::new(self.encoding, self.prefix.len() + end - 1 - n)).collect()
    }

    /// Length of the string in message bytes, rounded down where a digit shares the seed's byte.
    fn string_bytes(&self) -> usize {
        match self.encoding {
            Encoding::Text => self.string.len(),
            Encoding::Bytes => self.string.len() / 2,
        }
    }
}

/// How many of the `digits` that end a seed form its family: two where they share a message word,
/// else one, so that a family never needs more than one word.
fn family_digits(surroundings: &Surroundings, digits: usize) -> usize {
    let last_two = surroundings.places(digits, digits.min(2));
    last_two.iter().filter(|digit| digit.word() == last_two[0].word()).count()
}

/// A segment of seeds that are plain hex numbers of `digits` digits: `span` cut to the bases that
/// share all but the last eight digits with the base of `nonce`.
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
