//! seedrush-client: searches what a server leases to it.

use seedrush::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(cli::client::run)
}
