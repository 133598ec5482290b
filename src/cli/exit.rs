//! Exit codes of all programs, and how failures become them.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a program ends. `docs/json-lines.schema.json` and README list the same codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The program did what it was asked for.
    Done = 0,
    /// The work ended without a result.
    NoResult = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server is unreachable or was lost.
    Unreachable = 3,
    /// The server cannot listen.
    CannotListen = 4,
    /// No backend can search.
    NoBackend = 5,
    /// Anything else failed.
    Failed = 6,
    /// Someone ended the program early; shells report the same for Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::NoResult,
        Self::Usage,
        Self::Unreachable,
        Self::CannotListen,
        Self::NoBackend,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Explains the code in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done: found, finished, or the seed solves the puzzle",
            Self::NoResult => "no result: nothing found, no solution, or refused by the server",
            Self::Usage => "wrong arguments",
            Self::Unreachable => "the server is unreachable or was lost",
            Self::CannotListen => "cannot listen: the port is in use, or not allowed",
            Self::NoBackend => "no usable GPU or backend, or it broke down",
            Self::Failed => "something else failed, such as a file or a socket",
            Self::Interrupted => "interrupted by Ctrl-C, SIGTERM or SIGHUP",
        }
    }

    /// Lists all codes, for the end of every help text.
    pub fn table() -> String {
        let mut table = String::from("Exit codes:");
        for exit in Self::ALL {
            table += &format!("\n  {:>3}  {}", exit.code(), exit.meaning());
        }
        table
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// An error, and the exit code that it leads to.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The message; its causes follow after colons.
    pub error: anyhow::Error,
}

impl Failure {
    /// Makes a failure with the exit code `exit`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// Makes a failure for arguments that are wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Returns true if the reader of our output has gone, as `head` goes.
    pub fn is_broken_pipe(&self) -> bool {
        let io = self.error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The message in one line, with every cause once.
    pub fn message(&self) -> String {
        let mut message = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            // A transparent error repeats its source.
            if !message.ends_with(&cause) {
                let colon = if message.is_empty() { "" } else { ": " };
                message += &format!("{colon}{cause}");
            }
        }
        message
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Passes on how a program ended, once its output is written. Not for the server, which gives up a
/// reader that has stopped to read; see `server::output`.
///
/// # Errors
/// Standard output cannot be written: results would be lost without a word.
pub fn flushed(exit: Exit) -> Result<Exit, Failure> {
    io::stdout().flush()?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn each_code_is_listed_once() {
        let table = Exit::table();
        assert_eq!(table.lines().count(), 1 + Exit::ALL.len());
        let mut codes = Exit::ALL.map(Exit::code).to_vec();
        codes.dedup();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 130]);
        assert!(table.contains("  130  interrupted"), "{table}");
    }

    #[test]
    fn a_cause_is_said_once() {
        let failure = Failure::usage(anyhow!("no such port").context("cannot listen"));
        assert_eq!(failure.message(), "cannot listen: no such port");
        let repeated = anyhow!("no such port").context("cannot listen: no such port");
        assert_eq!(Failure::usage(repeated).message(), "cannot listen: no such port");
    }
}
