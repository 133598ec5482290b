//! The layouts of seed spaces by name.

use std::fmt;
use std::str::FromStr;

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
