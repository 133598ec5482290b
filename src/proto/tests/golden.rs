//! Bytes of every message. Programs that are out there read them, so none may ever change.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn notices() -> Vec<Notification> {
    vec![
        Notification::Over(over()),
        Notification::Closing(Over::default()),
        Notification::Wake,
        Notification::Trimmed(held()),
        Notification::Revoked(held()),
    ]
}

/// Every message, each with its name.
fn messages() -> Vec<(String, Vec<u8>)> {
    let name = |text: String| {
        let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut all = Vec::new();
    for call in calls() {
        let request = Request { cookie: vec![1], ..request(call) };
        all.push((format!("Request {}", name(format!("{:?}", request.call))), request.encode(0)));
    }
    for answer in answers() {
        let reply = reply(answer.clone());
        all.push((format!("Reply {}", name(format!("{answer:?}"))), reply.encode()));
    }
    for what in notices() {
        let label = format!("Notice {}", name(format!("{what:?}")));
        let notice = Some(Notice { number: 2, what });
        all.push((label, Reply { number: 0, notice, answer: None }.encode()));
    }
    all
}

#[test]
fn bytes_of_every_message() {
    let golden: Vec<&str> = include_str!("golden.txt").lines().collect();
    let messages = messages();
    assert_eq!(golden.len(), messages.len());
    for (golden, (name, bytes)) in golden.iter().zip(messages) {
        assert_eq!(*golden, format!("{name} {}", hex(&bytes)));
    }
}
