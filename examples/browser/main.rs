//! Checks that a browser's WebGPU compiles the shader and finds what the judge finds.
//!
//! `cargo run --release --example browser` serves a page on this machine, prints its address, and
//! waits for the report of a browser that opens it. `scripts/check-webgpu` does so with Chromium.

use anyhow::{Context, Result, bail, ensure};
use seedrush::gpu::Kernel;
use seedrush::plan::Plan;
use seedrush::{Difficulty, Encoding, Layout, Puzzle, SeedSpace};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

const PAGE: &str = include_str!("page.html");

/// One candidate in sixteen passes.
const BITS: u32 = 4;

/// Bases to search: in `counting`, seeds of seven digits.
const BASES: std::ops::Range<u64> = 70_000..70_200;
const WORKGROUP: u32 = 64;
const CAPACITY: u32 = 1 << 14;

/// Software adapters are slow, and browsers take a while to start.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> Result<()> {
    let cases = cases()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}/", listener.local_addr()?);
    let (reports, report) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Browsers request other pages too, and may hang up.
            if let Ok(Some(text)) = answer(stream, &cases) {
                drop(reports.send(text));
            }
        }
    });
    let report = report.recv_timeout(PATIENCE).context("the page has not reported")?;
    println!("{report}");
    let (ok, wrong) = ["ok ", "wrong"].map(|word| count(&report, word)).into();
    ensure!(wrong == 0 && ok > 0, "{wrong} wrong, {ok} right");
    Ok(())
}

fn count(report: &str, word: &str) -> usize {
    report.lines().filter(|line| line.starts_with(word)).count()
}

/// Returns a dispatch for each layout and encoding, with and without later blocks.
fn cases() -> Result<Value> {
    let long = "0123456789abcdef".repeat(12);
    let mut cases = Vec::new();
    for layout in Layout::ALL {
        for encoding in [Encoding::Text, Encoding::Bytes] {
            for string in ["A7C02215FC", &long] {
                let puzzle = Puzzle::new(string, Difficulty::from_bits(BITS)?, encoding)?;
                // `trailing` has no room for the long string.
                if let Ok(space) = SeedSpace::new(&puzzle, layout) {
                    cases.push(case(&space)?);
                }
            }
        }
    }
    Ok(Value::Array(cases))
}

fn case(space: &SeedSpace) -> Result<Value> {
    let plan = Plan::new(space, 1 << 24).context("no plan")?;
    let members = 0..plan.family();
    let kernel = Kernel::new(&plan, BASES, members.clone(), BITS, WORKGROUP, CAPACITY);
    let kernel = kernel.context("no kernel")?;
    let mut expected = Vec::new();
    for low in BASES {
        for member in members.clone() {
            let seed = space.seed(plan.nonce(low as u32, member)).context("no seed")?;
            if space.puzzle().digest(&seed)?.zero_bits() >= BITS {
                expected.push([low as u32, member]);
            }
        }
    }
    let (puzzle, layout) = (space.puzzle(), space.layout());
    Ok(json!({
        "name": format!("{layout} {} {} digits", puzzle.encoding(), puzzle.string().len()),
        "wgsl": kernel.wgsl,
        "params": kernel.params,
        "later": kernel.later,
        "workgroups": kernel.workgroups,
        "capacity": CAPACITY,
        "expected": expected,
    }))
}

/// Answers one request; returns the report if the request holds it.
fn answer(stream: TcpStream, cases: &Value) -> Result<Option<String>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let mut words = first.split_whitespace();
    let (kind, body, report) = match (words.next(), words.next()) {
        (Some("GET"), Some("/")) => ("text/html", PAGE.to_owned(), None),
        (Some("GET"), Some("/cases.json")) => ("application/json", cases.to_string(), None),
        (Some("POST"), Some("/result")) => {
            let mut text = String::new();
            reader.take(length).read_to_string(&mut text)?;
            ("text/plain", String::new(), Some(text))
        }
        _ => bail!("no such page"),
    };
    let head = format!("Content-Type: {kind}\r\nContent-Length: {}", body.len());
    write!(&stream, "HTTP/1.1 200 OK\r\n{head}\r\nConnection: close\r\n\r\n{body}")?;
    Ok(report)
}
