//! `seedrush mine`, `verify` and `bench` as a user runs them.

use crate::programs::{SEEDRUSH, seedrush, shell};
use crate::schema::events;
use std::process::{Command, Stdio};

/// The value behind `label` in what a person reads.
fn field<'a>(out: &'a str, label: &str) -> &'a str {
    let line = out.lines().find(|line| line.starts_with(label));
    line.unwrap_or_else(|| panic!("no {label} in {out}"))[label.len()..].trim()
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
    assert_eq!(result["solutions"], 2);
    assert_eq!(result["interrupted"], false);
    assert!(result["tested"].as_u64().unwrap() >= 15_000);
}

#[test]
fn errors_are_the_last_json_line_with_their_exit_code() {
    for words in [
        &["mine", "17", "ab", "--json"][..],
        &["mine", "3", "ab", "--json", "--bogus"],
        &["mine", "3", "ab", "--json", "--threads", "0"],
        &["verify", "3", "ab", "xyz", "--json"],
        &["bench", "--string", "xyz", "--json"],
    ] {
        let (code, out, err) = seedrush(words);
        assert_eq!(code, 2, "{words:?}: {err}");
        let error = events(&out).pop().unwrap();
        assert_eq!((&error["event"], &error["code"]), (&"error".into(), &2.into()), "{words:?}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains('\n') && err.contains(&message[..20]), "{message}: {err}");
    }
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
        (&["mine", "3", &too_long], "the limit is 10000"),
        (&["mine", "3"], "STRING is missing"),
        (&["mine"], "N is missing"),
        (&["mine", "3", "ab", "--bits", "9"], "leave one out"),
        (&["mine", "--bits", "129", "ab"], "0 to 128"),
        (&["mine", "3", "ab", "--seeds", "spiral"], "counting, trailing or tunnel"),
        (&["mine", "3", &long, "--seeds", "trailing"], "too long for the trailing layout"),
        (&["mine", "3", "ab", "--level", "avx3"], "choose scalar, avx2 or avx512"),
        (
            &["mine", "3", "ab", "--seeds", "trailing", "--count", &"9".repeat(38)],
            "smaller --start or --count",
        ),
        (&["mine", "3", "ab", "--encoding", "utf8"], "choose text or bytes"),
        (&["mine", "3", "ab", "--encoding", "bytes", "--seed-prefix"], "text encoding"),
        (&["mine", "3", "ab", "--threads", "0"], "from 1 to 1024 is needed"),
        (&["mine", "3", "ab", "--threads", "x"], "from 1 to 1024 is needed"),
        (&["mine", "A7C02215FC", "3"], "N comes before the string: 3 A7C02215FC"),
        (&["mine", "3", "0xab"], "leave the leading 0x out"),
        (&["mine", "--bits", "-3", "ab"], "from 0 to 128 is needed"),
        (&["mine", "-3", "ab"], "not \"-3\""),
        (&["mine", "3", "ab", "--solutions", "0"], "from 1 to"),
        (&["mine", "3", "ab", "--start", "1.5"], "a whole number from 0"),
        (&["mine", "3", "ab", "--count", ""], "a whole number from 0"),
        (&["mine", "3", "ab", "--start", &"9".repeat(39)], "a whole number from 0"),
        (&["mine", "3", "ab", "--gpu", "0", "--backend", "cpu"], "--gpu is for a GPU"),
        (&["mine", "3", "ab", "--threads", "1", "--backend", "gpu"], "--threads is for the cpu"),
        (&["mine", "3", "ab", "--quiet", "--verbose"], "cannot be used with"),
        (&["verify", "abcdf", "2", "3a97"], "N comes before the string: 2 abcdf"),
        (&["verify", "2", "ab", "0x1", "--encoding", "bytes"], "leave the leading 0x out"),
        (&["bench", "--gpu", "0", "--backend", "cpu"], "--gpu is for a GPU"),
        (&["bench", "--seconds", "nan"], "above 0"),
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
        for leak in ["invalid digit", "non-zero type", "empty string", "float literal"] {
            assert!(!err.contains(leak), "{words:?}: {err}");
        }
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
    let (code, out, _) = seedrush(&["verify", "2", "abcdf", "3a98", "--json"]);
    let verdict = events(&out).pop().unwrap();
    assert_eq!((code, &verdict["solves"]), (1, &false.into()));
    assert_eq!(verdict["digest"], "6d8b53195e54e03faa1a26fde48cf517");
}

#[test]
fn bench_counts_the_hits_that_should_be_there() {
    let words = ["bench", "--backend", "cpu", "--seconds", "0.2", "--threads", "1", "--json"];
    let (code, out, err) = seedrush(&words);
    assert_eq!(code, 0, "{err}");
    let mut rows = events(&out);
    let result = rows.pop().unwrap();
    assert_eq!(result["rows"], rows.len());
    assert!(rows.len() >= 6, "three layouts, two encodings, one level at least: {out}");
    let sum = |key: &str| rows.iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>() as f64;
    let (hits, expected) = (sum("hits"), sum("candidates") / f64::from(1 << 20));
    // Six standard deviations of a Poisson count, which for few hits means nothing.
    if expected > 40.0 {
        assert!((hits - expected).abs() <= 6.0 * expected.sqrt(), "{hits} of {expected}: {out}");
    } else {
        println!("skipped the verdict on hits: {expected} expected, too slow a build or machine");
    }
    for row in rows {
        assert!(row["candidates"].as_u64().unwrap() > 0);
    }
}

#[test]
fn devices_lists_every_level_and_takes_one() {
    let (code, out, err) = seedrush(&["devices", "--json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut events = events(&out);
    let result = events.pop().unwrap();
    let levels: Vec<_> = events.iter().filter(|event| event["event"] == "level").collect();
    assert_eq!(levels.len(), 3, "{out}");
    let chosen: Vec<_> = levels.iter().filter(|level| level["chosen"] == true).collect();
    assert_eq!(chosen.len(), 1, "{out}");
    assert_eq!(chosen[0]["level"], result["level"]);
}

#[test]
fn every_help_text_ends_with_the_exit_codes() {
    for words in [&["--help"][..], &["mine", "-h"], &["submit", "md5", "--help"], &["man", "-h"]] {
        let (code, out, err) = seedrush(words);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        assert!(out.contains("\nExit codes:\n"), "{words:?}: {out}");
        assert!(out.trim_end().ends_with("130  interrupted by Ctrl-C, SIGTERM or SIGHUP"), "{out}");
    }
    let (_, out, _) = seedrush(&["bench", "--help"]);
    for column in ["rate", "hits", "expected", "clock", "efficiency"] {
        assert!(out.contains(&format!("\n  {column} ")), "{column}: {out}");
    }
}

#[test]
fn completions_and_manual_pages_are_of_all_programs() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, out, err) = seedrush(&["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for program in ["seedrush", "seedrush-server", "seedrush-client"] {
            assert!(out.contains(program), "{shell} misses {program}");
        }
        assert!(out.contains("--seed-prefix") || out.contains("seed-prefix"), "{shell}");
    }
    let (_, out, _) = seedrush(&["completions", "powershell"]);
    let uses = out.lines().take_while(|line| line.starts_with("using")).count();
    assert_eq!(out.matches("using namespace").count(), uses, "all stand in front");
    assert_eq!(seedrush(&["completions", "cmd"]).0, 2);

    let directory = std::env::temp_dir().join(format!("seedrush-man-{}", std::process::id()));
    let (code, out, err) = seedrush(&["man", directory.to_str().unwrap()]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    for page in ["seedrush", "seedrush-mine", "seedrush-server", "seedrush-client"] {
        let text = std::fs::read_to_string(directory.join(format!("{page}.1"))).unwrap();
        assert!(text.contains("Exit codes:"), "{page}");
    }
    std::fs::remove_dir_all(directory).unwrap();
    let (code, out, _) = seedrush(&["man"]);
    assert!(code == 0 && out.contains(".TH seedrush 1"), "{out}");
}

#[test]
fn a_reader_that_goes_ends_the_search_without_a_panic() {
    for more in [&["--json"][..], &[]] {
        // A solution every 256 candidates: without the end of the reader it takes for ever.
        let words = ["mine", "--bits", "8", "ab", "--solutions", "1000000000", "--threads", "1"];
        let mut child = Command::new(SEEDRUSH)
            .args(words)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{more:?}");
    }
}
