//! Workloads: how long a dispatch may keep a GPU from other programs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// Share of a GPU that the search takes: other programs wait for the length of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// 2 ms a dispatch: other programs are more important.
    Idle,
    /// 12 ms a dispatch: a desktop stays smooth.
    Desktop,
    /// 50 ms a dispatch: a display is attached, and may stutter.
    Dedicated,
    /// 100 ms a dispatch: no display.
    Headless,
}

impl Workload {
    /// Every workload, the gentlest first.
    pub const ALL: [Workload; 4] = [Self::Idle, Self::Desktop, Self::Dedicated, Self::Headless];

    /// Returns `Desktop` if a display is attached, else `Headless`.
    pub fn of_this_machine() -> Self {
        if has_display() { Self::Desktop } else { Self::Headless }
    }

    /// Returns the time that a dispatch should take.
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
    // The kernel's list of connectors, for programs started outside a desktop session.
    let connected = |card: std::fs::DirEntry| {
        std::fs::read_to_string(card.path().join("status")).is_ok_and(|s| s.trim() == "connected")
    };
    let connectors = std::fs::read_dir(Path::new("/sys/class/drm"));
    session || connectors.is_ok_and(|mut cards| cards.any(|card| card.is_ok_and(connected)))
}
