//! The server: owns the coordinator, and answers clients over any stream or by datagram.
//!
//! It opens no sockets; the [`listener`](super::listener) hands it what has arrived. [`Service`] owns
//! all state that clients share. `tcp` serves one connection, `udp` all datagrams.

pub(in crate::net) mod admission;
pub(in crate::net) mod auditor;
mod bans;
mod convert;
mod cookies;
pub(in crate::net) mod networks;
mod pages;
pub(in crate::net) mod service;
pub(in crate::net) mod sessions;
mod suspicion;
pub(in crate::net) mod tcp;
pub(in crate::net) mod udp;

pub use auditor::examine;
pub use service::{ClientSnapshot, Events, JobSnapshot, ServerEvent, Service, Snapshot};
