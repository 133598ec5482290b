//! What is left of the gpu backend where the program is built without it.

use super::{AdapterInfo, GpuError, Workload};
use crate::backend::{Backend, BackendError, Control};

/// A GPU; there is none.
#[derive(Debug)]
pub enum Gpu {}

/// No adapter.
pub fn adapters() -> Vec<AdapterInfo> {
    Vec::new()
}

impl Gpu {
    /// Says that there is no gpu backend.
    ///
    /// # Errors
    /// Always [`GpuError::NotBuilt`].
    pub fn open(_selectors: &[String], _workload: Workload) -> Result<Vec<Self>, GpuError> {
        Err(GpuError::NotBuilt)
    }

    /// MD5 steps a second that the device could do at best.
    ///
    /// # Errors
    /// The device has failed.
    pub fn most_steps(&self) -> Result<f64, BackendError> {
        match *self {}
    }

    /// What is known of its adapter.
    pub fn info(&self) -> &AdapterInfo {
        match *self {}
    }
}

impl Backend for Gpu {
    fn describe(&self) -> String {
        match *self {}
    }

    fn search(&self, _control: &Control) -> Result<(), BackendError> {
        match *self {}
    }
}
