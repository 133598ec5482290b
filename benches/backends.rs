//! `cargo bench`: compares the backends, in candidates a second.
//!
//! divan reports items a second and takes a whole search as one iteration. Each bench searches the
//! same span of a layout and asserts its known hits, so that no rate leaves work out. As tests
//! (`cargo bench -- --test`), each runs once.

use divan::Bencher;
use divan::counter::ItemsCount;
use seedrush::backend::{Backend, Control};
use seedrush::cpu::{Cpu, Level, LevelError};
use seedrush::gpu::{Gpu, Workload};
use seedrush::{Difficulty, Encoding, Layout, Puzzle, SeedSpace, Span};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

const STRING: &str = "A7C02215FC";
const BITS: u32 = 14;
const ENCODINGS: [Encoding; 2] = [Encoding::Text, Encoding::Bytes];

fn main() {
    divan::main();
}

/// A span and the hits that the judge finds in it.
struct Case {
    space: Arc<SeedSpace>,
    span: Span,
    hits: Vec<u128>,
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let pairs = Layout::ALL.into_iter().flat_map(|l| ENCODINGS.map(|e| (l, e)));
        pairs.map(|(layout, encoding)| case(layout, encoding)).collect()
    })
}

fn case(layout: Layout, encoding: Encoding) -> Case {
    let difficulty = Difficulty::from_bits(128).expect("128 is in range");
    let puzzle = Puzzle::new(STRING, difficulty, encoding).expect("the string is hex");
    let space = Arc::new(SeedSpace::new(&puzzle, layout).expect("the string fits every layout"));
    let span = Span::with_len(1 << 28, 1 << 18);
    let mut hits = Vec::new();
    by_the_crate(&space, span, &mut hits);
    Case { space, span, hits }
}

/// Searches with the md-5 crate alone, as a baseline.
fn by_the_crate(space: &SeedSpace, span: Span, hits: &mut Vec<u128>) {
    for nonce in span.start()..span.end() {
        let seed = space.seed(nonce).expect("the span is in the room");
        let digest = space.puzzle().digest(&seed).expect("seeds of a space are seeds");
        if digest.zero_bits() >= BITS {
            hits.push(nonce);
        }
    }
}

fn find(layout: Layout, encoding: Encoding) -> &'static Case {
    let same =
        |case: &&Case| case.space.layout() == layout && case.space.puzzle().encoding() == encoding;
    cases().iter().find(same).expect("all pairs are there")
}

#[divan::bench(args = Layout::ALL, consts = [0, 1], sample_count = 5, sample_size = 1)]
fn md5_crate<const E: usize>(bencher: Bencher<'_, '_>, layout: Layout) {
    let case = find(layout, ENCODINGS[E]);
    let span = Span::with_len(case.span.start(), 1 << 16);
    let known = case.hits.iter().filter(|&&nonce| span.contains(nonce)).count();
    bencher.counter(ItemsCount::new(1u64 << 16)).bench_local(|| {
        let mut hits = Vec::new();
        by_the_crate(&case.space, span, &mut hits);
        assert_eq!(hits.len(), known);
    });
}

fn cpu(bencher: Bencher<'_, '_>, level: Level, layout: Layout, encoding: Encoding) {
    match Cpu::new(Some(level), Some(NonZeroUsize::MIN)) {
        Ok(cpu) => search(bencher, &cpu, 1 << 24, find(layout, encoding)),
        Err(error) => skip(level, &error),
    }
}

/// Reports that a bench is skipped; fails if SEEDRUSH_REQUIRE lists the level.
fn skip(level: Level, error: &LevelError) {
    let required = std::env::var("SEEDRUSH_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|part| part.trim() == level.to_string());
    assert!(!is_required, "SEEDRUSH_REQUIRE: {error}");
    println!("skipped: {error}");
}

/// Searches `len` nonces in each iteration.
fn search(bencher: Bencher<'_, '_>, backend: &dyn Backend, len: u64, case: &Case) {
    // The known span first, for its hits; then enough nonces for a rate.
    let known = Control::new(Arc::clone(&case.space), case.span, BITS, usize::MAX);
    backend.search(&known).expect("the backend does not fail");
    assert!(known.hits().iter().map(|hit| hit.nonce).eq(case.hits.iter().copied()));
    let span = Span::with_len(case.span.start(), len.into());
    bencher.counter(ItemsCount::new(len)).bench_local(|| {
        let control = Control::new(Arc::clone(&case.space), span, 24, usize::MAX);
        backend.search(&control).expect("the backend does not fail");
        assert_eq!(control.tested(), len);
    });
}

/// Returns the GPU that SEEDRUSH_BENCH_GPU names, or the best hardware GPU. Opens it once, so that
/// shaders are compiled once.
fn the_gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let open = || {
        let named: Vec<String> = std::env::var("SEEDRUSH_BENCH_GPU").into_iter().collect();
        match Gpu::open(&named, Workload::of_this_machine()) {
            Ok(gpus) => gpus.into_iter().next(),
            Err(error) => {
                println!("skipped: {}", error.brief());
                None
            }
        }
    };
    GPU.get_or_init(open).as_ref()
}

#[divan::bench(args = Layout::ALL, consts = [0, 1], sample_count = 9, sample_size = 1)]
fn gpu<const E: usize>(bencher: Bencher<'_, '_>, layout: Layout) {
    let Some(gpu) = the_gpu() else { return };
    // Hardware needs many dispatches for a rate; software is slow.
    let software = gpu.info().kind == seedrush::gpu::AdapterKind::Software;
    search(bencher, gpu, if software { 1 << 23 } else { 1 << 36 }, find(layout, ENCODINGS[E]));
}

macro_rules! levels {
    ($($name:ident: $level:expr;)*) => {$(
        #[divan::bench(args = Layout::ALL, consts = [0, 1], sample_count = 9, sample_size = 1)]
        fn $name<const E: usize>(bencher: Bencher<'_, '_>, layout: Layout) {
            cpu(bencher, $level, layout, ENCODINGS[E]);
        }
    )*};
}

levels! {
    scalar: Level::Scalar;
    avx2: Level::Avx2;
    avx512: Level::Avx512;
}
