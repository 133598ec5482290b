//! One GPU as a backend: an adapter, a workload, and the device that stays open between searches.

use super::cache::Cache;
use super::device::{self, Adapter};
use super::fault::DeviceFault;
use super::host::{OpenDevice, Opener, Times};
use super::limits::CAPACITY;
use super::probe;
use super::report::{AdapterInfo, GpuError};
use super::retirement::Retiring;
use super::wgpu_engine::WgpuEngine;
use super::workload::Workload;
use crate::backend::{Backend, BackendError, Control};
use std::fmt;
use std::time::{Duration, Instant};

/// Time after which a dispatch has stalled: display drivers give up after two to ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time between two known-answer checks.
const CHECK: Duration = Duration::from_secs(180);

/// Time between a failure and the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// One GPU.
pub struct Gpu {
    adapter: Adapter,
    workload: Workload,
    cache: Cache,
    device: Retiring<WgpuEngine>,
}

impl Gpu {
    /// Opens the GPUs that `selectors` name, each by its number or a part of its name; without
    /// selectors, the best hardware GPU. Software adapters must be named.
    ///
    /// # Errors
    /// There is no such GPU, or it cannot be opened; the message says what to do.
    pub fn open(selectors: &[String], workload: Workload) -> Result<Vec<Self>, GpuError> {
        let adapters = device::select(selectors)?.into_iter();
        adapters
            .map(|adapter| {
                let cache = Cache::of(&adapter.identity());
                Self::on(adapter, workload, cache)
            })
            .collect()
    }

    pub(super) fn on(adapter: Adapter, workload: Workload, cache: Cache) -> Result<Self, GpuError> {
        let mut gpu = Self { adapter, workload, cache, device: Retiring::new(None) };
        // Opened now, so that a failure shows before the GPU gets any work.
        let engine = gpu.engine().map_err(|fault| GpuError::Device {
            name: gpu.adapter.info.name.clone(),
            reason: fault.to_string(),
        })?;
        let device = OpenDevice::new(engine, &gpu.opener(&|| gpu.engine()));
        gpu.device = Retiring::new(Some(device));
        Ok(gpu)
    }

    /// Describes its adapter.
    pub fn info(&self) -> &AdapterInfo {
        &self.adapter.info
    }

    /// Measures the best rate of the device in MD5 steps a second, with steps that read nothing.
    ///
    /// # Errors
    /// The device has failed.
    pub fn most_steps(&self) -> Result<f64, BackendError> {
        let target = self.workload.dispatch();
        probe::steps_a_second(&self.adapter, target)
            .map_err(|fault| self.failure(&fault.to_string()))
    }

    fn engine(&self) -> Result<WgpuEngine, DeviceFault> {
        WgpuEngine::open(&self.adapter, &self.cache, CAPACITY)
    }

    fn opener<'a>(
        &'a self,
        open: &'a dyn Fn() -> Result<WgpuEngine, DeviceFault>,
    ) -> Opener<'a, WgpuEngine> {
        let target = self.workload.dispatch();
        Opener {
            open,
            cache: &self.cache,
            times: Times { target, patience: PATIENCE, check: CHECK, pause: PAUSE },
        }
    }

    fn failure(&self, reason: &str) -> BackendError {
        BackendError::Device(format!("gpu {}: {reason}", self.adapter.info.name))
    }
}

impl Backend for Gpu {
    fn describe(&self) -> String {
        let AdapterInfo { name, api, .. } = &self.adapter.info;
        format!("gpu {name} through {api}, {} workload", self.workload)
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        let open = || self.engine();
        let result = self.device.search(&self.opener(&open), control, Instant::now);
        result.map_err(|reason| self.failure(&reason))
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.adapter.info).finish()
    }
}
