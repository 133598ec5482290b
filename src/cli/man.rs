//! `seedrush man`: manual pages of all programs.

use super::{Exit, Failure};
use anyhow::Context as _;
use clap::{Args, Command};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Prints the manual page of seedrush, or writes the pages of all programs and commands
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Directory to write all pages to; it is made where it is missing
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The pages cannot be written.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let programs = super::programs().map(|program| program.version(env!("CARGO_PKG_VERSION")));
    let Some(directory) = &args.directory else {
        let [seedrush, ..] = programs;
        let mut page = Vec::new();
        clap_mangen::Man::new(seedrush).render(&mut page)?;
        std::io::stdout().write_all(&page)?;
        return Ok(Exit::Done);
    };
    for program in programs {
        write(program, directory).with_context(|| format!("cannot write to {directory:?}"))?;
    }
    Ok(Exit::Done)
}

fn write(program: Command, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(program, directory)
}
