//! `seedrush mine`, `verify` and `bench` as a user runs them.

use crate::programs::{seedrush, shell};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The value behind `label` in what a person reads.
fn field<'a>(out: &'a str, label: &str) -> &'a str {
    let line = out.lines().find(|line| line.starts_with(label));
    line.unwrap_or_else(|| panic!("no {label} in {out}"))[label.len()..].trim()
}

fn events(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn mine_prints_a_seed_that_the_printed_check_confirms() {
    for words in [
        &["mine", "2", "abcdf"][..],
        &["mine", "2", ""],
        &["mine", "2", "ABCD", "--encoding", "bytes"],
        &["mine", "2", "abcdf", "--seed-prefix"],
        &["mine", "2", "abcdf", "--seeds", "tunnel"],
        &["mine", "2", "abcdf", "--seeds", "tunnel", "--seed-prefix"],
        &["mine", "2", "abc", "--seeds", "tunnel", "--encoding", "bytes"],
        &["mine", "--bits", "17", "abc", "--seeds", "trailing", "--threads", "3"],
        &["mine", "--bits", "15", "abc", "--level", "scalar"],
    ] {
        let (code, out, err) = seedrush(words);
        assert_eq!(code, 0, "{words:?}: {err}");
        let digest = field(&out, "digest");
        assert!(digest.starts_with(if words.contains(&"15") { "000" } else { "0000" }), "{out}");
        assert!(field(&out, "message").starts_with(field(&out, "seed")));
        let check = field(&out, "check");
        if check.contains("xxd") && Command::new("xxd").arg("-v").output().is_err() {
            println!("skipped the check of {words:?}: no xxd on this machine");
            continue;
        }
        assert_eq!(shell(check).split_whitespace().next(), Some(digest), "{check}");
    }
}

#[test]
fn json_ends_with_the_result() {
    let (code, out, _) = seedrush(&["mine", "2", "abcdf", "--json", "--solutions", "2"]);
    assert_eq!(code, 0);
    let events = events(&out);
    assert_eq!(events.iter().filter(|event| event["event"] == "solution").count(), 2);
    let result = events.last().unwrap();
    assert_eq!(result["event"], "result");
    assert_eq!(result["seed"], "3a97");
    assert_eq!(result["nonce"], "14999");
    assert_eq!(result["layout"], "counting");
    assert_eq!(result["digest"], "0000667d1dbe19858405446a9a4f62eb");
    assert!(result["tested"].as_u64().unwrap() >= 15_000);
}

#[test]
fn a_span_without_solution_says_so() {
    let (code, out, _) = seedrush(&["mine", "2", "abcdf", "--count", "14999"]);
    assert_eq!(code, 1);
    assert!(out.contains("none in this span"), "{out}");
    let (code, out, _) = seedrush(&["mine", "2", "abcdf", "--start", "14999", "--count", "1"]);
    assert_eq!((code, field(&out, "seed")), (0, "3a97"));
}

#[test]
fn bad_input_is_one_clear_error_and_exit_code_2() {
    let long = "a".repeat(60);
    let too_long = "a".repeat(10_001);
    for (words, expected) in [
        (&["mine", "17", "ab"][..], "from 0 to 16"),
        (&["mine", "x", "ab"], "from 0 to 16"),
        (&["mine", "3", "12x4"], "character 3 is 'x'"),
        (&["mine", "3", &too_long], "at most 10000"),
        (&["mine", "3"], "STRING is missing"),
        (&["mine"], "N is missing"),
        (&["mine", "3", "ab", "--bits", "9"], "leave one out"),
        (&["mine", "--bits", "129", "ab"], "0 to 128"),
        (&["mine", "3", "ab", "--seeds", "spiral"], "counting, trailing or tunnel"),
        (&["mine", "3", &long, "--seeds", "trailing"], "too long for the trailing layout"),
        (&["mine", "3", "ab", "--level", "avx3"], "choose scalar, avx2 or avx512"),
        (&["mine", "3", "ab", "--seeds", "trailing", "--count", &"9".repeat(38)], "has room for"),
        (&["mine", "3", "ab", "--encoding", "utf8"], "choose text or bytes"),
        (&["mine", "3", "ab", "--encoding", "bytes", "--seed-prefix"], "text encoding"),
        (&["mine", "3", "ab", "--threads", "0"], "--threads"),
        (&["verify", "3", "ab", "xyz"], "the seed may hold hex digits only"),
        (&["verify", "3", "ab", ""], "from 1 to"),
        (&["bench", "--seconds", "0"], "--seconds"),
        (&["bench", "--string", "xyz"], "hex digits only"),
    ] {
        let (code, out, err) = seedrush(words);
        assert_eq!(code, 2, "{words:?}: {out}{err}");
        assert!(err.contains(expected), "{words:?}: {err}");
        assert_eq!(out, "", "{words:?}");
        assert_eq!(err.matches("error").count(), 1, "{words:?}: {err}");
    }
}

#[test]
fn verify_judges() {
    let (code, out, _) = seedrush(&["verify", "2", "abcdf", "3a97"]);
    assert_eq!((code, field(&out, "digest")), (0, "0000667d1dbe19858405446a9a4f62eb"));
    assert_eq!(seedrush(&["verify", "2", "abcdf", "3a98"]).0, 1);
    assert_eq!(seedrush(&["verify", "--bits", "17", "abcdf", "3a97"]).0, 0);
    assert_eq!(seedrush(&["verify", "--bits", "18", "abcdf", "3a97"]).0, 1);
    let (code, out, _) = seedrush(&["verify", "1", "abcdf", "06e", "--encoding", "bytes"]);
    assert_eq!((code, field(&out, "digest")), (0, "004d8448e55474442cb6b50cbc88ccae"));
}

#[test]
fn bench_counts_the_hits_that_should_be_there() {
    let words = ["bench", "--backend", "cpu", "--seconds", "0.2", "--threads", "1", "--json"];
    let (code, out, err) = seedrush(&words);
    assert_eq!(code, 0, "{err}");
    let rows = events(&out);
    assert!(rows.len() >= 6, "three layouts, two encodings, one level at least: {out}");
    let sum = |key: &str| rows.iter().map(|row| row[key].as_f64().unwrap()).sum::<f64>();
    let (hits, expected) = (sum("hits"), sum("expected_hits"));
    // Six standard deviations of a Poisson count, which for few hits means nothing.
    if expected > 40.0 {
        assert!((hits - expected).abs() <= 6.0 * expected.sqrt(), "{hits} of {expected}: {out}");
    } else {
        println!("skipped the verdict on hits: {expected} expected, too slow a build or machine");
    }
    for row in rows {
        assert!(row["candidates"].as_u64().unwrap() > 0);
        for key in ["backend", "level", "layout", "encoding", "threads", "seconds", "rate"] {
            assert!(!row[key].is_null(), "{key} in {row}");
        }
        assert!(row.get("clock_hz").is_some() && row.get("efficiency").is_some(), "{row}");
    }
}

/// A search of one thread, long enough to be interrupted in the middle, with a known answer.
#[cfg(unix)]
const LONG: [&str; 11] = [
    "mine",
    "--bits",
    if cfg!(debug_assertions) { "20" } else { "28" },
    "ab",
    "--seeds",
    "tunnel",
    "--level",
    "scalar",
    "--threads",
    "1",
    "--json",
];

/// Starts [`LONG`], interrupts it after a while, and returns all it said.
#[cfg(unix)]
fn interrupted_after(wait: std::time::Duration) -> (Option<i32>, Vec<Value>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seedrush"))
        .args(LONG)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let start: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(start["event"], "start");
    std::thread::sleep(wait);
    shell(&format!("kill -INT {}", child.id()));
    let rest = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    (child.wait().unwrap().code(), rest)
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_goes_on_to_what_an_uninterrupted_one_finds() {
    // Halved until the signal comes before the answer: a search that was too quick proves nothing.
    let mut wait = std::time::Duration::from_millis(400);
    let events_said = loop {
        let (code, said) = interrupted_after(wait);
        if code == Some(130) {
            break said;
        }
        wait /= 2;
        assert!(!wait.is_zero(), "never interrupted in time");
    };
    assert_eq!(events_said[0]["event"], "interrupted");
    assert_eq!(events_said.last().unwrap()["event"], "result");
    let next: u128 = events_said[0]["next"].as_str().unwrap().parse().unwrap();
    assert!(next > 0, "interrupted before anything was searched");
    let command = events_said[0]["command"].as_str().unwrap();
    assert!(command.contains(&format!("--start {next}")), "{command}");

    // The printed command, with the level left out for speed, and the whole search.
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let quick: Vec<&str> =
        words.into_iter().filter(|word| !["--level", "scalar"].contains(word)).collect();
    let seed = |words: &[&str]| {
        let (code, out, err) = seedrush(words);
        assert_eq!(code, 0, "{err}");
        events(&out).pop().unwrap()["seed"].clone()
    };
    let whole: Vec<&str> =
        LONG.into_iter().filter(|word| !["--level", "scalar"].contains(word)).collect();
    assert_eq!(seed(&quick), seed(&whole));
}
