//! `seedrush ban|unban|bans`: whom a server turns away.

use super::{ServerArgs, unanswered};
use crate::cli::{Exit, Failure, text};
use crate::proto::{BanLine, Party};
use clap::Args;
use serde_json::{Value, json};

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

pub(super) async fn ban(args: &PartyArgs) -> Result<Exit, Failure> {
    args.server.admin()?.ban(args.who).await.map_err(unanswered)?;
    args.say("banned");
    Ok(Exit::Done)
}

pub(super) async fn unban(args: &PartyArgs) -> Result<Exit, Failure> {
    args.server.admin()?.unban(args.who).await.map_err(unanswered)?;
    args.say("unbanned");
    Ok(Exit::Done)
}

pub(super) async fn list(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.bans().await.map_err(unanswered)?;
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
    Ok(Exit::Done)
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
