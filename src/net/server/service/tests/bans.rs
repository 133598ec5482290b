//! Bans, and what they leave alone.

use super::*;

#[test]
fn a_banned_address_is_refused_with_its_clients_until_the_ban_is_lifted() {
    let server = Fixture::open();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let (mut inside, mut other) = (server.joined(NEAR, 1), server.joined(FAR, 2));
    assert!(matches!(server.call(&mut inside, Call::Ask), Answer::Grant(_)));
    let leased = || server.service.read(|coordinator| coordinator.job(JobId(1)).unwrap().leased);
    assert!(leased() > 0);
    for _ in 0..2 {
        assert_eq!(
            server.ask(HERE, Call::Ban(party(NEAR))),
            Answer::Ok,
            "banning again changes nothing"
        );
    }
    assert_eq!(leased(), 0, "its leases are free");
    let notices = server.service.notices(inside.client.unwrap());
    assert!(
        notices.iter().any(|notice| matches!(notice.what, Notification::Revoked(_))),
        "{notices:?}"
    );
    for call in [Call::Ask, Call::Heartbeat, false_claim(1, 5)] {
        assert!(is_refused(&server.call(&mut inside, call), RefusalReason::Banned));
    }
    // Any key from there is refused, and so is a job. Mapped addresses are the same.
    for call in [hello(1), hello(3), submit(1, 1)] {
        assert!(is_refused(&server.ask("::ffff:192.0.2.1", call), RefusalReason::Banned));
    }
    assert!(server.service.join_plaintext(&Peer::at(NEAR).origin).is_err());
    assert!(server.standing(1).contains("operator"), "{}", server.standing(1));
    assert_eq!(server.bans(), [(party(NEAR), 4)]);
    assert!(matches!(server.call(&mut other, Call::Ask), Answer::Grant(_)));
    assert!(is_refused(&server.ask(HERE, Call::Unban(party(FAR))), RefusalReason::Unknown));
    assert_eq!(server.ask(HERE, Call::Unban(party(NEAR))), Answer::Ok);
    for key in [1, 3] {
        let mut back = server.joined(NEAR, key);
        assert!(matches!(server.call(&mut back, Call::Ask), Answer::Grant(_)));
    }
    assert_eq!((server.standing(1), server.bans()), ("good".into(), Vec::new()));
}

#[test]
fn a_ban_of_a_client_does_not_touch_its_address() {
    let server = Fixture::new();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let mut bad = server.joined(NEAR, 1);
    assert!(is_refused(&server.ask(HERE, Call::Ban(party("7"))), RefusalReason::Unknown));
    assert_eq!(server.ask(HERE, Call::Ban(party("1"))), Answer::Ok);
    assert!(is_refused(&server.call(&mut bad, Call::Ask), RefusalReason::Banned));
    // Also from elsewhere, and after the coordinator has forgotten it.
    server.service.change(|coordinator, now| coordinator.expire(now + Duration::from_secs(7_200)));
    assert_eq!(server.service.read(|coordinator| coordinator.totals().clients), 0);
    assert!(is_refused(&server.ask(FAR, hello(1)), RefusalReason::Banned));
    let neighbour = server.joined(NEAR, 2);
    assert_eq!(server.standing(neighbour.client.unwrap().0), "good");
    assert_eq!(server.bans(), [(party("1"), 1)]);
    // Lifting the ban of an address does not lift that of a client there.
    assert_eq!(server.ask(HERE, Call::Ban(party(NEAR))), Answer::Ok);
    assert_eq!(server.ask(HERE, Call::Unban(party(NEAR))), Answer::Ok);
    assert_eq!(server.standing(neighbour.client.unwrap().0), "good");
    assert!(is_refused(&server.ask(NEAR, hello(1)), RefusalReason::Banned));
    assert_eq!(server.ask(HERE, Call::Unban(party("1"))), Answer::Ok);
    server.joined(NEAR, 1);
}

#[test]
fn the_operator_readmits_a_distrusted_client() {
    let server = Fixture::new();
    server.service.submit_main(samples::search(100, 1)).unwrap();
    let mut client = server.joined(NEAR, 1);
    for nonce in 0..3 {
        server.call(&mut client, false_claim(1, nonce));
    }
    assert!(is_refused(&server.call(&mut client, Call::Ask), RefusalReason::Banned));
    assert_eq!(server.ask(HERE, Call::Unban(party("1"))), Answer::Ok);
    assert!(matches!(server.call(&mut client, Call::Ask), Answer::Grant(_)));
    assert!(is_refused(&server.ask(HERE, Call::Unban(party("1"))), RefusalReason::Unknown));
}

#[test]
fn bans_are_bounded_and_listed_in_pages() {
    let server = Fixture::new();
    let ban = |n: u32| server.ask(HERE, Call::Ban(Party::Address(IpAddr::V4(n.into()))));
    assert!((1..=1_000).all(|n| ban(n) == Answer::Ok));
    let answer = ban(1_001);
    assert!(is_refused(&answer, RefusalReason::Full), "{answer:?}");
    let (mut listed, mut offset) = (0, 0);
    loop {
        let Answer::Bans(lines, next) = server.ask(HERE, Call::Bans(offset)) else { panic!() };
        listed += lines.len();
        if next == 0 {
            break;
        }
        offset = next;
    }
    assert_eq!(listed, 1_000);
}
