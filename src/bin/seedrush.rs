//! seedrush: finds seeds on this machine, and gives jobs to servers.

use seedrush::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(cli::seedrush::run)
}
