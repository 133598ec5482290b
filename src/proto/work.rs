//! Descriptions of jobs on the wire.

use super::fields::{from_wire, narrow, to_wire, wide, wrong};
use super::{ProtoError, wire};
use crate::jobs::{JobKind, JobSpec, MAX_WANTED, Md5Search, SumOfSquares};
use crate::puzzle::{Difficulty, Encoding, MAX_STRING_DIGITS, Puzzle, PuzzleError};
use crate::seeds::{Layout, SeedSpace};

/// The description of a job, or a part of it where the string is too long for one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A search for seeds.
    Md5Search(Md5Part),
    /// A sum.
    SumOfSquares(Squares),
}

/// The sum of the squares of all whole numbers from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Squares {
    /// The first number.
    pub first: u128,
    /// The last number, not below the first, at most 2^64.
    pub last: u128,
}

/// A puzzle, with a part of its string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Md5Part {
    /// Difficulty.
    pub difficulty: Difficulty,
    /// Encoding.
    pub encoding: Encoding,
    /// True if seeds are written with `0x`.
    pub seed_prefix: bool,
    /// Order of the seeds; in a submission, `None` leaves it to the server.
    pub layout: Option<Layout>,
    /// Number of solutions wanted.
    pub solutions: u32,
    /// Number of digits of the whole string.
    pub string_length: usize,
    /// Offset of `digits` in the string.
    pub offset: usize,
    /// Some digits of the string, or all.
    pub digits: String,
}

impl Md5Part {
    /// Cuts out the part of `puzzle` that begins at digit `offset` and has at most `most` digits.
    pub fn new(
        puzzle: &Puzzle,
        layout: Option<Layout>,
        solutions: u32,
        offset: usize,
        most: usize,
    ) -> Self {
        let string = puzzle.string();
        let from = offset.min(string.len());
        let to = from.saturating_add(most).min(string.len());
        Self {
            difficulty: puzzle.difficulty(),
            encoding: puzzle.encoding(),
            seed_prefix: puzzle.seed_prefix(),
            layout,
            solutions,
            string_length: string.len(),
            offset: from,
            // A puzzle's string holds hex digits only, so every index is a character boundary.
            digits: string[from..to].to_owned(),
        }
    }

    /// Makes the puzzle of all of its `string`.
    ///
    /// # Errors
    /// The string is not valid.
    pub fn puzzle(&self, string: &str) -> Result<Puzzle, PuzzleError> {
        let puzzle = Puzzle::new(string, self.difficulty, self.encoding)?;
        if self.seed_prefix { puzzle.with_seed_prefix() } else { Ok(puzzle) }
    }

    /// Returns true if `digits` is the whole string.
    pub fn is_whole(&self) -> bool {
        self.offset == 0 && self.digits.len() == self.string_length
    }
}

const ENCODINGS: [(wire::Encoding, Encoding); 2] =
    [(wire::Encoding::Text, Encoding::Text), (wire::Encoding::Bytes, Encoding::Bytes)];

const LAYOUTS: [(wire::Layout, Option<Layout>); 4] = [
    (wire::Layout::Unspecified, None),
    (wire::Layout::Counting, Some(Layout::Counting)),
    (wire::Layout::Trailing, Some(Layout::Trailing)),
    (wire::Layout::Tunnel, Some(Layout::Tunnel)),
];

impl From<Md5Part> for wire::Md5Search {
    fn from(part: Md5Part) -> Self {
        Self {
            bits: part.difficulty.bits(),
            encoding: to_wire(&ENCODINGS, &part.encoding).unwrap_or_default().into(),
            seed_prefix: part.seed_prefix,
            layout: to_wire(&LAYOUTS, &part.layout).unwrap_or_default().into(),
            solutions: part.solutions,
            string_length: part.string_length as u32,
            offset: part.offset as u32,
            digits: part.digits,
        }
    }
}

impl TryFrom<wire::Md5Search> for Md5Part {
    type Error = ProtoError;

    fn try_from(wire: wire::Md5Search) -> Result<Self, ProtoError> {
        let encoding = wire::Encoding::try_from(wire.encoding).ok();
        let layout = wire::Layout::try_from(wire.layout).ok();
        let (length, offset) = (wire.string_length as usize, wire.offset as usize);
        if length > MAX_STRING_DIGITS {
            return Err(wrong("string_length", "more than 10,000"));
        }
        if offset.saturating_add(wire.digits.len()) > length {
            return Err(wrong("digits", "beyond the end of the string"));
        }
        if !wire.digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong("digits", "not hex digits"));
        }
        if !(1..=MAX_WANTED).contains(&wire.solutions) {
            return Err(wrong("solutions", "not from 1 to 1,000"));
        }
        let encoding = from_wire("encoding", &ENCODINGS, encoding)?;
        if wire.seed_prefix && encoding != Encoding::Text {
            return Err(wrong("seed_prefix", "needs the text encoding"));
        }
        Ok(Self {
            difficulty: Difficulty::from_bits(wire.bits).map_err(|_| wrong("bits", "over 128"))?,
            encoding,
            seed_prefix: wire.seed_prefix,
            layout: from_wire("layout", &LAYOUTS, layout)?,
            solutions: wire.solutions,
            string_length: length,
            offset,
            digits: wire.digits,
        })
    }
}

impl From<Squares> for wire::SumOfSquares {
    fn from(squares: Squares) -> Self {
        Self { first: wide(squares.first), last: wide(squares.last) }
    }
}

impl TryFrom<wire::SumOfSquares> for Squares {
    type Error = ProtoError;

    fn try_from(wire: wire::SumOfSquares) -> Result<Self, ProtoError> {
        let (first, last) = (narrow("first", wire.first)?, narrow("last", wire.last)?);
        if first > last || last > SumOfSquares::LAST {
            return Err(wrong("last", "below the first, or over 2^64"));
        }
        Ok(Self { first, last })
    }
}

/// The kinds of jobs on the wire.
pub(super) const KINDS: [(wire::Kind, JobKind); JobKind::ALL.len()] = [
    (wire::Kind::Md5Search, JobKind::Md5Search),
    (wire::Kind::SumOfSquares, JobKind::SumOfSquares),
];

/// Converts the `kind` of a message that holds a job, to the wire and back.
macro_rules! in_message {
    ($($wire:ty),*) => {$(
        impl From<Work> for $wire {
            fn from(work: Work) -> Self {
                match work {
                    Work::Md5Search(part) => Self::Md5Search(part.into()),
                    Work::SumOfSquares(sum) => Self::SumOfSquares(sum.into()),
                }
            }
        }

        impl TryFrom<$wire> for Work {
            type Error = ProtoError;

            fn try_from(wire: $wire) -> Result<Self, ProtoError> {
                type Kind = $wire;
                Ok(match wire {
                    Kind::Md5Search(part) => Self::Md5Search(part.try_into()?),
                    Kind::SumOfSquares(sum) => Self::SumOfSquares(sum.try_into()?),
                })
            }
        }
    )*};
}
in_message!(wire::submit::Kind, wire::description::Kind);

impl Work {
    /// Returns true unless this is a part of a longer description.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Md5Search(part) => part.is_whole(),
            Self::SumOfSquares(_) => true,
        }
    }

    /// Returns the number of digits of the string up to the end of this part: the offset of the
    /// next one.
    pub fn next_offset(&self) -> usize {
        match self {
            Self::Md5Search(part) => part.offset + part.digits.len(),
            Self::SumOfSquares(_) => 0,
        }
    }

    /// Joins the next part to this one, which begins the description.
    ///
    /// # Errors
    /// The parts do not meet, or the next one is empty.
    pub fn join(self, next: Work) -> Result<Work, ProtoError> {
        match (self, next) {
            (Self::Md5Search(front), Self::Md5Search(next))
                if front.offset == 0
                    && next.offset == front.digits.len()
                    && !next.digits.is_empty() =>
            {
                let digits = front.digits + &next.digits;
                Ok(Self::Md5Search(Md5Part { offset: 0, digits, ..next }))
            }
            _ => Err(wrong("offset", "the description has a gap")),
        }
    }

    /// Returns `spec` with up to `most` digits of its string, from digit `offset` on.
    pub fn of(spec: &JobSpec, offset: usize, most: usize) -> Self {
        match spec {
            JobSpec::Md5Search(search) => Self::Md5Search(Md5Part::new(
                search.puzzle(),
                Some(search.space().layout()),
                search.wanted(),
                offset,
                most,
            )),
            JobSpec::SumOfSquares(sum) => {
                Self::SumOfSquares(Squares { first: sum.first(), last: sum.last() })
            }
        }
    }

    /// Returns the job of a submission, or of a whole description.
    ///
    /// # Errors
    /// The description is not valid; the sentence says why.
    pub fn spec(&self) -> Result<JobSpec, String> {
        Ok(match self {
            Self::Md5Search(part) => {
                let puzzle = part.puzzle(&part.digits).map_err(|error| error.to_string())?;
                let layout = part.layout.unwrap_or_else(|| SeedSpace::auto(&puzzle).layout());
                let search = Md5Search::new(&puzzle, layout, part.solutions);
                JobSpec::Md5Search(search.map_err(|error| error.to_string())?)
            }
            Self::SumOfSquares(Squares { first, last }) => {
                let sum = SumOfSquares::new(*first, *last);
                JobSpec::SumOfSquares(sum.map_err(|error| error.to_string())?)
            }
        })
    }
}
