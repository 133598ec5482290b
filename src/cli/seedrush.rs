//! `seedrush`: its commands.

use super::bench::{self, BenchArgs};
use super::completions::{self, CompletionsArgs};
use super::devices::{self, DevicesArgs};
use super::man::{self, ManArgs};
use super::mine::{self, MineArgs};
use super::remote::{self, RemoteCommand};
use super::verify::{self, VerifyArgs};
use super::{Exit, Failure, flushed};
use clap::{Parser, Subcommand};

/// Finds a seed such that MD5(seed | string) begins with zeros
#[derive(Parser, Debug)]
#[command(name = "seedrush")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Mine(MineArgs),
    Verify(VerifyArgs),
    Bench(BenchArgs),
    Devices(DevicesArgs),
    #[command(flatten)]
    Remote(RemoteCommand),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Runs the program.
///
/// # Errors
/// Those of the command.
pub fn run(args: &Arguments) -> Result<Exit, Failure> {
    let exit = match &args.command {
        Command::Mine(args) => mine::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Remote(command) => remote::run(command),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    exit.and_then(flushed)
}
