//! The client's side of each kind of job: runs a lease on this machine and says what it came to.
//!
//! A kind is a file with a type that implements [`Run`], and a line in [`start`]. This module knows
//! no network and no clock: whoever drives a run asks it what is done and reports that.

mod md5_search;
mod run;
mod sum_of_squares;

pub use run::{OnHit, Run, Taken};

use crate::jobs::JobSpec;
use crate::lease::Grant;
use md5_search::SearchRun;
use std::sync::Arc;
use sum_of_squares::SumRun;

/// Makes the run of a lease.
pub fn start(spec: &JobSpec, grant: &Grant) -> Arc<dyn Run> {
    match spec {
        JobSpec::Md5Search(search) => Arc::new(SearchRun::new(search, grant)),
        JobSpec::SumOfSquares(_) => Arc::new(SumRun::new(grant.span)),
    }
}
