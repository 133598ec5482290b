//! Tests from outside: the library as its users see it, and the programs as processes.

#![allow(clippy::unwrap_used)] // a test that unwraps in vain fails, as it should

mod gpu;
#[cfg(unix)]
mod interrupt;
mod layers;
mod mine;
mod net;
mod programs;
mod protobuf;
mod schema;
mod vectors;
