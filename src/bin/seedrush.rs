//! seedrush: finds seeds on this machine, and gives jobs to servers.

use clap::{Parser, Subcommand};
use seedrush::cli::remote::RemoteCommand;
use seedrush::cli::{
    self, bench::BenchArgs, devices::DevicesArgs, mine::MineArgs, verify::VerifyArgs,
};
use std::process::ExitCode;

/// Finds a seed such that MD5(seed | string) begins with zeros
#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Mine(MineArgs),
    Verify(VerifyArgs),
    Bench(BenchArgs),
    Devices(DevicesArgs),
    #[command(flatten)]
    Remote(RemoteCommand),
}

fn main() -> ExitCode {
    cli::main(|args: &Arguments| match &args.command {
        Command::Mine(args) => cli::mine::run(args),
        Command::Verify(args) => cli::verify::run(args),
        Command::Bench(args) => cli::bench::run(args),
        Command::Devices(args) => cli::devices::run(args),
        Command::Remote(command) => cli::remote::run(command),
    })
}
