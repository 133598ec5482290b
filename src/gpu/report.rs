//! Descriptions of adapters, and the errors of choosing one.

use serde::Serialize;
use std::fmt;

/// Kind of an adapter, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor.
    Integrated,
    /// A share of a card, given to a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A program that runs shaders on the processor.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

/// Description of an adapter, as `devices --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterInfo {
    /// Its number in the list.
    pub index: usize,
    /// Name that the driver gives it.
    pub name: String,
    /// Name of the maker, or its PCI number.
    pub vendor: String,
    /// Vulkan, Metal or Dx12.
    pub api: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Kind of adapter.
    pub kind: AdapterKind,
    /// Invocations of the largest workgroup.
    pub max_workgroup: u32,
    /// Bytes of the largest uniform buffer.
    pub max_uniform_bytes: u64,
    /// True if an empty selection takes it.
    pub chosen: bool,
    /// Reason that an empty selection does not take it.
    pub why_not: Option<String>,
}

/// Error of selecting or opening a GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The program was built without the gpu backend.
    #[error("this seedrush was built without GPU support: build it with the cargo feature `gpu`")]
    NotBuilt,
    /// No adapter was found.
    #[error(
        "no GPU was found: {}",
        if cfg!(target_os = "linux") {
            "install the Vulkan loader (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader) and the \
             Vulkan driver of the card (NVIDIA: the proprietary driver; AMD, Intel: \
             mesa-vulkan-drivers)"
        } else {
            "install the current driver of the card"
        }
    )]
    None,
    /// All adapters are software, and none was named.
    #[error(
        "the only GPU here, {0}, is software and slower than the cpu backend: it is used only when \
         named; for a hardware GPU, install the driver of the card"
    )]
    OnlySoftware(String),
    /// No adapter can run the kernel.
    #[error("no GPU here can search: {0}")]
    Unfit(String),
    /// A selector matches no adapter.
    #[error("no GPU matches {selector}; there are: {there_are}")]
    NoSuch {
        /// The selector, quoted.
        selector: String,
        /// Numbers and names of the adapters.
        there_are: String,
    },
    /// The device could not be opened or computes wrongly.
    #[error("{name}: {reason}")]
    Device {
        /// Name of the adapter.
        name: String,
        /// Cause of the failure.
        reason: String,
    },
}

impl GpuError {
    /// Returns the reason alone, for a search that goes on without a GPU.
    pub fn brief(&self) -> String {
        match self {
            Self::NotBuilt => "it was built without GPU support".to_owned(),
            Self::None => "no GPU was found".to_owned(),
            Self::OnlySoftware(name) => format!("the only GPU, {name}, is software"),
            Self::Unfit(_) | Self::NoSuch { .. } | Self::Device { .. } => self.to_string(),
        }
    }
}
