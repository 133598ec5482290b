//! Running our programs and common tools as processes.

use std::process::{Command, Output};

/// What a finished `seedrush` said: exit code, standard output, standard error.
pub(crate) fn seedrush(words: &[&str]) -> (i32, String, String) {
    finished(&Command::new(env!("CARGO_BIN_EXE_seedrush")).args(words).output().unwrap())
}

/// Standard output of a shell line that must succeed.
pub(crate) fn shell(line: &str) -> String {
    let (code, out, err) = finished(&Command::new("sh").args(["-c", line]).output().unwrap());
    assert_eq!(code, 0, "{line}: {err}");
    out
}

fn finished(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}
