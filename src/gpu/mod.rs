//! The gpu backend: the search as one compute shader, `md5.wgsl`, on every GPU that wgpu supports.
//!
//! - `backend`: one GPU; `retirement` keeps a failing one out of use for a while;
//! - `device` lists adapters and opens devices;
//! - `shader` assembles the text for the shape of a plan, `params` fills the shader's structs;
//! - `engine`: the trait that runs dispatches; `wgpu_engine` implements it, two in flight, results
//!   mapped asynchronously; `fault`: its failures;
//! - `host` claims spans, cuts them into dispatches and accounts for every nonce;
//! - `tune` sizes dispatches and workgroups by measured time, `cache` keeps that between runs;
//! - `limits`: limits of the shader and the host;
//! - `export` hands shader and parameters to other hosts, such as a browser;
//! - `probe` measures the best rate of a device;
//! - `self_check` computes the known answers that each pipeline must give every few minutes.
//!
//! GPU results are never trusted unchecked: the processor filters each candidate again, and the md-5
//! crate judges what passes. The backend knows plans; it does not know seeds.
//!
//! Without the cargo feature `gpu`, `absent` replaces all of it and fails with a clear error.

#[cfg(not(feature = "gpu"))]
mod absent;
#[cfg(feature = "gpu")]
mod backend;
#[cfg(feature = "gpu")]
mod cache;
#[cfg(feature = "gpu")]
mod device;
#[cfg(feature = "gpu")]
mod engine;
#[cfg(feature = "gpu")]
mod export;
#[cfg(feature = "gpu")]
mod fault;
#[cfg(feature = "gpu")]
mod host;
#[cfg(feature = "gpu")]
mod limits;
#[cfg(feature = "gpu")]
mod params;
#[cfg(feature = "gpu")]
mod probe;
mod report;
#[cfg(feature = "gpu")]
mod retirement;
#[cfg(feature = "gpu")]
mod self_check;
#[cfg(feature = "gpu")]
mod shader;
#[cfg(feature = "gpu")]
mod tune;
#[cfg(feature = "gpu")]
mod wgpu_engine;
mod workload;

#[cfg(feature = "gpu")]
#[cfg(test)]
mod tests;

#[cfg(not(feature = "gpu"))]
pub use absent::{Gpu, adapters};
#[cfg(feature = "gpu")]
pub use backend::Gpu;
#[cfg(feature = "gpu")]
pub use device::adapters;
#[cfg(feature = "gpu")]
pub use export::Kernel;
pub use report::{AdapterInfo, AdapterKind, GpuError};
pub use workload::{UnknownWorkload, Workload};
