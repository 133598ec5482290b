use super::tunnel::{TOGGLES, TUNNEL_START, WORD_5_CHOICES};
use super::*;
use crate::puzzle::{Difficulty, Encoding};
use crate::steps::{INITIAL, step, word_of_step};
use proptest::prelude::*;
use std::collections::HashSet;

fn puzzle(string: &str, encoding: Encoding, prefix: bool) -> Puzzle {
    let puzzle = Puzzle::new(string, Difficulty::from_bits(8).unwrap(), encoding).unwrap();
    if prefix { puzzle.with_seed_prefix().unwrap() } else { puzzle }
}

/// Returns every space that exists for a string of `digits` digits.
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

/// Builds the message of `nonce` from its segment alone, as a kernel does.
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
    assert_eq!(space.puzzle().written_seed(&seed).unwrap(), seed, "a seed needs no further digit");
    let segment = space.segment(nonce).unwrap();
    let message = message_from_segment(&segment, nonce);
    assert_eq!(message, space.puzzle().message(&seed).unwrap(), "{} {nonce}", space.layout());
    for inside in [segment.span.start(), segment.span.end() - 1] {
        assert_eq!(space.segment(inside).unwrap(), segment, "all nonces of a segment name it");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_seed_gives_its_nonce_back(digits in 0usize..130, at: u128, shift in 0u32..128) {
        for space in spaces(digits) {
            check(&space, (at >> shift) % space.room());
        }
    }
}

#[test]
fn borders_of_families_segments_and_lengths_are_exact() {
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
fn segments_follow_each_other_without_gaps() {
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
fn no_two_nonces_share_a_seed() {
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
    for space in spaces(10).into_iter().filter(|space| space.layout() != Layout::Counting) {
        let seed = space.seed(0x1234).unwrap();
        let but_one = &seed[..seed.len() - 1];
        for seed in [but_one, &format!("{but_one}+"), &format!("{seed}{}", "f".repeat(19))] {
            assert_eq!(space.nonce(seed), None, "{} {seed}", space.layout());
        }
    }
}

/// Returns the state before the first step that may use a member.
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
fn members_of_every_prefix_share_the_state_before_step_23() {
    for prefix in [false, true] {
        let space = SeedSpace::new(&puzzle("abc", Encoding::Text, prefix), Layout::Tunnel).unwrap();
        let per_choice = space.room() >> (4 + WORD_5_CHOICES.ilog2());
        let members = 1u128 << TOGGLES.len();
        // Every member of every prefix, and some members of its other word 5s.
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
fn members_in_bytes_share_the_state_before_step_23() {
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
    // 23 characters leave the tunnel 2^36 seeds in one block, too few for 31 bits.
    assert_eq!(layout(30, 23, Encoding::Text), (Layout::Tunnel, 38));
    assert_eq!(layout(31, 23, Encoding::Text).0, Layout::Trailing);
    assert_eq!(layout(32, 30, Encoding::Text).0, Layout::Trailing);
    assert_eq!(layout(32, 200, Encoding::Text).0, Layout::Tunnel);
    // A seed of more than eight digits would need a second block; the tunnel's is cheaper.
    assert_eq!(layout(40, 47, Encoding::Text).0, Layout::Tunnel);
    assert_eq!(layout(128, 10, Encoding::Text).0, Layout::Counting);
}

#[test]
fn trailing_rejects_strings_that_leave_no_word() {
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

/// Nonces are wire format: a client of another version must find the same seeds behind them.
#[test]
fn seeds_of_trailing_and_tunnel_stay_as_they_are() {
    for line in include_str!("golden.txt").lines().filter(|line| !line.starts_with('#')) {
        let [layout, written, string, nonce, seed] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (encoding, prefix) = match written {
            "text-0x" => (Encoding::Text, true),
            other => (other.parse().unwrap(), false),
        };
        let puzzle = puzzle(string, encoding, prefix);
        let space = SeedSpace::new(&puzzle, layout.parse().unwrap()).unwrap();
        let nonce = nonce.parse().unwrap();
        assert_eq!(space.seed(nonce).as_deref(), Some(seed), "{line}");
        assert_eq!(space.nonce(seed), Some(nonce), "{line}");
    }
}

#[test]
fn rooms_have_their_exact_size() {
    let room = |layout, encoding, prefix, digits| {
        let puzzle = puzzle(&"a".repeat(digits), encoding, prefix);
        SeedSpace::new(&puzzle, layout).unwrap().room()
    };
    let (text, bytes) = (Encoding::Text, Encoding::Bytes);
    assert_eq!(room(Layout::Counting, text, false, 5), u128::MAX);
    // One word of digits, less the 0x or the string's half byte; at most 31 digits.
    assert_eq!(room(Layout::Trailing, text, false, 51), 1 << 16);
    assert_eq!(room(Layout::Trailing, text, true, 51), 1 << 8);
    assert_eq!(room(Layout::Trailing, text, false, 47), 1 << 32);
    assert_eq!(room(Layout::Trailing, text, false, 0), 1 << 124);
    assert_eq!(room(Layout::Trailing, bytes, false, 102), 1 << 32);
    assert_eq!(room(Layout::Trailing, bytes, false, 103), 1 << 28);
    // 16 prefixes, 512 word 5s, 2^16 word 6s, 2^7 members, and extra digits up to a block's end.
    for (digits, extra) in [(1, 21), (2, 21), (3, 20), (22, 1), (23, 0), (24, 21), (87, 0)] {
        assert_eq!(room(Layout::Tunnel, text, false, digits), 1 << (36 + 4 * extra), "{digits}");
        assert_eq!(room(Layout::Tunnel, text, true, digits), 1 << (36 + 4 * extra), "{digits}");
    }
    assert_eq!(room(Layout::Tunnel, bytes, false, 7), 1 << 104);
}

/// Padding takes nine bytes, so a message of 55 bytes has one block and one of 56 has two.
#[test]
fn steps_count_the_blocks_of_the_padded_message() {
    let steps = |layout, bits, encoding, digits| {
        let difficulty = Difficulty::from_bits(bits).unwrap();
        let puzzle = Puzzle::new("a".repeat(digits), difficulty, encoding).unwrap();
        SeedSpace::new(&puzzle, layout).unwrap().steps()
    };
    let (text, bytes) = (Encoding::Text, Encoding::Bytes);
    // Seeds of nine digits up to 32 bits, later as many as the expected solution.
    for (bits, digits, expected) in [
        (8, 46, 60),
        (8, 47, 124),
        (32, 110, 124),
        (32, 111, 188),
        (35, 46, 60),
        (36, 46, 124),
        (127, 23, 60),
        (127, 24, 124),
        (128, 23, 60),
    ] {
        assert_eq!(steps(Layout::Counting, bits, text, digits), expected, "{bits} {digits}");
    }
    assert_eq!(steps(Layout::Counting, 32, bytes, 101), 60);
    assert_eq!(steps(Layout::Counting, 32, bytes, 102), 124);
    for (digits, expected) in [(0, 49), (3, 49), (4, 50), (10, 51), (47, 60), (51, 61)] {
        assert_eq!(steps(Layout::Trailing, 40, text, digits), expected, "{digits}");
    }
    for (digits, expected) in [(0, 38), (23, 38), (24, 102), (87, 102), (88, 166)] {
        assert_eq!(steps(Layout::Tunnel, 40, text, digits), expected, "{digits}");
    }
    for (digits, expected) in [(46, 38), (47, 102), (174, 102), (175, 166)] {
        assert_eq!(steps(Layout::Tunnel, 40, bytes, digits), expected, "{digits}");
    }
}

/// A family is one byte's worth of digits or less, and never varies two words.
#[test]
fn families_take_two_digits_of_one_word() {
    let family = |string, encoding, prefix, nonce| {
        let puzzle = puzzle(string, encoding, prefix);
        let space = SeedSpace::new(&puzzle, Layout::Counting).unwrap();
        let segment = space.segment(nonce).unwrap();
        let places = |digits: &[Digit]| {
            digits.iter().map(|d| (d.word(), d.index_in_word())).collect::<Vec<_>>()
        };
        let Family::Digits(family) = &segment.family else { panic!("{segment:?}") };
        assert_eq!(segment.family.size(), 1 << (4 * family.len()));
        (places(family), places(&segment.base_digits), segment.span)
    };
    let (text, bytes) = (Encoding::Text, Encoding::Bytes);
    assert_eq!(family("ab", text, false, 7), (vec![(0, 0)], vec![], Span::new(0, 0x10)));
    let two = (vec![(0, 1), (0, 0)], vec![], Span::new(0x10, 0x100));
    assert_eq!(family("ab", text, false, 0x17), two);
    // The fifth digit starts a word of its own.
    let base = vec![(0, 3), (0, 2), (0, 1), (0, 0)];
    let five = (vec![(1, 0)], base.clone(), Span::new(0x1_0000, 0x10_0000));
    assert_eq!(family("ab", text, false, 0x1_2345), five);
    let shifted = (vec![(1, 0)], vec![(0, 3), (0, 2)], Span::new(0x100, 0x1000));
    assert_eq!(family("ab", text, true, 0x123), shifted);
    // Ten digits: eight of the base vary, the first is fixed.
    let (members, base, span) = family("ab", text, false, 0x12_3456_789a);
    assert_eq!(members, [(2, 1), (2, 0)]);
    assert_eq!(base.first().zip(base.last()), Some((&(1, 3), &(0, 0))));
    assert_eq!(span, Span::new(0x10_0000_0000, 0x100_0000_0000));
    let (_, base, span) = family("ab", text, false, 0x123_4567_89ab_cdef);
    assert_eq!(base.len(), 8);
    assert_eq!(span, Span::new(0x123_4500_0000_0000, 0x123_4600_0000_0000));
    let bytes_two = (vec![(0, 1), (0, 0)], vec![], Span::new(0, 0x100));
    assert_eq!(family("ab", bytes, false, 7), bytes_two);
    let bytes_odd = (vec![(0, 2), (0, 1)], vec![(0, 0)], Span::new(0x10, 0x1000));
    assert_eq!(family("abc", bytes, false, 0x123), bytes_odd);
}

#[test]
fn segments_of_tunnels_vary_word_6_and_extra_digits() {
    let bytes = |digits, encoding| {
        let puzzle = puzzle(&"a".repeat(digits), encoding, false);
        let segment = SeedSpace::new(&puzzle, Layout::Tunnel).unwrap().segment(1 << 50);
        segment.unwrap().base_digits.iter().map(|digit| digit.byte()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(10, Encoding::Text), [27, 26, 25, 24, 44, 43, 42, 41]);
    assert_eq!(bytes(19, Encoding::Text), [27, 26, 25, 24, 35, 34, 33, 32]);
    assert_eq!(bytes(10, Encoding::Bytes), [27, 27, 26, 26, 25, 25, 24, 24]);
}

#[test]
fn digits_know_their_bits_in_the_message() {
    for (encoding, bits) in [(Encoding::Text, 8), (Encoding::Bytes, 4)] {
        for position in 0..24 {
            let digit = Digit::new(encoding, position);
            assert_eq!((digit.encoding(), digit.mask().count_ones()), (encoding, bits));
            let word = |value: u32| {
                let characters = (0..24)
                    .map(|at| if at == position { format!("{value:x}") } else { "5".into() });
                let bytes = encoding.message(characters.collect());
                let at = 4 * digit.word();
                u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
            };
            for value in 0..16 {
                assert_eq!(word(value) & digit.mask(), digit.spell(value), "{position} {value}");
                assert_eq!(word(value) & !digit.mask(), word(0) & !digit.mask(), "{position}");
            }
        }
    }
}

#[test]
fn layouts_are_read_as_they_are_written() {
    for layout in Layout::ALL {
        assert_eq!(layout.to_string().parse(), Ok(layout));
    }
    assert_eq!(format!("{:>9}", Layout::Tunnel), "   tunnel");
    assert_eq!("auto".parse::<Layout>(), Err(LayoutError::Unknown("auto".into())));
}

#[test]
fn a_space_keeps_its_puzzle_and_spans_its_room() {
    for space in spaces(11) {
        assert_eq!(space.whole(), Span::new(0, space.room()));
        assert_eq!(space.puzzle().string(), "A7c02215Fb9");
    }
}
