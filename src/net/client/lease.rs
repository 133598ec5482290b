//! One lease of a client: a thread runs it, an async task reports what it comes to.
//!
//! The two meet in [`Task`]. The runner never waits for the reporter, so it can be a lease ahead,
//! and the reporter delivers what was found however long the network is away.

use super::link::{Link, LinkError};
use crate::backend::{Backend, BackendError};
use crate::jobs::JobSpec;
use crate::lease::{Grant, Held, LeaseState, Verdict};
use crate::net::limits::PROGRESS;
use crate::proto::{Answer, Call, Progress};
use crate::span::Span;
use crate::worker::{self, Run};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Bytes of a report that its numbers may take: it fits a datagram, whatever carries it, for the
/// connection may change before it is answered.
const REPORT_ROOM: usize = 1000;

/// A lease that is run, or waits for that, or for its last report.
pub(super) struct Task {
    pub(super) grant: Grant,
    /// Instance of the server that has lent it.
    server: u64,
    run: Arc<dyn Run>,
    /// Set when nothing more of it is wanted.
    over: AtomicBool,
    /// Set when the run has ended.
    searched: AtomicBool,
    /// Wakes the reporter before its next tick.
    news: Notify,
}

impl Task {
    pub(super) fn new(grant: Grant, spec: &JobSpec, server: u64) -> Arc<Self> {
        Arc::new(Self {
            grant,
            server,
            run: worker::start(spec, &grant),
            over: AtomicBool::new(false),
            searched: AtomicBool::new(false),
            news: Notify::new(),
        })
    }

    /// Drops the lease: nothing of it is wanted any more.
    pub(super) fn abandon(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.run.stop();
        self.news.notify_one();
    }

    /// Leaves out the units from `end` on.
    pub(super) fn cut(&self, end: u128) {
        self.run.cut(end);
    }

    pub(super) fn is_searched(&self) -> bool {
        self.searched.load(Ordering::Acquire)
    }

    /// Returns the number of units done so far.
    pub(super) fn tested(&self) -> u64 {
        self.run.tested()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Runs the lease: blocks until it is done, or not wanted any more. Adds the units done to
    /// `tested`.
    pub(super) fn search(
        self: &Arc<Self>,
        backend: &dyn Backend,
        threads: u32,
        tested: &AtomicU64,
    ) -> Result<(), BackendError> {
        let result = if self.is_over() {
            Ok(())
        } else {
            let task = self.clone();
            self.run.clone().run(backend, threads, Arc::new(move || task.news.notify_one()))
        };
        tested.fetch_add(self.run.tested(), Ordering::Relaxed);
        self.searched.store(true, Ordering::Release);
        self.news.notify_one();
        result
    }
}

/// Reports a lease until the server has everything, or wants no more.
///
/// # Errors
/// The server refuses this client, or is another one now.
pub(super) async fn report(task: Arc<Task>, link: Link) -> Result<(), LinkError> {
    let mut reporter = Reporter::new(task);
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
    /// The part of the lease that the server has not counted.
    rest: Span,
    /// Set when the last report has gone out.
    told: bool,
}

impl Reporter {
    fn new(task: Arc<Task>) -> Self {
        let rest = task.grant.span;
        Self { task, rest, told: false }
    }

    /// Returns the report to send now, if there is one. `searched` says that the run had ended
    /// before.
    fn next(&mut self, searched: bool) -> Option<Progress> {
        let taken = self.task.run.take(self.rest, REPORT_ROOM);
        // A search may end early, with all the solutions that are wanted.
        let finished = searched && taken.all;
        if taken.is_empty() && (!finished || self.told) {
            return None;
        }
        self.told = finished;
        let progress = Progress::new(&self.task.grant, taken.span, taken.outcome);
        Some(Progress { finished, ..progress })
    }

    /// Takes the server's verdict; returns true if the lease goes on.
    fn take(&mut self, verdict: Verdict) -> bool {
        let (LeaseState::Held(Held { done, end, .. }), None) = (verdict.lease, verdict.job_end)
        else {
            self.task.abandon();
            return false;
        };
        let done = done.max(self.rest.start());
        self.rest = Span::new(done, end.min(self.rest.end()).max(done));
        self.task.cut(end);
        !self.told
    }
}
