//! The arguments that describe a puzzle, and the two questions asked when they are missing.

use super::Failure;
use super::values::number;
use crate::puzzle::{Difficulty, Encoding, Puzzle, PuzzleError};
use crate::seeds::{Layout, LayoutError};
use anyhow::anyhow;
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};

/// Most zero bytes that a digest can begin with.
const MOST_BYTES: u32 = 16;

/// The arguments that describe a puzzle, in all programs that take one.
#[derive(Args, Clone, Debug)]
pub struct PuzzleArgs {
    /// Leading zero bytes (0 to 16), then the string: hex digits, used exactly as written. With
    /// --bits, the string alone
    #[arg(value_names = ["N", "STRING"], num_args = 0..=2, allow_negative_numbers = true)]
    pub words: Vec<String>,

    /// Leading zero bits (0 to 128), instead of N
    #[arg(long, value_name = "B", value_parser = number(0..=128u32), allow_negative_numbers = true)]
    pub bits: Option<u32>,

    /// text: MD5 of the characters as written; bytes: MD5 of the decoded hex number
    #[arg(long, default_value_t = Encoding::Text)]
    pub encoding: Encoding,

    /// Write seeds with a leading 0x (text only)
    #[arg(long)]
    pub seed_prefix: bool,
}

/// A layout, or `None` for `auto`.
#[derive(Clone, Copy, Debug)]
pub struct LayoutChoice(pub Option<Layout>);

/// Parses `--seeds`: a layout, or `auto`.
///
/// # Errors
/// Any other word.
pub fn parse_layout(word: &str) -> Result<LayoutChoice, LayoutError> {
    match word {
        "auto" => Ok(LayoutChoice(None)),
        _ => word.parse().map(|layout| LayoutChoice(Some(layout))),
    }
}

impl PuzzleArgs {
    /// Returns the puzzle; asks on a terminal for what is missing.
    ///
    /// # Errors
    /// Words that make no puzzle, or missing words and no terminal to ask on.
    pub fn puzzle(&self) -> Result<Puzzle, Failure> {
        self.puzzle_from(&mut Asker::on_terminal())
    }

    fn puzzle_from(&self, asker: &mut Asker<'_>) -> Result<Puzzle, Failure> {
        if self.seed_prefix && self.encoding != Encoding::Text {
            let text = format!("--seed-prefix: {}", PuzzleError::PrefixNeedsText);
            return Err(Failure::usage(anyhow!(text)));
        }
        let (difficulty, string) = self.given()?;
        let difficulty = match difficulty {
            Some(difficulty) => difficulty,
            None => asker.ask("Leading zero bytes (0 to 16)", "N", parse_bytes)?,
        };
        let check = |string: &str| {
            let puzzle = Puzzle::new(string, difficulty, self.encoding)
                .map_err(|error| with_hint(error, string))?;
            Ok(if self.seed_prefix { puzzle.with_seed_prefix()? } else { puzzle })
        };
        match string {
            Some(string) => check(string).map_err(Failure::usage),
            None => asker.ask("String (hex digits)", "STRING", check),
        }
    }

    /// Sorts out which of the words are there.
    fn given(&self) -> Result<(Option<Difficulty>, Option<&str>), Failure> {
        Ok(match (self.bits, self.words.as_slice()) {
            (Some(bits), words) if words.len() < 2 => {
                let difficulty = Difficulty::from_bits(bits).map_err(Failure::usage)?;
                (Some(difficulty), words.first().map(String::as_str))
            }
            (Some(_), _) => return Err(two_difficulties()),
            (None, [n, string, ..]) => {
                let difficulty = parse_bytes(n).map_err(|error| swapped(error, n, string))?;
                (Some(difficulty), Some(string))
            }
            (None, [n]) => (Some(parse_bytes(n).map_err(Failure::usage)?), None),
            (None, []) => (None, None),
        })
    }
}

/// Says that N and --bits exclude each other.
pub(super) fn two_difficulties() -> Failure {
    let text = "N and --bits both say how difficult the puzzle is: leave one out";
    Failure::usage(anyhow!(text))
}

/// Says what is wrong with N, and whether it may have changed places with the string.
pub(super) fn swapped(error: anyhow::Error, n: &str, string: &str) -> Failure {
    let is_string = n.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_string && parse_bytes(string).is_ok() {
        let text = format!("{error}; N comes before the string: {string} {n}");
        return Failure::usage(anyhow!(text));
    }
    Failure::usage(error)
}

/// Says what is wrong with the digits in `word`, and what to do about a leading 0x.
pub(super) fn with_hint(error: PuzzleError, word: &str) -> anyhow::Error {
    match error {
        PuzzleError::NotHex { .. } if word.starts_with("0x") || word.starts_with("0X") => {
            anyhow!("{error}; leave the leading 0x out")
        }
        error => error.into(),
    }
}

/// Parses N, a number of zero bytes.
pub(super) fn parse_bytes(word: &str) -> anyhow::Result<Difficulty> {
    let n = number(0..=MOST_BYTES)(word.trim())
        .map_err(|_| anyhow!("N is a number of zero bytes from 0 to {MOST_BYTES}, not {word:?}"))?;
    Ok(Difficulty::from_bytes(n)?)
}

/// Asks until the answer makes sense.
struct Asker<'a> {
    /// `None` where nobody is there to answer.
    answers: Option<&'a mut dyn BufRead>,
}

impl Asker<'_> {
    fn on_terminal() -> Self {
        let terminal = std::io::stdin().is_terminal();
        // Leaked once a run, so that prompts can borrow it for as long as they like.
        let answers = terminal.then(|| Box::leak(Box::new(std::io::stdin().lock())) as _);
        Self { answers }
    }

    fn ask<T>(
        &mut self,
        question: &str,
        missing: &str,
        parse: impl Fn(&str) -> anyhow::Result<T>,
    ) -> Result<T, Failure> {
        let Some(answers) = self.answers.as_mut() else {
            return Err(Failure::usage(anyhow!(
                "{missing} is missing and there is no terminal to ask on: see --help"
            )));
        };
        loop {
            let mut out = std::io::stderr();
            write!(out, "{question}: ")?;
            out.flush()?;
            let mut line = Vec::new();
            if answers.read_until(b'\n', &mut line)? == 0 {
                return Err(Failure::usage(anyhow!("{missing} is missing: no answer came")));
            }
            match parse(String::from_utf8_lossy(&line).trim()) {
                Ok(value) => return Ok(value),
                Err(error) => tell!("{error:#}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    fn args(words: &[&str], bits: Option<u32>) -> PuzzleArgs {
        PuzzleArgs {
            words: words.iter().map(ToString::to_string).collect(),
            bits,
            encoding: Encoding::Text,
            seed_prefix: false,
        }
    }

    fn puzzle(args: &PuzzleArgs, answers: Option<&str>) -> Result<Puzzle, String> {
        let mut bytes = answers.map(str::as_bytes);
        let answers = bytes.as_mut().map(|bytes| bytes as &mut dyn BufRead);
        args.puzzle_from(&mut Asker { answers }).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
            failure.message()
        })
    }

    #[test]
    fn words_and_bits_make_the_same_puzzle() {
        let by_bytes = puzzle(&args(&["3", "ab"], None), None).unwrap();
        assert_eq!(puzzle(&args(&["ab"], Some(24)), None).unwrap(), by_bytes);
        assert!(puzzle(&args(&["3", "ab"], Some(24)), None).unwrap_err().contains("leave one out"));
    }

    #[test]
    fn missing_words_are_asked_for_until_they_are_right() {
        let asked = puzzle(&args(&[], None), Some("x\n17\n3\nxyz\nab\n")).unwrap();
        assert_eq!(asked, puzzle(&args(&["3", "ab"], None), None).unwrap());
        assert!(puzzle(&args(&["3"], None), None).unwrap_err().contains("STRING is missing"));
        assert!(puzzle(&args(&[], None), Some("3\n")).unwrap_err().contains("no answer"));
    }

    #[test]
    fn bad_words_are_refused() {
        assert!(puzzle(&args(&["17", "ab"], None), None).unwrap_err().contains("0 to 16"));
        assert!(puzzle(&args(&["3", "xy"], None), None).unwrap_err().contains("character 1"));
        assert!(puzzle(&args(&["ab"], Some(129)), None).unwrap_err().contains("128"));
    }

    #[test]
    fn likely_mistakes_get_a_hint() {
        let error = puzzle(&args(&["A7C02215FC", "3"], None), None).unwrap_err();
        assert!(error.ends_with("N comes before the string: 3 A7C02215FC"), "{error}");
        let error = puzzle(&args(&["x", "3"], None), None).unwrap_err();
        assert!(error.ends_with("not \"x\""), "{error}");
        for string in ["0xA7", "0XA7"] {
            let error = puzzle(&args(&["3", string], None), None).unwrap_err();
            assert!(error.ends_with("leave the leading 0x out"), "{error}");
        }
    }
}
