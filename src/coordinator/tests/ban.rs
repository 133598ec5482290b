//! Bans by the operator, and suspects.

use super::*;

#[test]
fn a_banned_client_loses_what_it_holds_and_what_it_claimed() {
    let mut coordinator = coordinator();
    let client = coordinator.join(Duration::ZERO, newcomer(1, 1_000)).unwrap().client;
    let job = coordinator.submit(Duration::ZERO, 1, search(30, 1), 1).unwrap();
    let grant = lease(coordinator.request(Duration::ZERO, client, 1).unwrap());
    coordinator.report(SECOND, client, &report(&grant, grant.span, true)).unwrap();
    lease(coordinator.request(SECOND, client, 2).unwrap());
    events(&mut coordinator);
    coordinator.ban(client);
    let status = coordinator.job(job).unwrap();
    assert_eq!((status.confirmed, status.leased), (0, 0), "a liar's work");
    check_coverage(&coordinator);
    let reason = Reason::Operator;
    let told = events(&mut coordinator);
    assert!(
        told.iter().any(|event| matches!(event, Event::Revoked { client: c, .. } if *c == client))
    );
    assert!(
        told.iter()
            .any(|event| matches!(event, Event::Banned(c, r) if (*c, *r) == (client, reason)))
    );
    let refused = coordinator.request(SECOND, client, 3).unwrap_err();
    assert_eq!(refused, Refusal::Banned(reason));
    assert_eq!(coordinator.join(SECOND, newcomer(1, 0)), Err(Refusal::Banned(reason)));
    // A second ban changes nothing, and neither does one of an unknown client.
    coordinator.ban(client);
    coordinator.ban(ClientId(99));
    assert!(events(&mut coordinator).is_empty());
    let other = coordinator.join(SECOND, newcomer(2, 1_000)).unwrap().client;
    lease(coordinator.request(SECOND, other, 1).unwrap());
    // A client that is taken back begins like a new one.
    assert!(coordinator.unban(client) && !coordinator.unban(client));
    assert!(!coordinator.unban(other) && !coordinator.unban(ClientId(99)));
    lease(coordinator.request(SECOND, client, 4).unwrap());
    check_coverage(&coordinator);
}

#[test]
fn a_client_stays_a_suspect_or_not_for_as_long_as_it_is_here() {
    let mut coordinator = coordinator();
    let suspect = Join { suspect: true, ..newcomer(1, 0) };
    let client = coordinator.join(Duration::ZERO, suspect).unwrap().client;
    // Coming back makes it neither better nor worse.
    coordinator.join(SECOND, newcomer(1, 0)).unwrap();
    assert!(coordinator.client(client).unwrap().suspect);
    let good = coordinator.join(SECOND, newcomer(2, 0)).unwrap().client;
    coordinator.join(SECOND, Join { suspect: true, ..newcomer(2, 0) }).unwrap();
    assert!(!coordinator.client(good).unwrap().suspect);
}
