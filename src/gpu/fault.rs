//! Failures of a device, and the place where wgpu's callbacks report them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failure of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DeviceFault {
    #[error("the device was lost: {0}")]
    Lost(String),
    #[error("a dispatch did not end within {} seconds", .0.as_secs())]
    Stalled(Duration),
    #[error("the device computes wrongly ({0}) and is not used any more")]
    Wrong(String),
    /// Our own mistake: no layout makes such a plan.
    #[error("impossible plan: {0}")]
    Plan(&'static str),
}

/// Keeps the first error that wgpu reports for a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    pub(super) fn report(&self, message: impl Into<String>) {
        self.message().get_or_insert_with(|| message.into());
    }

    /// Fails if an error was reported.
    pub(super) fn check(&self) -> Result<(), DeviceFault> {
        self.message().clone().map_or(Ok(()), |message| Err(DeviceFault::Lost(message)))
    }

    fn message(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
