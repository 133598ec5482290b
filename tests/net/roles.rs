//! Permissions and bans, with the programs.

use super::programs::{Program, SEEDRUSH, SERVER, run};
use std::net::UdpSocket;

/// Returns this machine's address in its network. A peer that uses it is not a loopback peer.
fn outer_address() -> Option<String> {
    // Nothing is sent: connecting a datagram socket only looks up the route.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then(|| address.to_string())
}

fn ask(address: &str, words: &[&str]) -> (Option<i32>, String) {
    run(SEEDRUSH, &[words, &["--to", address]].concat())
}

#[test]
fn a_ban_dismisses_a_client_and_admits_another_of_its_address() {
    let (mut server, address) = Program::server(&["16", "ABCD", "--min-clients", "1"]);
    let mut bad = Program::client(&address, &["--name", "bad"]);
    bad.wait_for("job 1");
    let (code, said) = ask(&address, &["ban", "1"]);
    assert!(code == Some(0) && said.contains("client 1 is banned"), "{said}");
    let (code, said) = bad.end();
    assert!(code == Some(1) && said.contains("operator"), "{code:?}: {said}");
    server.wait_for("client 1 (bad) gets no more work: the server's operator has banned it");
    let mut good = Program::client(&address, &["--name", "good"]);
    good.wait_for("job 1");
    let (code, said) = ask(&address, &["clients"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("banned: the server's operator"), "{said}");
    assert!(!said.contains("suspect"), "{said}");
    let (code, said) = ask(&address, &["bans", "--json"]);
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &line["event"], &line["client"]), (Some(0), &"ban".into(), &1.into()));
    assert_eq!(line["turned_away"], 0);
}

#[test]
fn a_banned_address_is_admitted_again_when_the_ban_is_lifted() {
    for transport in ["tcp", "udp"] {
        let (_server, address) = Program::server(&["16", "ABCD", "--min-clients", "1"]);
        let words = ["--transport", transport];
        let mut inside = Program::client(&address, &words);
        inside.wait_for("job 1");
        assert_eq!(ask(&address, &["ban", "127.0.0.1"]).0, Some(0));
        let late = Program::client(&address, &words);
        for client in [inside, late] {
            let (code, said) = client.end();
            assert!(code == Some(1) && said.contains("operator"), "{code:?}: {said}");
        }
        let (code, said) = ask(&address, &["bans"]);
        let line = said.lines().last().unwrap();
        assert!(code == Some(0) && line.starts_with("127.0.0.1 ") && line.ends_with('1'), "{said}");
        assert_eq!(ask(&address, &["unban", "127.0.0.1"]).0, Some(0));
        Program::client(&address, &words).wait_for("job 1");
    }
}

#[test]
fn a_ban_of_an_unknown_party_is_one_clear_error() {
    let (_server, address) = Program::server(&["16", "ABCD"]);
    for (words, code, why) in [
        (&["ban", "99"][..], 1, "there is no client 99"),
        (&["unban", "99"], 1, "client 99 is not banned"),
        (&["unban", "2001:db8::"], 1, "2001:db8::/64 is not banned"),
        (&["ban", "nobody"], 2, "neither an IP address nor the number of a client"),
    ] {
        let (got, said) = ask(&address, words);
        assert!(got == Some(code) && said.contains(why), "{words:?} {got:?}: {said}");
    }
}

#[test]
fn other_machines_change_nothing_unless_the_server_is_open() {
    let Some(outer) = outer_address() else {
        let required = std::env::var("SEEDRUSH_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|word| word.trim() == "nonloopback");
        assert!(!is_required, "SEEDRUSH_REQUIRE: this machine has no address but loopback");
        println!("skipped: this machine has no address but loopback");
        return;
    };
    for open in [false, true] {
        let words = ["--serve", "--min-clients", "1", "--open"];
        let (server, address) = Program::server_at("0.0.0.0", &words[..if open { 4 } else { 3 }]);
        let port = address.rsplit(':').next().unwrap();
        let [there, here] = [&outer, "127.0.0.1"].map(|host| format!("{host}:{port}"));
        let endless = |priority| ["submit", "md5", "16", "AB", "--detach", "--priority", priority];
        assert_eq!(ask(&here, &endless("2")), (Some(0), "1".into()));
        for transport in ["tcp", "udp"] {
            let ask = |words: &[&str]| ask(&there, &[words, &["--transport", transport]].concat());
            for words in [&["cancel", "1"][..], &endless("2"), &["ban", "127.0.0.1"]] {
                let (code, said) = ask(words);
                assert!(code == Some(1) && said.contains("own machine"), "{words:?}: {said}");
            }
            let (code, said) = ask(&endless("1"));
            if open {
                assert_eq!(code, Some(0), "{said}");
                assert_eq!(ask(&["cancel", &said]).0, Some(0));
            } else {
                assert!(code == Some(1) && said.contains("--open"), "{said}");
            }
            let (code, said) = ask(&["status", "1"]);
            assert!(code == Some(0) && said.contains("waiting"), "{said}");
            assert_eq!(ask(&["clients"]).0, Some(0));
        }
        assert_eq!(ask(&here, &["cancel", "1"]).0, Some(0));
        drop(server);
    }
    // The server says at its start what strangers may do.
    let mut server = Program::start(SERVER, &["--serve", "--open", "--port", "0"]);
    server.wait_for("open: whoever reaches this port may submit jobs");
}
