//! `seedrush devices`: what could search on this machine, what `auto` takes, and why not the rest.

use super::{Exit, Failure};
use crate::cpu::Level;
use crate::gpu::{self, AdapterInfo, GpuError};
use clap::Args;
use serde::Serialize;
use std::io::Write as _;

/// Lists every GPU and every level of the cpu, and which ones are taken by default
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// One JSON object per line on standard output
    #[arg(long)]
    json: bool,
}

/// A level of the cpu, as `devices --json` prints it.
#[derive(Serialize)]
struct LevelInfo {
    level: String,
    available: bool,
    /// Whether the cpu backend takes it by default.
    chosen: bool,
    why_not: Option<&'static str>,
}

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &DevicesArgs) -> Result<Exit, Failure> {
    let (gpus, levels) = (gpu::adapters(), levels());
    if args.json {
        print_json(&gpus, &levels)?
    } else {
        print(&gpus, &levels)?
    }
    Ok(Exit::Done)
}

fn levels() -> Vec<LevelInfo> {
    let available = Level::available();
    let info = |level: Level| {
        let available = available.contains(&level);
        let chosen = level == Level::best();
        let why_not = match (available, chosen) {
            (_, true) => None,
            (true, _) => Some("a faster one is there"),
            (false, _) => Some("the processor lacks it"),
        };
        LevelInfo { level: level.to_string(), available, chosen, why_not }
    };
    Level::ALL.into_iter().map(info).collect()
}

fn print_json(gpus: &[AdapterInfo], levels: &[LevelInfo]) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        backend: &'static str,
        #[serde(flatten)]
        info: &'a T,
    }
    let mut out = std::io::stdout().lock();
    for info in gpus {
        let line = serde_json::to_string(&Line { backend: "gpu", info });
        writeln!(out, "{}", line.map_err(anyhow::Error::from)?)?;
    }
    for info in levels {
        let line = serde_json::to_string(&Line { backend: "cpu", info });
        writeln!(out, "{}", line.map_err(anyhow::Error::from)?)?;
    }
    Ok(())
}

fn print(gpus: &[AdapterInfo], levels: &[LevelInfo]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for gpu in gpus {
        writeln!(out, "gpu {}   {} ({}, {})", gpu.index, gpu.name, gpu.vendor, gpu.kind)?;
        writeln!(out, "        through {}, driver {}", gpu.api, gpu.driver)?;
        writeln!(
            out,
            "        workgroups up to {}, uniform buffers up to {} bytes",
            gpu.max_workgroup, gpu.max_uniform_bytes
        )?;
        writeln!(out, "        {}", verdict(gpu.why_not.as_deref()))?;
    }
    if gpus.is_empty() {
        let built = cfg!(feature = "gpu");
        writeln!(out, "{}", if built { GpuError::None } else { GpuError::NotBuilt })?;
    }
    for level in levels {
        writeln!(out, "cpu     {:<8}{}", level.level, verdict(level.why_not))?;
    }
    match gpus.iter().find(|gpu| gpu.chosen) {
        Some(gpu) => writeln!(out, "auto takes {}, and the cpu for short searches", gpu.name)?,
        None => writeln!(out, "auto takes the cpu")?,
    }
    Ok(())
}

fn verdict(why_not: Option<&str>) -> String {
    why_not.map_or("taken by default".to_owned(), |reason| format!("not taken: {reason}"))
}
