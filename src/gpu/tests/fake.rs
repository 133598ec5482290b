//! An engine that computes on this processor, checks every batch, and fails as a test tells it to.

use super::super::engine::{Batch, Outcome};
use super::super::limits::{DEPTH, MOST_BASES, MOST_SLICES};
use super::super::params::{Entry, MEMBER_BITS};
use super::super::self_check;
use super::super::shader::Shape;
use super::*;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Capacity that engines report: small, so that a search takes several submissions.
pub(super) const CLAIMED: u32 = 1 << 10;

/// From this many bits on the engine computes nothing, because nothing passes.
pub(super) const NOTHING_PASSES: u32 = 64;

/// Failures, and the submission that fails, counted over all engines of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sabotage {
    Nothing,
    Lose(u32),
    /// Loses the device at the last of every so many submissions.
    LoseEvery(u32),
    Stall(u32),
    /// Stalls at every submission.
    Hang,
    /// Refuses the plan.
    Refuse(u32),
    /// A passing candidate is missing from the list.
    Miss(u32),
    /// A candidate in the list does not pass.
    Invent(u32),
    /// A candidate is in the list twice.
    Repeat(u32),
    /// A candidate in the list passes, but is not in the batch.
    Unasked(u32, Unasked),
    /// Reports more results than candidates, always.
    Flood,
    /// Stops the search.
    Stop(u32),
}

/// Ways in which a candidate is not in the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unasked {
    Base,
    Member,
    BeyondFamily,
    Slice,
}

/// State that the engines of a test share.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) sabotage: Sabotage,
    /// Candidates that lists really hold.
    pub(super) capacity: u32,
    /// The search that `Sabotage::Stop` stops.
    pub(super) control: Arc<Control>,
    pub(super) engines: AtomicU32,
    pub(super) submissions: AtomicU32,
    pub(super) finished: AtomicU32,
    pub(super) most_in_flight: AtomicU32,
    /// Batches of searches, without checks.
    pub(super) batches: Mutex<Vec<Batch>>,
}

impl Script {
    /// Starts a test that searches `span` of `counting` for hits of `bits`.
    pub(super) fn new(sabotage: Sabotage, span: Span, bits: u32) -> Arc<Self> {
        let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
        Self::with_control(sabotage, Control::new(space, span, bits, usize::MAX), CLAIMED)
    }

    pub(super) fn with_control(sabotage: Sabotage, control: Control, capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            sabotage,
            capacity,
            control: Arc::new(control),
            engines: AtomicU32::new(0),
            submissions: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            most_in_flight: AtomicU32::new(0),
            batches: Mutex::default(),
        })
    }

    /// Opens an engine of this test.
    pub(super) fn open(self: &Arc<Self>) -> Result<Fake, DeviceFault> {
        self.engines.fetch_add(1, Ordering::Relaxed);
        Ok(Fake { script: Arc::clone(self), flights: VecDeque::new() })
    }

    /// Searches; returns the result and the number of engines that it took.
    pub(super) fn run(self: &Arc<Self>, times: Times) -> (Result<(), DeviceFault>, u32) {
        let result = search(&|| self.open(), times, &self.control);
        (result, self.engines.load(Ordering::Relaxed))
    }
}

pub(super) struct Fake {
    script: Arc<Script>,
    flights: VecDeque<(u32, Outcome)>,
}

impl Engine for Fake {
    fn most_invocations(&self) -> u32 {
        256
    }

    fn capacity(&self) -> u32 {
        CLAIMED
    }

    fn in_flight(&self) -> usize {
        self.flights.len()
    }

    fn submit(&mut self, batch: &Batch) -> Result<(), DeviceFault> {
        assert!(self.flights.len() < DEPTH, "more in flight than an engine has room for");
        assert_valid(batch);
        let script = &self.script;
        let number = script.submissions.fetch_add(1, Ordering::Relaxed);
        let is_check = batch.bits == self_check::BITS && batch.slices[0].len() == 64 * 16;
        if !is_check {
            script.batches.lock().unwrap().push(batch.clone());
        }
        let mut list = passing(batch);
        match script.sabotage {
            Sabotage::Lose(at) if at == number => return Err(DeviceFault::Lost("fake".to_owned())),
            Sabotage::LoseEvery(n) if number % n == n - 1 => {
                return Err(DeviceFault::Lost("fake".to_owned()));
            }
            Sabotage::Refuse(at) if at == number => return Err(DeviceFault::Plan("fake")),
            Sabotage::Miss(at) if at == number => drop(list.pop()),
            Sabotage::Invent(at) if at == number => list.push(invented(batch)),
            Sabotage::Repeat(at) if at == number => list.push(list[0]),
            Sabotage::Unasked(at, way) if at == number => list.push(unasked(batch, way)),
            Sabotage::Stop(at) if at == number => script.control.stop(),
            _ => {}
        }
        let flood = script.sabotage == Sabotage::Flood && !is_check;
        let count = if flood { u32::MAX } else { list.len() as u32 };
        list.truncate(script.capacity as usize);
        self.flights.push_back((number, Outcome { count, list }));
        script.most_in_flight.fetch_max(self.flights.len() as u32, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&mut self, patience: Duration) -> Result<Outcome, DeviceFault> {
        let (number, outcome) = self.flights.pop_front().unwrap();
        self.script.finished.fetch_add(1, Ordering::Relaxed);
        match self.script.sabotage {
            Sabotage::Hang => Err(DeviceFault::Stalled(patience)),
            Sabotage::Stall(at) if at == number => Err(DeviceFault::Stalled(patience)),
            _ => Ok(outcome),
        }
    }
}

/// Asserts what every engine may rely on.
fn assert_valid(batch: &Batch) {
    assert!((1..=MOST_SLICES).contains(&batch.slices.len()), "{} slices", batch.slices.len());
    let first = &batch.slices[0];
    let mut next = None;
    for slice in &batch.slices {
        assert!(slice.bases.end - slice.bases.start <= MOST_BASES, "{:?}", slice.bases);
        assert!(!slice.bases.is_empty() && slice.bases.end <= 1 << 32, "{:?}", slice.bases);
        assert!(!slice.members.is_empty() && slice.members.end <= slice.plan.family());
        assert_eq!(Shape::of(&slice.plan), Shape::of(&first.plan));
        assert_eq!(slice.plan.later_blocks, first.plan.later_blocks);
        let begin = slice.plan.nonce(slice.bases.start as u32, slice.members.start);
        assert!(next.is_none_or(|next| next == begin), "a gap before nonce {begin}");
        let last = slice.plan.nonce((slice.bases.end - 1) as u32, slice.members.end - 1);
        next = Some(last + 1);
    }
    // A quarter of the list is expected to fill; a slice may have one base more than that allows.
    let fits = u64::from(CLAIMED / 4) << batch.bits.min(32);
    let len: u64 = batch.slices.iter().map(|slice| slice.len()).sum();
    assert!(len <= fits + MOST_SLICES as u64 * 256, "{len} candidates, {} bits", batch.bits);
}

fn passing(batch: &Batch) -> Vec<Entry> {
    let mut list = Vec::new();
    if batch.bits >= NOTHING_PASSES {
        return list;
    }
    for (n, slice) in batch.slices.iter().enumerate() {
        for low in slice.bases.clone().map(|low| low as u32) {
            let members = slice.members.clone();
            let passing = members.filter(|&m| self_check::passes(&slice.plan, low, m, batch.bits));
            list.extend(passing.map(|member| [low, (n as u32) << MEMBER_BITS | member]));
        }
    }
    list
}

/// Returns a candidate of the batch that does not pass.
fn invented(batch: &Batch) -> Entry {
    let slice = &batch.slices[0];
    let low = slice.bases.start as u32;
    let fails = |&m: &u32| !self_check::passes(&slice.plan, low, m, batch.bits);
    [low, slice.members.clone().find(fails).unwrap()]
}

/// Returns a candidate that passes and is not in the batch.
fn unasked(batch: &Batch, way: Unasked) -> Entry {
    let slice = &batch.slices[0];
    let passes = |low: u32, m: u32| self_check::passes(&slice.plan, low, m, batch.bits);
    let (low, member) = (slice.bases.start as u32, slice.members.start);
    match way {
        Unasked::Base => {
            let mut beyond = slice.bases.end as u32..u32::MAX;
            [beyond.find(|&low| passes(low, member)).unwrap(), member]
        }
        Unasked::Member => [low, (0..member).find(|&member| passes(low, member)).unwrap()],
        Unasked::BeyondFamily => [low, slice.plan.family()],
        Unasked::Slice => {
            let inside = passing(batch).pop().unwrap();
            [inside[0], inside[1] + (1 << MEMBER_BITS)]
        }
    }
}
