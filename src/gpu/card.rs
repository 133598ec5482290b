//! One GPU as a backend: an adapter, a workload, and what is kept from search to search.

use super::cache::Cache;
use super::device::{self, Adapter};
use super::engine::{CAPACITY, Fault, WgpuEngine};
use super::host::{self, Opener, Session, Times};
use super::probe;
use super::report::{AdapterInfo, GpuError};
use super::workload::Workload;
use crate::backend::{Backend, BackendError, Control};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A dispatch that takes longer has stalled: display drivers give up after two to ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// From one known-answer check to the next.
const CHECK: Duration = Duration::from_secs(180);

/// From a failure to the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// A GPU that failed again and again is left alone for this long: each attempt may cost half a minute
/// of waiting for a driver.
const REST: Duration = Duration::from_secs(600);

/// One GPU.
pub struct Gpu {
    adapter: Adapter,
    workload: Workload,
    cache: Cache,
    session: Mutex<Option<Session<WgpuEngine>>>,
    /// Why it is not used any more, and until when; for ever if it computes wrongly.
    retired: Mutex<Option<(String, Option<Instant>)>>,
}

impl Gpu {
    /// The GPUs that `selectors` name, each by its number or a part of its name; without
    /// selectors, the best hardware GPU. Software adapters must be named.
    ///
    /// # Errors
    /// There is no such GPU, or it cannot be opened; the message says what to do.
    pub fn open(selectors: &[String], workload: Workload) -> Result<Vec<Self>, GpuError> {
        let adapters = device::select(selectors)?.into_iter();
        adapters
            .map(|adapter| {
                let cache = Cache::of(&adapter);
                Self::on(adapter, workload, cache)
            })
            .collect()
    }

    pub(super) fn on(adapter: Adapter, workload: Workload, cache: Cache) -> Result<Self, GpuError> {
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

    /// MD5 steps a second that the device could do at best: measured, with steps that read nothing.
    ///
    /// # Errors
    /// The device has failed.
    pub fn most_steps(&self) -> Result<f64, BackendError> {
        let target = self.workload.dispatch();
        probe::steps_a_second(&self.adapter, target)
            .map_err(|fault| self.failed(&fault.to_string()))
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
            times: Times { target, patience: PATIENCE, check: CHECK, pause: PAUSE },
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
        if let Some((reason, until)) = &*lock(&self.retired)
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Err(self.failed(reason));
        }
        let mut session = lock(&self.session);
        let result = host::search(&mut session, &self.opener(&|| self.engine()), control);
        result.map_err(|fault| {
            let until = match fault {
                Fault::Wrong(_) => None,
                _ => Some(Instant::now() + REST),
            };
            *lock(&self.retired) = Some((fault.to_string(), until));
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
