//! Exact equality with the judge: at every level, the nonces that pass in a span are those that the
//! judge passes.

use super::*;
use crate::backend::skip::skip;
use crate::plan::TUNNEL_START;
use crate::puzzle::{Difficulty, Encoding, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use std::collections::BTreeSet;
use std::sync::Arc;

/// String lengths around every border: of words, of blocks, of what a layout can hold.
const LENGTHS: [usize; 18] =
    [0, 1, 5, 7, 22, 23, 24, 46, 47, 48, 55, 56, 63, 64, 110, 119, 120, 2000];

/// The longer tests run one case in this many: the kernels of a debug build take some thirty times as
/// long, and a first `cargo test` should not take ten minutes.
const THINNING: usize = if cfg!(debug_assertions) { 4 } else { 1 };

/// Returns the levels of this machine.
fn levels() -> Vec<Level> {
    static SKIPPED: std::sync::Once = std::sync::Once::new();
    let available = Level::available();
    SKIPPED.call_once(|| {
        for level in Level::ALL.iter().filter(|level| !available.contains(level)) {
            skip(&level.to_string(), "this machine lacks it");
        }
    });
    available
}

fn puzzle(length: usize, encoding: Encoding, prefix: bool) -> Puzzle {
    let string: String = "A7c02215Fb9e".chars().cycle().take(length).collect();
    let puzzle = Puzzle::new(string, Difficulty::from_bits(128).unwrap(), encoding).unwrap();
    if prefix { puzzle.with_seed_prefix().unwrap() } else { puzzle }
}

fn spaces(length: usize) -> Vec<Arc<SeedSpace>> {
    [(Encoding::Text, false), (Encoding::Text, true), (Encoding::Bytes, false)]
        .into_iter()
        .flat_map(|(encoding, prefix)| {
            let puzzle = puzzle(length, encoding, prefix);
            Layout::ALL.map(|layout| SeedSpace::new(&puzzle, layout))
        })
        .filter_map(|space| space.ok().map(Arc::new))
        .collect()
}

/// Returns every nonce of `span` that the judge passes.
fn judged(space: &SeedSpace, span: Span, bits: u32) -> Vec<u128> {
    let passes = |nonce: &u128| {
        let seed = space.seed(*nonce).unwrap();
        space.puzzle().digest(&seed).unwrap().zero_bits() >= bits
    };
    (span.start()..span.end()).filter(passes).collect()
}

/// Returns every nonce of `span` that `level` finds, on `threads` threads.
fn found(space: &Arc<SeedSpace>, span: Span, bits: u32, level: Level, threads: usize) -> Vec<u128> {
    let control = Control::new(Arc::clone(space), span, bits, usize::MAX);
    let cpu = Cpu::new(Some(level), NonZeroUsize::new(threads)).unwrap();
    cpu.search(&control).unwrap();
    assert_eq!(control.false_candidates(), 0);
    assert_eq!(u128::from(control.tested()), span.len());
    assert!(control.done().covers(span));
    control.hits().into_iter().map(|hit| hit.nonce).collect()
}

fn check(space: &Arc<SeedSpace>, span: Span, bits: u32) {
    let span = span.intersect(space.whole());
    let expected = judged(space, span, bits);
    for level in levels() {
        let what = || format!("{level} {} {:?} {span}", space.layout(), space.puzzle());
        assert_eq!(found(space, span, bits, level, 1), expected, "{}", what());
    }
}

/// Returns spans across the borders of families, segments, digit counts and 2^32.
fn spans(space: &SeedSpace) -> Vec<Span> {
    let around = |nonce: u128, len: u128| Span::with_len(nonce.saturating_sub(len / 3), len);
    let mut spans = vec![Span::new(0, 2500), around(1 << 32, 700), around(1 << 40, 700)];
    // Where 16^4 bases or 2^32 bases of the tunnel end, in either encoding.
    spans.extend([1u128 << 23, 1 << 39].map(|border| around(border, 500)));
    spans.push(around(0x1_0000_0000_0000_0000, 500));
    spans.push(Span::new(space.room().saturating_sub(400), space.room()));
    spans
}

#[test]
fn every_level_passes_exactly_what_the_judge_passes() {
    for length in LENGTHS.into_iter().step_by(THINNING) {
        for space in spaces(length) {
            for span in spans(&space) {
                check(&space, span, 8);
            }
        }
    }
}

/// Returns the spans of `space` that begin where the member's word of `counting` changes.
fn word_borders(space: &SeedSpace) -> Vec<Span> {
    let mut spans = vec![Span::with_len(3, 200)];
    if space.layout() == Layout::Counting {
        spans.extend((2..32).map(|digits| Span::with_len((1 << (4 * digits)) - 50, 200)));
    }
    spans
}

#[test]
fn every_start_step_agrees_with_and_without_later_blocks() {
    let mut seen = BTreeSet::new();
    for length in (0..60).step_by(4).chain([200]) {
        for space in spaces(length) {
            for span in word_borders(&space) {
                let plan = Plan::new(&space, span.end() - 1).unwrap();
                // The kernels see no difference between layouts: one case for each pair will do.
                if seen.insert((plan.start, !plan.later_blocks.is_empty(), plan.encoding as u8)) {
                    check(&space, span, 4);
                }
            }
        }
    }
    let starts = |more: bool| -> BTreeSet<usize> {
        seen.iter().filter(|case| case.1 == more).map(|case| case.0).collect()
    };
    assert_eq!(starts(false), (0..13).chain([TUNNEL_START]).collect());
    assert_eq!(starts(true), (0..9).chain([TUNNEL_START]).collect());
}

/// `abcdf` in `trailing`: the digest of this nonce begins with 35 zero bits.
const RARE: u128 = 14_700_400_302;

#[test]
fn filters_above_32_bits_leave_the_rest_to_the_judge() {
    let puzzle = Puzzle::new("abcdf", Difficulty::from_bits(128).unwrap(), Encoding::Text);
    let space = Arc::new(SeedSpace::new(&puzzle.unwrap(), Layout::Trailing).unwrap());
    for level in levels() {
        for (bits, hits) in [(32, 1), (33, 1), (35, 1), (36, 0), (64, 0), (128, 0)] {
            // `found` also asserts that nothing that passed the first word counts as false.
            let hit = found(&space, Span::with_len(RARE - 300, 600), bits, level, 1);
            assert_eq!(hit, vec![RARE; hits], "{level}, {bits} bits");
        }
    }
}

#[test]
fn long_spans_fill_every_lane_and_agree_on_twelve_bits() {
    for length in [0, 10, 23, 60] {
        for space in spaces(length) {
            check(&space, Span::with_len(77_777, 120_000 / THINNING as u128), 12);
        }
    }
}

#[test]
fn counting_agrees_across_all_short_lengths() {
    for encoding in [Encoding::Text, Encoding::Bytes] {
        for length in [0, 5] {
            let space = SeedSpace::new(&puzzle(length, encoding, false), Layout::Counting);
            check(&Arc::new(space.unwrap()), Span::new(0, 0x11000), 10);
        }
    }
}

#[test]
fn filters_of_few_and_of_many_bits_agree() {
    for space in spaces(10) {
        check(&space, Span::with_len(300, 1000), 0);
        check(&space, Span::with_len(300, 1000), 3);
        check(&space, Span::with_len(1 << 20, 40_000), 16);
    }
}

#[test]
fn spans_of_any_alignment_agree() {
    for space in spaces(10) {
        for start in [0u128, 1, 127, 128, 255, 256, 4095] {
            for len in [0u128, 1, 2, 127, 128, 129, 257, 1000] {
                check(&space, Span::with_len(start, len), 4);
            }
        }
    }
}

#[test]
fn hits_lie_in_every_lane_and_at_both_ends_of_a_span() {
    for space in spaces(10) {
        let family = u128::from(Plan::new(&space, 1 << 20).unwrap().family());
        let hits = judged(&space, Span::with_len(1 << 20, 112 * 40 * family.min(16)), 6);
        assert!(hits.len() > 100);
        for &hit in hits.iter().take(30 / THINNING) {
            check(&space, Span::with_len(hit, 1), 6);
            check(&space, Span::new(hit, hit + 300), 6);
            check(&space, Span::new(hit - 300, hit + 1), 6);
        }
        let kernels = Kernels::new(Level::best()).unwrap();
        let bases = u128::from(kernels.bases());
        let wide = judged(&space, Span::with_len(1 << 20, bases * family), 4);
        let lanes: std::collections::HashSet<u128> =
            wide.iter().map(|nonce| nonce / family % bases).collect();
        assert_eq!(lanes.len() as u128, bases, "a hit in every lane");
        check(&space, Span::with_len(1 << 20, bases * family), 4);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_first_solutions() {
    let puzzle = Puzzle::new("abcdf", Difficulty::from_bits(14).unwrap(), Encoding::Text).unwrap();
    for layout in Layout::ALL {
        let space = Arc::new(SeedSpace::new(&puzzle, layout).unwrap());
        let expected: Vec<_> =
            judged(&space, Span::new(0, 1 << 18), 14).into_iter().take(5).collect();
        assert_eq!(expected.len(), 5);
        for threads in [1, 2, 3, 8] {
            let control = Control::new(Arc::clone(&space), space.whole(), 14, 5);
            Cpu::new(None, NonZeroUsize::new(threads)).unwrap().search(&control).unwrap();
            let found: Vec<_> = control.settled_solutions().iter().map(|hit| hit.nonce).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_stopped_search_resumes_at_its_frontier() {
    let space = spaces(10).remove(0);
    let cpu = Cpu::new(None, NonZeroUsize::new(2)).unwrap();
    let (mut hits, mut at) = (Vec::new(), 5);
    for _ in 0..4 {
        // The span is so long that it always stops before the end.
        let span = Span::new(at, space.room());
        let control = Control::new(Arc::clone(&space), span, 12, usize::MAX);
        std::thread::scope(|scope| {
            scope.spawn(|| cpu.search(&control).unwrap());
            while control.frontier() == at {
                control.wait(std::time::Duration::from_millis(1));
            }
            control.stop();
        });
        let next = control.frontier();
        assert!(next > at && next < space.room());
        hits.extend(control.hits().into_iter().map(|hit| hit.nonce).filter(|&nonce| nonce < next));
        at = next;
    }
    assert_eq!(hits, found(&space, Span::new(5, at), 12, Level::best(), 2));
}
