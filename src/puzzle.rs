//! What counts as a solution: string, difficulty, encoding, and the judge on the md-5 crate.
//!
//! Everything that claims to have found a seed ends here. The judge shares no code with the kernels.

use md5::{Digest as _, Md5};
use std::fmt;
use std::str::FromStr;

/// Longest string a puzzle may have, in hex digits.
pub const MAX_STRING_DIGITS: usize = 10_000;

/// Longest seed the judge looks at, in digits; no layout writes one nearly as long.
pub const MAX_SEED_CHARACTERS: usize = 128;

/// What was wrong with the words that describe a puzzle or a seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PuzzleError {
    /// More leading zero bytes than a digest has.
    #[error("{0} zero bytes: an MD5 digest has 16 bytes")]
    TooManyBytes(u32),
    /// More leading zero bits than a digest has.
    #[error("{0} zero bits: an MD5 digest has 128 bits")]
    TooManyBits(u32),
    /// A character that is not a hex digit.
    #[error("{what} may hold hex digits only: character {position} is {found:?}")]
    NotHex {
        /// "the string" or "the seed".
        what: &'static str,
        /// Counted from 1.
        position: usize,
        /// The offending character.
        found: char,
    },
    /// The string is longer than [`MAX_STRING_DIGITS`].
    #[error("the string has {0} digits; at most {MAX_STRING_DIGITS} are possible")]
    StringTooLong(usize),
    /// The seed has no digit, or more than [`MAX_SEED_CHARACTERS`].
    #[error("a seed has from 1 to {MAX_SEED_CHARACTERS} hex digits, this one has {0}")]
    SeedLength(usize),
    /// The word names no encoding.
    #[error("unknown encoding {0:?}: choose text or bytes")]
    UnknownEncoding(String),
    /// `0x` has no meaning where digits are decoded.
    #[error("a 0x in front of seeds needs the text encoding: bytes decodes hex digits only")]
    PrefixNeedsText,
}

/// How seed and string become the hashed message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The characters of seed, then string, exactly as written.
    #[default]
    Text,
    /// The bytes of the decoded hex number `seed | string`. A seed gets one leading 0 where the
    /// digit count would be odd.
    Bytes,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
        })
    }
}

impl FromStr for Encoding {
    type Err = PuzzleError;

    fn from_str(word: &str) -> Result<Self, PuzzleError> {
        match word {
            "text" => Ok(Self::Text),
            "bytes" => Ok(Self::Bytes),
            _ => Err(PuzzleError::UnknownEncoding(word.to_owned())),
        }
    }
}

/// How many leading zero bits a digest must have, 0 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u8);

impl Difficulty {
    /// A difficulty of `bits` zero bits.
    ///
    /// # Errors
    /// More than 128.
    pub fn from_bits(bits: u32) -> Result<Self, PuzzleError> {
        match u8::try_from(bits) {
            Ok(small @ 0..=128) => Ok(Self(small)),
            _ => Err(PuzzleError::TooManyBits(bits)),
        }
    }

    /// A difficulty of `bytes` zero bytes.
    ///
    /// # Errors
    /// More than 16.
    pub fn from_bytes(bytes: u32) -> Result<Self, PuzzleError> {
        if bytes > 16 { Err(PuzzleError::TooManyBytes(bytes)) } else { Self::from_bits(bytes * 8) }
    }

    /// In bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Candidates that one solution takes on average, `2^bits`.
    pub fn expected_work(self) -> f64 {
        f64::from(self.bits()).exp2()
    }

    /// The chance that `tested` candidates held at least one solution.
    pub fn chance(self, tested: f64) -> f64 {
        -(-tested / self.expected_work()).exp_m1()
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 8, self.0 % 8) {
            (1, 0) => write!(f, "1 zero byte"),
            (bytes, 0) => write!(f, "{bytes} zero bytes"),
            _ => write!(f, "{} zero bits", self.0),
        }
    }
}

/// An MD5 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of `message`, by the md-5 crate.
    pub fn of(message: &[u8]) -> Self {
        Self(Md5::digest(message).into())
    }

    /// Leading zero bits.
    pub fn zero_bits(self) -> u32 {
        u128::from_be_bytes(self.0).leading_zeros()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A string, a difficulty and an encoding: what is searched for.
///
/// ```
/// use seedrush::{Difficulty, Encoding, Puzzle};
/// let puzzle = Puzzle::new("abcdf", Difficulty::from_bytes(2)?, Encoding::Text)?;
/// assert!(puzzle.is_solved_by("3a97"));
/// assert!(!puzzle.is_solved_by("3a98"));
/// # Ok::<(), seedrush::PuzzleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Puzzle {
    string: String,
    difficulty: Difficulty,
    encoding: Encoding,
    seed_prefix: bool,
}

impl Puzzle {
    /// A puzzle; `string` is used exactly as written.
    ///
    /// # Errors
    /// `string` is too long or holds something other than hex digits.
    pub fn new(
        string: impl Into<String>,
        difficulty: Difficulty,
        encoding: Encoding,
    ) -> Result<Self, PuzzleError> {
        let string = string.into();
        check_hex("the string", &string)?;
        if string.len() > MAX_STRING_DIGITS {
            return Err(PuzzleError::StringTooLong(string.len()));
        }
        Ok(Self { string, difficulty, encoding, seed_prefix: false })
    }

    /// The same puzzle with seeds written as `0x...`, as the first programs of this kind do.
    ///
    /// # Errors
    /// The encoding is not text.
    pub fn with_seed_prefix(mut self) -> Result<Self, PuzzleError> {
        if self.encoding != Encoding::Text {
            return Err(PuzzleError::PrefixNeedsText);
        }
        self.seed_prefix = true;
        Ok(self)
    }

    /// The string behind every seed.
    pub fn string(&self) -> &str {
        &self.string
    }

    /// How many leading zero bits make a solution.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// How seed and string become a message.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether seeds are written with a leading `0x`.
    pub fn seed_prefix(&self) -> bool {
        self.seed_prefix
    }

    /// `seed` as this puzzle writes it: in `bytes`, with one leading 0 where the digit count of
    /// `seed | string` would be odd. In `text`, a leading `0x` is part of the characters.
    ///
    /// # Errors
    /// `seed` is empty, too long, or not hex.
    pub fn written_seed(&self, seed: &str) -> Result<String, PuzzleError> {
        Ok(format!("{}{seed}", self.padding(seed)?))
    }

    /// What [`Puzzle::written_seed`] writes in front of `seed`.
    fn padding(&self, seed: &str) -> Result<&'static str, PuzzleError> {
        let digits = match self.encoding {
            Encoding::Text => seed.strip_prefix("0x").unwrap_or(seed),
            Encoding::Bytes => seed,
        };
        check_hex("the seed", digits).map_err(|error| match error {
            PuzzleError::NotHex { what, position, found } => {
                PuzzleError::NotHex { what, position: position + seed.len() - digits.len(), found }
            }
            other => other,
        })?;
        if digits.is_empty() || digits.len() > MAX_SEED_CHARACTERS {
            return Err(PuzzleError::SeedLength(digits.len()));
        }
        let odd = (digits.len() + self.string.len()) % 2 == 1;
        Ok(if self.encoding == Encoding::Bytes && odd { "0" } else { "" })
    }

    /// The hashed message for `seed`.
    ///
    /// # Errors
    /// As [`Puzzle::written_seed`].
    pub fn message(&self, seed: &str) -> Result<Vec<u8>, PuzzleError> {
        let characters = self.written_seed(seed)? + &self.string;
        Ok(match self.encoding {
            Encoding::Text => characters.into_bytes(),
            Encoding::Bytes => characters.as_bytes().chunks_exact(2).map(byte_of).collect(),
        })
    }

    /// The digest that `seed` gives.
    ///
    /// # Errors
    /// As [`Puzzle::written_seed`].
    pub fn digest(&self, seed: &str) -> Result<Digest, PuzzleError> {
        Ok(match self.encoding {
            // A server judges hundreds of thousands of shares a second: no copies.
            Encoding::Text => {
                let hash = Md5::new_with_prefix(self.padding(seed)?);
                Digest(hash.chain_update(seed).chain_update(&self.string).finalize().into())
            }
            Encoding::Bytes => Digest::of(&self.message(seed)?),
        })
    }

    /// The judge: whether `seed` is a seed and its digest is difficult enough.
    pub fn is_solved_by(&self, seed: &str) -> bool {
        self.digest(seed).is_ok_and(|digest| digest.zero_bits() >= self.difficulty.bits())
    }
}

/// Two checked hex digits.
fn byte_of(pair: &[u8]) -> u8 {
    pair.iter()
        .fold(0, |byte, &c| byte << 4 | char::from(c).to_digit(16).map_or(0, |digit| digit as u8))
}

fn check_hex(what: &'static str, digits: &str) -> Result<(), PuzzleError> {
    if digits.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(());
    }
    match digits.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
        Some((index, found)) => Err(PuzzleError::NotHex { what, position: index + 1, found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puzzle(string: &str, encoding: Encoding) -> Puzzle {
        Puzzle::new(string, Difficulty::from_bytes(1).unwrap(), encoding).unwrap()
    }

    #[test]
    fn text_hashes_the_characters_as_written() {
        let puzzle = puzzle("aBc", Encoding::Text);
        assert_eq!(puzzle.message("1F").unwrap(), b"1FaBc");
        assert_eq!(puzzle.message("0x1f").unwrap(), b"0x1faBc");
        assert_eq!(puzzle.digest("0x1f").unwrap(), Digest::of(b"0x1faBc"));
    }

    #[test]
    fn bytes_pads_odd_digit_counts_with_one_zero() {
        let puzzle = puzzle("aBc", Encoding::Bytes);
        assert_eq!(puzzle.message("1").unwrap(), [0x1a, 0xbc]);
        assert_eq!(puzzle.message("12").unwrap(), [0x01, 0x2a, 0xbc]);
        assert_eq!(puzzle.written_seed("12").unwrap(), "012");
        assert!(puzzle.message("0x1").is_err());
    }

    #[test]
    fn errors_say_which_character_and_where() {
        let error = Puzzle::new("12g4", Difficulty::from_bytes(1).unwrap(), Encoding::Text);
        let text = error.unwrap_err().to_string();
        assert!(text.contains("character 3") && text.contains("'g'"), "{text}");
        assert_eq!(Difficulty::from_bytes(17), Err(PuzzleError::TooManyBytes(17)));
        assert_eq!(Difficulty::from_bits(129), Err(PuzzleError::TooManyBits(129)));
        assert!(puzzle("", Encoding::Text).digest("").is_err());
        assert!(puzzle("", Encoding::Text).digest("é").is_err());
        assert!(puzzle("a", Encoding::Bytes).with_seed_prefix().is_err());
    }

    #[test]
    fn zero_bits_are_counted_from_the_front() {
        assert_eq!(Digest([0; 16]).zero_bits(), 128);
        let mut bytes = [0xff; 16];
        bytes[..3].copy_from_slice(&[0, 0, 0x10]);
        assert_eq!(Digest(bytes).zero_bits(), 19);
    }

    #[test]
    fn chance_is_exact_for_small_and_large_numbers() {
        let difficulty = Difficulty::from_bits(20).unwrap();
        assert!((difficulty.chance(f64::from(1u32 << 20)) - 0.632_120_558).abs() < 1e-6);
        assert!(difficulty.chance(1.0) > 0.0);
        assert_eq!(difficulty.chance(1e30), 1.0);
    }
}
