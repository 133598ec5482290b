//! Servers and clients over sockets.
//!
//! Drivers are thin: the `coordinator` decides what counts, `proto` what is well-formed. Sockets,
//! addresses and shutdown are passed in. Each part uses only those above it in this list:
//!
//! - `limits` has every limit and time, `random` what nobody may guess, `sockets` and `framing` what
//!   carries messages;
//! - [`server`] owns the coordinator, and answers native clients over any stream or by datagram;
//! - [`client`] has a backend search leases, or makes requests, over a [`link`](client::link);
//! - [`plaintext`] is both sides of the protocol of the first programs of this kind;
//! - [`listener`] accepts connections and datagrams, and hands each to its protocol.

pub mod client;
mod framing;
mod limits;
pub mod listener;
pub mod plaintext;
mod random;
pub mod server;
mod sockets;

/// The port of a server unless another is chosen.
pub const DEFAULT_PORT: u16 = 1800;

/// Returns the port of a team, as the original programs have it, and whether the team uses TCP.
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
}
