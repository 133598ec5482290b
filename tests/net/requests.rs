//! Requests to a server, and wrong ones to all network programs, with the programs.

use super::programs::{CLIENT, Program, SEEDRUSH, SERVER, json_lines, run};
use crate::schema::events;
use std::process::Command;
use std::time::Duration;

#[test]
fn jobs_and_clients_are_listed_for_people_and_programs() {
    let (_server, address) = Program::server(&["--serve", "--min-clients", "1"]);
    let _client = Program::client(&address, &["--name", "box"]);
    let to = ["--to", address.as_str()];
    let ask = |words: &[&str]| run(SEEDRUSH, &[words, &to].concat());
    let (code, said) = ask(&["submit", "md5", "2", "ABCD", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let told = events(&json_lines(&said));
    let result = told.last().unwrap();
    assert_eq!((&told[0]["event"], &told[0]["job"]), (&"submitted".into(), &1.into()));
    assert_eq!((&result["program"], &result["state"]), (&"wait".into(), &"finished".into()));
    let seed = result["results"][0].as_str().unwrap();
    let (code, _) = run(SEEDRUSH, &["verify", "2", "ABCD", seed]);
    assert_eq!(code, Some(0));
    let (code, said) = ask(&["wait", "1"]);
    let check = said.lines().find_map(|line| line.strip_prefix("check ")).unwrap().trim();
    assert!(code == Some(0) && check.contains(seed), "{said}");
    let sum = Command::new("sh").args(["-c", check]).output().unwrap();
    assert!(sum.stdout.starts_with(b"0000"), "{check}");
    let (code, said) = ask(&["submit", "sum-of-squares", "1", "1000000"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.lines().any(|line| line == "333333833333500000"), "{said}");
    let (code, said) = ask(&["submit", "md5", "16", "ABCD", "--detach", "--priority", "3"]);
    assert_eq!((code, said.trim()), (Some(0), "3"));
    for (words, lines) in [
        (&["jobs"][..], 4),
        (&["clients"], 2),
        (&["status", "1"], 1),
        (&["ban", "192.0.2.7"], 1),
        (&["bans"], 2),
        (&["unban", "192.0.2.7"], 1),
        (&["submit", "md5", "1", "AB", "--detach"], 2),
        (&["wait", "4"], 1),
        (&["status", "99"], 1),
    ] {
        let (_, said) = ask(&[words, &["--json"]].concat());
        let got = events(&json_lines(&said));
        let of_interest = got.iter().filter(|event| event["event"] != "progress").count();
        assert_eq!(of_interest, lines, "{words:?}: {said}");
    }
    let (code, said) = ask(&["jobs"]);
    assert!(code == Some(0) && said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let (code, said) = ask(&["clients"]);
    assert!(code == Some(0) && said.contains("box") && said.contains("good"), "{said}");
    assert_eq!(ask(&["cancel", "3"]).0, Some(0));
    let (code, said) = ask(&["cancel", "3"]);
    assert!(code == Some(1) && said.contains("job 3 has ended already"), "{said}");
    let (code, said) = ask(&["status", "3"]);
    assert!(code == Some(0) && said.contains("cancelled"), "{said}");
    let (code, said) = ask(&["status", "9"]);
    assert!(code == Some(1) && said.contains("there is no job 9"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_submission_says_how_to_wait_for_its_job() {
    let (mut server, address) = Program::server(&["--serve"]);
    let words = ["submit", "md5", "16", "AB", "--transport", "tcp", "--to", &address];
    let mut submit = Program::start(SEEDRUSH, &words);
    server.wait_for("job 1 was submitted from 127.0.0.1:");
    submit.wait_for("no client is connected");
    submit.signal("-TERM");
    let (code, said) = submit.end();
    let command = format!("seedrush wait 1 --to {address} --transport tcp");
    assert!(code == Some(130) && said.lines().any(|line| line == command), "{said}");
    let words: Vec<&str> = command.split(' ').skip(1).chain(["--json"]).collect();
    let mut wait = Program::start(SEEDRUSH, &words);
    wait.wait_for("\"state\":\"waiting\"");
    wait.signal("-INT");
    let (code, said) = wait.end();
    let events = events(&json_lines(&said));
    assert_eq!((code, &events.last().unwrap()["interrupted"]), (Some(130), &true.into()), "{said}");
}

#[test]
fn what_cannot_work_is_one_clear_error() {
    let usage = [
        (SERVER, &["17", "ABCD"][..], "0 to 16"),
        (SERVER, &["3", "XYZ"], "character 1"),
        (SERVER, &["3"], "STRING is missing"),
        (SERVER, &[], "N is missing"),
        (SERVER, &["--serve", "3", "AB"], "without a puzzle"),
        (SERVER, &["3", "AB", "--team", "644"], "from 0 to 643"),
        (SERVER, &["3", "AB", "--team", "4", "--port", "5"], "cannot be used with"),
        (SERVER, &["--bits", "12", "AB", "--classic"], "whole zero bytes"),
        (SERVER, &["3", "AB", "--solutions", "0"], "solutions"),
        (SERVER, &["--serve", "--min-clients", "99999999999"], "from 1 to 1000000"),
        (SERVER, &["--serve", "--lease-seconds", "9999"], "up to 3600"),
        (SERVER, &["--serve", "--bind", "not-a-host.invalid"], "name of this machine"),
        (SERVER, &["--resume", "no-such-file"], "cannot read no-such-file"),
        (SERVER, &["--resume", "file", "3", "AB"], "cannot be used with"),
        (SERVER, &["3", "AB", "--solutions", "129", "--classic"], "up to 128"),
        (CLIENT, &[], "HOST"),
        (CLIENT, &["host:x"], "is no port"),
        (CLIENT, &["host", "--transport", "pigeon"], "pigeon"),
        (CLIENT, &["host", "--level", "mmx"], "mmx"),
        (CLIENT, &["host", "--threads", "0"], "0"),
        (SEEDRUSH, &["submit", "sum-of-squares", "5", "4", "--to", "host"], "5 to 4"),
        (CLIENT, &["host", "--classic", "--name", "box"], "cannot be used with"),
        (SEEDRUSH, &["jobs"], "SEEDRUSH_TO"),
        (SEEDRUSH, &["jobs", "--to", "[::1"], "names no host"),
        (SEEDRUSH, &["jobs", "--to", "host:5", "--port", "6"], "leave one out"),
        (SEEDRUSH, &["jobs", "--to", "host:5", "--team", "6"], "leave one out"),
        (SEEDRUSH, &["wait", "0", "--to", "host"], "whole number from 1"),
    ];
    for (program, words, why) in usage {
        let (code, said) = run(program, words);
        assert_eq!(code, Some(2), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
    let (_server, address) = Program::server(&["16", "ABCD"]);
    let port = address.split(':').nth(1).unwrap();
    for only in ["--tcp-only", "--udp-only"] {
        let (code, said) = run(SERVER, &["3", "AB", "--bind", "127.0.0.1", "--port", port, only]);
        assert_eq!((code, said.lines().count()), (Some(4), 1), "{said}");
        assert!(said.contains("something else listens there"), "{said}");
    }
}

#[test]
fn a_client_without_a_server_ends_with_code_three() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = free.to_string();
    for words in [&["--transport", "tcp"][..], &["--transport", "udp"], &["--classic"]] {
        let words = [&[address.as_str(), "--retry-for", "0"], words].concat();
        let (code, said) = run(CLIENT, &words);
        assert!(code == Some(3) && said.contains("unreachable"), "{words:?} {code:?}: {said}");
    }
    let (code, said) = run(SEEDRUSH, &["jobs", "--to", &address, "--retry-for", "0"]);
    assert!(code == Some(3) && said.contains("unreachable"), "{said}");
}

/// Something that accepts connections, and does with each what a test wants.
fn listener(serve: fn(std::net::TcpStream)) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn what_never_answers_is_no_server() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let silent = |mut stream: TcpStream| while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {};
    let garbage = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    };
    // Frames that are messages, in answer to nothing: a reply with the number 9 and an empty ok.
    let chatter = |mut stream: TcpStream| {
        while stream.write_all(&[0, 0, 0, 5, 8, 9, 0xba, 1, 0]).is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let commands: [&[&str]; 5] = [
        &["jobs"],
        &["status", "1"],
        &["cancel", "1"],
        &["clients"],
        &["submit", "sum-of-squares", "1", "2"],
    ];
    for serve in [silent as fn(TcpStream), garbage, chatter] {
        let address = listener(serve);
        for transport in ["tcp", "auto"] {
            let asking: Vec<Program> = commands
                .iter()
                .map(|words| {
                    let to = ["--to", &address, "--retry-for", "1", "--transport", transport];
                    Program::start(SEEDRUSH, &[words, &to[..]].concat())
                })
                .collect();
            for asked in asking {
                let (code, said) = asked.end();
                let errors = said.lines().filter(|line| line.starts_with("error")).count();
                assert!(code == Some(3) && errors == 1, "{code:?}: {said}");
                assert!(said.contains("unreachable"), "{said}");
            }
        }
    }
}
