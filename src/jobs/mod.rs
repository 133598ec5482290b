//! Divisible work: the closed set of job kinds and the contract that each of them keeps.
//!
//! A kind is a file with a type that implements [`Kind`], and a line in the list in `kinds`: its
//! space, how an outcome of a span is checked, how outcomes fold, when a job is finished and what
//! its result is. This module knows nothing of clients, leases or time; the coordinator knows
//! nothing of what a unit means. `worker` has the client's side of each kind.

mod found;
mod kind;
mod kinds;
mod limits;
mod md5_search;
mod sample;
#[cfg(test)]
pub(crate) mod samples;
mod serial;
mod sum_of_squares;

pub use found::{MAX_OUTSIDE, MOST_BYTES};
pub use kind::{Checked, Claim, JobError, Kind, OutcomeError, Solution};
pub use kinds::{Job, JobKind, JobResult, JobSpec, Outcome};
pub use limits::{MAX_HITS, MAX_SHARES, MAX_WANTED, SHARES_PER_LEASE, SHORTEST_PROVABLE};
pub use md5_search::{Md5Search, SearchOutcome, SearchResult};
pub use sample::Sample;
pub use sum_of_squares::SumOfSquares;
