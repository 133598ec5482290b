//! Searches spans on this machine: the [`Backend`] trait, and the [`Control`] from which backends take
//! work and to which they submit results.
//!
//! A backend claims sub-spans, filters them with its kernel, and submits what passed. The control has
//! the md-5 crate judge each candidate and keeps the exact set of nonces done. Several backends can
//! share one control. This module knows no instruction set and no device.

use crate::puzzle::Digest;
use crate::seeds::SeedSpace;
use crate::span::{Span, SpanSet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Claims end at multiples of this where possible: every family size divides it.
pub(crate) const CLAIM_ALIGNMENT: u128 = 256;

/// Time between two looks at whether a pause is over, beside being told.
const PAUSE_LOOK: Duration = Duration::from_millis(100);

/// A nonce whose digest begins with enough zero bits, as the judge confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Nonce in the control's seed space.
    pub nonce: u128,
    /// Leading zero bits of its digest.
    pub zero_bits: u32,
}

/// Failure of a backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The device failed and could not be opened again; unfinished claims are free again.
    #[error("{0}")]
    Device(String),
}

/// Searches spans on this machine.
pub trait Backend: Send + Sync {
    /// Describes it for people: name, level, threads or device.
    fn describe(&self) -> String;

    /// Claims, searches and submits until the control has nothing more to claim.
    ///
    /// # Errors
    /// The device failed. What was claimed and not searched has been given back.
    fn search(&self, control: &Control) -> Result<(), BackendError>;

    /// Returns true while the user pauses work on this machine. A search is paused through its
    /// [`Control`]; work of other kinds asks here between two chunks.
    fn is_paused(&self) -> bool {
        false
    }
}

/// State of one search: the free spans, the spans done, and the hits. All its backends share it.
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
    /// The lowest solutions, at most as many as wanted.
    solutions: BTreeSet<u128>,
    /// Nonces from here on are not wanted: enough solutions lie below.
    limit: u128,
}

impl Control {
    /// Starts a search of `span` (cut to the room) for hits of at least `filter_bits` zero bits. It
    /// ends early when the first `wanted` solutions of the puzzle are known.
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

    /// Starts a separate search of `span` with the same seeds and filter, without an early end. Its
    /// results come back through [`Control::absorb`].
    pub fn part(&self, span: Span) -> Self {
        Self::new(self.space.clone(), span, self.filter_bits, usize::MAX)
    }

    /// Returns the seeds that are searched.
    pub fn space(&self) -> &SeedSpace {
        &self.space
    }

    /// Returns the number of zero bits from which on a candidate is a hit.
    pub fn filter_bits(&self) -> u32 {
        self.filter_bits
    }

    /// Drops the nonces from `end` on, unless they are already claimed.
    pub fn cut(&self, end: u128) {
        let mut state = self.state();
        state.limit = state.limit.min(end);
    }

    /// Asks every backend to stop soon; finished work still counts.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Returns true after [`Control::stop`] and during a pause. Kernels check this every few
    /// milliseconds.
    pub fn is_stopped(&self) -> bool {
        self.was_stopped() || self.is_paused()
    }

    /// Returns true after [`Control::stop`], whether or not a pause lasts.
    pub fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
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
            while self.is_paused() && !self.was_stopped() {
                self.wait(PAUSE_LOOK);
            }
            let before = self.pauses.load(Ordering::Relaxed);
            search()?;
            let undisturbed =
                before.is_multiple_of(2) && self.pauses.load(Ordering::Relaxed) == before;
            if undisturbed || self.was_stopped() {
                return Ok(());
            }
        }
    }

    /// Claims the next sub-span of about `len` nonces, in ascending order; `None` if no wanted nonce is
    /// left. The caller must submit the claim or give it back.
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

    /// Returns the nonce with which the next claim begins, if there is one.
    pub fn next_claim(&self) -> Option<u128> {
        let state = self.state();
        let first = state.free.first()?.start();
        (first < state.limit && !self.is_stopped()).then_some(first)
    }

    /// Takes over the results of a [`part`](Control::part), whose span was claimed here, and gives the
    /// rest back. Returns true if there is no rest.
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

    /// Records all of `span` as searched, with every nonce in it that passed the kernel's filter.
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

    /// Frees a claimed span, or a part of one, that was not searched.
    pub fn give_back(&self, span: Span) {
        self.state().free.insert(span);
        self.changed.notify_all();
    }

    /// Returns the number of nonces submitted so far.
    pub fn tested(&self) -> u64 {
        self.tested.load(Ordering::Relaxed)
    }

    /// Returns the number of candidates that a kernel passed and the judge rejected for bits that the
    /// kernel checks. Any such candidate means a broken kernel or broken hardware.
    pub fn false_candidates(&self) -> u64 {
        self.false_candidates.load(Ordering::Relaxed)
    }

    /// Returns every hit so far, ascending: solutions and near-solutions.
    pub fn hits(&self) -> Vec<Hit> {
        self.state().hits.iter().map(|(&nonce, &zero_bits)| Hit { nonce, zero_bits }).collect()
    }

    /// Returns the first solutions in nonce order, at most as many as wanted. Every nonce before them
    /// has been searched.
    pub fn settled_solutions(&self) -> Vec<Hit> {
        let frontier = self.frontier();
        let state = self.state();
        let settled = state.solutions.iter().take_while(|&&nonce| nonce < frontier);
        let hit = |&nonce: &u128| Some(Hit { nonce, zero_bits: *state.hits.get(&nonce)? });
        settled.filter_map(hit).collect()
    }

    /// Returns the first nonce that is not done yet.
    pub fn frontier(&self) -> u128 {
        let start = self.span.start();
        let first = self.state().done.first();
        first.filter(|done| done.start() == start).map_or(start, Span::end)
    }

    /// Returns the nonces submitted so far.
    pub fn done(&self) -> SpanSet {
        self.state().done.clone()
    }

    /// Waits until something is submitted, given back or stopped, or until `most` has passed.
    pub fn wait(&self, most: Duration) {
        let state = self.state();
        drop(self.changed.wait_timeout(state, most));
    }

    fn target(&self) -> u32 {
        self.space.puzzle().difficulty().bits()
    }

    /// Judges a candidate; returns the hit if it is one.
    fn judge(&self, nonce: u128) -> Option<Hit> {
        let seed = self.space.seed(nonce)?;
        let zero_bits = self.space.puzzle().digest(&seed).map_or(0, Digest::zero_bits);
        if zero_bits < self.filter_bits.min(32) {
            self.false_candidates.fetch_add(1, Ordering::Relaxed);
        }
        (zero_bits >= self.filter_bits).then_some(Hit { nonce, zero_bits })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and every change is complete when it is released.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod skip;
#[cfg(test)]
mod tests;
