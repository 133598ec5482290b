//! The gpu backend: the search as one compute shader, `md5.wgsl`, on every GPU that wgpu reaches.
//!
//! - `card` is the backend: one GPU;
//! - `device` lists adapters and opens devices;
//! - `shader` makes the text for the shape of a plan, `params` fills the shader's structs;
//! - `engine` runs dispatches, two in flight, results mapped asynchronously;
//! - `host` claims spans, cuts them into dispatches and accounts for every nonce;
//! - `tune` sizes dispatches and workgroups by what they take, `cache` keeps that between runs;
//! - `export` hands shader and parameters to other hosts, such as a browser;
//! - `probe` measures what a device can do at best;
//! - `known` computes known answers, against which each pipeline is checked every few minutes.
//!
//! Nothing that a GPU says is believed: each candidate is filtered again on the processor, and what
//! passes is judged by the md-5 crate. The backend knows plans; it does not know seeds.
//!
//! Without the cargo feature `gpu`, `absent` stands for all of it, and says so when asked.

#[cfg(not(feature = "gpu"))]
mod absent;
#[cfg(feature = "gpu")]
mod cache;
#[cfg(feature = "gpu")]
mod card;
#[cfg(feature = "gpu")]
mod device;
#[cfg(feature = "gpu")]
mod engine;
#[cfg(feature = "gpu")]
mod export;
#[cfg(feature = "gpu")]
mod host;
#[cfg(feature = "gpu")]
mod known;
#[cfg(feature = "gpu")]
mod params;
#[cfg(feature = "gpu")]
mod probe;
mod report;
#[cfg(feature = "gpu")]
mod shader;
#[cfg(feature = "gpu")]
mod tune;
mod workload;

#[cfg(feature = "gpu")]
#[cfg(test)]
mod tests;

#[cfg(not(feature = "gpu"))]
pub use absent::{Gpu, adapters};
#[cfg(feature = "gpu")]
pub use card::Gpu;
#[cfg(feature = "gpu")]
pub use device::adapters;
#[cfg(feature = "gpu")]
pub use export::Kernel;
pub use report::{AdapterInfo, GpuError, Kind};
pub use workload::{UnknownWorkload, Workload};
