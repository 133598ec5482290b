//! Newcomers: who is let in, and how closely they are watched.

use super::{Sender, Service, State};
use crate::coordinator::{ClientId, Join};
use crate::net::server::convert;
use crate::proto::{Answer, Hello, RefusalReason, Welcome, negotiate, refused};

/// Clients of one address: more than any network behind one address has, and far from what would
/// fill the house. This machine's own are not counted.
pub(in crate::net) const MOST_PER_ADDRESS: usize = 4096;

pub(in crate::net) const CROWDED: &str = "too many clients at this address";

/// Said to whoever is banned, or comes from where someone is.
pub(in crate::net) const BANNED: &str = "the operator of this server has banned this client or its \
                                 address: only they can lift it (`seedrush unban`)";

impl Service {
    pub(super) fn hello(
        &self,
        state: &mut State,
        sender: &Sender,
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
        let (now, address) = (self.began.elapsed(), sender.address.ip());
        if state.bans.turn_away(address, Some(session)) {
            return refused(RefusalReason::Banned, BANNED);
        }
        // Who is here already may come back, however many there are.
        if !state.coordinator.knows(session) && state.sessions.at(address) >= MOST_PER_ADDRESS {
            return refused(RefusalReason::Full, CROWDED);
        }
        let join = Join {
            session,
            name: hello.name,
            address: sender.address.to_string(),
            backend: hello.backend,
            threads: hello.threads,
            kinds: hello.kinds,
            rate_hint: hello.rate_hint,
            suspect: state.suspicion.rests_on(address, now),
        };
        match state.coordinator.join(now, join) {
            Ok(joined) => {
                *client = Some(joined.client);
                let waker = sender.waker.clone();
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
