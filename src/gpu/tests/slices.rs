//! Cutting of work into submissions. The fake engine asserts that each batch is valid; these tests
//! reach the limits.

use super::super::limits::{MOST_BASES, MOST_SLICES};
use super::fake::{CLAIMED, NOTHING_PASSES, Sabotage, Script};
use super::*;

/// Dispatches never take this long, so each one is four times as large as the one before.
const GROWING: Times = Times { target: Duration::from_secs(3600), ..TIMES };

/// Searches `span` with a filter that passes nothing; returns bases and slices of each batch.
fn batches(space: Arc<SeedSpace>, span: Span) -> Vec<(u64, usize)> {
    let control = Control::new(space, span, 2 * NOTHING_PASSES, usize::MAX);
    let script = Script::with_control(Sabotage::Nothing, control, CLAIMED);
    assert_eq!(script.run(GROWING), (Ok(()), 1));
    assert_eq!(script.control.done(), SpanSet::from(span));
    let batches = script.batches.lock().unwrap();
    let bases = |slice: &super::super::engine::Slice| slice.bases.end - slice.bases.start;
    let most = batches.iter().map(|b| (b.slices.iter().map(bases).max().unwrap(), b.slices.len()));
    most.collect()
}

#[test]
fn small_segments_share_a_submission() {
    // A string that leaves segments of 2^23 nonces.
    let space = space(Layout::Tunnel, Encoding::Text, &"a".repeat(23)).unwrap();
    let batches = batches(space, Span::with_len((1 << 23) - 777, 1 << 29));
    assert_eq!(batches.iter().map(|batch| batch.1).max(), Some(MOST_SLICES), "{batches:?}");
}

#[test]
fn a_dispatch_has_a_largest_number_of_bases() {
    // Segments of 2^40 nonces.
    let space = space(Layout::Tunnel, Encoding::Bytes, "abcdf").unwrap();
    let batches = batches(space, Span::with_len(0, 1 << 42));
    assert!(batches.iter().all(|batch| batch.0 >= 1000), "no crumbs: {batches:?}");
    assert_eq!(batches.iter().map(|batch| batch.0).max(), Some(MOST_BASES), "{batches:?}");
}

#[test]
fn segments_of_different_shapes_do_not_share_a_submission() {
    // Seeds of one to five digits: the last digit moves to another word.
    let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
    let batches = batches(space, Span::new(0, 0x2_0000));
    assert!(batches.len() > 1, "{batches:?}");
}

#[test]
fn a_claim_that_turns_out_too_large_is_cut_without_a_gap() {
    // Behind fifty digits, seeds of six need a second block and twice the steps.
    let space = space(Layout::Counting, Encoding::Text, &"a".repeat(50)).unwrap();
    let batches = batches(space, Span::new((1 << 20) - 1000, (1 << 20) + 150_077));
    assert!(batches.len() >= 3, "{batches:?}");
}
