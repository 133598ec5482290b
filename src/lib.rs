//! seedrush
#![allow(missing_docs)]
pub mod backend;
#[doc(hidden)]
pub mod cli;
pub mod coordinator;
pub mod cpu;
pub mod jobs;
pub mod net;
pub mod plan;
pub mod proto;
mod puzzle;
mod seeds;
pub mod span;
pub mod steps;
pub use puzzle::*;
pub use seeds::*;
pub use span::*;
