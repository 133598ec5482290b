//! The arguments that describe a puzzle, and the two questions asked when they are missing.

use super::Failure;
use crate::puzzle::{Difficulty, Encoding, Puzzle, PuzzleError};
use crate::seeds::Layout;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroUsize;

/// The puzzle options that `mine` and the server share.
#[derive(Args, Clone, Debug)]
pub struct PuzzleArgs {
    /// Leading zero bytes (0 to 16), then the string: hex digits, used exactly as written. With
    /// --bits, the string alone
    #[arg(value_names = ["N", "STRING"], num_args = 0..=2)]
    pub words: Vec<String>,

    /// Leading zero bits (0 to 128), instead of N
    #[arg(long, value_name = "B")]
    pub bits: Option<u32>,

    /// text: MD5 of the characters as written; bytes: MD5 of the decoded hex number
    #[arg(long, default_value_t = Encoding::Text)]
    pub encoding: Encoding,

    /// Write seeds with a leading 0x (text only)
    #[arg(long, value_name = "0x")]
    pub seed_prefix: Option<String>,
}

/// `--seeds`: a layout, or `auto`.
pub fn parse_layout(word: &str) -> Result<LayoutChoice, crate::seeds::LayoutError> {
    match word {
        "auto" => Ok(LayoutChoice(None)),
        _ => word.parse().map(|layout| LayoutChoice(Some(layout))),
    }
}

/// Most threads that may be asked for; far more than any machine has cores to run them.
const MOST_THREADS: usize = 1024;

/// `--threads`: 1 to 1024.
///
/// # Errors
/// Anything else.
pub fn parse_threads(word: &str) -> anyhow::Result<NonZeroUsize> {
    let threads: NonZeroUsize =
        word.parse().with_context(|| format!("a number from 1 to {MOST_THREADS} is needed"))?;
    anyhow::ensure!(threads.get() <= MOST_THREADS, "at most {MOST_THREADS} threads are possible");
    Ok(threads)
}

/// A layout, or `None` for `auto`.
#[derive(Clone, Copy, Debug)]
pub struct LayoutChoice(pub Option<Layout>);

impl PuzzleArgs {
    /// The puzzle, asking on a terminal for what is missing.
    ///
    /// # Errors
    /// Words that make no puzzle, or missing words and no terminal to ask on.
    pub fn puzzle(&self) -> Result<Puzzle, Failure> {
        self.puzzle_from(&mut Asker::on_terminal())
    }

    fn puzzle_from(&self, asker: &mut Asker<'_>) -> Result<Puzzle, Failure> {
        if self.seed_prefix.as_deref().is_some_and(|prefix| prefix != "0x") {
            return Err(Failure::usage(anyhow!("--seed-prefix can only be 0x")));
        }
        if self.seed_prefix.is_some() && self.encoding != Encoding::Text {
            return Err(Failure::usage(PuzzleError::PrefixNeedsText));
        }
        let (n, string) = match (self.bits, self.words.as_slice()) {
            (Some(_), [_, _]) => {
                return Err(Failure::usage(anyhow!(
                    "N and --bits both say how difficult the puzzle is: leave one out"
                )));
            }
            (Some(_), words) => (None, words.first()),
            (None, words) => (words.first(), words.get(1)),
        };
        let difficulty = match (self.bits, n) {
            (Some(bits), _) => Difficulty::from_bits(bits).map_err(Failure::usage)?,
            (None, Some(n)) => parse_bytes(n).map_err(Failure::Usage)?,
            (None, None) => asker.ask("Leading zero bytes (0 to 16)", "N", parse_bytes)?,
        };
        let check = |string: &str| {
            let puzzle = Puzzle::new(string, difficulty, self.encoding)?;
            Ok(if self.seed_prefix.is_some() { puzzle.with_seed_prefix()? } else { puzzle })
        };
        match string {
            Some(string) => check(string).map_err(Failure::Usage),
            None => asker.ask("String (hex digits)", "STRING", check),
        }
    }
}

/// N, a number of zero bytes.
pub(super) fn parse_bytes(word: &str) -> anyhow::Result<Difficulty> {
    let n = word
        .trim()
        .parse()
        .with_context(|| format!("N is a number of zero bytes from 0 to 16, not {word:?}"))?;
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
            eprint!("{question}: ");
            std::io::stderr().flush()?;
            let mut line = Vec::new();
            if answers.read_until(b'\n', &mut line)? == 0 {
                return Err(Failure::usage(anyhow!("{missing} is missing: no answer came")));
            }
            match parse(String::from_utf8_lossy(&line).trim()) {
                Ok(value) => return Ok(value),
                Err(error) => eprintln!("{error:#}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str], bits: Option<u32>) -> PuzzleArgs {
        PuzzleArgs {
            words: words.iter().map(ToString::to_string).collect(),
            bits,
            encoding: Encoding::Text,
            seed_prefix: None,
        }
    }

    fn puzzle(args: &PuzzleArgs, answers: Option<&str>) -> Result<Puzzle, String> {
        let mut bytes = answers.map(str::as_bytes);
        let answers = bytes.as_mut().map(|bytes| bytes as &mut dyn BufRead);
        args.puzzle_from(&mut Asker { answers }).map_err(|failure| match failure {
            Failure::Usage(error) => format!("{error:#}"),
            Failure::Work(error) => panic!("not a usage error: {error:#}"),
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
}
