//! The gpu backend: the search as one compute shader, `md5.wgsl`, on every GPU that wgpu reaches.
//!
//! - `device` lists adapters and opens devices;
//! - `shader` makes the text for the shape of a plan, `params` fills the shader's structs;
//! - `engine` runs dispatches, two in flight, results mapped asynchronously;
//! - `host` claims spans, cuts them into dispatches and accounts for every nonce;
//! - `tune` sizes dispatches and workgroups by what they take, `cache` keeps that between runs;
//! - `known` computes known answers, against which each pipeline is checked every few minutes.
//!
//! Nothing that a GPU says is believed: each candidate is filtered again on the processor, and what
//! passes is judged by the md-5 crate. The backend knows plans; it does not know seeds.

mod cache;
mod device;
mod engine;
mod host;
mod known;
mod params;
mod shader;
mod tune;

#[cfg(test)]
mod tests;

pub use device::{AdapterInfo, GpuError, Kind, adapters};

use crate::backend::{Backend, BackendError, Control};
use cache::Cache;
use device::Adapter;
use engine::{CAPACITY, Fault, WgpuEngine};
use host::{Opener, Session, Times};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A dispatch that takes longer has stalled: display drivers give up after two to ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one known-answer check to the next.
const CHECK: Duration = Duration::from_secs(180);

/// How much of a GPU the search takes: how long others wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// 2 ms a dispatch: something else is important here.
    Idle,
    /// 12 ms a dispatch: a desktop stays smooth.
    Desktop,
    /// 50 ms a dispatch: a display is attached and nobody looks.
    Dedicated,
    /// 100 ms a dispatch: no display.
    Headless,
}

impl Workload {
    /// Every workload, the gentlest first.
    pub const ALL: [Workload; 4] = [Self::Idle, Self::Desktop, Self::Dedicated, Self::Headless];

    /// `Desktop` where a display is attached, else `Headless`.
    pub fn of_this_machine() -> Self {
        if has_display() { Self::Desktop } else { Self::Headless }
    }

    /// How long a dispatch should take.
    pub fn dispatch(self) -> Duration {
        Duration::from_millis(match self {
            Self::Idle => 2,
            Self::Desktop => 12,
            Self::Dedicated => 50,
            Self::Headless => 100,
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idle => "idle",
            Self::Desktop => "desktop",
            Self::Dedicated => "dedicated",
            Self::Headless => "headless",
        })
    }
}

/// The word names no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown workload {0:?}: choose idle, desktop, dedicated or headless")]
pub struct UnknownWorkload(String);

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(word: &str) -> Result<Self, UnknownWorkload> {
        let named = Self::ALL.into_iter().find(|workload| workload.to_string() == word);
        named.ok_or_else(|| UnknownWorkload(word.to_owned()))
    }
}

fn has_display() -> bool {
    if cfg!(any(windows, target_os = "macos")) {
        return true;
    }
    let session = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(|v| std::env::var_os(v).is_some());
    // The kernel's list of connectors, for programs started outside of the desktop session.
    let connected = |card: std::fs::DirEntry| {
        std::fs::read_to_string(card.path().join("status")).is_ok_and(|s| s.trim() == "connected")
    };
    let connectors = std::fs::read_dir(Path::new("/sys/class/drm"));
    session || connectors.is_ok_and(|mut cards| cards.any(|card| card.is_ok_and(connected)))
}

/// One GPU.
pub struct Gpu {
    adapter: Adapter,
    workload: Workload,
    cache: Cache,
    session: Mutex<Option<Session<WgpuEngine>>>,
    /// Why it is not used any more.
    retired: Mutex<Option<String>>,
}

impl Gpu {
    /// The GPUs that `selectors` name, each by its number or a part of its name; without
    /// selectors, the best hardware GPU. Software adapters must be named.
    ///
    /// # Errors
    /// There is no such GPU, or it cannot be opened; the message says what to do.
    pub fn open(selectors: &[String], workload: Workload) -> Result<Vec<Self>, GpuError> {
        let adapters = device::select(selectors)?;
        adapters.into_iter().map(|adapter| Self::on(adapter, workload)).collect()
    }

    fn on(adapter: Adapter, workload: Workload) -> Result<Self, GpuError> {
        let cache = Cache::of(&adapter);
        let (session, retired) = Default::default();
        let gpu = Self { adapter, workload, cache, session, retired };
        // Now, so that a device that cannot be opened is known before any work is given to it.
        let engine = gpu.engine().map_err(|fault| GpuError::Device {
            name: gpu.adapter.info.name.clone(),
            reason: fault.to_string(),
        })?;
        *lock(&gpu.session) = Some(Session::new(engine, &gpu.opener(&|| gpu.engine())));
        Ok(gpu)
    }

    /// What is known of its adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.adapter.info
    }

    fn engine(&self) -> Result<WgpuEngine, Fault> {
        WgpuEngine::open(&self.adapter, &self.cache, CAPACITY)
    }

    fn opener<'a>(
        &'a self,
        open: &'a dyn Fn() -> Result<WgpuEngine, Fault>,
    ) -> Opener<'a, WgpuEngine> {
        let target = self.workload.dispatch();
        Opener {
            open,
            cache: &self.cache,
            times: Times { target, patience: PATIENCE, check: CHECK },
        }
    }

    fn failed(&self, reason: &str) -> BackendError {
        BackendError::Device(format!("gpu {}: {reason}", self.adapter.info.name))
    }
}

impl Backend for Gpu {
    fn describe(&self) -> String {
        let AdapterInfo { name, api, .. } = &self.adapter.info;
        format!("gpu {name} through {api}, {} workload", self.workload)
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        if let Some(reason) = &*lock(&self.retired) {
            return Err(self.failed(reason));
        }
        let mut session = lock(&self.session);
        let result = host::search(&mut session, &self.opener(&|| self.engine()), control);
        result.map_err(|fault| {
            if let Fault::Wrong(_) = fault {
                *lock(&self.retired) = Some(fault.to_string());
            }
            self.failed(&fault.to_string())
        })
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.adapter.info).finish()
    }
}

/// A panic in the middle of a search leaves a session that is at worst slower to start.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
