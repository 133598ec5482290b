//! Notes the commit for `--version`.

use std::path::Path;
use std::process::Command;

/// Passes the commit on to the compiler; there is none in a source package, or without git.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let top = git(&["rev-parse", "--show-toplevel"]);
    // A package that lies in another project's repository is not of that commit.
    let own = top.is_some_and(|top| {
        Path::new(&top).canonicalize().ok()
            == Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().ok()
    });
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]).filter(|_| own) else { return };
    println!("cargo::rustc-env=SEEDRUSH_COMMIT=commit {commit}");
    // Changes with every commit and checkout. A file that is missing would make every build run this.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
