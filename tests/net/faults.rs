//! Networks that lose messages, and servers that are unreachable for a while.

use super::relay::{CutRelay, LossyRelay};
use super::*;
use seedrush::lease::JobEnd;
use seedrush::net::client::admin::Admin;
use seedrush::proto::{Squares, State, Work};

/// Returns times for clients that need a second for a message and its answer.
fn slow_network() -> Config {
    let (lease_time, patience) = (Duration::from_secs(4), Duration::from_secs(8));
    Config { first_units: 1 << 16, lease_time, patience, tail_patience: patience, ..quick() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_over_a_lossy_network_finds_a_solution() {
    let config = Config { min_clients: 2, ..slow_network() };
    let server = Running::start(config, Some(search(16, "A7C02215FC")));
    let relay = LossyRelay::start(server.address, 1).await;
    let service = server.service.clone();
    let pause = Duration::from_micros(200);
    let clients: Vec<_> = (0..2).map(|_| client(relay.address, Transport::Udp, pause)).collect();
    let ServerEnding::Over(over) = server.ended().await else {
        panic!("the server was not stopped")
    };
    assert!(matches!(over.end, Some(JobEnd::Finished { .. })), "{over:?}");
    assert!(puzzle(16, "A7C02215FC").is_solved_by(&over.seed));
    check_coverage(&service, 1);
    let (passed, lost) = relay.counts();
    assert!(passed > 0 && lost > 0, "{passed} passed, {lost} lost");
    for client in clients {
        // The server waits for their acknowledgements, but not for ever: they may not know.
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_over_a_lossy_network_counts_nothing_twice() {
    let server = Running::start(slow_network(), None);
    let relay = LossyRelay::start(server.address, 2).await;
    let clients: Vec<_> =
        (0..3).map(|_| client(relay.address, Transport::Udp, Duration::ZERO)).collect();
    let admin = Admin::new(route(relay.address, Transport::Udp));
    let last = 10_000_000;
    let work = Work::SumOfSquares(Squares { first: 0, last });
    let job = admin.submit(work, 1).await.unwrap();
    let line = timeout(GUARD, admin.wait(job, |_| {})).await.unwrap().unwrap();
    assert_eq!((line.state, line.result), (State::Finished, sum_up_to(last)));
    assert_eq!(server.service.read(|coordinator| coordinator.jobs().len()), 1);
    check_coverage(&server.service, job.0);
    server.stopped().await;
    for client in clients {
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_searches_on_without_its_server_and_reports_afterwards() {
    let config = Config { patience: Duration::from_secs(60), ..quick() };
    let server = Running::start(config, Some(search(128, "ab")));
    let relay = CutRelay::start(server.address).await;
    let tested = Arc::new(Mutex::new(0));
    let seen = tested.clone();
    let pause = Duration::from_millis(1);
    let worker = client_with(relay.address, Transport::Tcp, pause, move |event| {
        if let ClientEvent::Tested(tested) = event {
            *seen.lock().unwrap() = tested;
        }
    });
    let units = |coordinator: &Coordinator| coordinator.clients().first().map_or(0, |c| c.units);
    server.until(|coordinator| units(coordinator) > 0).await;
    relay.cut();
    server.until(|coordinator| !coordinator.clients()[0].connected).await;
    let before = server.service.read(|coordinator| units(coordinator));
    // While the server is unreachable the client goes on with its lease.
    let waiting = async {
        while *tested.lock().unwrap() <= u64::try_from(before).unwrap() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(GUARD, waiting).await.unwrap();
    assert_eq!(server.service.read(|coordinator| units(coordinator)), before);
    relay.mend();
    server.until(|coordinator| units(coordinator) > before).await;
    assert_eq!(server.service.read(|coordinator| coordinator.totals().clients), 1);
    check_coverage(&server.service, 1);
    assert_eq!(server.stopped().await, ServerEnding::Stopped);
    assert!(matches!(end_of(worker).await, client::ClientEnding::Over(_, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_a_lost_client_is_done_by_another() {
    let server = Running::start(quick(), None);
    let admin = Admin::new(route(server.address, Transport::Tcp));
    let lost = client(server.address, Transport::Tcp, Duration::ZERO);
    let last = 400_000_000;
    let work = Work::SumOfSquares(Squares { first: 0, last });
    let job = admin.submit(work, 1).await.unwrap();
    server.until(|coordinator| coordinator.totals().leases > 0).await;
    lost.abort();
    let other = client(server.address, Transport::Udp, Duration::ZERO);
    let line = timeout(GUARD, admin.wait(job, |_| {})).await.unwrap().unwrap();
    assert_eq!(line.result, sum_up_to(last));
    server.stopped().await;
    end_of(other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_join_a_new_server_at_the_old_address() {
    let first = Running::start(quick(), Some(search(128, "ab")));
    let relay = CutRelay::start(first.address).await;
    let address = first.address;
    let worker = client(relay.address, Transport::Tcp, Duration::from_millis(1));
    first.until(|coordinator| coordinator.totals().leases > 0).await;
    relay.cut();
    first.until(|coordinator| !coordinator.clients()[0].connected).await;
    first.stopped().await;
    let listener = listen(address).unwrap();
    let server = Server::new(quick(), Some(listener), None).with_job(search(10, "cd")).unwrap();
    let running = tokio::spawn(server.run(std::future::pending(), |_| {}));
    relay.mend();
    let ServerEnding::Over(over) = timeout(GUARD, running).await.unwrap().unwrap() else {
        panic!()
    };
    assert!(puzzle(10, "cd").is_solved_by(&over.seed));
    assert_eq!(end_of(worker).await, client::ClientEnding::Over(over, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_for_an_old_server_are_not_reported_to_a_new_one() {
    let space = |string| Md5Search::new(&puzzle(7, string), Layout::Counting, 1_000).unwrap();
    let first = Running::start(quick(), Some(JobSpec::Md5Search(space("ab"))));
    let relay = CutRelay::start(first.address).await;
    let address = first.address;
    // Every 128th nonce is a solution: there is always something to report.
    let worker = client(relay.address, Transport::Tcp, Duration::from_millis(5));
    first.until(|coordinator| coordinator.jobs()[0].solutions > 0).await;
    relay.cut();
    first.until(|coordinator| !coordinator.clients()[0].connected).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.stopped().await;
    let server = Server::new(quick(), Some(listen(address).unwrap()), None);
    let server = server.with_job(search(128, "cd")).unwrap();
    let service = server.service();
    tokio::spawn(server.run(std::future::pending(), |_| {}));
    relay.mend();
    let worked = async {
        while !service.read(|c| c.clients().first().is_some_and(|client| client.units > 0)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(GUARD, worked).await.unwrap();
    let client = service.read(|coordinator| coordinator.clients().remove(0));
    assert_eq!(client.false_claims, 0, "{client:?}");
    worker.abort();
}
