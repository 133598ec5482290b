//! The programs, and what they share: arguments, exit codes, and the words for people.
//!
//! Not part of the library's interface; it lives here so that the files in `bin` stay thin.

/// Prints a line on standard output. A reader that has gone does not stop the program.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

/// Prints a line on standard error; `eprintln` panics where the terminal has gone.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}

pub mod bench;
pub mod client;
pub mod completions;
pub mod devices;
pub mod exit;
pub mod json;
pub mod keys;
pub mod machine_args;
pub mod man;
pub mod mine;
pub mod net_args;
pub mod progress;
pub mod puzzle_args;
pub mod remote;
pub mod seedrush;
pub mod server;
pub mod signals;
pub mod text;
pub mod values;
pub mod verbosity;
pub mod verify;
pub mod version;

pub use exit::{Exit, Failure, flushed};

use clap::error::ErrorKind;
use clap::{Command, Parser};
use std::process::ExitCode;

/// Parses the command line and runs the program: the one place where errors become words and exit
/// codes.
pub fn main<A: Parser>(run: impl FnOnce(&A) -> Result<Exit, Failure>) -> ExitCode {
    quiet_mesa();
    let parsed = command::<A>()
        .try_get_matches()
        .and_then(|matches| A::from_arg_matches(&matches))
        .map_err(|error| error.format(&mut command::<A>()));
    let exit = match parsed {
        Ok(args) => conclude(run(&args)),
        Err(error) => refuse(&error),
    };
    exit.into()
}

/// Turns off a Vulkan layer of Mesa that prints errors about desktops where there is none. It chooses
/// a default GPU, which this program does itself.
fn quiet_mesa() {
    if cfg!(target_os = "linux") {
        // SAFETY: called first in `main`, where no other thread reads the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// The command line of a program, with what all programs have in common.
pub fn command<A: Parser>() -> Command {
    with_exit_codes(A::command().version(version::text()))
}

/// The command lines of all programs.
pub fn programs() -> [Command; 3] {
    [
        command::<seedrush::Arguments>(),
        command::<server::ServerArgs>(),
        command::<client::ClientArgs>(),
    ]
}

fn with_exit_codes(command: Command) -> Command {
    command.after_help(Exit::table()).mut_subcommands(with_exit_codes)
}

/// Says what is wrong with the command line, or prints the help that was asked for.
fn refuse(error: &clap::Error) -> Exit {
    // Nobody is left to tell where this fails.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit::Done;
    }
    if json::is_wanted() {
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let message: Vec<&str> = first.trim_start_matches("error: ").split_whitespace().collect();
        say!("{}", json::error(Exit::Usage, &message.join(" ")));
    }
    Exit::Usage
}

fn conclude(result: Result<Exit, Failure>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Done,
        Err(failure) => {
            tell!("error: {}", failure.message());
            if json::is_wanted() {
                say!("{}", json::error_line(&failure));
            }
            failure.exit
        }
    }
}
