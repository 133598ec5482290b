//! One lease on a client: searched on a blocking thread, reported by an async task.
//!
//! The two meet in [`Task`]. The searcher never waits for the reporter, so it can be a lease ahead,
//! and the reporter delivers what was found however long the network is away.

use super::link::{Link, LinkError};
use crate::backend::{Backend, BackendError, Control, Hit};
use crate::jobs::{JobSpec, SumOfSquares};
use crate::net::limits::PROGRESS;
use crate::proto::{Answer, Call, Grant, Held, MAX_HITS, Progress, Verdict};
use crate::span::Span;
use num_bigint::BigUint;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Numbers that one thread adds up between two looks at what is wanted: a few milliseconds.
const SUM_CHUNK: u128 = 1 << 21;

/// Bytes of a report that hits and shares may take: it fits a datagram, whatever carries it, for the
/// connection may change before it is answered.
const SHARE_BYTES: usize = 1000;

/// Bytes of the largest number.
const LONGEST_VARINT: usize = 10;

/// How long a watcher sleeps at most: so long it may outlive its search.
const WATCH: Duration = Duration::from_millis(200);

/// A lease that is worked on, or waits for it, or for its last report.
pub(super) struct Task {
    pub(super) grant: Grant,
    /// The instance that has lent it.
    server: u64,
    spec: JobSpec,
    work: Work,
    /// Nothing more of it is wanted.
    over: AtomicBool,
    /// The searcher is through with it.
    searched: AtomicBool,
    /// Something is to be reported before the next tick.
    news: Notify,
}

enum Work {
    Search(Control),
    Sum(Mutex<Sum>),
}

struct Sum {
    parts: VecDeque<(Span, BigUint)>,
    end: u128,
}

impl Task {
    pub(super) fn new(grant: Grant, spec: JobSpec, server: u64) -> Arc<Self> {
        let work = match &spec {
            JobSpec::Md5Search(search) => {
                let target = search.puzzle().difficulty().bits();
                let bits = grant.share_bits.unwrap_or(target).min(target);
                let wanted = if grant.wanted == 0 { usize::MAX } else { grant.wanted as usize };
                Work::Search(Control::new(search.space().clone(), grant.span, bits, wanted))
            }
            JobSpec::SumOfSquares(_) => {
                Work::Sum(Mutex::new(Sum { parts: VecDeque::new(), end: grant.span.end() }))
            }
        };
        Arc::new(Self {
            grant,
            server,
            spec,
            work,
            over: AtomicBool::new(false),
            searched: AtomicBool::new(false),
            news: Notify::new(),
        })
    }

    /// Nothing of it is wanted any more.
    pub(super) fn abandon(&self) {
        self.over.store(true, Ordering::Relaxed);
        if let Work::Search(control) = &self.work {
            control.stop();
        }
        self.news.notify_one();
    }

    /// Nothing from `end` on is wanted any more.
    pub(super) fn cut(&self, end: u128) {
        match &self.work {
            Work::Search(control) => control.cut(end),
            Work::Sum(sum) => {
                let mut sum = lock(sum);
                sum.end = sum.end.min(end);
            }
        }
    }

    pub(super) fn is_searched(&self) -> bool {
        self.searched.load(Ordering::Acquire)
    }

    /// Units searched so far.
    pub(super) fn tested(&self) -> u64 {
        match &self.work {
            Work::Search(control) => control.tested(),
            Work::Sum(sum) => {
                let parts = &lock(sum).parts;
                parts.iter().map(|(span, _)| span.len() as u64).sum()
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The searcher's part: blocks until the lease is searched, or not wanted any more. What it
    /// does is added to `tested`.
    pub(super) fn search(
        self: &Arc<Self>,
        backend: &dyn Backend,
        threads: u32,
        tested: &AtomicU64,
    ) -> Result<(), BackendError> {
        let result = match &self.work {
            _ if self.is_over() => Ok(()),
            Work::Search(control) => {
                let watcher = self.clone();
                let watching = std::thread::spawn(move || watcher.watch());
                let result = backend.search(control);
                // It ends by itself; waiting for it would leave the backend idle.
                drop(watching);
                tested.fetch_add(control.tested(), Ordering::Relaxed);
                result
            }
            Work::Sum(sum) => {
                self.add_up(sum, threads, tested);
                Ok(())
            }
        };
        self.searched.store(true, Ordering::Release);
        self.news.notify_one();
        result
    }

    /// Lets the reporter know the moment that there is a solution.
    fn watch(&self) {
        let Work::Search(control) = &self.work else { return };
        let mut known = 0;
        while !self.is_searched() && !self.is_over() {
            control.wait(WATCH);
            let solutions = control.hits().iter().filter(|hit| self.is_solution(hit)).count();
            if solutions > known {
                known = solutions;
                self.news.notify_one();
            }
        }
    }

    fn add_up(&self, sum: &Mutex<Sum>, threads: u32, tested: &AtomicU64) {
        let mut at = self.grant.span.start();
        while !self.is_over() {
            let end = lock(sum).end;
            let spans: Vec<Span> = (0..u128::from(threads.max(1)))
                .map(|n| Span::with_len(at.saturating_add(n * SUM_CHUNK), SUM_CHUNK))
                .map(|span| Span::new(span.start(), span.end().min(end)))
                .filter(|span| !span.is_empty())
                .collect();
            let Some(last) = spans.last() else { return };
            at = last.end();
            let parts = std::thread::scope(|scope| {
                let add = |&span| scope.spawn(move || (span, SumOfSquares::add_up(span)));
                let adding: Vec<_> = spans.iter().map(add).collect();
                adding.into_iter().map_while(|part| part.join().ok()).collect::<Vec<_>>()
            });
            let units: u64 = parts.iter().map(|(span, _)| span.len() as u64).sum();
            tested.fetch_add(units, Ordering::Relaxed);
            lock(sum).parts.extend(parts);
        }
    }

    fn is_solution(&self, hit: &Hit) -> bool {
        match &self.spec {
            JobSpec::Md5Search(search) => hit.zero_bits >= search.puzzle().difficulty().bits(),
            JobSpec::SumOfSquares(_) => false,
        }
    }
}

/// Place of the first share that a datagram with so many hits has no room for; shares are sent as
/// their distances from `start`.
fn fitting(start: u128, shares: &[u128], hits: usize) -> Option<usize> {
    let mut room = SHARE_BYTES.saturating_sub(hits * LONGEST_VARINT);
    shares.iter().position(|&nonce| {
        let bits = u128::BITS - (nonce - start).leading_zeros();
        let bytes = bits.div_ceil(7).max(1) as usize;
        let fits = bytes <= room;
        room -= bytes.min(room);
        !fits
    })
}

fn lock(sum: &Mutex<Sum>) -> MutexGuard<'_, Sum> {
    // Nothing panics while it holds the lock.
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reporter's part: reports until the server has everything, or wants no more.
///
/// # Errors
/// The server wants nothing of this client, or has forgotten everything.
pub(super) async fn report(task: Arc<Task>, link: Link) -> Result<(), LinkError> {
    let (start, end) = (task.grant.span.start(), task.grant.span.end());
    let mut reporter = Reporter { task, done: start, end, sent_hits: Vec::new(), told: false };
    let mut tick = tokio::time::interval(PROGRESS);
    tick.reset();
    loop {
        tokio::select! {
            () = reporter.task.news.notified() => {}
            _ = tick.tick() => {}
        }
        loop {
            if reporter.task.is_over() {
                return Ok(());
            }
            let searched = reporter.task.is_searched();
            let Some(progress) = reporter.next(searched) else { break };
            let server = reporter.task.server;
            let answer = link.call_at(server, Call::Progress(progress)).await?;
            let Answer::Verdict(verdict) = answer else { return Err(LinkError::Ended) };
            if !reporter.take(verdict) {
                return Ok(());
            }
        }
    }
}

struct Reporter {
    task: Arc<Task>,
    /// What the server has counted.
    done: u128,
    /// Where the lease ends.
    end: u128,
    sent_hits: Vec<u128>,
    /// Whether the last report has gone out.
    told: bool,
}

impl Reporter {
    /// What is to be said now; `None` for nothing.
    fn next(&mut self, searched: bool) -> Option<Progress> {
        let task = self.task.clone();
        let mut progress = match &task.work {
            Work::Search(control) => self.search_progress(control),
            Work::Sum(sum) => self.sum_progress(&mut lock(sum)),
        };
        // A search may end early, with all the solutions that are wanted.
        let all_told = progress.done.end() >= self.searched_to();
        progress.finished = searched && all_told;
        let silent = progress.done.is_empty() && progress.hits.is_empty();
        if silent && (!progress.finished || self.told) {
            return None;
        }
        self.told = progress.finished;
        Some(progress)
    }

    /// Takes the server's word; whether the lease goes on.
    fn take(&mut self, verdict: Verdict) -> bool {
        let Some(Held { done, end, .. }) = verdict.lease.filter(|_| verdict.job_end.is_none())
        else {
            self.task.abandon();
            return false;
        };
        self.done = done.max(self.done);
        self.end = end.min(self.end);
        self.task.cut(self.end);
        !self.told
    }

    fn searched_to(&self) -> u128 {
        match &self.task.work {
            Work::Search(control) => control.frontier().min(self.end),
            Work::Sum(sum) => {
                lock(sum).parts.back().map_or(self.done, |(span, _)| span.end()).min(self.end)
            }
        }
    }

    fn search_progress(&mut self, control: &Control) -> Progress {
        // The frontier first: a hit below it is then among the hits.
        let mut to = control.frontier().clamp(self.done, self.end.max(self.done));
        let found = control.hits();
        let new = |hit: &&Hit| hit.nonce >= self.done && self.task.is_solution(hit);
        let mut hits: Vec<u128> = found.iter().filter(new).map(|hit| hit.nonce).collect();
        hits.retain(|nonce| !self.sent_hits.contains(nonce));
        if let Some(&left_out) = hits.get(MAX_HITS / 2) {
            // What lies before the server's `done` is never told again.
            to = to.min(left_out);
            hits.truncate(MAX_HITS / 2);
        }
        self.sent_hits.extend(&hits);
        let mut shares: Vec<u128> = Vec::new();
        if self.task.grant.share_bits.is_some() {
            let inside = found.iter().map(|hit| hit.nonce);
            shares = inside.filter(|&nonce| self.done <= nonce && nonce < to).collect();
        }
        if let Some(first_left_out) = fitting(self.done, &shares, hits.len()) {
            // The rest comes with the next message, and so does what it proves.
            to = shares[first_left_out];
            shares.truncate(first_left_out);
        }
        Progress { hits, shares, ..self.progress(to) }
    }

    fn sum_progress(&self, sum: &mut Sum) -> Progress {
        while sum.parts.front().is_some_and(|(span, _)| span.end() <= self.done) {
            sum.parts.pop_front();
        }
        let (mut to, mut total) = (self.done, BigUint::ZERO);
        // What was cut off is another's: it is added up for nothing.
        for (span, part) in sum.parts.iter().take_while(|(span, _)| span.start() < self.end) {
            let wanted = Span::new(span.start().max(self.done), span.end().min(self.end));
            // Where the server has moved the end, a part of a part is wanted.
            total += if wanted == *span { part.clone() } else { SumOfSquares::add_up(wanted) };
            to = to.max(wanted.end());
        }
        Progress { sum: total.to_bytes_be(), ..self.progress(to) }
    }

    fn progress(&self, to: u128) -> Progress {
        Progress {
            lease: self.task.grant.lease,
            epoch: self.task.grant.epoch,
            job: self.task.grant.job,
            done: Span::new(self.done, to),
            finished: false,
            hits: Vec::new(),
            shares: Vec::new(),
            sum: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_whose_end_was_moved_is_reported_to_the_new_end() {
        let span = Span::new(10, 70);
        let grant = Grant {
            lease: 1,
            epoch: 1,
            job: 1,
            span,
            share_bits: None,
            wanted: 0,
            patience: Duration::from_secs(1),
        };
        let spec = JobSpec::SumOfSquares(SumOfSquares::new(0, 1000).unwrap());
        let task = Task::new(grant, spec, 1);
        let Work::Sum(sum) = &task.work else { panic!("a search") };
        let parts = [(10, 20), (20, 40), (40, 60)].map(|(from, to)| Span::new(from, to));
        lock(sum).parts = parts.map(|part| (part, SumOfSquares::add_up(part))).into();
        for end in [15, 20, 33, 60, 70] {
            let mut reporter =
                Reporter { task: task.clone(), done: 10, end, sent_hits: Vec::new(), told: false };
            let progress = reporter.next(false).unwrap();
            let wanted = Span::new(10, end.min(60));
            assert_eq!(progress.done, wanted);
            assert_eq!(BigUint::from_bytes_be(&progress.sum), SumOfSquares::add_up(wanted));
            lock(sum).parts = parts.map(|part| (part, SumOfSquares::add_up(part))).into();
        }
    }
}
