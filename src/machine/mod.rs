//! Chooses the backends of this machine that search, and makes them work as one.
//!
//! `auto` takes a hardware GPU where there is one and the search is long enough to pay for opening
//! it, else the cpu; the cpu also begins while the GPU's shader is compiled.

mod team;

pub use team::Team;

use crate::backend::Backend;
use crate::cpu::{Cpu, Level, LevelError};
use crate::gpu::{Gpu, GpuError, Workload};
use crate::puzzle::Difficulty;
use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// Searches of up to 2^28 expected candidates take the cpu less time than opening a GPU.
const CPU_BITS: u32 = 28;

/// The kinds of backend that search.
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

/// The word names no backend.
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

/// A choice of backends. The default is what suits the machine best.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Kinds of backend.
    pub choice: Choice,
    /// Level of the cpu backend; `None` takes the best.
    pub level: Option<Level>,
    /// Threads of the cpu backend; `None` takes all cores.
    pub threads: Option<NonZeroUsize>,
    /// Numbers or parts of names of GPUs; none takes the best hardware GPU.
    pub gpus: Vec<String>,
    /// How long a dispatch may keep a GPU; `None` takes what suits the machine.
    pub workload: Option<Workload>,
}

/// Reasons why there is no such backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The cpu lacks the level.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// There is no such GPU.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl Machine {
    /// Opens the backends for a puzzle of this difficulty, as one.
    ///
    /// # Errors
    /// The machine lacks what was asked for by name.
    pub fn open(&self, difficulty: Difficulty) -> Result<Team, MachineError> {
        let cpu =
            || Cpu::new(self.level, self.threads).map(|cpu| Box::new(cpu) as Box<dyn Backend>);
        Ok(match self.choice {
            Choice::Cpu => Team::new(vec![cpu()?], None),
            Choice::Gpu => Team::new(self.gpus()?, None),
            Choice::All => {
                let mut members = self.gpus()?;
                members.push(cpu()?);
                Team::new(members, None)
            }
            Choice::Auto if self.cpu_will_do(difficulty) => Team::new(vec![cpu()?], None),
            Choice::Auto => match self.gpus() {
                Ok(gpus) => Team::new(gpus, Some(cpu()?)),
                Err(error) if self.gpus.is_empty() => {
                    let note = format!("using the cpu: {}", error.brief());
                    Team::new(vec![cpu()?], None).with_note(note)
                }
                Err(error) => return Err(error.into()),
            },
        })
    }

    /// Returns true if `auto` need not look for a GPU: none was named, and either options that only
    /// the cpu has were given or the search is short.
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
    fn auto_takes_the_cpu_for_short_searches() {
        let team = Machine::default().open(Difficulty::from_bits(20).unwrap()).unwrap();
        assert!(team.describe().starts_with("cpu"), "{team:?}");
        assert_eq!(team.note(), None);
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named() {
        let gpus = vec!["no such card".to_owned()];
        for choice in [Choice::Auto, Choice::Gpu, Choice::All] {
            let machine = Machine { choice, gpus: gpus.clone(), ..Machine::default() };
            let error = machine.open(Difficulty::from_bits(64).unwrap()).unwrap_err();
            assert!(matches!(error, MachineError::Gpu(_)), "{error}");
        }
    }
}
