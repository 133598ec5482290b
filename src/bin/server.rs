//! seedrush-server: leads clients to a seed.

use clap::Parser as _;
use seedrush::cli::{self, server::ServerArgs};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::exit(cli::server::run(&ServerArgs::parse()))
}
