//! What the programs share: arguments, exit codes, and how things are said to people.
//!
//! Not part of the library's interface; it lives here so that the programs stay thin.

/// Prints a line. Who reads our output may have had enough, as `head` has: a search goes on without.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

pub mod bench;
pub mod client;
pub mod devices;
pub mod machine_args;
pub mod mine;
pub mod net_args;
pub mod puzzle_args;
pub mod remote;
pub mod server;
pub mod text;
pub mod verify;

use std::process::ExitCode;

/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// How a program ends when it did not simply succeed.
#[derive(Debug)]
pub enum Failure {
    /// The words of the command line, or what they stand for, are wrong: exit code 2.
    Usage(anyhow::Error),
    /// The work failed: exit code 1.
    Work(anyhow::Error),
}

impl Failure {
    /// A usage error from anything that says what is wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Work(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Work(error.into())
    }
}

/// What a program's `main` returns: the one place where errors become words and exit codes.
pub fn exit(result: Result<ExitCode, Failure>) -> ExitCode {
    match result {
        Ok(code) => code,
        // Whoever read our output has had enough, as `head` does.
        Err(Failure::Work(error)) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(Failure::Work(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
