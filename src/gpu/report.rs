//! What is said of adapters, to people and to `devices --json`.

use serde::Serialize;
use std::fmt;

/// What an adapter is made of, in the order in which they are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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

impl fmt::Display for Kind {
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

/// What is known of an adapter, for people and for `devices --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterInfo {
    /// Its number in the list.
    pub index: usize,
    /// As the driver calls it.
    pub name: String,
    /// The maker, by name where known, else the PCI number.
    pub vendor: String,
    /// Vulkan, Metal or Dx12.
    pub api: String,
    /// Name and version.
    pub driver: String,
    /// What it is made of.
    pub kind: Kind,
    /// Invocations of the largest workgroup.
    pub max_workgroup: u32,
    /// Bytes of the largest uniform buffer.
    pub max_uniform_bytes: u64,
    /// Whether an empty selection takes it.
    pub chosen: bool,
    /// Why an empty selection does not take it.
    pub why_not: Option<String>,
}

/// Why there is no GPU to search with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// The program has no gpu backend.
    #[error(
        "this seedrush was built without GPU support: build it with the cargo feature `gpu`, or \
         use --backend cpu"
    )]
    NotBuilt,
    /// Nothing at all was found.
    #[error(
        "no GPU was found: {}; or use --backend cpu",
        if cfg!(target_os = "linux") {
            "install the Vulkan loader (Debian, Ubuntu: libvulkan1; Fedora: vulkan-loader) and the \
             Vulkan driver of the card (NVIDIA: the proprietary driver; AMD, Intel: \
             mesa-vulkan-drivers), then look at `seedrush devices`"
        } else {
            "install the current driver of the card, then look at `seedrush devices`"
        }
    )]
    None,
    /// Software adapters only, and none was named.
    #[error(
        "the only GPU here, {0}, is software, and slower than --backend cpu; name it with --gpu to \
         use it nevertheless, or install the driver of the card"
    )]
    OnlySoftware(String),
    /// Adapters there are, but none can run the kernel.
    #[error("no GPU here can search: {0}")]
    Unfit(String),
    /// A selector that fits nothing.
    #[error("--gpu {selector}: no such GPU; there are: {there_are}")]
    NoSuch {
        /// As given.
        selector: String,
        /// Numbers and names.
        there_are: String,
    },
    /// The device could not be opened or computes wrongly.
    #[error("{name}: {reason}")]
    Device {
        /// Of the adapter.
        name: String,
        /// What failed.
        reason: String,
    },
}

impl GpuError {
    /// The reason alone, for those who go on without a GPU.
    pub fn brief(&self) -> String {
        match self {
            Self::NotBuilt => "it was built without GPU support".to_owned(),
            Self::None => "no GPU was found".to_owned(),
            Self::OnlySoftware(name) => format!("the only GPU, {name}, is software"),
            Self::Unfit(_) | Self::NoSuch { .. } | Self::Device { .. } => self.to_string(),
        }
    }
}
