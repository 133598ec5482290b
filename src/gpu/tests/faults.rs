//! Whatever a device does, every nonce is accounted for.

use super::super::engine::{Batch, DEPTH, Outcome};
use super::super::known;
use super::super::params::MEMBER_BITS;
use super::*;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

/// What engines say their lists hold: small, so that a search takes several submissions.
const CLAIMED: u32 = 1 << 10;

/// What goes wrong, and at which submission of all engines together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sabotage {
    Nothing,
    Lose(u32),
    Stall(u32),
    /// Stalls always.
    Hang,
    /// A candidate is missing from the answers.
    Miss(u32),
    /// One too many is in them.
    Invent(u32),
    /// More results than candidates, always.
    Flood,
    /// The search is stopped.
    Stop(u32),
}

/// An engine that computes on this processor.
struct Mock<'a> {
    sabotage: Sabotage,
    submissions: &'a AtomicU32,
    control: Arc<Control>,
    flights: VecDeque<(u32, Outcome)>,
    capacity: u32,
}

impl Engine for Mock<'static> {
    fn most_invocations(&self) -> u32 {
        256
    }

    fn capacity(&self) -> u32 {
        CLAIMED
    }

    fn in_flight(&self) -> usize {
        self.flights.len()
    }

    fn submit(&mut self, batch: &Batch) -> Result<(), Fault> {
        assert!(self.flights.len() < DEPTH, "more in flight than an engine has room for");
        let number = self.submissions.fetch_add(1, Ordering::Relaxed);
        let mut list = Vec::new();
        for (n, slice) in batch.slices.iter().enumerate() {
            for low in slice.bases.clone().map(|low| low as u32) {
                let members = slice.members.clone();
                let passing = members.filter(|&m| known::passes(&slice.plan, low, m, batch.bits));
                list.extend(passing.map(|member| [low, (n as u32) << MEMBER_BITS | member]));
            }
        }
        match self.sabotage {
            Sabotage::Lose(at) if at == number => return Err(Fault::Lost("mock".to_owned())),
            Sabotage::Miss(at) if at == number => drop(list.pop()),
            Sabotage::Invent(at) if at == number => {
                let slice = &batch.slices[0];
                let low = slice.bases.start as u32;
                let fails = |&m: &u32| !known::passes(&slice.plan, low, m, batch.bits);
                list.push([low, slice.members.clone().find(fails).unwrap()]);
            }
            Sabotage::Stop(at) if at == number => self.control.stop(),
            _ => {}
        }
        let flood = self.sabotage == Sabotage::Flood && batch.bits != known::BITS;
        let count = if flood { u32::MAX } else { list.len() as u32 };
        list.truncate(self.capacity as usize);
        self.flights.push_back((number, Outcome { count, list }));
        Ok(())
    }

    fn finish(&mut self, patience: Duration) -> Result<Outcome, Fault> {
        let (number, outcome) = self.flights.pop_front().unwrap();
        match self.sabotage {
            Sabotage::Hang => Err(Fault::Stalled(patience)),
            Sabotage::Stall(at) if at == number => Err(Fault::Stalled(patience)),
            _ => Ok(outcome),
        }
    }
}

fn span() -> Span {
    Span::with_len(1234, 20_000)
}

/// Searches with a mock whose lists really hold `capacity`; also how many engines that took.
fn run(sabotage: Sabotage, bits: u32, capacity: u32) -> (Result<(), Fault>, Arc<Control>, u32) {
    run_with(TIMES, sabotage, bits, capacity)
}

fn run_with(
    times: Times,
    sabotage: Sabotage,
    bits: u32,
    capacity: u32,
) -> (Result<(), Fault>, Arc<Control>, u32) {
    let space = space(Layout::Counting, Encoding::Text, "abcdf").unwrap();
    let control = Arc::new(Control::new(space, span(), bits, usize::MAX));
    let submissions: &'static AtomicU32 = Box::leak(Box::default());
    let engines = AtomicU32::new(0);
    let open = || {
        engines.fetch_add(1, Ordering::Relaxed);
        let control = Arc::clone(&control);
        Ok(Mock { sabotage, submissions, control, flights: VecDeque::new(), capacity })
    };
    let result = search(&open, times, &control);
    (result, control, engines.into_inner())
}

/// Nothing that was claimed is missing: what is not done can be claimed again.
fn assert_accounted(control: &Control) {
    let mut all = control.done();
    while let Some(free) = control.claim(u128::MAX) {
        assert_eq!(all.insert(free), free.len(), "done and free at once");
    }
    assert_eq!(all, SpanSet::from(span()));
}

#[test]
fn a_device_that_works_is_opened_once() {
    let (result, control, engines) = run(Sabotage::Nothing, BITS, CLAIMED);
    assert_eq!((result, engines), (Ok(()), 1));
    assert_complete(&control, span());
}

#[test]
fn a_lost_device_loses_nothing() {
    for at in [0, 1, 2, 5] {
        let (result, control, engines) = run(Sabotage::Lose(at), BITS, CLAIMED);
        assert_eq!((result, engines), (Ok(()), 2), "submission {at}");
        assert_complete(&control, span());
    }
}

#[test]
fn a_stalled_dispatch_loses_nothing() {
    for at in [0, 1, 4] {
        let (result, control, engines) = run(Sabotage::Stall(at), BITS, CLAIMED);
        assert_eq!((result, engines), (Ok(()), 2), "submission {at}");
        assert_complete(&control, span());
    }
}

#[test]
fn after_three_failures_the_work_is_left_to_others() {
    let (result, control, engines) = run(Sabotage::Hang, BITS, CLAIMED);
    assert_eq!((result, engines), (Err(Fault::Stalled(TIMES.patience)), 3));
    assert_accounted(&control);
    assert_eq!(control.tested(), 0);
}

#[test]
fn a_device_that_computes_wrongly_is_not_used_again() {
    // Submission 0 is the check.
    for sabotage in [Sabotage::Miss(0), Sabotage::Invent(0), Sabotage::Invent(2)] {
        let (result, control, engines) = run(sabotage, BITS, CLAIMED);
        assert!(matches!(result, Err(Fault::Wrong(_))), "{sabotage:?}: {result:?}");
        assert_eq!(engines, 1);
        assert_eq!(control.false_candidates(), 0, "nothing false reached the judge");
        assert_accounted(&control);
    }
}

#[test]
fn a_device_that_goes_bad_is_noticed_at_the_next_check() {
    // A check before all else and one before every batch: submissions 0, 1, 3, 5 and so on.
    let times = Times { check: Duration::ZERO, ..TIMES };
    let (result, control, _) = run_with(times, Sabotage::Nothing, BITS, CLAIMED);
    assert_eq!(result, Ok(()));
    assert_complete(&control, span());
    for at in [3, 5] {
        let (result, control, engines) = run_with(times, Sabotage::Miss(at), BITS, CLAIMED);
        assert!(matches!(result, Err(Fault::Wrong(_))), "{at}: {result:?}");
        assert_eq!(engines, 1);
        assert!(control.tested() > 0, "the batch before the check counts");
        assert_accounted(&control);
    }
}

#[test]
fn an_absurd_count_ends_the_search() {
    let (result, control, _) = run(Sabotage::Flood, 8, CLAIMED);
    assert!(matches!(result, Err(Fault::Wrong(_))), "{result:?}");
    assert_accounted(&control);
}

#[test]
fn an_overflowing_list_drops_nothing() {
    // The known answers fit, the lists of whole dispatches do not.
    let (result, control, engines) = run(Sabotage::Nothing, BITS, 128);
    assert_eq!((result, engines), (Ok(()), 1));
    assert_complete(&control, span());
}

#[test]
fn a_stopped_search_gives_back_what_is_not_done() {
    let (result, control, _) = run(Sabotage::Stop(2), BITS, CLAIMED);
    assert_eq!(result, Ok(()));
    assert!(control.tested() < span().len() as u64);
    let done: Vec<Span> = control.done().iter().collect();
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(control.hits(), judged(control.space(), done[0]));
}

/// A real device that claims to have a longer list than it has, or is destroyed at a submission.
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

    fn submit(&mut self, batch: &Batch) -> Result<(), Fault> {
        let number = self.submissions.fetch_add(1, Ordering::Relaxed);
        let result = self.inner.submit(batch);
        if self.destroy_at == Some(number) {
            self.inner.device().destroy();
        }
        result
    }

    fn finish(&mut self, patience: Duration) -> Result<Outcome, Fault> {
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
