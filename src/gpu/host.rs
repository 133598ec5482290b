//! The host loop: claims spans, cuts them into slices, keeps submissions in flight, and accounts
//! for every nonce: submitted when its dispatch is complete, given back otherwise.
//!
//! It drives any [`Engine`], so that tests can make one stall or fail.

use super::cache::Cache;
use super::engine::{Batch, Engine, Outcome, Slice};
use super::fault::DeviceFault;
use super::limits::{DEPTH, MOST_BASES, MOST_FAILURES, MOST_SLICES};
use super::params::{Entry, MEMBER_BITS};
use super::self_check;
use super::shader::Shape;
use super::tune::{DispatchSizer, Tuner};
use crate::backend::{CLAIM_ALIGNMENT, Control};
use crate::plan::Plan;
use crate::span::Span;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// MD5 steps of a candidate while the plan is unknown.
const USUAL_STEPS: usize = 38;

/// Times; tests use shorter ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Time that a dispatch should take.
    pub(super) target: Duration,
    /// Time after which a dispatch has stalled.
    pub(super) patience: Duration,
    /// Time between two known-answer checks.
    pub(super) check: Duration,
    /// Time between a failure and the next attempt: drivers take a while to recover.
    pub(super) pause: Duration,
}

/// An open device and what was measured on it.
pub(super) struct OpenDevice<E> {
    engine: E,
    sizer: DispatchSizer,
    tuners: HashMap<Shape, Tuner>,
    /// Time of the last passed check of each pipeline.
    checked: HashMap<(Shape, u32), Instant>,
    cache: Cache,
    times: Times,
}

/// Opens engines, and sets the times for them.
pub(super) struct Opener<'a, E> {
    pub(super) open: &'a dyn Fn() -> Result<E, DeviceFault>,
    pub(super) cache: &'a Cache,
    pub(super) times: Times,
}

/// Searches until the control has nothing left; opens the device again when it fails.
pub(super) fn search<E: Engine>(
    device: &mut Option<OpenDevice<E>>,
    opener: &Opener<'_, E>,
    control: &Control,
) -> Result<(), DeviceFault> {
    let mut failures = 0;
    loop {
        let fault = match attempt(device, opener, control, &mut failures) {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        discard(device.take(), &fault);
        failures += 1;
        if failures >= MOST_FAILURES
            || matches!(fault, DeviceFault::Wrong(_) | DeviceFault::Plan(_))
        {
            return Err(fault);
        }
        std::thread::sleep(opener.times.pause);
    }
}

fn attempt<E: Engine>(
    device: &mut Option<OpenDevice<E>>,
    opener: &Opener<'_, E>,
    control: &Control,
    failures: &mut u32,
) -> Result<(), DeviceFault> {
    let device = match device {
        Some(device) => device,
        none => none.insert(OpenDevice::new((opener.open)()?, opener)),
    };
    HostLoop::new(device, control, failures).work()
}

/// Closes the device; in a separate thread if it hangs, because wgpu then waits for its dispatches.
fn discard<E: Engine>(device: Option<OpenDevice<E>>, fault: &DeviceFault) {
    if matches!(fault, DeviceFault::Stalled(_)) {
        // If no thread can start, the closure is dropped here: slow, but correct.
        let _ = std::thread::Builder::new().spawn(move || drop(device));
    }
}

impl<E: Engine> OpenDevice<E> {
    pub(super) fn new(engine: E, opener: &Opener<'_, E>) -> Self {
        Self {
            engine,
            sizer: DispatchSizer::new(opener.times.target),
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
                self.sizer.expect(tuned.rate);
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
    purpose: Purpose,
    submitted: Instant,
}

enum Purpose {
    /// The batch covers exactly this span.
    Search(Span),
    /// This pipeline must give these known answers.
    Check(Vec<Entry>, (Shape, u32)),
}

/// One search with one device.
struct HostLoop<'a, E> {
    device: &'a mut OpenDevice<E>,
    control: &'a Control,
    failures: &'a mut u32,
    began: Instant,
    /// Plan that was used last.
    plan: Option<Arc<Plan>>,
    /// Claimed spans that are in no submission.
    todo: VecDeque<Span>,
    flights: VecDeque<Flight>,
}

impl<'a, E: Engine> HostLoop<'a, E> {
    fn new(device: &'a mut OpenDevice<E>, control: &'a Control, failures: &'a mut u32) -> Self {
        let (todo, flights) = (VecDeque::new(), VecDeque::new());
        let began = Instant::now();
        Self { device, control, failures, began, plan: None, todo, flights }
    }

    fn work(&mut self) -> Result<(), DeviceFault> {
        // A stopped search leaves submissions in flight.
        while self.device.engine.in_flight() > 0 {
            self.device.engine.finish(self.device.times.patience)?;
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

    /// Compiles and checks the first pipeline before anything is claimed, so that other backends can
    /// work on those spans meanwhile.
    fn prepare(&mut self) -> Result<(), DeviceFault> {
        let next = self.control.next_claim();
        let Some(plan) = next.and_then(|nonce| self.plan_of(nonce)) else { return Ok(()) };
        let workgroup = self.device.workgroup(&Shape::of(&plan));
        self.check_if_due(&plan, workgroup)?;
        while !self.flights.is_empty() {
            self.land()?;
        }
        Ok(())
    }

    /// Submits a batch, after a check if one is due for its pipeline.
    fn launch(&mut self, span: Span, batch: Batch) -> Result<(), DeviceFault> {
        let plan = batch.slices.first().map(|slice| Arc::clone(&slice.plan));
        let checked = plan.map_or(Ok(()), |plan| self.check_if_due(&plan, batch.workgroup));
        let launched = checked.and_then(|()| self.fly(batch, Purpose::Search(span)));
        if launched.is_err() {
            self.todo.push_front(span);
        }
        launched
    }

    fn check_if_due(&mut self, plan: &Arc<Plan>, workgroup: u32) -> Result<(), DeviceFault> {
        let pipeline = (Shape::of(plan), workgroup);
        let checked = self.device.checked.get(&pipeline);
        if checked.is_some_and(|when| when.elapsed() < self.device.times.check) {
            return Ok(());
        }
        let slice = self_check::slice(plan);
        let answers = self_check::answers(&slice);
        // Makes room for the check and the batch, which is also why no check is in flight here.
        while self.flights.len() + 2 > DEPTH {
            self.land()?;
        }
        let check = Batch { slices: vec![slice], bits: self_check::BITS, workgroup };
        self.fly(check, Purpose::Check(answers, pipeline))
    }

    fn fly(&mut self, batch: Batch, purpose: Purpose) -> Result<(), DeviceFault> {
        self.device.engine.submit(&batch)?;
        self.flights.push_back(Flight { batch, purpose, submitted: Instant::now() });
        Ok(())
    }

    /// Waits for the oldest submission and accounts for it.
    fn land(&mut self) -> Result<(), DeviceFault> {
        let outcome = self.device.engine.finish(self.device.times.patience)?;
        let now = Instant::now();
        let candidates = match self.flights.front() {
            Some(flight) => candidates(&flight.batch, &outcome)?,
            None => return Ok(()),
        };
        let Some(Flight { batch, purpose, submitted }) = self.flights.pop_front() else {
            return Ok(());
        };
        match purpose {
            Purpose::Check(answers, pipeline) => {
                self.device.sizer.paused(now);
                self.compare(&answers, outcome)?;
                self.device.checked.insert(pipeline, now);
            }
            Purpose::Search(span) if outcome.overflowed() => self.halve(span)?,
            Purpose::Search(span) => {
                self.control.submit(span, &candidates);
                self.measure(&batch, submitted, now);
            }
        }
        Ok(())
    }

    /// Queues both halves of a span whose list was too small.
    fn halve(&mut self, span: Span) -> Result<(), DeviceFault> {
        let (left, right) = span.split_at(span.len().div_ceil(2));
        if right.is_empty() {
            self.todo.push_front(span);
            return Err(DeviceFault::Wrong("it reported more results than candidates".to_owned()));
        }
        self.todo.push_front(right);
        self.todo.push_front(left);
        Ok(())
    }

    /// Fails if a check's outcome differs from the known answers.
    fn compare(&mut self, answers: &[Entry], outcome: Outcome) -> Result<(), DeviceFault> {
        let mut list = outcome.list;
        list.sort_unstable();
        if list != answers {
            let (had, missed) =
                (answers.len(), answers.iter().filter(|a| !list.contains(a)).count());
            let more = list.len() + missed - had;
            return Err(DeviceFault::Wrong(format!(
                "of {had} known candidates it missed {missed} and reported {more} others"
            )));
        }
        if self.began.elapsed() >= self.device.times.check {
            // After a long time without failures, old ones no longer count.
            *self.failures = 0;
        }
        Ok(())
    }

    fn measure(&mut self, batch: &Batch, submitted: Instant, now: Instant) {
        let Some(first) = batch.slices.first() else { return };
        let work = batch.slices.iter().map(|s| s.len() as f64 * s.plan.steps() as f64).sum();
        if let Some(rate) = self.device.sizer.ended(work, submitted, now) {
            self.device.measured(&Shape::of(&first.plan), batch.workgroup, rate);
        }
    }

    /// Returns the next piece of work: a span to repeat, the rest of a claim, or a new claim.
    fn next_batch(&mut self) -> Result<Option<(Span, Batch)>, DeviceFault> {
        let steps = self.plan.as_ref().map_or(USUAL_STEPS, |plan| plan.steps());
        // Rounded down: claims are rounded up, and the excess would be a tiny submission of its own.
        let len = u128::from(self.most_candidates(steps)) / CLAIM_ALIGNMENT * CLAIM_ALIGNMENT;
        let next = self.todo.pop_front().or_else(|| self.control.claim(len));
        let Some(span) = next else { return Ok(None) };
        let slices = self.slices(span);
        let len: u64 = slices.iter().map(Slice::len).sum();
        let (front, rest) = span.split_at(len.into());
        if !rest.is_empty() {
            self.todo.push_front(rest);
        }
        let Some(slice) = slices.first() else {
            return Err(DeviceFault::Plan("none covers the nonce"));
        };
        let workgroup = self.device.workgroup(&Shape::of(&slice.plan));
        Ok(Some((front, Batch { slices, bits: self.control.filter_bits(), workgroup })))
    }

    /// Cuts the front of `span` into adjacent slices, as many as one submission should take.
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

    /// Returns the number of candidates of `steps` MD5 steps for one submission: as many as fit the
    /// budget, but too few to fill the list.
    fn most_candidates(&self, steps: usize) -> u64 {
        let list = u64::from(self.device.engine.capacity() / 4).max(1);
        let fits = list << self.control.filter_bits().min(32);
        (self.device.sizer.budget() / steps as f64).clamp(1.0, fits as f64) as u64
    }

    /// Returns the plan that covers `nonce`: the current one if it does.
    fn plan_of(&mut self, nonce: u128) -> Option<Arc<Plan>> {
        if self.plan.as_ref().is_none_or(|plan| !plan.span.contains(nonce)) {
            self.plan = Plan::new(self.control.space(), nonce).map(Arc::new);
        }
        self.plan.clone()
    }
}

/// Gives back what is not done when the search stops, fails or panics.
impl<E> Drop for HostLoop<'_, E> {
    fn drop(&mut self) {
        let in_flight = self.flights.drain(..).filter_map(|flight| match flight.purpose {
            Purpose::Search(span) => Some(span),
            Purpose::Check(..) => None,
        });
        in_flight.chain(self.todo.drain(..)).for_each(|span| self.control.give_back(span));
    }
}

/// Returns the nonces of a batch's outcome. Applies the filter to each again: a device that reports a
/// candidate that fails it, or one that the batch does not contain, is broken.
fn candidates(batch: &Batch, outcome: &Outcome) -> Result<Vec<u128>, DeviceFault> {
    let nonce = |&[low, tagged]: &Entry| {
        let slice = batch.slices.get((tagged >> MEMBER_BITS) as usize)?;
        let member = tagged & ((1 << MEMBER_BITS) - 1);
        let asked = slice.bases.contains(&low.into()) && slice.members.contains(&member);
        let passes = asked && self_check::passes(&slice.plan, low, member, batch.bits);
        passes.then(|| slice.plan.nonce(low, member))
    };
    let wrong = || DeviceFault::Wrong("it reported a candidate that does not pass".to_owned());
    outcome.list.iter().map(|entry| nonce(entry).ok_or_else(wrong)).collect()
}
