//! `seedrush ban|unban|bans`: whom a server turns away.

use super::{ServerArgs, unanswered};
use crate::cli::{Exit, Failure, json, text};
use crate::proto::{BanLine, Party};
use clap::Args;
use serde_json::{Value, json};

/// The party that is banned, or let in again.
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
    args.conclude("banned", true)
}

pub(super) async fn unban(args: &PartyArgs) -> Result<Exit, Failure> {
    args.server.admin()?.unban(args.who).await.map_err(unanswered)?;
    args.conclude("let in again", false)
}

pub(super) async fn list(server: &ServerArgs) -> Result<Exit, Failure> {
    let lines = server.admin()?.bans().await.map_err(unanswered)?;
    if server.json {
        lines.iter().try_for_each(|line| json::print("ban", &ban_json(line)))?;
        json::print("result", &json!({ "program": "bans", "bans": lines.len() }))?;
        return Ok(Exit::Done);
    }
    if !server.verbosity.quiet {
        say!("{:<44}{:>12}{:>14}", "who", "banned for", "turned away");
    }
    for BanLine { who, seconds, turned_away } in lines {
        let time = text::estimate(seconds as f64);
        say!("{:<44}{time:>12}{turned_away:>14}", who.to_string());
    }
    Ok(Exit::Done)
}

impl PartyArgs {
    fn conclude(&self, words: &str, banned: bool) -> Result<Exit, Failure> {
        if self.server.json {
            let mut fields = party_json(self.who);
            fields["program"] = if banned { "ban" } else { "unban" }.into();
            json::print("result", &fields)?;
        } else {
            say!("{} is {words}", self.who);
        }
        Ok(Exit::Done)
    }
}

fn ban_json(line: &BanLine) -> Value {
    let mut fields = party_json(line.who);
    fields["seconds"] = json::integer(line.seconds);
    fields["turned_away"] = json::integer(line.turned_away);
    fields
}

fn party_json(who: Party) -> Value {
    match who {
        Party::Address(_) => json!({ "address": who.to_string() }),
        Party::Client(client) => json!({ "client": client }),
    }
}
