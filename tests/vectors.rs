//! Searches whose answers are known from elsewhere: from an independent program, or by hashing every
//! seed with the md-5 crate.

use md5::{Digest as _, Md5};
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

/// Hashes `seed | string` without any code of ours.
fn md5(encoding: Encoding, seed: &str, string: &str) -> [u8; 16] {
    let characters = format!("{seed}{string}");
    match encoding {
        Encoding::Text => Md5::digest(characters).into(),
        Encoding::Bytes => {
            let even = "0".repeat(characters.len() % 2) + &characters;
            let byte = |at| u8::from_str_radix(&even[at..at + 2], 16).unwrap();
            Md5::digest((0..even.len()).step_by(2).map(byte).collect::<Vec<_>>()).into()
        }
    }
}

/// Seeds of up to three digits carry the messages over the border of 55 bytes, the most that one
/// block holds with its padding, and of 119 bytes, the most that two hold.
#[test]
fn searches_find_every_seed_where_padding_needs_another_block() {
    let lengths = |encoding, bytes: usize| match encoding {
        Encoding::Text => bytes - 3..=bytes + 1,
        Encoding::Bytes => 2 * bytes - 5..=2 * bytes + 2,
    };
    for (encoding, bytes) in [Encoding::Text, Encoding::Bytes]
        .into_iter()
        .flat_map(|encoding| [55, 119].map(|bytes| (encoding, bytes)))
    {
        for length in lengths(encoding, bytes) {
            let string: String = "A7c02215Fb9e".chars().cycle().take(length).collect();
            let puzzle = Puzzle::new(&*string, Difficulty::from_bytes(1).unwrap(), encoding);
            let machine = Machine { threads: NonZeroUsize::new(1), ..Machine::default() };
            let options = Options {
                layout: Some(Layout::Counting),
                machine,
                solutions: NonZeroUsize::MAX,
                count: Some(0x1000),
                ..Options::default()
            };
            let report = search(&puzzle.unwrap(), &options).unwrap();
            let found: Vec<_> = report.solutions.iter().map(|found| found.nonce).collect();
            let solves = |nonce: &u128| md5(encoding, &format!("{nonce:x}"), &string)[0] == 0;
            let expected: Vec<_> = (0..0x1000).filter(solves).collect();
            assert!(!expected.is_empty());
            assert_eq!(found, expected, "{encoding} {length}");
        }
    }
}
