//! seedrush-server: coordinates a distributed search.

use seedrush::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(cli::server::run)
}
