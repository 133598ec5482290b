//! The host loop: claims spans, cuts them into slices, keeps submissions in flight, and accounts
//! for every nonce: submitted when its dispatch is done and complete, given back otherwise.
//!
//! It drives any [`Engine`], so that tests can let one stall or fail at will.

use super::cache::Cache;
use super::engine::{Batch, DEPTH, Engine, Fault, MOST_SLICES, Outcome, Slice};
use super::known;
use super::params::{Entry, MEMBER_BITS};
use super::shader::Shape;
use super::tune::{Pace, Tuner};
use crate::backend::Control;
use crate::plan::Plan;
use crate::span::Span;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Failures after which a device is given up.
const MOST_FAILURES: u32 = 3;

/// Bases of one dispatch at most: the kernel numbers its invocations in 32 bits.
const MOST_BASES: u64 = 1 << 31;

/// MD5 steps of a candidate, until a plan says better.
const USUAL_STEPS: usize = 38;

/// Times that tests shorten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// How long a dispatch should take.
    pub(super) target: Duration,
    /// After this, a dispatch has stalled.
    pub(super) patience: Duration,
    /// From one known-answer check to the next.
    pub(super) check: Duration,
    /// From a failure to the next attempt: drivers take a while to recover.
    pub(super) pause: Duration,
}

/// An opened device and what has been learnt about it.
pub(super) struct Session<E> {
    engine: E,
    pace: Pace,
    tuners: HashMap<Shape, Tuner>,
    /// When each pipeline last gave the known answers.
    checked: HashMap<(Shape, u32), Instant>,
    cache: Cache,
    times: Times,
}

/// How to get a new engine, and for how long to believe in it.
pub(super) struct Opener<'a, E> {
    pub(super) open: &'a dyn Fn() -> Result<E, Fault>,
    pub(super) cache: &'a Cache,
    pub(super) times: Times,
}

/// Searches until the control has nothing left; opens a device anew when it fails.
pub(super) fn search<E: Engine>(
    session: &mut Option<Session<E>>,
    opener: &Opener<'_, E>,
    control: &Control,
) -> Result<(), Fault> {
    let mut failures = 0;
    loop {
        let fault = match attempt(session, opener, control, &mut failures) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        discard(session.take(), &fault);
        failures += 1;
        if failures >= MOST_FAILURES || matches!(fault, Fault::Wrong(_) | Fault::Plan(_)) {
            return Err(fault);
        }
        std::thread::sleep(opener.times.pause);
    }
}

fn attempt<E: Engine>(
    session: &mut Option<Session<E>>,
    opener: &Opener<'_, E>,
    control: &Control,
    failures: &mut u32,
) -> Result<(), Fault> {
    let session = match session {
        Some(session) => session,
        none => none.insert(Session::new((opener.open)()?, opener)),
    };
    Search::new(session, control, failures).work()
}

/// Ends the device; in a thread of its own if it hangs, because wgpu waits for dispatches then.
fn discard<E: Engine>(session: Option<Session<E>>, fault: &Fault) {
    if matches!(fault, Fault::Stalled(_)) {
        // If there can be no thread, the closure is dropped here: slow, and correct.
        let _ = std::thread::Builder::new().spawn(move || drop(session));
    }
}

impl<E: Engine> Session<E> {
    pub(super) fn new(engine: E, opener: &Opener<'_, E>) -> Self {
        Self {
            engine,
            pace: Pace::new(opener.times.target),
            tuners: HashMap::new(),
            checked: HashMap::new(),
            cache: opener.cache.clone(),
            times: opener.times,
        }
    }

    fn workgroup(&mut self, shape: &Shape) -> u32 {
        if !self.tuners.contains_key(shape) {
            let tuner = Tuner::new(self.engine.most_invocations(), self.cache.tuned(shape));
            if let Some(tuned) = tuner.tuned() {
                self.pace.expect(tuned.rate);
            }
            self.tuners.insert(shape.clone(), tuner);
        }
        self.tuners[shape].workgroup()
    }

    fn measured(&mut self, shape: &Shape, workgroup: u32, rate: f64) {
        let tuned = self.tuners.get_mut(shape).and_then(|tuner| tuner.measured(workgroup, rate));
        if let Some(tuned) = tuned {
            self.cache.keep_tuned(shape, tuned);
        }
    }
}

/// A submission in flight.
struct Flight {
    batch: Batch,
    aim: Aim,
    submitted: Instant,
}

enum Aim {
    /// All of this span, and nothing else, is in the batch.
    Search(Span),
    /// The answers are known, and this pipeline is to give them.
    Check(Vec<Entry>, (Shape, u32)),
}

/// One search with one device.
struct Search<'a, E> {
    session: &'a mut Session<E>,
    control: &'a Control,
    failures: &'a mut u32,
    began: Instant,
    /// The plan last used.
    plan: Option<Arc<Plan>>,
    /// Claimed, and in no submission.
    todo: VecDeque<Span>,
    flights: VecDeque<Flight>,
}

impl<'a, E: Engine> Search<'a, E> {
    fn new(session: &'a mut Session<E>, control: &'a Control, failures: &'a mut u32) -> Self {
        let (todo, flights) = (VecDeque::new(), VecDeque::new());
        let began = Instant::now();
        Self { session, control, failures, began, plan: None, todo, flights }
    }

    fn work(&mut self) -> Result<(), Fault> {
        // What a search that was stopped has left in flight.
        while self.session.engine.in_flight() > 0 {
            self.session.engine.finish(self.session.times.patience)?;
        }
        self.prepare()?;
        loop {
            while self.flights.len() < DEPTH && !self.control.is_stopped() {
                let Some((span, batch)) = self.next_batch()? else { break };
                self.launch(span, batch)?;
            }
            if self.flights.is_empty() {
                return Ok(());
            }
            self.land()?;
            if self.control.is_stopped() {
                return Ok(());
            }
        }
    }

    /// Compiles what the search begins with, and checks it, before anything is claimed: others can
    /// work on it meanwhile.
    fn prepare(&mut self) -> Result<(), Fault> {
        let next = self.control.next_claim();
        let Some(plan) = next.and_then(|nonce| self.plan_of(nonce)) else { return Ok(()) };
        let workgroup = self.session.workgroup(&Shape::of(&plan));
        self.check_if_due(&plan, workgroup)?;
        while !self.flights.is_empty() {
            self.land()?;
        }
        Ok(())
    }

    /// Submits a batch, behind a check if one is due for its pipeline.
    fn launch(&mut self, span: Span, batch: Batch) -> Result<(), Fault> {
        let plan = batch.slices.first().map(|slice| Arc::clone(&slice.plan));
        let checked = plan.map_or(Ok(()), |plan| self.check_if_due(&plan, batch.workgroup));
        let launched = checked.and_then(|()| self.fly(batch, Aim::Search(span)));
        if launched.is_err() {
            self.todo.push_front(span);
        }
        launched
    }

    fn check_if_due(&mut self, plan: &Arc<Plan>, workgroup: u32) -> Result<(), Fault> {
        let pipeline = (Shape::of(plan), workgroup);
        let checked = self.session.checked.get(&pipeline);
        let under_way = |flight: &Flight| matches!(&flight.aim, Aim::Check(_, p) if *p == pipeline);
        if checked.is_some_and(|when| when.elapsed() < self.session.times.check)
            || self.flights.iter().any(under_way)
        {
            return Ok(());
        }
        let slice = known::slice(plan);
        let answers = known::answers(&slice);
        // Room for the check and the batch behind it.
        while self.flights.len() + 2 > DEPTH {
            self.land()?;
        }
        let check = Batch { slices: vec![slice], bits: known::BITS, workgroup };
        self.fly(check, Aim::Check(answers, pipeline))
    }

    fn fly(&mut self, batch: Batch, aim: Aim) -> Result<(), Fault> {
        self.session.engine.submit(&batch)?;
        self.flights.push_back(Flight { batch, aim, submitted: Instant::now() });
        Ok(())
    }

    /// Waits for the oldest submission and accounts for it.
    fn land(&mut self) -> Result<(), Fault> {
        let outcome = self.session.engine.finish(self.session.times.patience)?;
        let now = Instant::now();
        let candidates = match self.flights.front() {
            Some(flight) => candidates(&flight.batch, &outcome)?,
            None => return Ok(()),
        };
        let Some(Flight { batch, aim, submitted }) = self.flights.pop_front() else {
            return Ok(());
        };
        match aim {
            Aim::Check(answers, pipeline) => {
                self.session.pace.paused(now);
                self.compare(&answers, outcome)?;
                self.session.checked.insert(pipeline, now);
            }
            Aim::Search(span) if outcome.overflowed() => self.halve(span)?,
            Aim::Search(span) => {
                self.control.submit(span, &candidates);
                self.measure(&batch, submitted, now);
            }
        }
        Ok(())
    }

    /// The list was too small: the same again, in halves.
    fn halve(&mut self, span: Span) -> Result<(), Fault> {
        let (left, right) = span.split_at(span.len().div_ceil(2));
        if right.is_empty() {
            self.todo.push_front(span);
            return Err(Fault::Wrong("more results than candidates".to_owned()));
        }
        self.todo.push_front(right);
        self.todo.push_front(left);
        Ok(())
    }

    fn compare(&mut self, answers: &[Entry], outcome: Outcome) -> Result<(), Fault> {
        let mut list = outcome.list;
        list.sort_unstable();
        if list != answers {
            let (had, missed) =
                (answers.len(), answers.iter().filter(|a| !list.contains(a)).count());
            let more = list.len() + missed - had;
            return Err(Fault::Wrong(format!(
                "of {had} known candidates it missed {missed}, and it gave {more} others"
            )));
        }
        if self.began.elapsed() >= self.session.times.check {
            // It has worked for long: failures of long ago do not count together.
            *self.failures = 0;
        }
        Ok(())
    }

    fn measure(&mut self, batch: &Batch, submitted: Instant, now: Instant) {
        let Some(first) = batch.slices.first() else { return };
        let work = batch.slices.iter().map(|s| s.len() as f64 * s.plan.steps() as f64).sum();
        if let Some(rate) = self.session.pace.ended(work, submitted, now) {
            self.session.measured(&Shape::of(&first.plan), batch.workgroup, rate);
        }
    }

    /// The next piece of work: what must be done again, what is left of a claim, or a new claim.
    fn next_batch(&mut self) -> Result<Option<(Span, Batch)>, Fault> {
        let steps = self.plan.as_ref().map_or(USUAL_STEPS, |plan| plan.steps());
        let len = u128::from(self.most_candidates(steps));
        let next = self.todo.pop_front().or_else(|| self.control.claim(len));
        let Some(span) = next else { return Ok(None) };
        let slices = self.slices(span);
        let len: u64 = slices.iter().map(Slice::len).sum();
        let (front, rest) = span.split_at(len.into());
        if !rest.is_empty() {
            self.todo.push_front(rest);
        }
        let Some(slice) = slices.first() else {
            return Err(Fault::Plan("a nonce without a plan"));
        };
        let workgroup = self.session.workgroup(&Shape::of(&slice.plan));
        Ok(Some((front, Batch { slices, bits: self.control.filter_bits(), workgroup })))
    }

    /// The front of `span` in slices, as much as one submission should take; no gap between them.
    fn slices(&mut self, span: Span) -> Vec<Slice> {
        let mut slices: Vec<Slice> = Vec::new();
        let (mut at, mut work) = (span.start(), 0.0);
        while let Some(plan) = self.plan_of(at).filter(|_| at < span.end()) {
            for tile in plan.tiles(Span::new(at, span.end())) {
                let left = (1.0 - work) * self.most_candidates(plan.steps()) as f64;
                let most = (left as u64 / tile.members.len() as u64).clamp(1, MOST_BASES);
                let end = tile.bases.end.min(tile.bases.start + most);
                let bases = tile.bases.start..end;
                let slice = Slice { plan: Arc::clone(&plan), bases, members: tile.members };
                let fits = slices.first().is_none_or(|first| first.goes_with(&slice));
                if slices.len() == MOST_SLICES || work >= 1.0 || !fits {
                    return slices;
                }
                at += u128::from(slice.len());
                work += slice.len() as f64 / self.most_candidates(plan.steps()) as f64;
                slices.push(slice);
                if end < tile.bases.end {
                    return slices;
                }
            }
        }
        slices
    }

    /// Candidates of `steps` MD5 steps that one submission should have: as many as the pace wants,
    /// but fewer than will fill its list.
    fn most_candidates(&self, steps: usize) -> u64 {
        let list = u64::from(self.session.engine.capacity() / 4).max(1);
        let fits = list << self.control.filter_bits().min(32);
        (self.session.pace.budget() / steps as f64).clamp(1.0, fits as f64) as u64
    }

    /// The plan that serves `nonce`: the current one if it does.
    fn plan_of(&mut self, nonce: u128) -> Option<Arc<Plan>> {
        if self.plan.as_ref().is_none_or(|plan| !plan.span.contains(nonce)) {
            self.plan = Plan::new(self.control.space(), nonce).map(Arc::new);
        }
        self.plan.clone()
    }
}

/// Stopped or failed, also by a panic: what is not done is for others.
impl<E> Drop for Search<'_, E> {
    fn drop(&mut self) {
        let in_flight = self.flights.drain(..).filter_map(|flight| match flight.aim {
            Aim::Search(span) => Some(span),
            Aim::Check(..) => None,
        });
        in_flight.chain(self.todo.drain(..)).for_each(|span| self.control.give_back(span));
    }
}

/// The nonces that a batch's outcome lists. The filter is applied to each of them again, here: a
/// device that lets others pass, or that names what it was not asked for, is broken.
fn candidates(batch: &Batch, outcome: &Outcome) -> Result<Vec<u128>, Fault> {
    let nonce = |&[low, tagged]: &Entry| {
        let slice = batch.slices.get((tagged >> MEMBER_BITS) as usize)?;
        let member = tagged & ((1 << MEMBER_BITS) - 1);
        let asked = slice.bases.contains(&low.into()) && slice.members.contains(&member);
        let passes = asked && known::passes(&slice.plan, low, member, batch.bits);
        passes.then(|| slice.plan.nonce(low, member))
    };
    let wrong = || Fault::Wrong("it let a candidate pass that it should not".to_owned());
    outcome.list.iter().map(|entry| nonce(entry).ok_or_else(wrong)).collect()
}
