//! `seedrush completions`: lets a shell complete the words of all programs.

use super::{Exit, Failure};
use clap::Args;
use clap_complete::{Shell, generate};
use std::io::Write as _;

/// Prints the completions of all three programs for a shell
///
/// Bash: put `source <(seedrush completions bash)` into ~/.bashrc; zsh: the same into ~/.zshrc, behind
/// compinit. Fish: `seedrush completions fish | source`. PowerShell: `seedrush completions
/// powershell | Out-String | Invoke-Expression`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    for mut program in super::programs() {
        let name = program.get_name().to_owned();
        generate(args.shell, &mut program, name, &mut script);
    }
    let script = String::from_utf8_lossy(&script);
    // PowerShell takes them in front of everything else only.
    let (mut uses, rest): (Vec<&str>, Vec<&str>) =
        script.lines().partition(|line| line.starts_with("using namespace "));
    uses.sort_unstable();
    uses.dedup();
    let mut out = std::io::stdout().lock();
    uses.iter().chain(&rest).try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(Exit::Done)
}
