//! Honest servers and clients, in one process.

use super::*;
use seedrush::lease::JobEnd;
use seedrush::net::client::admin::{Admin, AdminError};
use seedrush::proto::{Md5Part, Squares, State, Work};

const FAST: Duration = Duration::ZERO;

async fn clients_solve(transport: Transport, clients: usize, bits: u32) {
    let config = Config { min_clients: clients, ..quick() };
    let server = Running::start(config, Some(search(bits, "A7C02215FC")));
    let service = server.service.clone();
    let all: Vec<_> = (0..clients).map(|_| client(server.address, transport, FAST)).collect();
    let ServerEnding::Over(over) = server.ended().await else {
        panic!("the server was not stopped")
    };
    assert!(matches!(over.end, Some(JobEnd::Finished { .. })), "{over:?}");
    assert!(puzzle(bits, "A7C02215FC").is_solved_by(&over.seed), "{}", over.seed);
    let mut ids = Vec::new();
    for client in all {
        let client::ClientEnding::Over(told, id) = end_of(client).await else {
            panic!("the job has not ended")
        };
        assert_eq!(told, over);
        ids.push(id);
    }
    ids.sort_unstable();
    assert!(ids.iter().copied().eq(1..=clients as u64), "{ids:?}");
    assert!(ids.contains(&over.winner()));
    check_coverage(&service, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_find_a_seed_over_tcp() {
    for bits in [8, 14] {
        clients_solve(Transport::Tcp, 2, bits).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_find_a_seed_over_udp() {
    for bits in [8, 14] {
        clients_solve(Transport::Udp, 2, bits).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_find_a_seed_over_either() {
    clients_solve(Transport::Tcp, 8, 15).await;
    clients_solve(Transport::Udp, 8, 15).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_submitted_listed_and_cancelled_over_either() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let server = Running::start(quick(), None);
        let admin = Admin::new(route(server.address, transport));
        let worker = client(server.address, transport, FAST);
        let squares = Work::SumOfSquares(Squares { first: 1, last: 1_000_000 });
        let first = admin.submit(squares, 1).await.unwrap();
        let line = timeout(GUARD, admin.wait(first, |_| {})).await.unwrap().unwrap();
        assert_eq!((line.state, line.result.as_str()), (State::Finished, "333333833333500000"));

        let part = Md5Part::new(&puzzle(128, "ab"), None, 1, 0, usize::MAX);
        let mut endless = Vec::new();
        for priority in 1..=6 {
            let work = Work::Md5Search(part.clone());
            endless.push(admin.submit(work, priority).await.unwrap());
        }
        let jobs = admin.jobs().await.unwrap();
        assert_eq!(jobs.iter().map(|job| job.job).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(jobs[6].priority, 6);
        for (job, _) in endless {
            admin.cancel(job).await.unwrap();
            assert_eq!(admin.job(job).await.unwrap().state, State::Cancelled);
        }
        let again = admin.cancel(2).await.unwrap_err();
        assert!(
            matches!(&again, AdminError::Refused(text) if text.contains("job 2 has ended already"))
        );
        let clients = admin.clients().await.unwrap();
        assert_eq!(clients.len(), 1);
        assert_eq!((clients[0].name.as_str(), clients[0].standing.as_str()), ("test", "good"));
        assert!(clients[0].done >= 1e6 && clients[0].connected);

        assert_eq!(server.stopped().await, ServerEnding::Stopped);
        let client::ClientEnding::Over(over, 1) = end_of(worker).await else {
            panic!("the client was not told")
        };
        assert_eq!(over.end, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_many_solutions_arrive() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let server = Running::start(quick(), None);
        let admin = Admin::new(route(server.address, transport));
        let _worker = client(server.address, transport, FAST);
        let part = Md5Part::new(&puzzle(6, "ABCD"), None, 150, 0, usize::MAX);
        let job = admin.submit(Work::Md5Search(part), 1).await.unwrap();
        let line = timeout(GUARD, admin.wait(job, |_| {})).await.unwrap().unwrap();
        let seeds: std::collections::BTreeSet<&str> = line.result.split(' ').collect();
        assert_eq!((seeds.len(), line.solutions), (150, 150));
        assert!(seeds.iter().all(|seed| puzzle(6, "ABCD").is_solved_by(seed)), "{seeds:?}");
        server.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_runs_once_ends_with_the_job_it_worked_on() {
    let server = Running::start(Config { min_clients: 2, ..quick() }, None);
    let once = || {
        let config = ClientConfig {
            route: route(server.address, Transport::Tcp),
            name: "once".into(),
            threads: 1,
            once: true,
        };
        let backend = Arc::new(Scan { pause: FAST });
        tokio::spawn(client::run(config, backend, std::future::pending(), |_| {}))
    };
    let clients = [once(), once()];
    let admin = Admin::new(route(server.address, Transport::Tcp));
    // On a busy machine one client may do all of a job; the next one is for the other.
    let mut jobs = Vec::new();
    while !clients.iter().all(JoinHandle::is_finished) {
        let squares = Work::SumOfSquares(Squares { first: 1, last: 1 << 26 });
        let (job, server) = admin.submit(squares, 1).await.unwrap();
        jobs.push(job);
        let line = timeout(GUARD, admin.wait((job, server), |_| {})).await.unwrap().unwrap();
        assert_eq!(line.state, State::Finished);
        // The clients have been told.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for client in clients {
        let client::ClientEnding::Over(over, _) = end_of(client).await else {
            panic!("the job has not ended")
        };
        assert!(jobs.contains(&over.job), "{over:?}");
        assert_eq!(over.end, Some(JobEnd::Finished { winner: None }));
    }
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_job_ends_when_its_server_is_gone_or_replaced() {
    for replaced in [false, true] {
        let server = Running::start(quick(), None);
        let address = server.address;
        let retry_for = Duration::from_millis(if replaced { 60_000 } else { 300 });
        let way = Route { retry_for, ..route(address, Transport::Tcp) };
        let admin = Admin::new(way);
        let squares = |last| Work::SumOfSquares(Squares { first: 1, last });
        let job = admin.submit(squares(1 << 60), 1).await.unwrap();
        let waiting = tokio::spawn(async move { admin.wait(job, |_| {}).await });
        server.stopped().await;
        let next = replaced.then(|| {
            let server = Server::new(quick(), Some(listen(address).unwrap()), None);
            let server = server.with_job(search(128, "ab")).unwrap();
            tokio::spawn(server.run(std::future::pending(), |_| {}))
        });
        let error = timeout(GUARD, waiting).await.unwrap().unwrap().unwrap_err();
        match next {
            Some(_) => assert_eq!(error, AdminError::Gone),
            None => assert!(matches!(error, AdminError::Unreachable(_)), "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_string_of_ten_thousand_digits_reaches_clients_by_datagram() {
    let string = "0123456789abcdefABCDEF00".repeat(416) + "0123456789abcdef";
    let server = Running::start(quick(), Some(search(4, &string)));
    let (sender, mut jobs) = tokio::sync::mpsc::unbounded_channel();
    let worker = client_with(server.address, Transport::Udp, FAST, move |event| {
        if let ClientEvent::Job(_, JobSpec::Md5Search(search)) = event {
            let _ = sender.send(search.puzzle().string().to_owned());
        }
    });
    assert_eq!(timeout(GUARD, jobs.recv()).await.unwrap().as_ref(), Some(&string));
    assert!(matches!(end_of(worker).await, client::ClientEnding::Over(_, 1)));
    assert!(matches!(server.ended().await, ServerEnding::Over(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_server_ends_as_unreachable() {
    // A port that was free a moment ago.
    let address = listen("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
    for transport in [Transport::Tcp, Transport::Udp, Transport::Auto] {
        let retry_for = Duration::ZERO;
        let route = Route { retry_for, ..route(address, transport) };
        let config = ClientConfig { route, name: "test".into(), threads: 1, once: false };
        let backend = Arc::new(Scan { pause: FAST });
        let ending = client::run(config, backend, std::future::pending(), |_| {});
        let ending = timeout(GUARD, ending).await.unwrap();
        assert!(matches!(ending, client::ClientEnding::Unreachable(_)), "{ending:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_up_to_2_to_the_64_is_exact() {
    let server = Running::start(quick(), None);
    let admin = Admin::new(route(server.address, Transport::Tcp));
    let worker = client(server.address, Transport::Auto, FAST);
    let (first, last) = ((1u128 << 64) - 5000, 1u128 << 64);
    let work = Work::SumOfSquares(Squares { first, last });
    let job = admin.submit(work, 1).await.unwrap();
    let line = timeout(GUARD, admin.wait(job, |_| {})).await.unwrap().unwrap();
    let exact: num_bigint::BigUint = (first..=last).map(|n| num_bigint::BigUint::from(n) * n).sum();
    assert_eq!(line.result, exact.to_string());
    server.stopped().await;
    end_of(worker).await;
}
