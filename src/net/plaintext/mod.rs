//! The plain-text protocol of the first programs of this kind, both sides of it, over TCP and, with
//! the same lines, over UDP. Command lines call it `--classic`.
//!
//! The flow
//! - The client connects and sends nothing; over UDP its first datagram, with any text, lets it in.
//!   Once enough clients have joined, the server sends each `ID,N,STRING`, in ASCII, without an end,
//!   in one segment or datagram; over UDP not before as many bytes came from it, see `datagrams`.
//! - Clients send progress lines, such as `Computed 100000 hashes`, each with a line feed, and
//!   `ok,SEED,DIGEST`, with or without one. SEED may begin with `0x`; DIGEST is the MD5 of the
//!   characters of SEED, then STRING.
//! - The server verifies, sends `stop,ID` with the winner's id to all, and closes.
//!
//! Old servers read from one client after the other and wait for each, so a client must send something
//! at least every second. Our server recognises native clients by their first byte.

mod allowance;
mod client;
mod datagrams;
mod problem;
mod stream;

pub use client::{PlaintextEnding, run};
pub(super) use datagrams::UdpPeers;
pub use problem::Problem;
pub(crate) use problem::tested;
pub(super) use stream::{is_native, serve};
