//! Clients of the classic protocol: shown, heard, and lent nothing.

use super::hello::{BANNED, CROWDED, MOST_PER_ADDRESS};
use super::{Sender, Service};
use crate::coordinator::{ClientId, Join, Refusal};
use crate::jobs::Claim;
use crate::net::random_key;
use crate::net::server::sessions::Waker;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// Lines of classic clients that are shown in a second.
const MOST_SAID: u64 = 500;

impl Service {
    /// A client of the classic protocol: it is shown, claims seeds, and is lent nothing.
    pub(in crate::net) fn join_classic(&self, sender: &Sender) -> Result<ClientId, String> {
        self.join_guest(sender, "classic".into())
    }

    /// The same of one that speaks in datagrams, where it has the number `number`.
    pub(in crate::net) fn join_classic_datagrams(
        &self,
        address: SocketAddr,
        number: u64,
    ) -> Result<ClientId, String> {
        let sender = Sender { address, waker: Waker::Shared };
        self.join_guest(&sender, format!("classic {number}"))
    }

    fn join_guest(&self, sender: &Sender, name: String) -> Result<ClientId, String> {
        let mut state = self.state();
        let (now, address) = (self.began.elapsed(), sender.address.ip());
        if state.bans.turn_away(address, None) {
            return Err(BANNED.into());
        }
        if state.sessions.at(address) >= MOST_PER_ADDRESS {
            return Err(CROWDED.into());
        }
        let join = Join {
            session: u128::from_ne_bytes(random_key()),
            name,
            address: sender.address.to_string(),
            backend: "classic protocol".into(),
            threads: 0,
            kinds: Vec::new(),
            rate_hint: 0,
            suspect: state.suspicion.rests_on(address, now),
        };
        let joined = state.coordinator.join(now, join).map_err(|error| error.to_string())?;
        state.sessions.welcome(joined.client, address, sender.waker.clone());
        self.drain(&mut state);
        Ok(joined.client)
    }

    /// A client of the classic protocol is still there.
    pub(in crate::net) fn alive(&self, client: ClientId) {
        // One that the coordinator does not know any more still gets its stop.
        let _ = self.with(|coordinator, now| coordinator.heartbeat(now, client));
    }

    /// A client of the classic protocol was told all that there is to tell.
    pub(in crate::net) fn forget(&self, client: ClientId) {
        self.state().sessions.forget(client);
    }

    /// What a client of the classic protocol claims.
    pub(in crate::net) fn claim(&self, client: ClientId, seed: &str) -> Result<Claim, Refusal> {
        let main = self.main_job().ok_or(Refusal::UnknownJob)?;
        self.with(|coordinator, now| coordinator.claim_seed(now, client, main, seed))
    }

    /// Counts a line of a classic client; whether it is one of those that are shown.
    pub(in crate::net) fn may_be_said(&self) -> bool {
        let second = self.began.elapsed().as_secs();
        let counted = self.said.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |said| {
            let lines = if said >> 32 == second { said & u64::from(u32::MAX) } else { 0 };
            (lines < MOST_SAID).then_some(second << 32 | (lines + 1))
        });
        counted.is_ok()
    }
}
