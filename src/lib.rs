//! seedrush finds a hexadecimal **seed** such that `MD5(seed | string)` begins with zeros, on every
//! processor it can reach.
//!
//! ```
//! use seedrush::{Difficulty, Encoding, Options, Puzzle, search};
//!
//! // A seed such that MD5 of its characters followed by "A7C02215FC" begins with two zero bytes.
//! let puzzle = Puzzle::new("A7C02215FC", Difficulty::from_bytes(2)?, Encoding::Text)?;
//! let report = search(&puzzle, &Options::default())?;
//!
//! let found = &report.solutions[0];
//! assert_eq!(found.seed, "12d1a");
//! assert_eq!(found.digest.to_string(), "00001260c57ab79c186733e277d49dc5");
//! assert!(puzzle.is_solved_by(&found.seed));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The parts, each knowing only those above it:
//!
//! - [`puzzle`]: what counts as a solution, and the judge on the md-5 crate. [`span`]: exact sets of
//!   nonces. [`steps`]: MD5 as arithmetic.
//! - [`seeds`]: ordered sets of seeds, nonce to seed and back, in three layouts.
//! - [`plan`]: what a kernel needs to search a segment of a seed space.
//! - [`backend`]: how anything that searches takes work and gives results.
//! - [`cpu`]: threads running one kernel at the scalar, AVX2 or AVX-512 level.
//! - [`gpu`]: the same kernel as a compute shader. [`machine`]: which of them search here.
//! - [`mod@search`]: all of it behind one call.
//! - [`lease`]: ids and messages of leases. [`jobs`]: kinds of divisible work and what each must
//!   prove. [`coordinator`]: leases their spans
//!   to clients and believes nothing that it has not checked.
//! - [`worker`]: the client's side of each kind: runs a lease on a backend.
//! - [`proto`]: messages of servers and clients. [`net`]: sockets, servers and clients.
//! - [`mod@bench`]: rates, held against the instruction floor of the machine.

pub mod backend;
pub mod bench;
#[doc(hidden)]
pub mod cli;
pub mod coordinator;
pub mod cpu;
pub mod gpu;
pub mod jobs;
pub mod lease;
pub mod machine;
pub mod net;
pub mod plan;
mod printable;
pub mod proto;
pub mod puzzle;
pub mod search;
pub mod seeds;
pub mod span;
pub mod steps;
pub mod worker;

pub use puzzle::{Difficulty, Digest, Encoding, Puzzle, PuzzleError};
pub use search::{Options, Report, Search, SearchError, Solution, search};
pub use seeds::{Layout, LayoutError, SeedSpace};
pub use span::{Span, SpanSet};
