//! The arguments that say which backends search, in all programs that search.

use super::values::number;
use super::{Exit, Failure};
use crate::cpu::Level;
use crate::gpu::{GpuError, Workload};
use crate::machine::{Choice, Machine, MachineError};
use anyhow::anyhow;
use clap::Args;
use std::num::NonZeroUsize;

/// Most threads that may be asked for; far more than any machine has cores to run them.
const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// The backends that search on this machine.
#[derive(Args, Clone, Debug)]
pub struct MachineArgs {
    /// Backends that search: cpu, gpu, all (both; also gpu,cpu), or auto: a hardware GPU if there is
    /// one, else the cpu; for short searches, and with --threads or --level, the cpu. In `bench`,
    /// auto means the cpu and a hardware GPU
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
    #[arg(long, value_name = "T", value_parser = number(NonZeroUsize::MIN..=MOST_THREADS), allow_negative_numbers = true)]
    pub threads: Option<NonZeroUsize>,

    /// Instruction set of the cpu backend: scalar, avx2 or avx512 (the best by default; `bench`
    /// measures all)
    #[arg(long)]
    pub level: Option<Level>,
}

impl MachineArgs {
    /// Returns the machine that is meant.
    ///
    /// # Errors
    /// Options of a backend that was not asked for.
    pub fn machine(&self) -> Result<Machine, Failure> {
        self.check()?;
        Ok(Machine {
            choice: self.backend,
            level: self.level,
            threads: self.threads,
            gpus: self.gpus.clone(),
            workload: self.workload,
        })
    }

    /// Refuses options that would be ignored.
    ///
    /// # Errors
    /// Options of a backend that was not asked for.
    pub fn check(&self) -> Result<(), Failure> {
        let of_gpu = [("--gpu", !self.gpus.is_empty()), ("--workload", self.workload.is_some())];
        let of_cpu = [("--threads", self.threads.is_some()), ("--level", self.level.is_some())];
        let (options, kind, other) = match self.backend {
            Choice::Cpu => (of_gpu, "a GPU", "the cpu"),
            Choice::Gpu => (of_cpu, "the cpu", "a GPU"),
            Choice::All => return Ok(()),
            Choice::Auto => return self.check_auto(),
        };
        match options.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::usage(anyhow!(
                "{option} is for {kind}, and --backend {} takes {other} alone: leave one out",
                self.backend
            ))),
            None => Ok(()),
        }
    }

    /// With --threads or --level and no GPU named, auto takes the cpu.
    fn check_auto(&self) -> Result<(), Failure> {
        let cpu = self.threads.is_some() || self.level.is_some();
        if cpu && self.gpus.is_empty() && self.workload.is_some() {
            let text = "--workload is for a GPU, and with --threads or --level auto takes the cpu: \
                        name a --gpu, or leave one out";
            return Err(Failure::usage(anyhow!(text)));
        }
        Ok(())
    }

    /// Returns the same arguments again, as they were given.
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

/// Says how the backends were chosen, and where to read more.
pub fn note(note: &str) -> String {
    format!("{note} (see `seedrush devices`)")
}

/// Tells faults of the machine from names that fit nothing here.
pub fn failure(error: MachineError) -> Failure {
    match error {
        MachineError::Gpu(error @ GpuError::NoSuch { .. }) => Failure::usage(error),
        MachineError::Gpu(error) => Failure::new(Exit::NoBackend, error),
        MachineError::Level(error) => {
            Failure::usage(anyhow!("{error}; choose another --level, or leave it out"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        machine: MachineArgs,
    }

    fn parsed(words: &str) -> MachineArgs {
        Line::try_parse_from(format!("line {words}").trim().split(' ')).unwrap().machine
    }

    #[test]
    fn options_of_the_other_backend_are_refused() {
        for (words, option) in [
            ("--backend cpu --gpu 0", "--gpu"),
            ("--backend cpu --workload idle", "--workload"),
            ("--backend gpu --threads 2", "--threads"),
            ("--backend gpu --level scalar", "--level"),
            ("--workload idle --threads 2", "--workload"),
        ] {
            let failure = parsed(words).machine().unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message().starts_with(option), "{}", failure.message());
        }
        for words in [
            "",
            "--workload idle",
            "--workload idle --threads 2 --gpu 0",
            "--gpu 0 --threads 2",
            "--backend all --gpu 0 --level scalar",
        ] {
            assert!(parsed(words).machine().is_ok(), "{words}");
        }
    }

    #[test]
    fn arguments_are_written_as_they_were_given() {
        let words = " --backend all --gpu 'a card,1' --workload idle --threads 3 --level scalar";
        let line = words.replace("'a card,1'", "1").trim().to_owned();
        assert_eq!(parsed(&line).words(), words.replace("'a card,1'", "'1'"));
        assert_eq!(parsed("").words(), "");
    }
}
