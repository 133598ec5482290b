use super::tunnel::{TOGGLES, TUNNEL_START, WORD_5_CHOICES};
use super::*;
use crate::puzzle::Difficulty;
use crate::steps::{INITIAL, step, word_of_step};
use proptest::prelude::*;
use std::collections::HashSet;

fn puzzle(string: &str, encoding: Encoding, prefix: bool) -> Puzzle {
    let puzzle = Puzzle::new(string, Difficulty::from_bits(8).unwrap(), encoding).unwrap();
    if prefix { puzzle.with_seed_prefix().unwrap() } else { puzzle }
}

/// Every space that exists for a string of `digits` digits.
fn spaces(digits: usize) -> Vec<SeedSpace> {
    let string: String = "A7c02215Fb9".chars().cycle().take(digits).collect();
    [(Encoding::Text, false), (Encoding::Text, true), (Encoding::Bytes, false)]
        .into_iter()
        .flat_map(|(encoding, prefix)| {
            let puzzle = puzzle(&string, encoding, prefix);
            Layout::ALL.map(move |layout| SeedSpace::new(&puzzle, layout))
        })
        .filter_map(Result::ok)
        .collect()
}

/// The message of `nonce` put together from its segment alone, as a kernel does it.
fn message_from_segment(segment: &Segment, nonce: u128) -> Vec<u8> {
    assert!(segment.span.contains(nonce));
    let size = u128::from(segment.family.size());
    let (base, member) = (nonce / size, (nonce % size) as u32);
    let low = u32::try_from(base - segment.first_base).unwrap();
    let mut words: Vec<u32> = segment
        .message
        .chunks(4)
        .map(|bytes| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte)))
        .collect();
    for (n, digit) in segment.base_digits.iter().enumerate() {
        words[digit.word()] |= digit.spell(low >> (4 * n) & 15);
    }
    match &segment.family {
        Family::Digits(digits) => {
            for (n, digit) in digits.iter().enumerate() {
                words[digit.word()] |= digit.spell(member >> (4 * n) & 15);
            }
        }
        Family::Tunnel(members) => {
            [words[3], words[4], words[7]] = members[member as usize];
        }
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes[..segment.message.len()].to_vec()
}

fn check(space: &SeedSpace, nonce: u128) {
    let seed = space.seed(nonce).unwrap();
    assert_eq!(space.nonce(&seed), Some(nonce), "{seed}");
    assert_eq!(space.puzzle().written_seed(&seed).unwrap(), seed, "seeds are written complete");
    let segment = space.segment(nonce).unwrap();
    let message = message_from_segment(&segment, nonce);
    assert_eq!(message, space.puzzle().message(&seed).unwrap(), "{} {nonce}", space.layout());
    for inside in [segment.span.start(), segment.span.end() - 1] {
        assert_eq!(space.segment(inside).unwrap(), segment, "one segment for all its nonces");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nonces_and_seeds_go_both_ways(digits in 0usize..130, at: u128, shift in 0u32..128) {
        for space in spaces(digits) {
            check(&space, (at >> shift) % space.room());
        }
    }
}

#[test]
fn borders_of_families_segments_and_lengths_hold() {
    for digits in [0, 1, 10, 22, 23, 24, 47, 51, 52, 87, 120, 2000] {
        for space in spaces(digits) {
            let room = space.room();
            for power in 0..128 {
                for nonce in (1u128 << power).saturating_sub(2)..(1u128 << power) + 2 {
                    check(&space, nonce.min(room - 1));
                }
            }
            check(&space, room - 1);
            assert_eq!(space.seed(room), None);
            assert_eq!(space.segment(room), None);
        }
    }
}

#[test]
fn segments_follow_one_another_without_gap() {
    for space in spaces(11) {
        let mut nonce = 0;
        for _ in 0..20 {
            let Some(segment) = space.segment(nonce) else { break };
            assert_eq!(segment.span.start(), nonce);
            nonce = segment.span.end();
        }
    }
}

#[test]
fn seeds_of_a_space_are_different() {
    for space in spaces(10) {
        let seeds: HashSet<_> = (0..5000).filter_map(|nonce| space.seed(nonce)).collect();
        assert_eq!(seeds.len() as u128, space.room().min(5000), "{}", space.layout());
    }
}

#[test]
fn foreign_seeds_have_no_nonce() {
    for space in spaces(10) {
        for seed in ["", "0x", "x", "000", "ABCDEF", "é", &"f".repeat(33), &"0".repeat(200)] {
            assert_eq!(space.nonce(seed), None, "{} {seed}", space.layout());
        }
    }
}

/// The state before the first step that may see a member.
fn state_at_start(message: &[u8]) -> [u32; 4] {
    (0..TUNNEL_START).fold(INITIAL, |state, i| {
        let at = 4 * word_of_step(i);
        let mut bytes = [0; 4];
        for (byte, from) in bytes.iter_mut().zip(&message[at.min(message.len())..]) {
            *byte = *from;
        }
        step(i, state, u32::from_le_bytes(bytes))
    })
}

#[test]
fn no_member_of_any_prefix_is_seen_before_step_23() {
    for prefix in [false, true] {
        let space = SeedSpace::new(&puzzle("abc", Encoding::Text, prefix), Layout::Tunnel).unwrap();
        let per_choice = space.room() >> (4 + WORD_5_CHOICES.ilog2());
        let members = 1u128 << TOGGLES.len();
        // Every prefix with every member, and each prefix's choices of word 5 with some.
        for choice in 0..(16 * WORD_5_CHOICES) as u128 {
            let first = choice * per_choice + (choice * 977 % 65536) * members;
            let state = |member| {
                let seed = space.seed(first + member).unwrap();
                assert!(seed.starts_with("0x") == prefix);
                state_at_start(&space.puzzle().message(&seed).unwrap())
            };
            let stride = if choice % WORD_5_CHOICES as u128 == 0 { 1 } else { 21 };
            let expected = state(0);
            for member in (1..members).step_by(stride) {
                assert_eq!(state(member), expected, "choice {choice} member {member}");
            }
        }
    }
}

#[test]
fn no_member_in_bytes_is_seen_before_step_23() {
    let space = SeedSpace::new(&puzzle("abc", Encoding::Bytes, false), Layout::Tunnel).unwrap();
    for base in [0u128, 1, 0xffff_ffff, 1 << 32, 0x1234_5678_9abc_def0_1234_5678, (1 << 96) - 1] {
        let state = |member: u128| {
            let seed = space.seed(base * 256 + member).unwrap();
            state_at_start(&space.puzzle().message(&seed).unwrap())
        };
        let expected = state(0);
        assert!((1..256).all(|member| state(member) == expected), "base {base}");
    }
}

#[test]
fn auto_counts_easy_puzzles_and_tunnels_hard_ones() {
    let layout = |bits, length: usize, encoding| {
        let puzzle =
            Puzzle::new("a".repeat(length), Difficulty::from_bits(bits).unwrap(), encoding);
        let space = SeedSpace::auto(&puzzle.unwrap());
        (space.layout(), space.steps())
    };
    assert_eq!(layout(26, 10, Encoding::Text).0, Layout::Counting);
    assert_eq!(layout(27, 10, Encoding::Text), (Layout::Tunnel, 38));
    assert_eq!(layout(27, 10, Encoding::Bytes), (Layout::Tunnel, 38));
    // 23 characters leave the tunnel 2^36 seeds in one block: too few for 31 bits.
    assert_eq!(layout(30, 23, Encoding::Text), (Layout::Tunnel, 38));
    assert_eq!(layout(31, 23, Encoding::Text).0, Layout::Trailing);
    assert_eq!(layout(32, 30, Encoding::Text).0, Layout::Trailing);
    assert_eq!(layout(32, 200, Encoding::Text).0, Layout::Tunnel);
    // A seed of more than eight digits would need a second block; the tunnel's is cheaper.
    assert_eq!(layout(40, 47, Encoding::Text).0, Layout::Tunnel);
    assert_eq!(layout(128, 10, Encoding::Text).0, Layout::Counting);
}

#[test]
fn trailing_refuses_strings_that_leave_it_no_word() {
    for (encoding, most) in [(Encoding::Text, 51), (Encoding::Bytes, 103)] {
        let space =
            |n: usize| SeedSpace::new(&puzzle(&"a".repeat(n), encoding, false), Layout::Trailing);
        assert!(space(most).is_ok());
        assert_eq!(
            space(most + 1).unwrap_err(),
            LayoutError::StringTooLong { digits: most + 1, most }
        );
    }
}
