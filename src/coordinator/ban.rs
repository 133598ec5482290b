//! What the operator of the server decides about a client, whatever it has proved.

use super::Coordinator;
use super::api::ClientId;
use super::facts::Fact;
use super::trust::{Reason, Standing};

impl Coordinator {
    /// Bans a client: it is not listened to any more, its leases go back, and its claims count as a
    /// liar's do.
    pub fn ban(&mut self, client: ClientId) {
        self.lower(client, Standing::Banned(Reason::Operator));
    }

    /// The session of a client, by which it is known again after it was forgotten; its credential.
    pub(crate) fn session(&self, client: ClientId) -> Option<u128> {
        self.clients.find(client).map(|known| known.session)
    }

    /// Takes a client back that has lost its trust, or was banned: it begins like a new one.
    /// `false` where there is nothing to take back.
    pub fn unban(&mut self, client: ClientId) -> bool {
        let Some(known) = self.clients.find_mut(client) else { return false };
        let was = known.trust.standing();
        if was != Standing::Good {
            known.trust.pardon();
            self.liars.retain(|&liar| liar != client);
            self.outbox.record(|| Fact::Pardoned { client });
        }
        self.set_timer(client);
        was != Standing::Good
    }
}
