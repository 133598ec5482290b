//! The client of a server that speaks the plain-text protocol.

use super::console::Console;
use crate::backend::Backend;
use crate::cli::{Exit, Failure};
use crate::net::client::ClientEvent;
use crate::net::client::link::Route;
use crate::net::plaintext::{self, PlaintextEnding};
use crate::puzzle::Puzzle;
use anyhow::anyhow;
use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between attempts to reach the server.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs until the server says that it is over, or `stop` ends.
pub(super) async fn run(
    route: &Route,
    backend: Arc<dyn Backend>,
    console: &Console,
    stop: impl Future<Output = ()>,
) -> Result<Exit, Failure> {
    tokio::select! {
        result = until_over(route, backend, console) => result,
        () = stop => Ok(Exit::Interrupted),
    }
}

async fn until_over(
    route: &Route,
    backend: Arc<dyn Backend>,
    console: &Console,
) -> Result<Exit, Failure> {
    let until = Instant::now() + route.retry_for;
    loop {
        match attempt(route, backend.clone(), console).await {
            PlaintextEnding::Finished { winner, client } => {
                console.clear();
                console.log(&match winner {
                    Some(winner) if winner == client && client > 0 => "you won".into(),
                    Some(winner) if winner > 0 => format!("client {winner} finished first"),
                    _ => "the server has stopped".into(),
                });
                return Ok(Exit::Done);
            }
            PlaintextEnding::Stopped => return Ok(Exit::Interrupted),
            PlaintextEnding::OtherProtocol(why) => {
                let text = format!("{}: {why}", route.target);
                return Err(Failure::new(Exit::Unreachable, anyhow!(text)));
            }
            PlaintextEnding::Unreachable(why) if Instant::now() >= until => {
                let text = format!("the server is unreachable: {why}");
                return Err(Failure::new(Exit::Unreachable, anyhow!(text)));
            }
            PlaintextEnding::Unreachable(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn attempt(route: &Route, backend: Arc<dyn Backend>, console: &Console) -> PlaintextEnding {
    let addresses = match route.target.addresses(route.port).await {
        Ok(addresses) => addresses,
        Err(why) => return PlaintextEnding::Unreachable(why),
    };
    let joined = Cell::new(false);
    let show = |client: u64, puzzle: &Puzzle, tested: u64| {
        if !joined.replace(true) {
            console.show(&ClientEvent::Joined(client));
            console.log(&format!("{} for {:?}", puzzle.difficulty(), puzzle.string()));
        }
        console.show(&ClientEvent::Tested(tested));
    };
    plaintext::run(&addresses, route.transport, backend, std::future::pending(), show).await
}
