//! The arguments of `seedrush mine`.

use crate::cli::machine_args::MachineArgs;
use crate::cli::puzzle_args::{LayoutChoice, PuzzleArgs, parse_layout};
use crate::cli::values::number;
use crate::cli::verbosity::Verbosity;
use clap::Args;
use std::num::NonZeroUsize;

/// Finds a seed on this machine
///
/// Ctrl-C, SIGTERM and SIGHUP end the search and print the command that goes on from there. On a
/// terminal, keys work too: s shows how the search stands, p pauses it or goes on, q quits.
#[derive(Args, Debug)]
pub struct MineArgs {
    #[command(flatten)]
    pub(super) puzzle: PuzzleArgs,

    /// Seeds to try: auto, counting (the smallest seed), trailing or tunnel
    #[arg(long, value_name = "LAYOUT", default_value = "auto", value_parser = parse_layout)]
    pub(super) seeds: LayoutChoice,

    #[command(flatten)]
    pub(super) machine: MachineArgs,

    /// Stop after this many solutions
    #[arg(
        long,
        value_name = "K",
        default_value = "1",
        value_parser = number(NonZeroUsize::MIN..=NonZeroUsize::MAX),
        allow_negative_numbers = true
    )]
    pub(super) solutions: NonZeroUsize,

    /// Begin at this nonce
    #[arg(
        long,
        value_name = "NONCE",
        default_value_t = 0,
        value_parser = number(0..=u128::MAX),
        allow_negative_numbers = true
    )]
    pub(super) start: u128,

    /// Search this many nonces, then say so if none is a solution (exit code 1)
    #[arg(
        long,
        value_name = "C",
        value_parser = number(0..=u128::MAX),
        allow_negative_numbers = true
    )]
    pub(super) count: Option<u128>,

    /// Print one JSON object a line on standard output, the last one a result or an error
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}
