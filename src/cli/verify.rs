//! `seedrush verify`: the judge, for one seed.

use super::puzzle_args::{parse_bytes, swapped, two_difficulties, with_hint};
use super::values::number;
use super::{Exit, Failure, json, text};
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use anyhow::anyhow;
use clap::Args;
use serde_json::json;
use std::io::Write as _;

/// Says whether a seed solves a puzzle; exit code 0 if it does, 1 if not
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Leading zero bytes (0 to 16; left out with --bits), the string and the seed
    #[arg(value_names = ["N", "STRING", "SEED"], num_args = 2..=3, required = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// Leading zero bits (0 to 128), instead of N
    #[arg(long, value_name = "B", value_parser = number(0..=128u32), allow_negative_numbers = true)]
    bits: Option<u32>,

    /// text: MD5 of the characters as written; bytes: MD5 of the decoded hex number
    #[arg(long, default_value_t = Encoding::Text)]
    encoding: Encoding,

    /// Print the verdict as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// The words describe no puzzle or no seed.
pub fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (difficulty, string, seed) = match (args.bits, args.words.as_slice()) {
        (Some(bits), [string, seed]) => {
            (Difficulty::from_bits(bits).map_err(Failure::usage)?, string, seed)
        }
        (None, [n, string, seed]) => {
            let difficulty = parse_bytes(n).map_err(|error| swapped(error, n, string))?;
            (difficulty, string, seed)
        }
        (Some(_), _) => return Err(two_difficulties()),
        (None, _) => {
            return Err(Failure::usage(anyhow!("verify needs N (or --bits), STRING and SEED")));
        }
    };
    let hint = |word| move |error| Failure::usage(with_hint(error, word));
    let puzzle = Puzzle::new(string, difficulty, args.encoding).map_err(hint(string))?;
    let seed = puzzle.written_seed(seed).map_err(hint(seed))?;
    let digest = puzzle.digest(&seed).map_err(Failure::usage)?;
    let solves = puzzle.is_solved_by(&seed);
    let exit = if solves { Exit::Done } else { Exit::NoResult };
    if args.json {
        let fields = json!({
            "program": "verify",
            "solves": solves,
            "seed": seed,
            "string": puzzle.string(),
            "encoding": puzzle.encoding().to_string(),
            "digest": digest.to_string(),
            "zero_bits": digest.zero_bits(),
            "wanted_bits": puzzle.difficulty().bits(),
        });
        json::print("result", &fields)?;
        return Ok(exit);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "digest    {digest}")?;
    let zeros = text::plural(digest.zero_bits(), "bit");
    writeln!(out, "zeros     {zeros}, {} wanted", puzzle.difficulty().bits())?;
    writeln!(out, "verdict   {}", if solves { "solves it" } else { "does not solve it" })?;
    writeln!(out, "check     {}", text::check_line(&puzzle, &seed))?;
    Ok(exit)
}
