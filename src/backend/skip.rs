//! Skips of tests that need what this machine may lack.

use std::fmt::Display;
use std::io::Write;

/// Parts of a machine that SEEDRUSH_REQUIRE may list, separated by commas.
const PARTS: [&str; 5] = ["scalar", "avx2", "avx512", "gpu", "nonloopback"];

/// Reports that a test skips `part`, on stderr past the test runner's capture.
///
/// # Panics
/// SEEDRUSH_REQUIRE lists `part`, or a word that is no part.
pub(crate) fn skip(part: &str, why: impl Display) {
    let required = std::env::var("SEEDRUSH_REQUIRE").unwrap_or_default();
    if let Err(error) = check(&required, part) {
        panic!("{error}: {why}");
    }
    let _ = writeln!(std::io::stderr(), "skipped: {part}: {why}");
}

fn check(required: &str, part: &str) -> Result<(), String> {
    let words = || required.split(',').map(str::trim).filter(|word| !word.is_empty());
    if let Some(unknown) = words().find(|word| !PARTS.contains(word)) {
        return Err(format!("SEEDRUSH_REQUIRE lists {unknown:?}, which is none of {PARTS:?}"));
    }
    if words().any(|word| word == part) {
        return Err(format!("SEEDRUSH_REQUIRE lists {part}"));
    }
    Ok(())
}

#[test]
fn required_parts_are_not_skipped() {
    assert_eq!(check("", "gpu"), Ok(()));
    assert_eq!(check("avx2, scalar", "gpu"), Ok(()));
    assert!(check("avx2, gpu", "gpu").is_err());
    assert!(check("avx", "gpu").unwrap_err().contains("avx512"), "a misspelt word");
}
