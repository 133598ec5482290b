//! Puzzles (string, difficulty, encoding) and the judge, which hashes with the md-5 crate.
//!
//! Every seed that is claimed to be a solution is checked here. The judge shares no code with the
//! kernels.

use md5::{Digest as _, Md5};
use std::fmt;
use std::str::FromStr;

/// Longest string of a puzzle, in hex digits.
pub const MAX_STRING_DIGITS: usize = 10_000;

/// Longest seed that the judge accepts, in digits; every layout writes shorter ones.
pub const MAX_SEED_CHARACTERS: usize = 128;

/// Reports an invalid puzzle or seed.
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
        /// Names the text: "the string" or "the seed".
        what: &'static str,
        /// Position in characters, counted from 1.
        position: usize,
        /// The character at that position.
        found: char,
    },
    /// The string is longer than [`MAX_STRING_DIGITS`].
    #[error("the string has {0} digits; the limit is {MAX_STRING_DIGITS}")]
    StringTooLong(usize),
    /// The seed has no digits, or more than [`MAX_SEED_CHARACTERS`].
    #[error("the seed has {0} digits; it must have from 1 to {MAX_SEED_CHARACTERS}")]
    SeedLength(usize),
    /// The name is not an encoding.
    #[error("unknown encoding {0:?}: choose text or bytes")]
    UnknownEncoding(String),
    /// Seeds with a leading `0x` cannot be decoded as digits.
    #[error("seeds with a leading 0x need the text encoding; bytes decodes hex digits only")]
    PrefixNeedsText,
}

/// The way seed and string form the hashed message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The characters of the seed, then of the string, exactly as written.
    #[default]
    Text,
    /// The bytes of the decoded hex number `seed | string`. The seed gets one leading 0 where the
    /// digit count would be odd.
    Bytes,
}

impl Encoding {
    /// Returns the message of `characters`, which must be an even number of hex digits in `bytes`.
    pub(crate) fn message(self, characters: String) -> Vec<u8> {
        let digit = |c: u8| char::from(c).to_digit(16).unwrap_or_default() as u8;
        match self {
            Self::Text => characters.into_bytes(),
            Self::Bytes => {
                let pairs = characters.as_bytes().chunks_exact(2);
                pairs.map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect()
            }
        }
    }
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

    fn from_str(name: &str) -> Result<Self, PuzzleError> {
        match name {
            "text" => Ok(Self::Text),
            "bytes" => Ok(Self::Bytes),
            _ => Err(PuzzleError::UnknownEncoding(name.to_owned())),
        }
    }
}

/// Number of leading zero bits that a digest must have, 0 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u8);

impl Difficulty {
    /// Creates a difficulty of `bits` zero bits.
    ///
    /// # Errors
    /// Fails above 128.
    pub fn from_bits(bits: u32) -> Result<Self, PuzzleError> {
        match u8::try_from(bits) {
            Ok(small @ 0..=128) => Ok(Self(small)),
            _ => Err(PuzzleError::TooManyBits(bits)),
        }
    }

    /// Creates a difficulty of `bytes` zero bytes.
    ///
    /// # Errors
    /// Fails above 16.
    pub fn from_bytes(bytes: u32) -> Result<Self, PuzzleError> {
        if bytes > 16 { Err(PuzzleError::TooManyBytes(bytes)) } else { Self::from_bits(bytes * 8) }
    }

    /// Returns the number of zero bits.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Returns the average number of candidates per solution, `2^bits`.
    pub fn expected_work(self) -> f64 {
        f64::from(self.bits()).exp2()
    }

    /// Returns the chance that at least one of `tested` candidates is a solution.
    pub fn chance(self, tested: f64) -> f64 {
        -(-tested / self.expected_work()).exp_m1()
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 8, self.0 % 8) {
            (1, 0) => write!(f, "1 zero byte"),
            (bytes, 0) => write!(f, "{bytes} zero bytes"),
            (0, 1) => write!(f, "1 zero bit"),
            _ => write!(f, "{} zero bits", self.0),
        }
    }
}

/// An MD5 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Hashes `message` with the md-5 crate.
    pub fn of(message: &[u8]) -> Self {
        Self(Md5::digest(message).into())
    }

    /// Returns the number of leading zero bits.
    pub fn zero_bits(self) -> u32 {
        u128::from_be_bytes(self.0).leading_zeros()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A string, a difficulty and an encoding; its solutions are seeds.
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
    /// Creates a puzzle; `string` is used exactly as written.
    ///
    /// # Errors
    /// Fails if `string` is too long or holds anything but hex digits.
    pub fn new(
        string: impl Into<String>,
        difficulty: Difficulty,
        encoding: Encoding,
    ) -> Result<Self, PuzzleError> {
        let string = string.into();
        check_hex("the string", &string, 0)?;
        if string.len() > MAX_STRING_DIGITS {
            return Err(PuzzleError::StringTooLong(string.len()));
        }
        Ok(Self { string, difficulty, encoding, seed_prefix: false })
    }

    /// Makes seeds start with `0x`, as the first programs of this kind do.
    ///
    /// # Errors
    /// Fails unless the encoding is `text`.
    pub fn with_seed_prefix(mut self) -> Result<Self, PuzzleError> {
        if self.encoding != Encoding::Text {
            return Err(PuzzleError::PrefixNeedsText);
        }
        self.seed_prefix = true;
        Ok(self)
    }

    /// Returns the string, which follows every seed.
    pub fn string(&self) -> &str {
        &self.string
    }

    /// Returns the number of leading zero bits that a solution needs.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// Returns the way seed and string form a message.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns true if seeds start with `0x`.
    pub fn seed_prefix(&self) -> bool {
        self.seed_prefix
    }

    /// Returns `seed` as this puzzle writes it: in `bytes`, with one leading 0 where the digit count
    /// of `seed | string` would be odd. In `text`, a leading `0x` is part of the characters.
    ///
    /// # Errors
    /// Fails if `seed` is empty, too long, or not hex.
    pub fn written_seed(&self, seed: &str) -> Result<String, PuzzleError> {
        Ok(format!("{}{seed}", self.padding(seed)?))
    }

    /// Returns the digit that [`Puzzle::written_seed`] writes in front of `seed`, if any.
    fn padding(&self, seed: &str) -> Result<&'static str, PuzzleError> {
        let digits = match self.encoding {
            Encoding::Text => seed.strip_prefix("0x").unwrap_or(seed),
            Encoding::Bytes => seed,
        };
        check_hex("the seed", digits, seed.len() - digits.len())?;
        if digits.is_empty() || digits.len() > MAX_SEED_CHARACTERS {
            return Err(PuzzleError::SeedLength(digits.len()));
        }
        let odd = (digits.len() + self.string.len()) % 2 == 1;
        Ok(if self.encoding == Encoding::Bytes && odd { "0" } else { "" })
    }

    /// Returns the message that is hashed for `seed`.
    ///
    /// # Errors
    /// Fails as [`Puzzle::written_seed`] does.
    pub fn message(&self, seed: &str) -> Result<Vec<u8>, PuzzleError> {
        Ok(self.encoding.message(self.written_seed(seed)? + &self.string))
    }

    /// Returns the digest of the message for `seed`.
    ///
    /// # Errors
    /// Fails as [`Puzzle::written_seed`] does.
    pub fn digest(&self, seed: &str) -> Result<Digest, PuzzleError> {
        Ok(match self.encoding {
            // A server judges hundreds of thousands of shares per second, so it copies nothing.
            Encoding::Text => {
                let hash = Md5::new_with_prefix(self.padding(seed)?);
                Digest(hash.chain_update(seed).chain_update(&self.string).finalize().into())
            }
            Encoding::Bytes => Digest::of(&self.message(seed)?),
        })
    }

    /// Judges `seed`: returns true if it is a valid seed and its digest has enough zero bits.
    pub fn is_solved_by(&self, seed: &str) -> bool {
        self.digest(seed).is_ok_and(|digest| digest.zero_bits() >= self.difficulty.bits())
    }
}

/// Checks that `digits`, which follow `before` other characters of a text, are hex digits.
fn check_hex(what: &'static str, digits: &str, before: usize) -> Result<(), PuzzleError> {
    // All bytes before the first that is not a digit are ASCII, so its index counts characters.
    let bad = digits.bytes().position(|c| !c.is_ascii_hexdigit());
    match bad.and_then(|index| Some((index, digits[index..].chars().next()?))) {
        Some((index, found)) => {
            Err(PuzzleError::NotHex { what, position: before + index + 1, found })
        }
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
        assert_eq!(puzzle.digest("1").unwrap(), Digest::of(&[0x1a, 0xbc]));
        let long = puzzle.message("0123456789abcdefABCDE").unwrap();
        let expected = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\xab\xcd\xea\xbc";
        assert_eq!(long, expected);
    }

    #[test]
    fn digests_are_those_of_the_rfc() {
        let long = "1234567890".repeat(8);
        for (message, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (&long, "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            assert_eq!(Digest::of(message.as_bytes()).to_string(), digest);
        }
    }

    #[test]
    fn zero_bits_are_counted_from_the_front() {
        assert_eq!(Digest([0; 16]).zero_bits(), 128);
        let mut bytes = [0xff; 16];
        bytes[..3].copy_from_slice(&[0, 0, 0x10]);
        assert_eq!(Digest(bytes).zero_bits(), 19);
    }

    #[test]
    fn a_seed_solves_up_to_its_zero_bits_and_not_beyond() {
        for encoding in [Encoding::Text, Encoding::Bytes] {
            for seed in 0..64 {
                let seed = format!("{seed:04x}");
                let zeros = puzzle("abcd", encoding).digest(&seed).unwrap().zero_bits();
                for bits in 0..12 {
                    let difficulty = Difficulty::from_bits(bits).unwrap();
                    let puzzle = Puzzle::new("abcd", difficulty, encoding).unwrap();
                    assert_eq!(puzzle.is_solved_by(&seed), bits <= zeros, "{seed} {bits}");
                }
            }
        }
        let anything = Puzzle::new("", Difficulty::from_bits(0).unwrap(), Encoding::Text).unwrap();
        assert!(anything.is_solved_by("0") && !anything.is_solved_by("xyz"));
    }

    /// The position and the character that an error reports.
    fn not_hex<T: fmt::Debug>(result: Result<T, PuzzleError>) -> (&'static str, usize, char) {
        match result.unwrap_err() {
            PuzzleError::NotHex { what, position, found } => (what, position, found),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn errors_name_the_character_and_its_position() {
        let difficulty = Difficulty::from_bytes(1).unwrap();
        for (string, position, found) in [("g", 1, 'g'), ("12g4", 3, 'g'), ("ab é", 3, ' ')] {
            let result = Puzzle::new(string, difficulty, Encoding::Text);
            assert_eq!(not_hex(result), ("the string", position, found));
        }
        let (text, bytes) = (puzzle("ab", Encoding::Text), puzzle("ab", Encoding::Bytes));
        for (seed, position, found) in
            [("é", 1, 'é'), ("12g", 3, 'g'), ("0xg", 3, 'g'), ("0x12éé", 5, 'é'), ("0x0x1", 4, 'x')]
        {
            assert_eq!(not_hex(text.digest(seed)), ("the seed", position, found));
        }
        assert_eq!(not_hex(bytes.written_seed("0x1")), ("the seed", 2, 'x'));
        let error = text.message("12g").unwrap_err().to_string();
        assert_eq!(error, "the seed may hold hex digits only: character 3 is 'g'");
    }

    #[test]
    fn seeds_have_from_1_to_128_digits() {
        for encoding in [Encoding::Text, Encoding::Bytes] {
            let puzzle = puzzle("ab", encoding);
            for digits in [1, 127, 128] {
                assert!(puzzle.digest(&"f".repeat(digits)).is_ok(), "{digits}");
            }
            for digits in [0, 129, 1000] {
                let error = puzzle.digest(&"f".repeat(digits)).unwrap_err();
                assert_eq!(error, PuzzleError::SeedLength(digits));
            }
        }
        let text = puzzle("ab", Encoding::Text);
        let longest = format!("0x{}", "f".repeat(128));
        assert_eq!(text.written_seed(&longest).unwrap(), longest, "0x is no digit");
        assert_eq!(text.digest("0x").unwrap_err(), PuzzleError::SeedLength(0));
        let odd = puzzle("abc", Encoding::Bytes).message(&"f".repeat(128)).unwrap();
        assert_eq!(odd.len(), 66, "the padding of an odd total counts as no digit");
    }

    #[test]
    fn strings_have_up_to_10_000_digits() {
        let new = |digits| {
            Puzzle::new("a".repeat(digits), Difficulty::from_bits(0).unwrap(), Encoding::Text)
        };
        assert_eq!(new(MAX_STRING_DIGITS).unwrap().string().len(), 10_000);
        assert_eq!(new(10_001).unwrap_err(), PuzzleError::StringTooLong(10_001));
    }

    #[test]
    fn difficulties_end_where_the_digest_does() {
        assert_eq!(Difficulty::from_bytes(16).unwrap().bits(), 128);
        assert_eq!(Difficulty::from_bits(128).unwrap().bits(), 128);
        assert_eq!(Difficulty::from_bytes(17), Err(PuzzleError::TooManyBytes(17)));
        assert_eq!(Difficulty::from_bits(129), Err(PuzzleError::TooManyBits(129)));
        assert_eq!(Difficulty::from_bits(256), Err(PuzzleError::TooManyBits(256)));
        assert_eq!(Difficulty::from_bytes(u32::MAX), Err(PuzzleError::TooManyBytes(u32::MAX)));
    }

    #[test]
    fn difficulties_and_encodings_read_well() {
        for (bits, text) in [
            (0, "0 zero bytes"),
            (1, "1 zero bit"),
            (8, "1 zero byte"),
            (15, "15 zero bits"),
            (24, "3 zero bytes"),
        ] {
            assert_eq!(Difficulty::from_bits(bits).unwrap().to_string(), text);
        }
        for encoding in [Encoding::Text, Encoding::Bytes] {
            assert_eq!(encoding.to_string().parse(), Ok(encoding));
        }
        assert_eq!(format!("{:>6}", Encoding::Text), "  text");
        assert_eq!("hex".parse::<Encoding>(), Err(PuzzleError::UnknownEncoding("hex".into())));
    }

    #[test]
    fn puzzles_keep_what_they_are_made_of() {
        for encoding in [Encoding::Text, Encoding::Bytes] {
            let puzzle = puzzle("aBc", encoding);
            assert_eq!((puzzle.string(), puzzle.encoding()), ("aBc", encoding));
            assert_eq!(puzzle.difficulty(), Difficulty(8));
        }
    }

    #[test]
    fn only_text_takes_a_seed_prefix() {
        assert!(puzzle("a", Encoding::Text).with_seed_prefix().unwrap().seed_prefix());
        assert!(!puzzle("a", Encoding::Text).seed_prefix());
        let error = puzzle("a", Encoding::Bytes).with_seed_prefix().unwrap_err();
        assert_eq!(error, PuzzleError::PrefixNeedsText);
    }

    #[test]
    fn chance_is_exact_for_small_and_large_numbers() {
        let difficulty = Difficulty::from_bits(20).unwrap();
        assert_eq!(difficulty.expected_work(), f64::from(1 << 20));
        assert!((difficulty.chance(f64::from(1u32 << 20)) - 0.632_120_558).abs() < 1e-6);
        assert!(difficulty.chance(1.0) > 0.0);
        assert_eq!(difficulty.chance(1e30), 1.0);
    }
}
