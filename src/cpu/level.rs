//! Levels: the instruction sets of this machine, and the kernels compiled for each.

use super::lanes::{Interleave, Lanes};
use super::md5::{self, Found, Prepared};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// An instruction set that the cpu backend can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain 32-bit integers, on every processor.
    Scalar,
    /// Eight lanes, x86-64 since 2013.
    Avx2,
    /// Sixteen lanes with rotates and booleans of three inputs.
    Avx512,
}

/// Error of a level that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The word names no level.
    #[error("unknown level {0:?}: choose scalar, avx2 or avx512")]
    Unknown(String),
    /// The machine lacks it; the text lists the levels that it has.
    #[error("this machine has no {0}; it has {1}")]
    Missing(Level, String),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(word: &str) -> Result<Self, LevelError> {
        Self::ALL
            .into_iter()
            .find(|level| level.to_string() == word)
            .ok_or_else(|| LevelError::Unknown(word.to_owned()))
    }
}

impl Level {
    /// Every level, slowest first.
    pub const ALL: [Level; 3] = [Level::Scalar, Level::Avx2, Level::Avx512];

    /// Returns the levels that this machine has, slowest first.
    pub fn available() -> Vec<Level> {
        Kernels::detected().into_iter().map(Kernels::level).collect()
    }

    /// Returns the fastest level of this machine.
    pub fn best() -> Level {
        Self::available().pop().unwrap_or(Self::Scalar)
    }

    /// Returns the number of lanes of one vector.
    pub fn lanes(self) -> u32 {
        match self {
            Self::Scalar => 1,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }
}

/// Vectors side by side at each level, found by measuring: see docs/performance.md.
const SCALAR_STREAMS: usize = streams(3);
#[cfg(target_arch = "x86_64")]
const AVX2_STREAMS: usize = streams(7);
#[cfg(target_arch = "x86_64")]
const AVX512_STREAMS: usize = streams(7);

/// Returns `best`, or two in a debug build: without optimization every value of a kernel has a
/// place of its own on the stack. Seven AVX-512 streams took 2.3 MB, more than a thread has. Two
/// still test the interleaving.
const fn streams(best: usize) -> usize {
    if cfg!(debug_assertions) { 2 } else { best }
}

/// The kernels of one level. A value proves that this machine has the level.
#[derive(Clone, Copy)]
pub(super) struct Kernels(Proof);

#[derive(Clone, Copy)]
enum Proof {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Token),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Token),
}

impl Kernels {
    /// Returns the kernels of `level`.
    ///
    /// # Errors
    /// This machine lacks the level.
    pub(super) fn new(level: Level) -> Result<Self, LevelError> {
        Self::among(&Self::detected(), level)
    }

    /// Returns the kernels of every level that this machine has, slowest first.
    fn detected() -> Vec<Self> {
        Level::ALL.into_iter().filter_map(Self::detect).collect()
    }

    fn detect(level: Level) -> Option<Self> {
        let proof = match level {
            Level::Scalar => Some(Proof::Scalar),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::Token::detect().map(Proof::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::Token::detect().map(Proof::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Level::Avx2 | Level::Avx512 => None,
        };
        proof.map(Self)
    }

    /// Returns the kernels of `level` among those `detected`, which are an argument so that tests
    /// can simulate any machine.
    fn among(detected: &[Self], level: Level) -> Result<Self, LevelError> {
        let chosen = detected.iter().find(|kernels| kernels.level() == level);
        chosen.copied().ok_or_else(|| {
            let others: Vec<_> = detected.iter().map(|has| has.level().to_string()).collect();
            LevelError::Missing(level, others.join(" and "))
        })
    }

    pub(super) fn level(self) -> Level {
        match self.0 {
            Proof::Scalar => Level::Scalar,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx2(_) => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx512(_) => Level::Avx512,
        }
    }

    /// Returns the number of bases that one pass of the kernel takes.
    pub(super) fn bases(self) -> u64 {
        (match self.0 {
            Proof::Scalar => SCALAR_STREAMS,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx2(_) => AVX2_STREAMS * 8,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx512(_) => AVX512_STREAMS * 16,
        }) as u64
    }

    /// See [`Lanes::I_BIAS`].
    pub(super) fn bias(self) -> u32 {
        match self.0 {
            Proof::Scalar => <u32 as Lanes>::I_BIAS,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx2(_) => avx2::Avx2::I_BIAS,
            #[cfg(target_arch = "x86_64")]
            Proof::Avx512(_) => avx512::Avx512::I_BIAS,
        }
    }

    /// Runs [`md5::search`]; `plan` must be prepared with this level's bias.
    pub(super) fn search(
        self,
        plan: &Prepared,
        bases: Range<u64>,
        members: Range<u32>,
        found: &mut Vec<Found>,
    ) {
        /// Chooses the kernel for the plan's start step and number of blocks.
        ///
        /// Each kernel costs half a second of compile time, so rare start steps share one. Steps
        /// with a kernel of their own are those of the default layouts behind a string of ten
        /// digits; sharing costs 1 % (two steps, one block) to 10 % of the rate. Layouts whose word
        /// comes late in a block have one block only.
        macro_rules! dispatch {
            ($kernel:ident, $token:expr) => {
                dispatch!(
                    $kernel, $token,
                    one: 0 to 0, 1 to 1, 2 to 3, 4 to 5, 6 to 9, 10 to 10, 11 to 11, 12 to 12, 23 to 23;
                    more: 0 to 1, 2 to 8, 23 to 23
                )
            };
            (
                $kernel:ident, $token:expr,
                one: $($one:literal to $one_last:literal),*;
                more: $($more:literal to $more_last:literal),*
            ) => {
                match (plan.start(), plan.has_later_blocks()) {
                    $(($one..=$one_last, false) => {
                        $kernel::<$one, { 1 + $one_last - $one }, false>(
                            $token, plan, bases, members, found,
                        );
                    })*
                    $(($more..=$more_last, true) => {
                        $kernel::<$more, { 1 + $more_last - $more }, true>(
                            $token, plan, bases, members, found,
                        );
                    })*
                    (start, _) => unreachable!("no layout starts at step {start}"),
                }
            };
        }
        match self.0 {
            Proof::Scalar => dispatch!(scalar, ()),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves that AVX2 was detected.
            Proof::Avx2(token) => unsafe { dispatch!(avx2, token) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the token proves that AVX-512F was detected.
            Proof::Avx512(token) => unsafe { dispatch!(avx512, token) },
        }
    }
}

/// Defines the functions of one level: all that carries its `#[target_feature]`.
macro_rules! level {
    ($name:ident, $later:ident, $token:ty, $lanes:ty, $(#[$attribute:meta])*) => {
        $(#[$attribute])*
        fn $name<const START: usize, const WORDS: usize, const MORE: bool>(
            token: $token,
            plan: &Prepared,
            bases: Range<u64>,
            members: Range<u32>,
            found: &mut Vec<Found>,
        ) {
            // A closure has the features of the function around it, so this call is safe.
            let later = |q| $later(token, plan, q);
            md5::search::<$lanes, START, WORDS, MORE>(token, plan, bases, members, later, found);
        }

        $(#[$attribute])*
        #[inline(never)]
        fn $later(token: $token, plan: &Prepared, q: [$lanes; 4]) -> $lanes {
            md5::later_blocks(token, plan, q)
        }
    };
}

level!(scalar, scalar_later, (), Interleave<u32, SCALAR_STREAMS>,);
level!(
    avx2, avx2_later, avx2::Token, Interleave<avx2::Avx2, AVX2_STREAMS>,
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
);
level!(
    avx512, avx512_later, avx512::Token, Interleave<avx512::Avx512, AVX512_STREAMS>,
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the error of a machine that has only those of `levels` that this one has.
    fn refusal(levels: &[Level], wanted: Level) -> String {
        let mut detected = Kernels::detected();
        detected.retain(|kernels| levels.contains(&kernels.level()));
        let kernels = Kernels::among(&detected, wanted);
        kernels.err().map_or("none".into(), |error| error.to_string())
    }

    #[test]
    fn the_error_of_a_missing_level_names_the_available_ones() {
        for wanted in [Level::Avx2, Level::Avx512] {
            let error = refusal(&[Level::Scalar], wanted);
            assert_eq!(error, format!("this machine has no {wanted}; it has scalar"));
        }
        let error = refusal(&[Level::Scalar, Level::Avx2], Level::Avx512);
        let avx2 = Level::available().contains(&Level::Avx2);
        assert!(error.ends_with(if avx2 { "has scalar and avx2" } else { "has scalar" }));
    }

    #[test]
    fn words_are_levels() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!("sse9".parse::<Level>().unwrap_err().to_string().contains("avx512"));
    }

    #[test]
    fn kernels_have_the_requested_level() {
        for level in Level::available() {
            assert_eq!(Kernels::new(level).unwrap().level(), level);
        }
        assert_eq!(refusal(&Level::ALL, Level::Scalar), "none");
    }
}
