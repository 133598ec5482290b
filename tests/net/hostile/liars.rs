//! Clients that lie about their work.

use super::datagrams::{answer_to, cookie, datagram_socket, next_datagram};
use super::*;

/// Returns three nonces of a lease that are no solutions.
fn false_nonces(grant: &Grant) -> Vec<u128> {
    let space = seedrush::SeedSpace::new(&puzzle(12, "A7C02215FC"), Layout::Counting).unwrap();
    let is_false = |nonce: &u128| !space.puzzle().is_solved_by(&space.seed(*nonce).unwrap());
    (grant.span.start()..).filter(is_false).take(3).collect()
}

/// Claims whole leases without a share until the server refuses.
async fn lie_until_refused(liar: &mut Raw) -> Refused {
    let mut claimed = 0;
    loop {
        match liar.call(Call::Ask).await.unwrap() {
            Answer::Grant(grant) => {
                claimed += span_len(grant.span);
                liar.report(full_report(&grant)).await;
            }
            Answer::Wait(time) => tokio::time::sleep(time).await,
            Answer::Refused(refused) => {
                assert!(claimed > 0);
                return refused;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_claims_work_it_did_not_do_is_detected() {
    let server = Running::start(quick(), Some(search(40, "A7C02215FC")));
    let mut liar = Raw::joined(server.address, 1).await;
    let refusal = lie_until_refused(&mut liar).await;
    assert_eq!(refusal.reason, RefusalReason::Banned);
    let (done, standing) = server.service.read(|coordinator| {
        let standing = coordinator.clients()[0].standing;
        (coordinator.job(JobId(1)).unwrap().confirmed, format!("{standing:?}"))
    });
    assert_eq!(done, 0, "its claims are free again");
    assert!(standing.contains("Distrusted"), "{standing}");
    check_coverage(&server.service, 1);
    server.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_claims_false_solutions_is_banned_after_three() {
    let server = start();
    let mut liar = Raw::joined(server.address, 1).await;
    let grant = liar.lease().await;
    for (told, lie) in false_nonces(&grant).into_iter().enumerate() {
        let verdict = liar.report(Progress { hits: vec![lie], ..empty_report(&grant) }).await;
        assert_eq!(verdict.false_hits, 1, "lie {told}");
    }
    // The refusal is pushed before the client asks again; then the server hangs up.
    let told = liar.receive().await.unwrap();
    assert!(matches!(
        told.answer,
        Some(Answer::Refused(Refused { reason: RefusalReason::Banned, .. }))
    ));
    assert_eq!((told.number, liar.receive().await), (0, None));
    assert!(server.has_shown("Distrusted"));
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_client_over_udp_has_each_request_refused_once() {
    let server = start();
    let mut liar = Raw::joined(server.address, 1).await;
    let grant = liar.lease().await;
    liar.report(Progress { hits: false_nonces(&grant), ..empty_report(&grant) }).await;
    let socket = datagram_socket(server.address).await;
    let proof = cookie(&socket).await;
    for number in 10..13 {
        let (session, cookie) = (liar.session, proof.clone());
        let ask = Request { number, session, notices_seen: 9, cookie, call: Call::Ask };
        // Earlier pushes may arrive first.
        let mut reply = answer_to(&socket, &ask.encode(0)).await;
        while let Some(bytes) = &reply {
            let got = Reply::decode(bytes).unwrap();
            if got.number == number {
                let refused = matches!(got.answer, Some(Answer::Refused(ref r)) if r.reason == RefusalReason::Banned);
                assert!(refused, "{got:?}");
                break;
            }
            reply = next_datagram(&socket).await;
        }
        assert!(reply.is_some());
    }
    assert_eq!(next_datagram(&socket).await, None);
    still_serves(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_do_not_lock_their_neighbours_out() {
    let server = Running::start(quick(), Some(search(40, "A7C02215FC")));
    let honest = Raw::joined(server.address, 100).await;
    for key in 1..=4 {
        let mut liar = Raw::joined(server.address, key).await;
        let refusal = lie_until_refused(&mut liar).await;
        assert_eq!(refusal.reason, RefusalReason::Banned);
    }
    let mut newcomer = Raw::joined(server.address, 5).await;
    newcomer.lease().await;
    let suspects: Vec<bool> = server
        .service
        .read(|coordinator| coordinator.clients().iter().map(|client| client.suspect).collect());
    assert_eq!(suspects, [false, false, true, true, true, true]);
    // Clients that joined before are not suspect, also when they come back.
    drop(honest);
    Raw::joined(server.address, 100).await.lease().await;
    assert!(!server.service.read(|coordinator| coordinator.clients()[0].suspect));
    server.stopped().await;
}
