//! Hellos: which clients are admitted, and which of them must prove more.

use super::{Origin, Service, State};
use crate::coordinator::{ClientId, Join};
use crate::net::limits::CLIENTS_PER_ADDRESS;
use crate::net::server::convert;
use crate::proto::{Answer, Hello, RefusalReason, Welcome, negotiate, refused};

pub(super) const TOO_MANY_AT_ADDRESS: &str = "too many clients at this address";

/// Sent to banned clients, and to all at a banned address.
pub(super) const BANNED: &str = "the operator of this server has banned this client or its address: \
                                 only they can lift it (`seedrush unban`)";

impl Service {
    pub(super) fn hello(
        &self,
        state: &mut State,
        origin: &Origin,
        client: &mut Option<ClientId>,
        hello: Hello,
    ) -> Answer {
        if state.closing.is_some() {
            return refused(
                RefusalReason::Closing,
                "the search is over and the server about to end",
            );
        }
        let version = match negotiate(hello.oldest_version, hello.newest_version) {
            Ok(version) => version,
            Err(text) => return refused(RefusalReason::Version, &text),
        };
        let session = u128::from_be_bytes(hello.key);
        let (now, address) = (self.now(), origin.address.ip());
        if state.bans.turn_away(address, Some(session)) {
            return refused(RefusalReason::Banned, BANNED);
        }
        // Known clients may always come back.
        let known = state.coordinator.knows(session);
        if !known && state.sessions.count_at(address) >= CLIENTS_PER_ADDRESS {
            return refused(RefusalReason::Full, TOO_MANY_AT_ADDRESS);
        }
        let join = Join {
            session,
            name: hello.name,
            address: origin.address.to_string(),
            backend: hello.backend,
            threads: hello.threads,
            kinds: hello.kinds,
            rate_hint: hello.rate_hint,
            suspect: state.suspicion.rests_on(address, now),
        };
        match state.coordinator.join(now, join) {
            Ok(joined) => {
                *client = Some(joined.client);
                let waker = origin.waker.clone();
                let session = state.sessions.welcome(joined.client, address, waker);
                Answer::Welcome(Welcome {
                    version,
                    client: joined.client.0,
                    session,
                    server: state.coordinator.instance(),
                    held: joined.held,
                })
            }
            Err(refusal) => convert::refusal(refusal),
        }
    }
}
