//! Retirement: a device that fails again and again is left alone.

use super::engine::Engine;
use super::fault::DeviceFault;
use super::host::{self, OpenDevice, Opener};
use crate::backend::Control;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time for which a failed device is not used: each attempt may wait half a minute for its driver.
pub(super) const REST: Duration = Duration::from_secs(600);

/// A device that retires when the host gives it up.
pub(super) struct Retiring<E> {
    device: Mutex<Option<OpenDevice<E>>>,
    retirement: Mutex<Option<Retirement>>,
}

/// Reason and end of a retirement; it has no end if the device computes wrongly.
#[derive(Clone, Debug, PartialEq)]
struct Retirement {
    reason: String,
    until: Option<Instant>,
}

impl Retirement {
    /// Begins `now`.
    fn after(fault: &DeviceFault, now: Instant) -> Self {
        let until = match fault {
            DeviceFault::Wrong(_) => None,
            _ => Some(now + REST),
        };
        Self { reason: fault.to_string(), until }
    }

    /// Returns true if the device may be used again.
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

impl<E: Engine> Retiring<E> {
    /// Starts with a device that is open, or opens it when it is first needed.
    pub(super) fn new(device: Option<OpenDevice<E>>) -> Self {
        Self { device: Mutex::new(device), retirement: Mutex::default() }
    }

    /// Searches as [`host::search`] does, unless the device is retired at `now`.
    ///
    /// # Errors
    /// The reason of the failure or of the retirement.
    pub(super) fn search(
        &self,
        opener: &Opener<'_, E>,
        control: &Control,
        now: impl Fn() -> Instant,
    ) -> Result<(), String> {
        if let Some(retirement) = &*lock(&self.retirement)
            && !retirement.is_over(now())
        {
            return Err(retirement.reason.clone());
        }
        host::search(&mut lock(&self.device), opener, control).map_err(|fault| {
            let retirement = Retirement::after(&fault, now());
            lock(&self.retirement).insert(retirement).reason.clone()
        })
    }
}

/// Locks a mutex. After a panic in a search, its state is at worst slower to start.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
