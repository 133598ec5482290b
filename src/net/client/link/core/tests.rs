use super::*;
use crate::proto::{Notice, Over};

fn core() -> (Core, mpsc::UnboundedReceiver<Notification>) {
    let (_, requests) = mpsc::channel(1);
    let (core, _, notifications) = Core::new(None, requests, Duration::from_secs(1));
    (core, notifications)
}

/// Returns the notice of the end of job `number`, pushed or beside an answer.
fn notice(number: u64, pushed: bool) -> Reply {
    let what = Notification::Over(Over { job: number, ..Over::default() });
    let answer = (!pushed).then_some(Answer::Ok);
    Reply { number: u64::from(!pushed), notice: Some(Notice { number, what }), answer }
}

fn jobs(told: &mut mpsc::UnboundedReceiver<Notification>) -> Vec<u64> {
    let next = || match told.try_recv() {
        Ok(Notification::Over(over)) => Some(over.job),
        _ => None,
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_push_that_overtakes_another_waits_for_its_turn() {
    let (mut core, mut told) = core();
    // The second notice comes first: were it acknowledged, the first would never be sent again.
    assert!(matches!(core.receive(notice(2, true), Instant::now()), Ok(true)));
    assert_eq!((core.notices_seen, jobs(&mut told)), (0, vec![]));
    assert!(matches!(core.receive(notice(1, true), Instant::now()), Ok(true)));
    assert!(matches!(core.receive(notice(2, true), Instant::now()), Ok(true)));
    assert_eq!((core.notices_seen, jobs(&mut told)), (2, vec![1, 2]));
}

#[test]
fn a_repeated_notice_is_told_once() {
    let (mut core, mut told) = core();
    for pushed in [true, false, true] {
        assert!(matches!(core.receive(notice(1, pushed), Instant::now()), Ok(true)));
    }
    assert_eq!((core.notices_seen, jobs(&mut told)), (1, vec![1]));
}

#[test]
fn the_notice_beside_an_answer_is_the_oldest_unseen_one() {
    let (mut core, mut told) = core();
    // Those before it were seen by this client in a session that the server remembers.
    assert!(matches!(core.receive(notice(5, false), Instant::now()), Ok(true)));
    assert_eq!((core.notices_seen, jobs(&mut told)), (5, vec![5]));
}

#[test]
fn a_notice_without_a_number_is_told_and_not_acknowledged() {
    let (mut core, mut told) = core();
    assert!(matches!(core.receive(notice(0, true), Instant::now()), Ok(false)));
    assert_eq!((core.notices_seen, jobs(&mut told)), (0, vec![0]));
}
