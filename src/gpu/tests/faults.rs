//! Whatever a device does, every nonce is accounted for.

use super::super::engine::{Batch, Outcome};
use super::super::limits::{DEPTH, MOST_FAILURES};
use super::super::retirement::{REST, Retiring};
use super::fake::{CLAIMED, Sabotage, Script, Unasked};
use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

fn span() -> Span {
    Span::with_len(1234, 20_000)
}

fn run(sabotage: Sabotage) -> (Result<(), DeviceFault>, Arc<Control>, u32) {
    run_with(TIMES, sabotage, BITS)
}

fn run_with(
    times: Times,
    sabotage: Sabotage,
    bits: u32,
) -> (Result<(), DeviceFault>, Arc<Control>, u32) {
    let script = Script::new(sabotage, span(), bits);
    let (result, engines) = script.run(times);
    (result, Arc::clone(&script.control), engines)
}

/// Asserts that every nonce is either done or free.
fn assert_accounted(control: &Control) {
    let mut all = control.done();
    while let Some(free) = control.claim(u128::MAX) {
        assert_eq!(all.insert(free), free.len(), "done and free at once");
    }
    assert_eq!(all, SpanSet::from(span()));
}

#[test]
fn a_working_device_is_opened_once_and_kept_busy() {
    let script = Script::new(Sabotage::Nothing, span(), BITS);
    assert_eq!(script.run(TIMES), (Ok(()), 1));
    assert_complete(&script.control, span());
    assert_eq!(script.most_in_flight.load(Ordering::Relaxed), DEPTH as u32);
}

#[test]
fn a_lost_device_loses_nothing() {
    for at in [0, 1, 2, 5] {
        let (result, control, engines) = run(Sabotage::Lose(at));
        assert_eq!((result, engines), (Ok(()), 2), "submission {at}");
        assert_complete(&control, span());
    }
}

#[test]
fn a_stalled_dispatch_loses_nothing() {
    for at in [0, 1, 4] {
        let (result, control, engines) = run(Sabotage::Stall(at));
        assert_eq!((result, engines), (Ok(()), 2), "submission {at}");
        assert_complete(&control, span());
    }
}

#[test]
fn after_three_failures_the_work_is_left_to_others() {
    let (result, control, engines) = run(Sabotage::Hang);
    assert_eq!((result, engines), (Err(DeviceFault::Stalled(TIMES.patience)), MOST_FAILURES));
    assert_accounted(&control);
    assert_eq!(control.tested(), 0);
}

#[test]
fn failures_count_together_until_a_check_passes_long_after_the_start() {
    // Every fourth submission fails: with a check before each batch, more than three in all.
    let sabotage = Sabotage::LoseEvery(4);
    let long = Span::with_len(1234, 100_000);
    let patient = Script::new(sabotage, long, BITS);
    let (result, engines) = patient.run(Times { check: Duration::ZERO, ..TIMES });
    assert_eq!(result, Ok(()));
    assert!(engines > MOST_FAILURES + 1, "{engines} engines");
    assert_complete(&patient.control, long);
    // Without the time for a second check, the third failure is the last.
    let (result, engines) = Script::new(sabotage, long, BITS).run(TIMES);
    assert_eq!((result, engines), (Err(DeviceFault::Lost("fake".to_owned())), MOST_FAILURES));
}

#[test]
fn a_refused_plan_is_not_tried_again() {
    let (result, control, engines) = run(Sabotage::Refuse(2));
    assert_eq!((result, engines), (Err(DeviceFault::Plan("fake")), 1));
    assert_accounted(&control);
}

#[test]
fn a_device_that_computes_wrongly_is_not_used_again() {
    // Submission 0 is the check.
    let wrong = [Sabotage::Miss(0), Sabotage::Repeat(0), Sabotage::Invent(0), Sabotage::Invent(2)];
    for sabotage in wrong {
        let (result, control, engines) = run(sabotage);
        assert!(matches!(result, Err(DeviceFault::Wrong(_))), "{sabotage:?}: {result:?}");
        assert_eq!(engines, 1);
        assert_eq!(control.false_candidates(), 0, "nothing false reached the judge");
        assert_accounted(&control);
    }
}

#[test]
fn candidates_outside_the_batch_are_refused() {
    // Submission 1 begins in the middle of a base.
    for way in [Unasked::Base, Unasked::Member, Unasked::BeyondFamily, Unasked::Slice] {
        let (result, control, engines) = run(Sabotage::Unasked(1, way));
        assert!(matches!(result, Err(DeviceFault::Wrong(_))), "{way:?}: {result:?}");
        assert_eq!((engines, control.hits().len()), (1, 0), "{way:?}");
        assert_accounted(&control);
    }
}

#[test]
fn a_device_that_goes_bad_is_noticed_at_the_next_check() {
    // A check before all else and one before every batch: submissions 0, 1, 3, 5 and so on.
    let times = Times { check: Duration::ZERO, ..TIMES };
    let (result, control, _) = run_with(times, Sabotage::Nothing, BITS);
    assert_eq!(result, Ok(()));
    assert_complete(&control, span());
    for at in [3, 5] {
        let (result, control, engines) = run_with(times, Sabotage::Miss(at), BITS);
        assert!(matches!(result, Err(DeviceFault::Wrong(_))), "{at}: {result:?}");
        assert_eq!(engines, 1);
        assert!(control.tested() > 0, "the batch before the check counts");
        assert_accounted(&control);
    }
}

#[test]
fn an_absurd_count_ends_the_search() {
    let (result, control, _) = run_with(TIMES, Sabotage::Flood, 8);
    assert!(matches!(result, Err(DeviceFault::Wrong(_))), "{result:?}");
    assert_accounted(&control);
}

#[test]
fn an_overflowing_list_drops_nothing() {
    // The known answers fit, the lists of whole dispatches do not.
    let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
    let script = Script::with_control(Sabotage::Nothing, control(&space, span()), 128);
    assert_eq!(script.run(TIMES), (Ok(()), 1));
    assert_complete(&script.control, span());
}

#[test]
fn a_stopped_search_gives_back_what_is_not_done() {
    let (result, control, _) = run(Sabotage::Stop(2));
    assert_eq!(result, Ok(()));
    assert!(control.tested() < span().len() as u64);
    let done: Vec<Span> = control.done().iter().collect();
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(control.hits(), judged(control.space(), done[0]));
}

#[test]
fn a_search_after_a_stopped_one_gets_its_own_results() {
    let script = Script::new(Sabotage::Stop(2), span(), BITS);
    let open = || script.open();
    let opener = Opener { open: &open, cache: &Cache::none(), times: TIMES };
    let mut device = None;
    host::search(&mut device, &opener, &script.control).unwrap();
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    assert!(count(&script.finished) < count(&script.submissions), "something is in flight");
    let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
    let elsewhere = Span::with_len(50_000, 20_000);
    let second = control(&space, elsewhere);
    host::search(&mut device, &opener, &second).unwrap();
    assert_complete(&second, elsewhere);
    assert_eq!(count(&script.finished), count(&script.submissions));
    assert_eq!(count(&script.engines), 1);
}

/// Searches `times` on one device that retires; returns the errors and the engines opened so far.
fn retire(sabotage: Sabotage, times: &[Duration]) -> Vec<(String, u32)> {
    let script = Script::new(sabotage, span(), BITS);
    let open = || script.open();
    let opener = Opener { open: &open, cache: &Cache::none(), times: TIMES };
    let (device, start) = (Retiring::new(None), Instant::now());
    let search = |&after: &Duration| {
        let result = device.search(&opener, &script.control, || start + after);
        (result.unwrap_err(), script.engines.load(Ordering::Relaxed))
    };
    times.iter().map(search).collect()
}

#[test]
fn a_failing_device_retires_for_a_while() {
    let moment = Duration::from_secs(1);
    let results = retire(Sabotage::Hang, &[Duration::ZERO, moment, REST - moment, REST]);
    let reason = DeviceFault::Stalled(TIMES.patience).to_string();
    assert!(results.iter().all(|result| result.0 == reason), "{results:?}");
    let engines: Vec<u32> = results.iter().map(|result| result.1).collect();
    assert_eq!(engines, [3, 3, 3, 6]);
}

#[test]
fn a_wrong_device_retires_for_good() {
    let results = retire(Sabotage::Miss(0), &[Duration::ZERO, REST, 100 * REST]);
    assert!(results.iter().all(|result| result.0.contains("computes wrongly")), "{results:?}");
    assert!(results.iter().all(|result| result.1 == 1), "{results:?}");
}

/// A real device with a shorter list than it reports, or one that is destroyed at a submission.
struct Real {
    inner: WgpuEngine,
    submissions: Arc<AtomicU32>,
    destroy_at: Option<u32>,
}

impl Engine for Real {
    fn most_invocations(&self) -> u32 {
        self.inner.most_invocations()
    }

    fn capacity(&self) -> u32 {
        CLAIMED
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn submit(&mut self, batch: &Batch) -> Result<(), DeviceFault> {
        let number = self.submissions.fetch_add(1, Ordering::Relaxed);
        let result = self.inner.submit(batch);
        if self.destroy_at == Some(number) {
            self.inner.device().destroy();
        }
        result
    }

    fn finish(&mut self, patience: Duration) -> Result<Outcome, DeviceFault> {
        self.inner.finish(patience)
    }
}

fn run_real(capacity: u32, destroy_at: Option<u32>) -> Option<u32> {
    let adapter = adapter()?;
    let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
    let control = control(&space, span());
    let (submissions, engines) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
    let open = || {
        engines.fetch_add(1, Ordering::Relaxed);
        let inner = WgpuEngine::open(&adapter, &Cache::none(), capacity)?;
        Ok(Real { inner, submissions: Arc::clone(&submissions), destroy_at })
    };
    search(&open, TIMES, &control).unwrap();
    assert_complete(&control, span());
    Some(engines.into_inner())
}

#[test]
fn a_destroyed_device_loses_nothing() {
    for at in [0, 1, 2] {
        let Some(engines) = run_real(CLAIMED, Some(at)) else { return };
        assert_eq!(engines, 2, "submission {at}");
    }
}

#[test]
fn an_overflowing_list_on_a_device_drops_nothing() {
    let Some(engines) = run_real(100, None) else { return };
    assert_eq!(engines, 1);
}
