//! How servers end: by a signal, with others' jobs, and what their clients are told.

use super::programs::{Program, SEEDRUSH, SERVER, is_exact, json_lines, many, run};
use crate::schema::{event, events};

/// The words of the command that goes on, without the program and its address.
fn resume_words(said: &str) -> Vec<String> {
    let mut commands = said.lines().filter_map(|line| line.strip_prefix("seedrush-server "));
    let words = commands.next_back().unwrap_or_else(|| panic!("no command in {said}")).split(' ');
    let words: Vec<String> = words.map(str::to_owned).collect();
    let place = words.iter().position(|word| word == "--bind").unwrap();
    [&words[..place], &words[place + 4..]].concat()
}

#[cfg(unix)]
#[test]
fn a_server_that_is_stopped_tells_its_clients_and_goes_on_from_its_file() {
    let words = ["--bits", "22", "ABCD", "--min-clients", "1", "--seeds", "counting"];
    let (code, said) = run(SEEDRUSH, &["mine", "--bits", "22", "ABCD", "--seeds", "counting"]);
    let seed = said.lines().find(|line| line.starts_with("seed ")).unwrap().to_owned();
    assert_eq!(code, Some(0));
    let mut command: Vec<String> = words.map(str::to_owned).to_vec();
    for signal in ["-INT", "-TERM", "-HUP"] {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let (mut server, address) = Program::server(&words);
        let mut client = Program::client(&address, &[]);
        client.wait_for("job 1");
        server.wait_for("the search begins");
        server.signal(signal);
        let (code, said) = server.end();
        assert_eq!(code, Some(130), "{said}");
        command = resume_words(&said);
        let (code, said) = client.end();
        assert!(code == Some(0) && said.contains("the server has ended the search"), "{said}");
    }
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let (server, address) = Program::server(&words);
    let _client = Program::client(&address, &[]);
    let (code, said) = server.end();
    assert!(code == Some(0) && said.contains(&seed), "{seed} is not in {said}");
}

/// Starts a server whose client cannot acknowledge that the server closes.
#[cfg(unix)]
fn server_with_a_killed_client(words: &[&str]) -> Program {
    let (mut server, address) = Program::server(words);
    let mut client = Program::client(&address, &["--transport", "udp"]);
    client.wait_for("job 1");
    server.wait_for("the search begins");
    client.signal("-KILL");
    client.end();
    server
}

/// Returns the path of the file in the command that goes on.
#[cfg(unix)]
fn resume_file(said: &str) -> std::path::PathBuf {
    let words = resume_words(said);
    let place = words.iter().position(|word| word == "--resume").unwrap();
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(&words[place + 1])
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_a_server_that_has_saved_its_jobs() {
    let words = ["--bits", "120", "ABCD", "--min-clients", "1"];
    let server = server_with_a_killed_client(&words);
    server.signal("-INT");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    server.signal("-INT");
    let (code, said) = server.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(resume_file(&said).exists(), "{said}");
}

#[cfg(unix)]
#[test]
fn a_server_whose_resume_file_cannot_be_rewritten_writes_another() {
    let (server, _) = Program::server(&["--bits", "120", "ABCD"]);
    server.signal("-INT");
    let (_, said) = server.end();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("moved.resume");
    std::fs::rename(resume_file(&said), &file).unwrap();
    let (server, _) = Program::server(&["--resume", file.to_str().unwrap()]);
    drop(directory);
    server.signal("-INT");
    let (code, said) = server.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("is written instead") && resume_file(&said).exists(), "{said}");
}

#[cfg(unix)]
#[test]
fn a_stopped_server_keeps_the_jobs_of_others() {
    let (server, address) = Program::server(&["--serve"]);
    let submit = |last: &str| {
        let words = ["submit", "sum-of-squares", "0", last, "--detach", "--to", &address];
        assert_eq!(run(SEEDRUSH, &words).0, Some(0));
    };
    submit("10");
    submit("1000");
    server.signal("-TERM");
    let (code, said) = server.end();
    assert_eq!(code, Some(130), "{said}");
    let command = resume_words(&said);
    let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
    words.push("--json");
    let (server, address) = Program::server_with(SERVER, "127.0.0.1", &words, |line| {
        Some(event(line)["address"].as_str()?.to_owned())
    });
    let _client = Program::client(&address, &[]);
    let (code, said) = run(SEEDRUSH, &["wait", "2", "--to", &address]);
    assert!(code == Some(0) && said.lines().any(|line| line == "333833500"), "{said}");
    server.signal("-INT");
    let (code, said) = server.end();
    assert_eq!(code, Some(130), "{said}");
    let events = events(&json_lines(&said));
    let resumed = events.iter().filter(|event| event["event"] == "resumed").count();
    assert_eq!((resumed, &events.last().unwrap()["interrupted"]), (2, &true.into()), "{said}");
}

#[test]
fn a_server_with_a_puzzle_waits_for_the_jobs_of_others_unless_told_not_to() {
    for once in [false, true] {
        let words = ["1", "ABCD", "--min-clients", "2", "--once"];
        let (mut server, address) = Program::server(&words[..if once { 5 } else { 4 }]);
        let last = many().to_string();
        let job = ["submit", "sum-of-squares", "0", &last, "--to", &address, "--retry-for", "0"];
        let mut submit = Program::start(SEEDRUSH, &job);
        submit.wait_for("job 2 is submitted");
        let clients = [(); 2].map(|()| Program::client(&address, &["--json"]));
        if once {
            let (code, said) = submit.end();
            assert!(code == Some(3) && said.contains("unreachable"), "{said}");
        } else {
            server.wait_for("staying for 1 other job");
            is_exact(submit);
        }
        let (code, said) = server.end();
        assert!(code == Some(0) && said.contains("job 1 is finished"), "{said}");
        for client in clients {
            let (code, said) = client.end();
            assert_eq!(code, Some(0), "{said}");
            let events = events(&json_lines(&said));
            assert_eq!(events.last().unwrap()["job"], 1, "{said}");
        }
    }
}

#[test]
fn old_and_new_programs_find_it_together() {
    let (server, address) = Program::server(&["2", "A7C02215FC", "--classic"]);
    let old = Program::client(&address, &["--classic"]);
    let new = Program::client(&address, &["--transport", "tcp"]);
    let (code, said) = server.end();
    assert!(code == Some(0) && said.contains("found a solution of job 1:"), "{said}");
    for client in [old, new] {
        let (code, said) = client.end();
        let knows = said.contains("you won") || said.contains("finished first");
        assert!(code == Some(0) && knows, "{said}");
    }
}

#[cfg(unix)]
#[test]
fn a_classic_client_is_told_that_its_server_has_stopped() {
    let words = ["8", "ABCD", "--classic", "--min-clients", "1"];
    let (mut server, address) = Program::server(&words);
    let mut client = Program::client(&address, &["--classic", "--transport", "tcp", "--json"]);
    server.wait_for("the search begins");
    client.wait_for("connected");
    server.signal("-TERM");
    let (code, said) = client.end();
    assert_eq!(code, Some(0), "{said}");
    let events = events(&json_lines(&said));
    assert_eq!(events.last().unwrap()["winner"], serde_json::Value::Null);
    let (mut server, address) = Program::server(&words);
    let client = Program::client(&address, &["--classic", "--transport", "tcp"]);
    server.wait_for("the search begins");
    server.signal("-INT");
    let (code, said) = client.end();
    assert!(code == Some(0) && said.contains("the server has stopped"), "{said}");
}
