//! Runs our programs and common tools as processes.

use std::process::{Command, Output};

pub(crate) const SEEDRUSH: &str = env!("CARGO_BIN_EXE_seedrush");

/// Runs `seedrush` to its end; returns exit code, standard output and standard error.
pub(crate) fn seedrush(words: &[&str]) -> (i32, String, String) {
    seedrush_with(&[], words)
}

/// Does the same with some variables in its environment.
pub(crate) fn seedrush_with(vars: &[(&str, &str)], words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(SEEDRUSH);
    finished(&command.envs(vars.iter().copied()).args(words).output().unwrap())
}

/// Runs a shell line that must succeed; returns its standard output.
pub(crate) fn shell(line: &str) -> String {
    let (code, out, err) = finished(&Command::new("sh").args(["-c", line]).output().unwrap());
    assert_eq!(code, 0, "{line}: {err}");
    out
}

fn finished(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
