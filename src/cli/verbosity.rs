//! How much a program says: `-q` and `-v`, the same in all programs.

use clap::Args;

/// How much a program says beside its results.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Verbosity {
    /// Print results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more about what happens
    #[arg(long, short, global = true)]
    pub verbose: bool,
}
