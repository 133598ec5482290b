//! Requests that need no hello: lists for everyone, and changes for those who may make them.
//!
//! There are no names or tokens yet, so permissions depend on the sender's address, which TCP's
//! handshake proves, and over UDP the cookie. Senders on the server's own machine may do everything.
//! Others may list. On an open server they may also submit jobs, which have places of their own, and
//! cancel those that came from their network.

use super::hello::BANNED;
use super::{Origin, ServerEvent, Service, State};
use crate::coordinator::{CancelError, ClientId, Coordinator, JobId, Reason as Doubt, Standing};
use crate::jobs::JobSpec;
use crate::net::server::bans::Banned;
use crate::net::server::networks::{is_here, network, submitter};
use crate::net::server::sessions::Waker;
use crate::net::server::{convert, pages};
use crate::proto::{Answer, Call, MAX_TITLE, Party, RefusalReason, Refused, refused};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The priority that everyone may ask for.
const USUAL_PRIORITY: u32 = 1;

const ONLY_HERE: &str = "only the server's own machine may submit and cancel jobs: do it there \
                         (--to 127.0.0.1), or start the server with --open";
const ONLY_OPERATOR: &str =
    "only the server's own machine may ban and unban: do it there (--to 127.0.0.1)";
const ONLY_SHOWN_HERE: &str = "only the server's own machine may list the bans: do it there (--to \
                               127.0.0.1), or start the server with --open";
const ONLY_USUAL: &str = "only the server's own machine may ask for a priority above 1: leave \
                          --priority out, or do it there (--to 127.0.0.1)";

impl Service {
    /// Lets other machines submit jobs, and cancel their own.
    pub(in crate::net) fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Refuses requests that the sender may not make. Returns the job of a submission, which is made
    /// here so that nobody waits for it under the lock.
    pub(in crate::net) fn check(
        &self,
        origin: &Origin,
        call: &Call,
    ) -> Result<Option<JobSpec>, Refused> {
        let elsewhere = !is_here(origin.address.ip());
        let closed = elsewhere && !self.open.load(Ordering::Relaxed);
        let why = match call {
            Call::Submit(_) | Call::Cancel(_) if closed => ONLY_HERE,
            Call::Submit(submit) if elsewhere && submit.priority > USUAL_PRIORITY => ONLY_USUAL,
            Call::Submit(submit) => {
                let spec = submit.work.spec();
                return spec
                    .map(Some)
                    .map_err(|text| Refused::new(RefusalReason::Malformed, &text));
            }
            // On open servers too: a stranger who may ban could lock all others out.
            Call::Ban(_) | Call::Unban(_) if elsewhere => ONLY_OPERATOR,
            Call::Bans(_) if closed => ONLY_SHOWN_HERE,
            _ => return Ok(None),
        };
        Err(Refused::new(RefusalReason::Forbidden, why))
    }

    /// Answers a request that has passed [`Service::check`].
    pub(super) fn administer(
        &self,
        state: &mut State,
        origin: &Origin,
        call: Call,
        spec: Option<JobSpec>,
    ) -> Answer {
        let (now, address) = (self.now(), origin.address.ip());
        let roomy = matches!(origin.waker, Waker::Connection(_));
        let changes = matches!(call, Call::Submit(_) | Call::Cancel(_));
        if changes && !is_here(address) && state.bans.turn_away(address, None) {
            return refused(RefusalReason::Banned, BANNED);
        }
        let coordinator = &mut state.coordinator;
        match (call, spec) {
            (Call::Submit(_), _) if state.main_over.is_some() => {
                refused(RefusalReason::Closing, "the server ends soon: it takes no more jobs")
            }
            (Call::Submit(submit), Some(spec)) => {
                let what = spec.title(MAX_TITLE);
                let answer = convert::submit(coordinator, now, submitter(address), submit, spec);
                self.emit_submission(coordinator, now, &answer, what, origin.address);
                answer
            }
            (Call::Cancel(job), _) => {
                match coordinator.cancel_as(now, submitter(address), JobId(job)) {
                    Ok(()) => Answer::Ok,
                    Err(error @ (CancelError::Unknown(_) | CancelError::Ended(_))) => {
                        refused(RefusalReason::Unknown, &error.to_string())
                    }
                    Err(error @ CancelError::NotYours(_)) => {
                        refused(RefusalReason::Forbidden, &error.to_string())
                    }
                }
            }
            (Call::Jobs(offset), _) => pages::jobs(coordinator, offset, roomy),
            (Call::Job { job, offset }, _) => pages::job(coordinator, JobId(job), offset),
            (Call::Clients(offset), _) => pages::clients(coordinator, offset, roomy, now),
            (Call::Ban(party), _) => self.ban(state, party),
            (Call::Unban(party), _) => unban(state, party),
            (Call::Bans(offset), _) => pages::bans(&state.bans, offset, roomy, now),
            _ => refused(RefusalReason::Malformed, "this cannot be asked here"),
        }
    }

    /// Tells of a job that is new; a repeated submission is not.
    fn emit_submission(
        &self,
        coordinator: &Coordinator,
        now: Duration,
        answer: &Answer,
        what: String,
        address: SocketAddr,
    ) {
        let Answer::Submitted { job, .. } = *answer else { return };
        let job = JobId(job);
        if coordinator.job(job).is_some_and(|status| status.submitted == now) {
            self.emit(ServerEvent::Submitted { job, what, address: address.to_string() });
        }
    }

    fn ban(&self, state: &mut State, party: Party) -> Answer {
        let (who, clients) = match party {
            Party::Address(address) => {
                (Banned::Network(network(address)), state.sessions.clients_at(address))
            }
            Party::Client(number) => {
                let client = ClientId(number);
                let Some(key) = state.coordinator.session(client) else {
                    return refused(
                        RefusalReason::Unknown,
                        &format!("there is no client {number}"),
                    );
                };
                (Banned::Client { number, key }, vec![client])
            }
        };
        if let Err(error) = state.bans.add(who, self.now()) {
            return refused(RefusalReason::Full, &error.to_string());
        }
        for client in clients {
            state.coordinator.ban(client);
        }
        Answer::Ok
    }
}

/// Lifts a ban, and readmits the clients that are still known. A client that was distrusted without
/// the operator is readmitted too.
fn unban(state: &mut State, party: Party) -> Answer {
    let lifted = state.bans.lift(party);
    let pardoned = match party {
        Party::Client(number) => state.coordinator.unban(ClientId(number)),
        Party::Address(address) => {
            for client in state.sessions.clients_at(address) {
                let standing = state.coordinator.client(client).map(|status| status.standing);
                let banned = standing == Some(Standing::Banned(Doubt::Operator));
                if lifted && banned && !state.bans.holds_client(client.0) {
                    state.coordinator.unban(client);
                }
            }
            false
        }
    };
    if lifted || pardoned {
        return Answer::Ok;
    }
    refused(RefusalReason::Unknown, &format!("{party} is not banned"))
}
