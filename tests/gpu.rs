//! The gpu backend through the programs.

use crate::programs::{seedrush, seedrush_with};
use crate::schema::events;
use serde_json::Value;
use std::io::Write;

/// Returns the number of the software adapter. Without one, says on stderr that the test is skipped,
/// past the test runner's capture; fails if SEEDRUSH_REQUIRE lists gpu.
pub(crate) fn software() -> Option<String> {
    let (code, out, err) = seedrush(&["devices", "--json"]);
    assert_eq!(code, 0, "{err}");
    let found = events(&out)
        .into_iter()
        .filter(|device| device["event"] == "gpu" && device["kind"] == "software")
        .map(|device| device["index"].to_string())
        .next();
    if found.is_none() {
        let required = std::env::var("SEEDRUSH_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|part| part == "gpu"), "SEEDRUSH_REQUIRE: {out}");
        let _ = writeln!(std::io::stderr(), "skipped: gpu: no software adapter");
    }
    found
}

/// Returns the nonces of the solutions that `--json` printed.
fn nonces(out: &str) -> Vec<Value> {
    events(out)
        .into_iter()
        .filter(|event| event["event"] == "solution")
        .map(|event| event["nonce"].clone())
        .collect()
}

#[test]
fn every_backend_finds_the_same_solutions() {
    let Some(gpu) = software() else { return };
    let twice = format!("{gpu},{gpu}");
    for seeds in ["counting", "trailing", "tunnel"] {
        let words = ["mine", "2", "abcdf", "--json", "--solutions", "3", "--seeds", seeds];
        let mine = |more: &[&str]| {
            let (code, out, err) = seedrush(&[&words[..], more].concat());
            assert_eq!(code, 0, "{err}");
            nonces(&out)
        };
        let cpu = mine(&["--backend", "cpu"]);
        assert_eq!(cpu.len(), 3);
        assert_eq!(mine(&["--backend", "gpu", "--gpu", &gpu]), cpu, "{seeds}");
        assert_eq!(mine(&["--gpu", &twice, "--workload", "idle"]), cpu, "{seeds}");
        assert_eq!(mine(&["--backend", "gpu,cpu", "--gpu", &gpu]), cpu, "{seeds}");
    }
}

#[test]
#[cfg(target_os = "linux")] // Only Vulkan's loader can be told to find no driver.
fn without_a_driver_auto_goes_on_and_gpu_says_what_to_install() {
    let none = [("VK_ICD_FILENAMES", "/none"), ("VK_DRIVER_FILES", "/none")];
    let auto = ["mine", "--bits", "40", "abcdf", "--count", "1000"];
    let (code, out, err) = seedrush_with(&none, &auto);
    assert_eq!(code, 1, "{err}");
    assert!(out.contains("none in this span"), "{out}");
    assert!(err.lines().any(|line| line.starts_with("using the cpu: ")), "{err}");
    let (code, out, err) = seedrush_with(&none, &["mine", "2", "abcdf", "--backend", "gpu"]);
    assert_eq!((code, out.as_str()), (5, ""));
    let built = cfg!(feature = "gpu");
    assert!(err.contains(if built { "libvulkan1" } else { "cargo feature" }), "{err}");
    let (code, out, _) = seedrush_with(&none, &["devices"]);
    assert_eq!(code, 0);
    assert!(out.contains("scalar") && out.contains("auto takes the cpu"), "{out}");
}

#[test]
fn a_name_that_matches_no_gpu_is_a_usage_error() {
    let Some(gpu) = software() else { return };
    let (code, _, err) = seedrush(&["mine", "2", "abcdf", "--gpu", "no such card"]);
    assert_eq!(code, 2);
    assert!(err.contains("no such card") && err.contains(&gpu), "{err}");
    assert_eq!(seedrush(&["mine", "2", "abcdf", "--workload", "full"]).0, 2);
    assert_eq!(seedrush(&["mine", "2", "abcdf", "--backend", "cuda"]).0, 2);
}

#[test]
fn bench_has_rows_for_a_gpu_that_is_named() {
    let Some(gpu) = software() else { return };
    let words = ["bench", "--backend", "gpu", "--gpu", &gpu, "--seconds", "0.2", "--json"];
    let (code, out, err) = seedrush(&words);
    assert_eq!(code, 0, "{err}");
    let mut rows = events(&out);
    assert_eq!(rows.pop().unwrap()["rows"], 6, "{out}");
    assert_eq!(rows.len(), 6, "{out}");
    for row in rows {
        assert_eq!(row["backend"], "gpu");
        // A slow machine may finish no dispatch in this time.
        assert!(row["candidates"].is_u64(), "{row}");
        assert!(row["efficiency_ppm"].is_u64(), "{row}");
    }
}
