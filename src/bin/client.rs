//! seedrush-client: searches what a server leases to it.

use clap::Parser as _;
use seedrush::cli::{self, client::ClientArgs};
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::exit(cli::client::run(&ClientArgs::parse()))
}
