//! Sizes of dispatches and workgroups, measured on the search's own dispatches so that no work is
//! wasted.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// MD5 steps a second that no device reaches: about twenty times the fastest of 2026.
const MOST_RATE: f64 = 1e14;

/// MD5 steps of the first dispatch on an unknown device: short on any.
const FIRST_BUDGET: f64 = 1e7;

/// MD5 steps of the smallest dispatch: a few bases.
const LEAST_BUDGET: f64 = 1e4;

/// Largest factor by which the budget changes from one dispatch to the next.
const MOST_CHANGE: f64 = 4.0;

/// Workgroup sizes to try; the first one is the default.
const WORKGROUPS: [u32; 3] = [128, 64, 256];

/// Dispatches for each size; the median counts.
const TRIALS: usize = 3;

/// Fraction of the tuned rate below which another size may be better now.
const DRIFT: f64 = 0.7;

/// Full dispatches between two checks of the rate.
const DRIFT_AFTER: u32 = 1000;

/// Sizes dispatches. Counts work in MD5 steps, because the cost of a candidate depends on its plan.
#[derive(Debug)]
pub(super) struct DispatchSizer {
    target: Duration,
    budget: f64,
    last_end: Option<Instant>,
}

impl DispatchSizer {
    /// Aims at dispatches that take `target`.
    pub(super) fn new(target: Duration) -> Self {
        Self { target, budget: FIRST_BUDGET, last_end: None }
    }

    /// Raises the first budget to suit a device of `rate` steps a second.
    pub(super) fn expect(&mut self, rate: f64) {
        // A quarter of it, in case the device is busier now.
        self.budget = self.budget.max(rate * self.target.as_secs_f64() / MOST_CHANGE);
    }

    /// Returns the MD5 steps of the next dispatch.
    pub(super) fn budget(&self) -> f64 {
        self.budget
    }

    /// Records that another kind of dispatch ended now.
    pub(super) fn paused(&mut self, now: Instant) {
        self.last_end = Some(now);
    }

    /// Records that a dispatch of `work` steps ended now. Returns its rate if it was large enough to
    /// measure.
    pub(super) fn ended(&mut self, work: f64, submitted: Instant, now: Instant) -> Option<f64> {
        // A queued dispatch begins when the one before it ends.
        let began = self.last_end.map_or(submitted, |end| end.max(submitted));
        self.last_end = Some(now);
        let seconds = now.duration_since(began).as_secs_f64().max(1e-6);
        let target = self.target.as_secs_f64();
        // A small dispatch measures the cost of a submission rather than of work: it may only lower
        // the budget.
        let full = work >= self.budget / 2.0;
        if full || seconds > 2.0 * target {
            let change =
                (target / seconds * work / self.budget).clamp(1.0 / MOST_CHANGE, MOST_CHANGE);
            // Near the target, half steps smooth the noise.
            let calm = (0.5..2.0).contains(&change);
            let change = if calm { change.sqrt() } else { change };
            self.budget = (self.budget * change).max(LEAST_BUDGET);
        }
        (full && seconds > target / 4.0).then_some(work / seconds)
    }
}

/// Result of tuning for one device and one shape of plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tuned {
    /// Invocations of a workgroup.
    pub(super) workgroup: u32,
    /// Steps a second.
    pub(super) rate: f64,
}

impl fmt::Display for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.workgroup, self.rate)
    }
}

impl FromStr for Tuned {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (workgroup, rate) = line.trim().split_once(' ').ok_or(())?;
        let tuned = Self {
            workgroup: workgroup.parse().map_err(|_| ())?,
            rate: rate.parse().map_err(|_| ())?,
        };
        let plausible = WORKGROUPS.contains(&tuned.workgroup) && tuned.rate.is_normal();
        // A rate beyond any device means a damaged file, and would cause an endless dispatch.
        if plausible && tuned.rate > 0.0 && tuned.rate < MOST_RATE { Ok(tuned) } else { Err(()) }
    }
}

/// Finds the workgroup size for one shape of plan.
#[derive(Debug)]
pub(super) struct Tuner {
    sizes: Vec<u32>,
    /// Size and rate of each trial.
    trials: Vec<(u32, f64)>,
    tuned: Option<Tuned>,
    /// Number of full dispatches since then, and the sum of their rates.
    since: (u32, f64),
}

impl Tuner {
    /// Tunes a device with workgroups of at most `most`; `tuned` is the result of an earlier run.
    pub(super) fn new(most: u32, tuned: Option<Tuned>) -> Self {
        let fitting = |size: &u32| *size <= most;
        let mut sizes: Vec<u32> = WORKGROUPS.into_iter().filter(fitting).collect();
        if sizes.is_empty() {
            sizes.push(most);
        }
        Self {
            sizes,
            trials: Vec::new(),
            tuned: tuned.filter(|t| fitting(&t.workgroup)),
            since: (0, 0.0),
        }
    }

    /// Returns the workgroup size of the next dispatch.
    pub(super) fn workgroup(&self) -> u32 {
        let next = self.sizes.iter().find(|size| self.tried(**size) < TRIALS);
        self.tuned.map_or_else(|| *next.unwrap_or(&self.sizes[0]), |tuned| tuned.workgroup)
    }

    /// Records the rate of a full dispatch. Returns the result when this completes it.
    pub(super) fn measured(&mut self, workgroup: u32, rate: f64) -> Option<Tuned> {
        if let Some(tuned) = self.tuned {
            self.watch(tuned, rate);
            return None;
        }
        // After a change of size, dispatches of the old size are still in flight.
        if self.tried(workgroup) < TRIALS {
            self.trials.push((workgroup, rate));
        }
        if self.sizes.iter().any(|size| self.tried(*size) < TRIALS) {
            return None;
        }
        let median = |workgroup: u32| {
            let mut rates: Vec<f64> = self
                .trials
                .iter()
                .filter(|trial| trial.0 == workgroup)
                .map(|trial| trial.1)
                .collect();
            rates.sort_by(f64::total_cmp);
            Tuned { workgroup, rate: rates[rates.len() / 2] }
        };
        let medians = self.sizes.iter().map(|size| median(*size));
        self.tuned = medians.max_by(|a, b| a.rate.total_cmp(&b.rate));
        self.trials.clear();
        self.since = (0, 0.0);
        self.tuned
    }

    /// Returns the result, if there is one.
    pub(super) fn tuned(&self) -> Option<Tuned> {
        self.tuned
    }

    fn tried(&self, workgroup: u32) -> usize {
        self.trials.iter().filter(|trial| trial.0 == workgroup).count()
    }

    /// Drops the result when the rate stays low.
    fn watch(&mut self, tuned: Tuned, rate: f64) {
        let (count, sum) = (self.since.0 + 1, self.since.1 + rate);
        self.since = (count, sum);
        if count == DRIFT_AFTER {
            if sum / f64::from(count) < tuned.rate * DRIFT {
                self.tuned = None;
            }
            self.since = (0, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizer_finds_the_size_that_takes_the_target() {
        let target = Duration::from_millis(50);
        for rate in [1e8, 1e10, 7e12] {
            let mut sizer = DispatchSizer::new(target);
            let mut now = Instant::now();
            for _ in 0..20 {
                let (work, submitted) = (sizer.budget(), now);
                now += Duration::from_secs_f64(work / rate);
                sizer.ended(work, submitted, now);
            }
            let seconds = sizer.budget() / rate;
            assert!((0.045..0.055).contains(&seconds), "{seconds} s at {rate}");
        }
    }

    #[test]
    fn small_dispatches_do_not_raise_the_budget() {
        let mut sizer = DispatchSizer::new(Duration::from_millis(50));
        let now = Instant::now();
        let before = sizer.budget();
        assert_eq!(sizer.ended(before / 100.0, now, now + Duration::from_micros(10)), None);
        assert_eq!(sizer.budget(), before);
        sizer.ended(before / 100.0, now, now + Duration::from_secs(1));
        assert!(sizer.budget() < before);
    }

    #[test]
    fn the_tuner_takes_the_fastest_median() {
        let mut tuner = Tuner::new(1024, None);
        let result = std::iter::repeat_with(|| {
            let size = tuner.workgroup();
            let outlier = tuner.tried(size) == 1 && size == 256;
            let rate = if outlier { 9e9 } else { [1.0, 3.0, 2.0][size as usize / 128 % 3] };
            // 64 -> 1, 128 -> 3, 256 -> 2, with one lucky dispatch.
            tuner.measured(size, rate)
        })
        .take(WORKGROUPS.len() * TRIALS)
        .last()
        .unwrap();
        assert_eq!(result, Some(Tuned { workgroup: 128, rate: 3.0 }));
        assert_eq!(tuner.workgroup(), 128);
        assert_eq!(tuner.tuned(), result);
    }

    #[test]
    fn a_lasting_drop_of_the_rate_starts_tuning_again() {
        let mut tuner = Tuner::new(256, Some(Tuned { workgroup: 64, rate: 100.0 }));
        assert_eq!(tuner.workgroup(), 64);
        (0..DRIFT_AFTER).for_each(|_| assert_eq!(tuner.measured(64, 90.0), None));
        assert_eq!(tuner.workgroup(), 64, "as good as before");
        (0..DRIFT_AFTER).for_each(|_| assert_eq!(tuner.measured(64, 30.0), None));
        assert_eq!(tuner.tuned(), None);
    }

    #[test]
    fn sizes_beyond_the_device_are_not_tried() {
        let tuner = Tuner::new(64, Some(Tuned { workgroup: 256, rate: 1.0 }));
        assert_eq!((tuner.workgroup(), tuner.tuned()), (64, None));
        assert!("128 2e14".parse::<Tuned>().is_err() && "128 2e13".parse::<Tuned>().is_ok());
        assert!("256 -3".parse::<Tuned>().is_err() && "100 3".parse::<Tuned>().is_err());
    }
}
