//! What searches a span on this machine: the [`Backend`] trait, and the [`Control`] through which
//! backends take work and give results.
//!
//! A backend claims sub-spans, lets its kernel filter them, and submits what passed; the control
//! has it judged by the md-5 crate and keeps the exact set of nonces done. Several backends can
//! work on one control, each at its own pace. This module knows no instruction set and no device.

use crate::puzzle::Digest;
use crate::seeds::SeedSpace;
use crate::span::{Span, SpanSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Claims end at multiples of this where possible: every family size divides it.
const CLAIM_ALIGNMENT: u128 = 256;

/// Time between two looks at whether a pause is over, beside being told.
const PAUSE_LOOK: Duration = Duration::from_millis(100);

/// A nonce whose digest the judge has seen to begin with enough zero bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The nonce in the control's seed space.
    pub nonce: u128,
    /// Leading zero bits of its digest.
    pub zero_bits: u32,
}

/// What stopped a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The device failed and could not be revived; unfinished claims are free again.
    #[error("{0}")]
    Device(String),
}

/// Something that searches spans on this machine.
pub trait Backend: Send + Sync {
    /// What it is, for people: name, level, threads or device.
    fn describe(&self) -> String;

    /// Claims, searches and submits until the control has nothing more to claim.
    ///
    /// # Errors
    /// The device is gone. What was claimed and not searched has been given back.
    fn search(&self, control: &Control) -> Result<(), BackendError>;
}

/// One search: its work still to do, what is done and what was found. Shared by all who work on it.
#[derive(Debug)]
pub struct Control {
    space: Arc<SeedSpace>,
    span: Span,
    filter_bits: u32,
    wanted: usize,
    stopped: AtomicBool,
    /// Beginnings and ends of pauses: odd while one lasts.
    pauses: AtomicU32,
    tested: AtomicU64,
    false_candidates: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: SpanSet,
    done: SpanSet,
    hits: BTreeMap<u128, u32>,
    /// The lowest solutions, as many as wanted.
    solutions: BTreeSet<u128>,
    /// No nonce from here on is wanted: enough solutions lie below.
    limit: u128,
}

impl Control {
    /// A search of `span` (cut to the room) for everything with at least `filter_bits` zero bits,
    /// which ends early when the `wanted` first solutions of the puzzle are known.
    pub fn new(space: Arc<SeedSpace>, span: Span, filter_bits: u32, wanted: usize) -> Self {
        let span = span.intersect(space.whole());
        Self {
            space,
            span,
            filter_bits,
            wanted,
            stopped: AtomicBool::new(false),
            pauses: AtomicU32::new(0),
            tested: AtomicU64::new(0),
            false_candidates: AtomicU64::new(0),
            state: Mutex::new(State {
                free: SpanSet::from(span),
                done: SpanSet::new(),
                hits: BTreeMap::new(),
                solutions: BTreeSet::new(),
                limit: u128::MAX,
            }),
            changed: Condvar::new(),
        }
    }

    /// A search of its own for a part of this one: the same seeds and filter, and no early end. What
    /// it comes to is to be submitted here.
    pub fn part(&self, span: Span) -> Self {
        Self::new(self.space.clone(), span, self.filter_bits, usize::MAX)
    }

    /// The seeds that are searched.
    pub fn space(&self) -> &SeedSpace {
        &self.space
    }

    /// Zero bits from which on a candidate is a hit.
    pub fn filter_bits(&self) -> u32 {
        self.filter_bits
    }

    /// Nonces from `end` on are not wanted any more; what is claimed of them is still searched.
    pub fn cut(&self, end: u128) {
        let mut state = self.state();
        state.limit = state.limit.min(end);
    }

    /// Asks every backend to stop soon; what they have finished still counts.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Returns true if backends are to return: [`Control::stop`] was called, or a pause lasts. Kernels
    /// look at this every few milliseconds.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.is_paused()
    }

    /// Asks every backend to return soon, until [`Control::resume`] and another call of it.
    pub fn pause(&self) {
        self.pauses.fetch_or(1, Ordering::Relaxed);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        let end = |pauses| (pauses % 2 == 1).then_some(pauses + 1);
        // There may be no pause to end.
        let _ = self.pauses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end);
        self.changed.notify_all();
    }

    /// Returns true while a pause lasts.
    pub fn is_paused(&self) -> bool {
        self.pauses.load(Ordering::Relaxed) % 2 == 1
    }

    /// Calls `search` until it has returned without being paused meanwhile; waits out pauses between
    /// two calls.
    pub fn outlast_pauses<E>(&self, mut search: impl FnMut() -> Result<(), E>) -> Result<(), E> {
        loop {
            while self.is_paused() && !self.stopped.load(Ordering::Relaxed) {
                self.wait(PAUSE_LOOK);
            }
            let before = self.pauses.load(Ordering::Relaxed);
            search()?;
            let undisturbed =
                before.is_multiple_of(2) && self.pauses.load(Ordering::Relaxed) == before;
            if undisturbed || self.stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    /// The next sub-span, about `len` nonces, in ascending order; `None` when nothing is left that
    /// is wanted. What is claimed must be submitted or given back.
    pub fn claim(&self, len: u128) -> Option<Span> {
        if self.is_stopped() {
            return None;
        }
        let mut state = self.state();
        let first = state.free.first()?;
        if first.start() >= state.limit {
            return None;
        }
        let end = first.start().saturating_add(len.max(1));
        let end = end.checked_next_multiple_of(CLAIM_ALIGNMENT).unwrap_or(u128::MAX);
        state.free.take(end - first.start())
    }

    /// The nonce with which the next claim begins, if there is one.
    pub fn next_claim(&self) -> Option<u128> {
        let state = self.state();
        let first = state.free.first()?.start();
        (first < state.limit && !self.is_stopped()).then_some(first)
    }

    /// Takes over what a [`part`](Control::part), of a span that was claimed here, has come to; what
    /// it left is given back. Whether it left nothing.
    pub fn absorb(&self, part: &Self) -> bool {
        let hits: Vec<u128> = part.hits().iter().map(|hit| hit.nonce).collect();
        let mut rest = SpanSet::from(part.span);
        for span in part.done().iter() {
            rest.remove(span);
            let inside: Vec<u128> = hits.iter().copied().filter(|&n| span.contains(n)).collect();
            self.submit(span, &inside);
        }
        self.false_candidates.fetch_add(part.false_candidates(), Ordering::Relaxed);
        rest.iter().for_each(|span| self.give_back(span));
        rest.is_empty()
    }

    /// Reports all of `span` as searched, with every nonce in it that passed the kernel's filter.
    pub fn submit(&self, span: Span, candidates: &[u128]) {
        let hits: Vec<_> = candidates.iter().filter_map(|&nonce| self.judge(nonce)).collect();
        let target = self.target();
        let mut state = self.state();
        state.done.insert(span);
        for hit in hits {
            state.hits.insert(hit.nonce, hit.zero_bits);
            if hit.zero_bits >= target {
                state.solutions.insert(hit.nonce);
            }
        }
        while state.solutions.len() > self.wanted {
            state.solutions.pop_last();
        }
        if state.solutions.len() == self.wanted {
            let end = state.solutions.last().map_or(0, |last| last + 1);
            state.limit = state.limit.min(end);
        }
        drop(state);
        self.tested.fetch_add(u64::try_from(span.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Returns a claimed span, or a part of one, that was not searched.
    pub fn give_back(&self, span: Span) {
        self.state().free.insert(span);
        self.changed.notify_all();
    }

    /// Nonces submitted so far.
    pub fn tested(&self) -> u64 {
        self.tested.load(Ordering::Relaxed)
    }

    /// Candidates that a kernel let pass and the judge refused for bits the kernel had looked at:
    /// any at all means broken hardware or a broken kernel.
    pub fn false_candidates(&self) -> u64 {
        self.false_candidates.load(Ordering::Relaxed)
    }

    /// Every hit so far, ascending, solutions and near-solutions.
    pub fn hits(&self) -> Vec<Hit> {
        self.state().hits.iter().map(|(&nonce, &zero_bits)| Hit { nonce, zero_bits }).collect()
    }

    /// The first solutions in nonce order, as many as wanted, of which it is certain that none was
    /// missed before them.
    pub fn settled_solutions(&self) -> Vec<Hit> {
        let frontier = self.frontier();
        let state = self.state();
        let settled = state.solutions.iter().take_while(|&&nonce| nonce < frontier);
        let hit = |&nonce: &u128| Some(Hit { nonce, zero_bits: *state.hits.get(&nonce)? });
        settled.filter_map(hit).collect()
    }

    /// The first nonce that is not yet searched: everything before it, from the start, is done.
    pub fn frontier(&self) -> u128 {
        let start = self.span.start();
        let first = self.state().done.first();
        first.filter(|done| done.start() == start).map_or(start, Span::end)
    }

    /// What has been submitted.
    pub fn done(&self) -> SpanSet {
        self.state().done.clone()
    }

    /// Waits until something is submitted, given back or stopped, `most` at the longest.
    pub fn wait(&self, most: Duration) {
        let state = self.state();
        drop(self.changed.wait_timeout(state, most));
    }

    fn target(&self) -> u32 {
        self.space.puzzle().difficulty().bits()
    }

    /// The judge's word on a candidate; only what it confirms becomes a hit.
    fn judge(&self, nonce: u128) -> Option<Hit> {
        let seed = self.space.seed(nonce)?;
        let zero_bits = self.space.puzzle().digest(&seed).map_or(0, Digest::zero_bits);
        if zero_bits < self.filter_bits.min(32) {
            self.false_candidates.fetch_add(1, Ordering::Relaxed);
        }
        (zero_bits >= self.filter_bits).then_some(Hit { nonce, zero_bits })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and every change is complete when it is released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod skip;
#[cfg(test)]
mod tests;
