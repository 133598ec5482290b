//! Clients of the plain-text protocol: listed and heard, but never given a lease.

use super::hello::{BANNED, TOO_MANY_AT_ADDRESS};
use super::{Origin, ServerEvent, Service};
use crate::coordinator::{ClientId, Join, Refusal};
use crate::jobs::Claim;
use crate::net::limits::{CLIENTS_PER_ADDRESS, PLAINTEXT_LINES_PER_SECOND};
use crate::net::random;
use crate::net::server::sessions::Waker;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

impl Service {
    /// Admits a client of the plain-text protocol that is connected over TCP.
    ///
    /// # Errors
    /// It is banned, or there are too many clients; the reason, for people.
    pub(in crate::net) fn join_plaintext(&self, origin: &Origin) -> Result<ClientId, String> {
        self.join_as(origin, "classic".into())
    }

    /// Admits one that sends datagrams and has the number `number` in its problem.
    ///
    /// # Errors
    /// See [`Service::join_plaintext`].
    pub(in crate::net) fn join_plaintext_datagrams(
        &self,
        address: SocketAddr,
        number: u64,
    ) -> Result<ClientId, String> {
        let origin = Origin { address, waker: Waker::Datagrams };
        self.join_as(&origin, format!("classic {number}"))
    }

    fn join_as(&self, origin: &Origin, name: String) -> Result<ClientId, String> {
        let mut state = self.state();
        let (now, address) = (self.now(), origin.address.ip());
        if state.bans.turn_away(address, None) {
            return Err(BANNED.into());
        }
        if state.sessions.count_at(address) >= CLIENTS_PER_ADDRESS {
            return Err(TOO_MANY_AT_ADDRESS.into());
        }
        let join = Join {
            session: u128::from_ne_bytes(random::key()),
            name,
            address: origin.address.to_string(),
            backend: "classic protocol".into(),
            threads: 0,
            kinds: Vec::new(),
            rate_hint: 0,
            suspect: state.suspicion.rests_on(address, now),
        };
        let joined = state.coordinator.join(now, join).map_err(|error| error.to_string())?;
        state.sessions.welcome(joined.client, address, origin.waker.clone());
        self.drain(&mut state);
        Ok(joined.client)
    }

    /// Notes that a client of the plain-text protocol is still connected.
    pub(in crate::net) fn alive(&self, client: ClientId) {
        // A client that the coordinator has forgotten still gets its stop.
        let _ = self.change(|coordinator, now| coordinator.heartbeat(now, client));
    }

    /// Ends the session of a client that has been told everything.
    pub(in crate::net) fn forget(&self, client: ClientId) {
        self.state().sessions.forget(client);
    }

    /// Judges a seed that a client of the plain-text protocol claims.
    ///
    /// # Errors
    /// The client is unknown or banned, or there is no main job.
    pub(in crate::net) fn claim(&self, client: ClientId, seed: &str) -> Result<Claim, Refusal> {
        let main = self.main_job().ok_or(Refusal::UnknownJob)?;
        self.change(|coordinator, now| coordinator.claim_seed(now, client, main, seed))
    }

    /// Notes how many hashes a client of the plain-text protocol says it has computed.
    ///
    /// # Errors
    /// The client is unknown or banned.
    pub(in crate::net) fn note_tested(&self, client: ClientId, tested: u64) -> Result<(), Refusal> {
        self.change(|coordinator, now| coordinator.note_tested(now, client, tested))
    }

    /// Emits a line that a client of the plain-text protocol has sent, unless too many came.
    pub(in crate::net) fn emit_line(&self, client: ClientId, line: String) {
        if self.count_line() {
            self.emit(ServerEvent::Said(client.0, line));
        }
    }

    /// Counts a line; returns false beyond the limit of its second.
    fn count_line(&self) -> bool {
        let second = self.now().as_secs();
        let counted =
            self.plaintext_lines.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                let lines = if n >> 32 == second { n & u64::from(u32::MAX) } else { 0 };
                (lines < PLAINTEXT_LINES_PER_SECOND).then_some(second << 32 | (lines + 1))
            });
        counted.is_ok()
    }
}
