//! The client: a worker that searches leases, an [`admin`] that makes requests for people, and the
//! [`link`] to the server that both use.

pub mod admin;
mod lease;
pub mod link;
mod worker;

pub use worker::{ClientConfig, ClientEnding, ClientEvent, run};
