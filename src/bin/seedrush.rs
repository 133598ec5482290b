//! seedrush: finds seeds on this machine.

use clap::{Parser, Subcommand};
use seedrush::cli::{self, bench::BenchArgs, mine::MineArgs, verify::VerifyArgs};
use std::process::ExitCode;

/// Finds a seed such that MD5(seed | string) begins with zeros
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Mine(MineArgs),
    Verify(VerifyArgs),
    Bench(BenchArgs),
}

fn main() -> ExitCode {
    cli::exit(match Arguments::parse().command {
        Command::Mine(args) => cli::mine::run(&args),
        Command::Verify(args) => cli::verify::run(&args),
        Command::Bench(args) => cli::bench::run(&args),
    })
}
