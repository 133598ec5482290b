//! A server that closes by itself, and is stopped meanwhile.

use super::*;
use crate::jobs::samples;
use crate::net::server::service::Origin;
use crate::net::server::sessions::Waker;
use crate::proto::{Answer, Call, Hello, Request};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Makes a client join that never acknowledges anything, then cancels the main job.
fn join_and_cancel(service: &Service) {
    let waker = Waker::Connection(Arc::new(Notify::new()));
    let origin = Origin { address: ([127, 0, 0, 1], 4321).into(), waker };
    let hello = Hello {
        oldest_version: 1,
        newest_version: 1,
        key: [1; 16],
        name: "client".into(),
        backend: "none".into(),
        threads: 1,
        rate_hint: 0,
        kinds: Vec::new(),
    };
    for call in [Call::Hello(hello), Call::Cancel(1)] {
        let (number, session, notices_seen, cookie) = (1, 0, 0, Vec::new());
        let request = Request { number, session, notices_seen, cookie, call };
        let answer = service.handle(&origin, &mut None, request).reply.answer;
        assert!(matches!(answer, Some(Answer::Welcome(_) | Answer::Ok)), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_short_the_wait_for_clients_after_the_main_job() {
    let second = Duration::from_secs(1);
    for (shutdown, end) in [(second, second), (2 * CLOSE_TIME, CLOSE_TIME)] {
        let server = Server::new(Config::default(), None, None);
        let server = server.with_job(samples::search(90, 1)).unwrap();
        join_and_cancel(&server.service());
        let begin = Instant::now();
        let ending = server.run(sleep(shutdown), drop).await;
        assert!(matches!(ending, ServerEnding::Over(over) if over.job == 1));
        // The clock of the test stands still while there is something to do.
        assert_eq!(begin.elapsed().as_secs(), end.as_secs());
    }
}
