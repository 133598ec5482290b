//! Replaces the gpu backend in builds without it.

use super::{AdapterInfo, GpuError, Workload};
use crate::backend::{Backend, BackendError, Control};

/// A GPU; no value exists.
#[derive(Debug)]
pub enum Gpu {}

/// Lists no adapter.
pub fn adapters() -> Vec<AdapterInfo> {
    Vec::new()
}

impl Gpu {
    /// Fails, because there is no gpu backend.
    ///
    /// # Errors
    /// Always [`GpuError::NotBuilt`].
    pub fn open(_selectors: &[String], _workload: Workload) -> Result<Vec<Self>, GpuError> {
        Err(GpuError::NotBuilt)
    }

    /// Returns the best rate of the device in MD5 steps a second.
    ///
    /// # Errors
    /// The device has failed.
    pub fn most_steps(&self) -> Result<f64, BackendError> {
        match *self {}
    }

    /// Describes its adapter.
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
