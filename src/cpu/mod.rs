//! The cpu backend: threads that claim sub-spans and run the kernel of one level.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod clock;
mod lanes;
mod level;
mod md5;
mod scalar;

pub use clock::{clock_hz, floor_cycles};
pub use level::{Level, LevelError};

use crate::backend::{Backend, BackendError, Control};
use crate::plan::{Plan, Tile};
use crate::span::Span;
use level::Kernels;
use md5::Prepared;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// A thread's first claim: small enough that all threads share even a short search.
const FIRST_CLAIM: u64 = 1 << 14;

/// Claims grow until one takes this long. All threads stop within it once enough is found.
const CLAIM_TIME: Duration = Duration::from_millis(8);

/// Candidates times blocks between two checks of the stop flag: a few milliseconds at any level.
const SLICE: u64 = 1 << 17;

/// The threads of this machine at one level.
pub struct Cpu {
    kernels: Kernels,
    threads: NonZeroUsize,
}

impl Cpu {
    /// Takes `threads` threads (all cores if `None`) at `level` (the best one if `None`).
    ///
    /// # Errors
    /// This machine lacks the level.
    pub fn new(level: Option<Level>, threads: Option<NonZeroUsize>) -> Result<Self, LevelError> {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            kernels: Kernels::new(level.unwrap_or_else(Level::best))?,
            threads: threads.unwrap_or_else(cores),
        })
    }

    /// Returns the level it runs at.
    pub fn level(&self) -> Level {
        self.kernels.level()
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.threads.get()
    }
}

impl Backend for Cpu {
    fn describe(&self) -> String {
        let plural = if self.threads.get() == 1 { "" } else { "s" };
        format!("cpu {} with {} thread{plural}", self.level(), self.threads)
    }

    fn search(&self, control: &Control) -> Result<(), BackendError> {
        std::thread::scope(|scope| {
            for _ in 1..self.threads.get() {
                // If the system refuses a thread, fewer threads do the same work.
                let thread = std::thread::Builder::new();
                if thread.spawn_scoped(scope, || work(self.kernels, control)).is_err() {
                    break;
                }
            }
            work(self.kernels, control);
        });
        Ok(())
    }
}

/// Claims, searches and submits on one thread until nothing is left to claim.
fn work(kernels: Kernels, control: &Control) {
    let mut claim = FIRST_CLAIM;
    let mut worker = Worker { kernels, current: None };
    while let Some(span) = control.claim(u128::from(claim)) {
        let began = Instant::now();
        let mut candidates = Vec::new();
        let done = worker.search(control, span, &mut candidates);
        let (searched, rest) = span.split_at(done);
        let took = began.elapsed();
        control.submit(searched, &candidates);
        if !rest.is_empty() {
            control.give_back(rest);
        }
        if took < CLAIM_TIME / 2 {
            claim *= 2;
        } else if took > CLAIM_TIME * 2 {
            claim = (claim / 2).max(FIRST_CLAIM);
        }
    }
}

/// A thread's kernels and the plan that it used last.
struct Worker {
    kernels: Kernels,
    current: Option<(Plan, Prepared)>,
}

impl Worker {
    /// Searches `span`, or its front when stopped. Returns how many nonces from its start are done
    /// and appends those that pass.
    fn search(&mut self, control: &Control, span: Span, candidates: &mut Vec<u128>) -> u128 {
        let mut found = Vec::new();
        let mut at = span.start();
        while at < span.end() {
            let kernels = self.kernels;
            let Some((plan, prepared)) = self.plan_of(control, at) else { break };
            let part = span.intersect(plan.span);
            for tile in plan.tiles(part) {
                for bases in slices(plan, &tile, kernels.bases()) {
                    if control.is_stopped() {
                        return at - span.start();
                    }
                    let next = match tile.bases.end == bases.end {
                        true => plan.nonce((bases.end - 1) as u32, tile.members.end - 1) + 1,
                        false => plan.nonce(bases.end as u32, 0),
                    };
                    kernels.search(prepared, bases, tile.members.clone(), &mut found);
                    candidates.extend(found.drain(..).map(|hit| plan.nonce(hit.low, hit.member)));
                    at = next;
                }
            }
        }
        at - span.start()
    }

    /// Returns the plan that covers `nonce`: the current one if it does.
    fn plan_of(&mut self, control: &Control, nonce: u128) -> Option<&(Plan, Prepared)> {
        let covers = self.current.as_ref().is_some_and(|(plan, _)| plan.span.contains(nonce));
        if !covers {
            let plan = Plan::new(control.space(), nonce)?;
            let prepared = Prepared::new(&plan, control.filter_bits(), self.kernels.bias());
            self.current = Some((plan, prepared));
        }
        self.current.as_ref()
    }
}

/// Cuts the bases of `tile` into slices of whole kernel passes that take a few milliseconds each.
fn slices(plan: &Plan, tile: &Tile, pass: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let per_base = tile.members.len() as u64 * (1 + plan.later_blocks.len() as u64);
    let step = (SLICE / per_base).next_multiple_of(pass).max(pass);
    let end = tile.bases.end;
    tile.bases.clone().step_by(step as usize).map(move |from| from..(from + step).min(end))
}

#[cfg(test)]
mod tests;
