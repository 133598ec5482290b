//! Known answers: the smallest seed of each puzzle, found by an independent program.

use seedrush::machine::Machine;
use seedrush::{Difficulty, Encoding, Layout, Options, Puzzle, search};
use serde::Deserialize;
use std::num::NonZeroUsize;

#[derive(Deserialize)]
struct Vector {
    encoding: String,
    string: String,
    n: u32,
    seed: String,
    md5: String,
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("vectors/counting.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn puzzle(vector: &Vector) -> Puzzle {
    let (encoding, prefix) = match vector.encoding.as_str() {
        "text" => (Encoding::Text, false),
        "text-0x" => (Encoding::Text, true),
        "bytes" => (Encoding::Bytes, false),
        other => panic!("unknown encoding {other}"),
    };
    let difficulty = Difficulty::from_bytes(vector.n).unwrap();
    let puzzle = Puzzle::new(vector.string.clone(), difficulty, encoding).unwrap();
    if prefix { puzzle.with_seed_prefix().unwrap() } else { puzzle }
}

#[test]
fn counting_finds_the_smallest_seed_of_every_vector() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 72);
    // Three zero bytes take a debug build minutes each.
    let most = if cfg!(debug_assertions) { 2 } else { 3 };
    for vector in vectors.into_iter().filter(|vector| vector.n <= most) {
        for threads in [1, 2, 5].map(NonZeroUsize::new) {
            let layout = Some(Layout::Counting);
            let machine = Machine { threads, ..Machine::default() };
            let options = Options { layout, machine, ..Options::default() };
            let report = search(&puzzle(&vector), &options).unwrap();
            let found = &report.solutions[0];
            assert_eq!(found.seed, vector.seed);
            assert_eq!(found.digest.to_string(), vector.md5);
        }
    }
}
