//! Reports on leases of others, forged and repeated.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_repeated_reports_change_no_coverage() {
    let server = start();
    let mut owner = Raw::joined(server.address, 1).await;
    let mut thief = Raw::joined(server.address, 2).await;
    let grant = owner.lease().await;
    let done = || server.service.read(|c| c.job(JobId(1)).unwrap().confirmed);
    // The lease of another client, another epoch, another number, another job.
    let stolen = full_report(&grant);
    assert_eq!(thief.report(stolen.clone()).await.lease, LeaseState::Over);
    for forged in [
        Progress { epoch: Epoch(grant.epoch.0 + 1), ..stolen.clone() },
        Progress { lease: LeaseId(grant.lease.0 + 1000), ..stolen.clone() },
        Progress { job: JobId(99), ..stolen.clone() },
    ] {
        assert_eq!(owner.report(forged).await.lease, LeaseState::Over);
    }
    // A span outside the lease.
    let beyond = Span::with_len(grant.span.end(), 1000);
    owner.report(Progress { done: beyond, ..stolen.clone() }).await;
    assert_eq!(done(), 0);
    // A lease is given back once; a replay takes nothing from the client that holds it next.
    let back = Progress { finished: true, ..empty_report(&grant) };
    assert_eq!(owner.report(back.clone()).await.lease, LeaseState::Over);
    let next = thief.lease().await;
    assert_eq!(owner.report(back).await.lease, LeaseState::Over);
    let held = thief.report(empty_report(&next)).await.lease;
    assert!(matches!(held, LeaseState::Held(held) if held.epoch == next.epoch), "{held:?}");
    assert_eq!(done(), 0);
    check_coverage(&server.service, 1);
    owner.call(Call::Goodbye).await;
    thief.call(Call::Goodbye).await;
    still_serves(server).await;
}
