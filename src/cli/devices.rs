//! `seedrush devices`: lists the backends of this machine, and says which ones `auto` takes.

use super::{Exit, Failure, json};
use crate::cpu::Level;
use crate::gpu::{self, AdapterInfo, GpuError};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::io::Write as _;

/// Lists every GPU and every level of the cpu, and which ones are taken by default
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// Print one JSON object a line on standard output, the last one a result or an error
    #[arg(long)]
    json: bool,
}

/// A level of the cpu, as `devices --json` prints it.
#[derive(Serialize)]
struct LevelInfo {
    level: String,
    available: bool,
    /// The cpu backend takes it by default.
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
    for info in gpus {
        json::print("gpu", &serde_json::to_value(info).map_err(anyhow::Error::from)?)?;
    }
    for info in levels {
        json::print("level", &serde_json::to_value(info).map_err(anyhow::Error::from)?)?;
    }
    let gpu = gpus.iter().find(|gpu| gpu.chosen).map(|gpu| gpu.index);
    let level = levels.iter().find(|level| level.chosen).map(|level| &level.level);
    json::print("result", &json!({ "program": "devices", "gpu": gpu, "level": level }))?;
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
