//! Runs a lease of a puzzle search on the backend.

use super::run::{OnHit, Run, Taken};
use crate::backend::{Backend, BackendError, Control, Hit};
use crate::jobs::{MAX_HITS, Md5Search, Outcome, SearchOutcome};
use crate::lease::Grant;
use crate::span::Span;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Maximum number of hits in one report: as many again may be in it as shares.
const HITS_PER_REPORT: usize = MAX_HITS / 2;

/// Length of the largest number of a report, in bytes.
const LONGEST_VARINT: usize = 10;

/// Maximum time that the watcher of a search sleeps, and so outlives it.
const WATCH: Duration = Duration::from_millis(200);

/// A lease of a search.
pub(super) struct SearchRun {
    control: Control,
    /// Zero bits of a solution.
    target: u32,
    /// Set where the lease has shares to report.
    shares: bool,
    finished: AtomicBool,
    /// Hits that were taken.
    taken: Mutex<Vec<u128>>,
}

impl SearchRun {
    pub(super) fn new(search: &Md5Search, grant: &Grant) -> Self {
        let target = search.puzzle().difficulty().bits();
        let bits = grant.share_bits.unwrap_or(target).min(target);
        let wanted = if grant.wanted == 0 { usize::MAX } else { grant.wanted as usize };
        Self {
            control: Control::new(search.space().clone(), grant.span, bits, wanted),
            target,
            shares: grant.share_bits.is_some(),
            finished: AtomicBool::new(false),
            taken: Mutex::default(),
        }
    }

    /// Calls `on_hit` at each new solution.
    fn watch(&self, on_hit: &OnHit) {
        let mut known = 0;
        while !self.finished.load(Ordering::Relaxed) && !self.control.was_stopped() {
            self.control.wait(WATCH);
            let solutions = self.control.hits().iter().filter(|hit| self.is_solution(hit)).count();
            if solutions > known {
                known = solutions;
                on_hit();
            }
        }
    }

    fn is_solution(&self, hit: &Hit) -> bool {
        hit.zero_bits >= self.target
    }

    /// Returns the hits from `start` on that were not taken before, ascending, and marks as many
    /// as fit one report as taken.
    fn new_hits(&self, found: &[Hit], start: u128) -> (Vec<u128>, Option<u128>) {
        // Nothing panics while it holds the lock.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            |hit: &&Hit| hit.nonce >= start && self.is_solution(hit) && !taken.contains(&hit.nonce);
        let mut hits: Vec<u128> = found.iter().filter(new).map(|hit| hit.nonce).collect();
        let left_out = hits.get(HITS_PER_REPORT).copied();
        hits.truncate(HITS_PER_REPORT);
        taken.extend(&hits);
        (hits, left_out)
    }
}

impl Run for SearchRun {
    fn run(
        self: Arc<Self>,
        backend: &dyn Backend,
        _threads: u32,
        on_hit: OnHit,
    ) -> Result<(), BackendError> {
        let watcher = self.clone();
        // It ends by itself; waiting for it would leave the backend idle.
        drop(std::thread::spawn(move || watcher.watch(&on_hit)));
        let result = backend.search(&self.control);
        self.finished.store(true, Ordering::Relaxed);
        result
    }

    fn stop(&self) {
        self.control.stop();
    }

    fn cut(&self, end: u128) {
        self.control.cut(end);
    }

    fn tested(&self) -> u64 {
        self.control.tested()
    }

    fn take(&self, rest: Span, room: usize) -> Taken {
        let start = rest.start();
        // The frontier first: a hit below it is then among the hits.
        let done = self.control.frontier().clamp(start, rest.end());
        let found = self.control.hits();
        let (hits, left_out) = self.new_hits(&found, start);
        // What lies before the server's `done` is never told again.
        let mut end = left_out.map_or(done, |nonce| nonce.min(done));
        let mut shares: Vec<u128> = Vec::new();
        if self.shares {
            let inside = found.iter().map(|hit| hit.nonce);
            shares = inside.filter(|&nonce| start <= nonce && nonce < end).collect();
        }
        let room = room.saturating_sub(hits.len() * LONGEST_VARINT);
        if let Some(first_left_out) = overflow(start, &shares, room) {
            // The rest comes with the next report, and so does what it proves.
            end = shares[first_left_out];
            shares.truncate(first_left_out);
        }
        Taken {
            span: Span::new(start, end),
            outcome: Outcome::Md5Search(SearchOutcome { hits, shares }),
            all: end >= done,
        }
    }
}

/// Returns the index of the first share that does not fit `room` bytes, if there is one.
fn overflow(start: u128, shares: &[u128], mut room: usize) -> Option<usize> {
    shares.iter().position(|&nonce| {
        let bits = u128::BITS - (nonce - start).leading_zeros();
        let bytes = bits.div_ceil(7).max(1) as usize;
        let fits = bytes <= room;
        room -= bytes.min(room);
        !fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobSpec, samples};
    use crate::lease::{Epoch, JobId, LeaseId};

    fn run_of(bits: u32, wanted: u32, share_bits: Option<u32>, span: Span) -> SearchRun {
        let JobSpec::Md5Search(search) = samples::search(bits, 1) else { panic!("a search") };
        let (lease, epoch, job) = (LeaseId(1), Epoch(1), JobId(1));
        let patience = Duration::from_secs(1);
        let grant = Grant { lease, epoch, job, span, share_bits, wanted, patience };
        SearchRun::new(&search, &grant)
    }

    fn found(taken: &Taken) -> &SearchOutcome {
        let Outcome::Md5Search(outcome) = &taken.outcome else { panic!("{taken:?}") };
        outcome
    }

    #[test]
    fn hits_beyond_a_gap_are_taken_at_once_and_only_once() {
        let span = Span::new(0, 1 << 20);
        let run = run_of(0, 0, None, span);
        run.control.claim(1000);
        let later = run.control.claim(1000).unwrap();
        run.control.submit(later, &[later.start()]);
        let first = run.take(span, 1000);
        assert!(first.span.is_empty() && first.all);
        assert_eq!(found(&first).hits, [later.start()]);
        let second = run.take(span, 1000);
        assert!(second.is_empty(), "{second:?}");
    }

    #[test]
    fn more_hits_than_a_report_holds_come_in_several() {
        let span = Span::new(0, 256);
        let run = run_of(0, 0, None, span);
        let all: Vec<u128> = (0..256).collect();
        run.control.submit(run.control.claim(256).unwrap(), &all);
        let (mut rest, mut hits) = (span, Vec::new());
        loop {
            let taken = run.take(rest, 1000);
            hits.extend(&found(&taken).hits);
            rest = Span::new(taken.span.end(), span.end());
            if taken.all {
                break;
            }
        }
        assert_eq!((rest.len(), hits), (0, all));
    }

    #[test]
    fn shares_that_do_not_fit_come_with_the_units_that_they_prove() {
        let span = Span::new(0, 2048);
        let run = run_of(128, 0, Some(0), span);
        // Every nonce is a share; the first 128 take a byte each, later ones two.
        let all: Vec<u128> = (0..2048).collect();
        run.control.submit(run.control.claim(2048).unwrap(), &all);
        let taken = run.take(span, 128 + 2 * 100 + 1);
        assert_eq!((taken.span, taken.all), (Span::new(0, 228), false));
        assert_eq!(found(&taken).shares, all[..228]);
        let rest = run.take(Span::new(228, 2048), usize::MAX);
        assert_eq!((rest.span.end(), rest.all), (2048, true));
        assert_eq!(found(&rest).shares, all[228..]);
    }

    #[test]
    fn room_is_counted_in_varint_bytes() {
        let shares = [7, 7 + 127, 7 + 128, 7 + (1 << 14)];
        for (room, place) in [(0, Some(0)), (1, Some(1)), (3, Some(2)), (4, Some(3)), (7, None)] {
            assert_eq!(overflow(7, &shares, room), place, "{room} bytes");
        }
    }
}
