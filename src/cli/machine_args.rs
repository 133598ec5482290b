//! The arguments that say which backends search, shared by `mine` and the client.

use super::Failure;
use super::puzzle_args::parse_threads;
use crate::cpu::Level;
use crate::gpu::{GpuError, Workload};
use crate::machine::{Choice, Machine, MachineError};
use clap::Args;
use std::num::NonZeroUsize;

/// What searches on this machine.
#[derive(Args, Clone, Debug)]
pub struct MachineArgs {
    /// What searches: auto (a hardware GPU if there is one and the search is not short, else the
    /// cpu; the cpu also where --threads or --level is given), cpu, gpu, or all (both; also gpu,cpu)
    #[arg(long, default_value_t = Choice::Auto)]
    pub backend: Choice,

    /// GPUs, by number or a part of their names (the best hardware GPU by default): see `seedrush
    /// devices`
    #[arg(long = "gpu", value_name = "GPU", value_delimiter = ',')]
    pub gpus: Vec<String>,

    /// How long a dispatch may keep a GPU: idle (2 ms), desktop (12), dedicated (50) or headless
    /// (100); desktop where a display is attached, else headless
    #[arg(long)]
    pub workload: Option<Workload>,

    /// Threads of the cpu backend (all cores by default)
    #[arg(long, value_name = "T", value_parser = parse_threads)]
    pub threads: Option<NonZeroUsize>,

    /// Instruction set of the cpu backend: scalar, avx2 or avx512 (the best by default)
    #[arg(long)]
    pub level: Option<Level>,
}

impl MachineArgs {
    /// The machine that is meant.
    pub fn machine(&self) -> Machine {
        Machine {
            choice: self.backend,
            level: self.level,
            threads: self.threads,
            gpus: self.gpus.clone(),
            workload: self.workload,
        }
    }

    /// The same arguments again, as they were given.
    pub fn words(&self) -> String {
        let mut words = String::new();
        let mut add = |flag: &str, value: &dyn std::fmt::Display| {
            words += &format!(" --{flag} {value}");
        };
        if self.backend != Choice::Auto {
            add("backend", &self.backend);
        }
        if !self.gpus.is_empty() {
            // Quoted: names of GPUs have spaces.
            add("gpu", &format!("'{}'", self.gpus.join(",").replace('\'', "'\\''")));
        }
        if let Some(workload) = self.workload {
            add("workload", &workload);
        }
        if let Some(threads) = self.threads {
            add("threads", &threads);
        }
        if let Some(level) = self.level {
            add("level", &level);
        }
        words
    }
}

/// A GPU that cannot be had is a fault of the machine, not of the command line, unless its name is.
pub fn failure(error: MachineError) -> Failure {
    match error {
        MachineError::Gpu(error @ GpuError::NoSuch { .. }) => Failure::usage(error),
        MachineError::Gpu(error) => Failure::Work(error.into()),
        error @ MachineError::Level(_) => Failure::usage(error),
    }
}
