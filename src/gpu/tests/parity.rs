//! Exact equality with the judge: the shader finds what the judge finds, and nothing else.

use super::*;

/// String lengths in digits, around every end of a layout, a word or a block.
const LENGTHS: [usize; 18] =
    [0, 1, 5, 9, 22, 23, 24, 46, 47, 48, 55, 56, 63, 64, 110, 119, 120, 2000];

fn string(length: usize) -> String {
    (0..length).map(|n| char::from(b"0123456789abcdefABCDEF"[n * 7 % 22])).collect()
}

/// Returns spans across the borders of bases, digit counts, 2^32 nonces and 2^32 bases, and up to the
/// end of the room.
fn spans(space: &SeedSpace) -> impl Iterator<Item = Span> {
    let around = |middle: u128| Span::with_len(middle.saturating_sub(260), 520);
    let family = 8;
    [0, 0x1_0000, 1 << 20, 1 << 32, 1 << (32 + family), space.room()]
        .map(|middle| around(middle).intersect(space.whole()))
        .into_iter()
        .filter(|span| !span.is_empty())
}

fn check(device: &mut Option<OpenDevice<WgpuEngine>>, adapter: &Adapter, space: &Arc<SeedSpace>) {
    let cache = Cache::none();
    let open = || WgpuEngine::open(adapter, &cache, CAPACITY);
    let opener = Opener { open: &open, cache: &cache, times: TIMES };
    for span in spans(space) {
        let control = control(space, span);
        host::search(device, &opener, &control).unwrap();
        assert_complete(&control, span);
    }
}

fn check_all(layout: Layout, encoding: Encoding) {
    let Some(adapter) = adapter() else { return };
    let mut device = None;
    let spaces = LENGTHS.into_iter().filter_map(|n| space(layout, encoding, &string(n)));
    let searched = spaces.map(|space| check(&mut device, &adapter, &space)).count();
    assert!(searched >= 8, "{searched} lengths");
}

#[test]
fn counting_in_text_finds_the_judges_hits() {
    check_all(Layout::Counting, Encoding::Text);
}

#[test]
fn counting_in_bytes_finds_the_judges_hits() {
    check_all(Layout::Counting, Encoding::Bytes);
}

#[test]
fn trailing_in_text_finds_the_judges_hits() {
    check_all(Layout::Trailing, Encoding::Text);
}

#[test]
fn trailing_in_bytes_finds_the_judges_hits() {
    check_all(Layout::Trailing, Encoding::Bytes);
}

#[test]
fn tunnel_in_text_finds_the_judges_hits() {
    check_all(Layout::Tunnel, Encoding::Text);
}

#[test]
fn tunnel_in_bytes_finds_the_judges_hits() {
    check_all(Layout::Tunnel, Encoding::Bytes);
}

#[test]
fn seeds_with_a_prefix_give_the_judges_hits() {
    let Some(adapter) = adapter() else { return };
    let puzzle = Puzzle::new("abcdf", Difficulty::from_bits(BITS).unwrap(), Encoding::Text);
    let puzzle = puzzle.unwrap().with_seed_prefix().unwrap();
    let mut device = None;
    for layout in Layout::ALL {
        check(&mut device, &adapter, &Arc::new(SeedSpace::new(&puzzle, layout).unwrap()));
    }
}

#[test]
fn one_dispatch_can_take_many_bases() {
    let Some(adapter) = adapter() else { return };
    let space = space(Layout::Tunnel, Encoding::Text, "abcdf").unwrap();
    let span = Span::with_len((1 << 40) + 77, 1 << 22);
    // Few hits to judge, many candidates in flight.
    let control = Control::new(Arc::clone(&space), span, 12, usize::MAX);
    search(&|| WgpuEngine::open(&adapter, &Cache::none(), CAPACITY), TIMES, &control).unwrap();
    assert_eq!(control.done(), SpanSet::from(span));
    assert_eq!(control.false_candidates(), 0);
    let expected = (1u64 << 22) as f64 / 4096.0;
    let hits = control.hits().len() as f64;
    assert!((hits - expected).abs() < 6.0 * expected.sqrt(), "{hits} hits, {expected} expected");
    let front = Span::with_len(span.start(), 1 << 14);
    let in_front = control.hits().into_iter().filter(|hit| front.contains(hit.nonce));
    let mut judged = judged(&space, front);
    judged.retain(|hit| hit.zero_bits >= 12);
    assert!(in_front.eq(judged));
}

#[test]
fn two_devices_share_a_search() {
    let Some(adapter) = adapter() else { return };
    let space = space(Layout::Trailing, Encoding::Bytes, "abcdf").unwrap();
    let span = Span::with_len(1000, 1 << 15);
    let control = control(&space, span);
    let open = || WgpuEngine::open(&adapter, &Cache::none(), CAPACITY);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| search(&open, TIMES, &control));
        search(&open, TIMES, &control).unwrap();
        other.join().unwrap().unwrap();
    });
    assert_complete(&control, span);
}

#[test]
fn filters_above_32_bits_leave_the_rest_to_the_judge() {
    // The digest of this nonce begins with 35 zero bits.
    const RARE: u128 = 14_700_400_302;
    let Some(adapter) = adapter() else { return };
    let space = space(Layout::Trailing, Encoding::Text, "abcdf").unwrap();
    for (bits, hits) in [(33, 1), (35, 1), (36, 0), (128, 0)] {
        let span = Span::with_len(RARE - 300, 600);
        let control = Control::new(Arc::clone(&space), span, bits, usize::MAX);
        search(&|| WgpuEngine::open(&adapter, &Cache::none(), CAPACITY), TIMES, &control).unwrap();
        let found: Vec<u128> = control.hits().iter().map(|hit| hit.nonce).collect();
        assert_eq!(found, vec![RARE; hits], "{bits} bits");
        assert_eq!((control.done(), control.false_candidates()), (SpanSet::from(span), 0));
    }
}
