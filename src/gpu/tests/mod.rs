//! Tests of the gpu backend, on a software adapter where there is one and on a fake engine.

mod backend;
mod fake;
mod faults;
mod parity;
mod shape;
mod slices;

use super::cache::Cache;
use super::device::{self, Adapter};
use super::engine::Engine;
use super::fault::DeviceFault;
use super::host::{self, OpenDevice, Opener, Times};
use super::limits::CAPACITY;
use super::wgpu_engine::WgpuEngine;
use crate::backend::skip::skip;
use crate::backend::{Control, Hit};
use crate::puzzle::{Difficulty, Digest, Encoding, Puzzle};
use crate::seeds::{Layout, SeedSpace};
use crate::span::{Span, SpanSet};
use std::sync::Arc;
use std::time::Duration;

/// Zero bits of a hit in these tests: one nonce in sixteen.
const BITS: u32 = 4;

const TIMES: Times = Times {
    target: Duration::from_millis(20),
    // Software adapters on a busy machine may take long; no test waits for this to pass.
    patience: Duration::from_secs(120),
    check: Duration::from_secs(3600),
    pause: Duration::ZERO,
};

/// Returns an adapter to test on, software before hardware because every machine can have it.
fn adapter() -> Option<Adapter> {
    let software = ["llvmpipe", "swiftshader"].map(String::from);
    let named = software.iter().find_map(|name| device::select(std::slice::from_ref(name)).ok());
    match named.map_or_else(|| device::select(&[]), Ok) {
        Ok(adapters) => adapters.into_iter().next(),
        Err(error) => {
            skip("gpu", error);
            None
        }
    }
}

fn space(layout: Layout, encoding: Encoding, string: &str) -> Option<Arc<SeedSpace>> {
    let puzzle = Puzzle::new(string, Difficulty::from_bits(BITS).unwrap(), encoding).unwrap();
    SeedSpace::new(&puzzle, layout).ok().map(Arc::new)
}

fn control(space: &Arc<SeedSpace>, span: Span) -> Control {
    Control::new(Arc::clone(space), span, BITS, usize::MAX)
}

/// Returns the judge's hits in `span`.
fn judged(space: &SeedSpace, span: Span) -> Vec<Hit> {
    (span.start()..span.end())
        .filter_map(|nonce| {
            let seed = space.seed(nonce).unwrap();
            let zero_bits = space.puzzle().digest(&seed).map_or(0, Digest::zero_bits);
            (zero_bits >= BITS).then_some(Hit { nonce, zero_bits })
        })
        .collect()
}

/// Asserts that all of `span` is done and that the hits are the judge's.
fn assert_complete(control: &Control, span: Span) {
    assert_eq!(control.done(), SpanSet::from(span));
    assert_eq!(control.hits(), judged(control.space(), span));
    assert_eq!(control.false_candidates(), 0);
}

fn search<E: Engine>(
    open: &dyn Fn() -> Result<E, DeviceFault>,
    times: Times,
    control: &Control,
) -> Result<(), DeviceFault> {
    host::search(&mut None, &Opener { open, cache: &Cache::none(), times }, control)
}
