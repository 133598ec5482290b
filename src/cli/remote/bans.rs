//! `seedrush ban|unban|bans`: whom a server turns away.

use super::{ServerArgs, unless};
use crate::cli::{Failure, text};
use crate::proto::{BanLine, Party};
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Who is banned, or let in again.
#[derive(Args, Clone, Debug)]
pub struct PartyArgs {
    /// An IP address (of IPv6 its whole network, /64), or the number of a client
    ///
    /// The number of a client means that client's session, not its address: a program that is started
    /// again is another client.
    #[arg(value_name = "ADDRESS|CLIENT")]
    who: Party,

    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn ban(args: &PartyArgs) -> Result<ExitCode, Failure> {
    ask!(args.server.admin()?.ban(args.who));
    args.say("banned");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn unban(args: &PartyArgs) -> Result<ExitCode, Failure> {
    ask!(args.server.admin()?.unban(args.who));
    args.say("unbanned");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list(server: &ServerArgs) -> Result<ExitCode, Failure> {
    let lines = ask!(server.admin()?.bans());
    if !server.json {
        say!("{:<44}{:>12}{:>14}", "who", "banned for", "turned away");
    }
    for line in &lines {
        let BanLine { who, seconds, turned_away } = *line;
        if server.json {
            let mut value = json_of("ban", who);
            value["seconds"] = seconds.into();
            value["turned_away"] = turned_away.into();
            say!("{value}");
        } else {
            let time = text::time(seconds as f64);
            say!("{:<44}{time:>12}{turned_away:>14}", who.to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl PartyArgs {
    fn say(&self, event: &str) {
        if self.server.json {
            say!("{}", json_of(event, self.who));
        } else {
            say!("{} is {event}", self.who);
        }
    }
}

fn json_of(event: &str, who: Party) -> Value {
    match who {
        Party::Address(_) => json!({ "event": event, "address": who.to_string() }),
        Party::Client(client) => json!({ "event": event, "client": client }),
    }
}
