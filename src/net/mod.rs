//! Sockets on one side, messages, coordinator and backends on the other.
//!
//! [`server`] drives a coordinator over TCP, UDP and the plain-text [`plaintext`] protocol;
//! [`client`] drives a backend through a [`link`](client::link). Drivers are thin: what counts is decided in
//! `coordinator`, what is well-formed in `proto`. Listeners, addresses and shutdown are passed in.

pub mod client;
mod framing;
pub mod plaintext;
pub mod server;
mod sockets;

use std::time::Duration;

/// Where everything listens if nobody says otherwise.
pub const DEFAULT_PORT: u16 = 1800;

/// A connection that has neither said hello nor asked anything that could be answered for this long is
/// closed, whatever else it says. Enough for a slow satellite link, and a thousand silent ones are gone
/// soon.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A client of which no whole message comes for this long is cut off. They send something every
/// [`HEARTBEAT`].
const IDLE_TIME: Duration = Duration::from_secs(60);

/// How often a client that has nothing to say says so.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often a client reports progress: often enough for people to watch, and far below a lease's
/// patience.
const PROGRESS: Duration = Duration::from_secs(1);

/// How long the server waits, at its end, for clients to confirm that they know.
const FAREWELL_TIME: Duration = Duration::from_secs(3);

/// First wait for a reply to a datagram; doubles up to [`SLOWEST_REPEAT`].
const FIRST_REPEAT: Duration = Duration::from_millis(250);
/// See [`FIRST_REPEAT`].
const SLOWEST_REPEAT: Duration = Duration::from_secs(2);

/// With requests out and no reply over UDP for this long, the server counts as gone.
const SILENCE: Duration = Duration::from_secs(35);

/// First pause before connecting again; doubles up to [`LONGEST_PAUSE`], and half of it is random,
/// so that a thousand clients do not come back in the same instant.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long one attempt to connect may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Port for a team, as the original programs have it, and whether the team uses TCP.
///
/// # Errors
/// There is no such port.
pub fn team_port(team: u16) -> Result<(u16, bool), String> {
    let port = (u32::from(team) + 12) * 100;
    match u16::try_from(port) {
        Ok(port) => Ok((port, team.is_multiple_of(2))),
        Err(_) => Err(format!("team {team} would use port {port}: teams go from 0 to 643")),
    }
}

/// Returns bytes that nobody can guess, from the system.
///
/// # Panics
/// The system has no randomness. A server whose sessions and cookies can be guessed must not run,
/// and a system that had randomness once does not lose it.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the system gives no random bytes: {error}");
    }
    bytes
}

/// Returns a number that nobody can guess.
pub(crate) fn random() -> u64 {
    u64::from_ne_bytes(random_bytes())
}

/// Returns a key that nobody can guess.
pub(crate) fn random_key() -> [u8; 16] {
    random_bytes()
}

/// `time`, of which half is left to chance.
pub(crate) fn jittered(time: Duration) -> Duration {
    let part = (random() % 1024) as u32;
    time / 2 + time * part / 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_have_the_ports_and_transports_of_the_original_programs() {
        assert_eq!(team_port(0), Ok((1200, true)));
        assert_eq!(team_port(7), Ok((1900, false)));
        assert_eq!(team_port(643), Ok((65_500, false)));
        assert!(team_port(644).is_err());
    }

    #[test]
    fn random_numbers_differ_and_jitter_keeps_its_bounds() {
        assert_ne!(random_key(), random_key());
        for _ in 0..1000 {
            let time = jittered(Duration::from_secs(8));
            assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&time));
        }
    }
}
