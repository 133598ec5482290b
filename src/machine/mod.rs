//! Chooses the backends of this machine, and pools them.
//!
//! `auto` takes a hardware GPU if there is one and the search is long enough to pay for opening it,
//! else the cpu; the cpu also searches while the GPU's shader is compiled.

mod pool;

pub use pool::BackendPool;

use crate::backend::Backend;
use crate::cpu::{Cpu, Level, LevelError};
use crate::gpu::{Gpu, GpuError, Workload};
use crate::puzzle::Difficulty;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// Difficulty up to which the cpu needs less time than opening a GPU takes.
const CPU_BITS: u32 = 28;

/// Choice of backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Choice {
    /// A hardware GPU if there is one, else the cpu.
    #[default]
    Auto,
    /// The cpu.
    Cpu,
    /// The selected GPUs.
    Gpu,
    /// Both.
    All,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::All => "all",
        })
    }
}

/// A word that names no choice of backends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown backend {0:?}: choose auto, cpu, gpu or all (the same as gpu,cpu)")]
pub struct UnknownChoice(String);

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(word: &str) -> Result<Self, UnknownChoice> {
        match word {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            "all" | "gpu,cpu" | "cpu,gpu" => Ok(Self::All),
            _ => Err(UnknownChoice(word.to_owned())),
        }
    }
}

/// Options for the backends of this machine. The default suits it best.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Kinds of backend.
    pub choice: Choice,
    /// Level of the cpu backend; `None` takes the best.
    pub level: Option<Level>,
    /// Threads of the cpu backend; `None` takes all cores.
    pub threads: Option<NonZeroUsize>,
    /// Numbers or parts of names of GPUs; if empty, the best hardware GPU.
    pub gpus: Vec<String>,
    /// Time that a dispatch may keep a GPU; `None` takes what suits the machine.
    pub workload: Option<Workload>,
}

/// Error of a backend that is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The cpu lacks the level.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// No such GPU can be used.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl Machine {
    /// Opens the backends for a puzzle of this difficulty.
    ///
    /// # Errors
    /// A backend that was asked for by name is not available.
    pub fn open(&self, difficulty: Difficulty) -> Result<BackendPool, MachineError> {
        let cpu =
            || Cpu::new(self.level, self.threads).map(|cpu| Box::new(cpu) as Box<dyn Backend>);
        Ok(match self.choice {
            Choice::Cpu => BackendPool::new(vec![cpu()?], None),
            Choice::Gpu => BackendPool::new(self.gpus()?, None),
            Choice::All => {
                let mut members = self.gpus()?;
                members.push(cpu()?);
                BackendPool::new(members, None)
            }
            Choice::Auto if self.cpu_will_do(difficulty) => BackendPool::new(vec![cpu()?], None),
            Choice::Auto => match self.gpus() {
                Ok(gpus) => BackendPool::new(gpus, Some(cpu()?)),
                Err(error) if self.gpus.is_empty() => {
                    let note = format!("using the cpu: {}", error.brief());
                    BackendPool::new(vec![cpu()?], None).with_note(note)
                }
                Err(error) => return Err(error.into()),
            },
        })
    }

    /// Returns true if `auto` need not look for a GPU: none was named, and the search is short or
    /// options of the cpu were given.
    fn cpu_will_do(&self, difficulty: Difficulty) -> bool {
        let cpu_is_meant = self.level.is_some() || self.threads.is_some();
        self.gpus.is_empty() && (cpu_is_meant || difficulty.bits() <= CPU_BITS)
    }

    fn gpus(&self) -> Result<Vec<Box<dyn Backend>>, GpuError> {
        let workload = self.workload.unwrap_or_else(Workload::of_this_machine);
        let gpus = Gpu::open(&self.gpus, workload)?.into_iter();
        Ok(gpus.map(|gpu| Box::new(gpu) as Box<dyn Backend>).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_choices() {
        for choice in [Choice::Auto, Choice::Cpu, Choice::Gpu, Choice::All] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert_eq!("gpu,cpu".parse(), Ok(Choice::All));
        assert!("cuda".parse::<Choice>().unwrap_err().to_string().contains("gpu,cpu"));
    }

    #[test]
    fn auto_uses_the_cpu_for_short_searches() {
        let pool = Machine::default().open(Difficulty::from_bits(20).unwrap()).unwrap();
        assert!(pool.describe().starts_with("cpu"), "{pool:?}");
        assert_eq!(pool.note(), None);
    }

    #[test]
    fn a_missing_gpu_is_an_error() {
        let gpus = vec!["no such card".to_owned()];
        for choice in [Choice::Auto, Choice::Gpu, Choice::All] {
            let machine = Machine { choice, gpus: gpus.clone(), ..Machine::default() };
            let error = machine.open(Difficulty::from_bits(64).unwrap()).unwrap_err();
            assert!(matches!(error, MachineError::Gpu(_)), "{error}");
        }
    }
}
