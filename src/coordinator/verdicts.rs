//! Verdicts on clients: by evidence, by audits, or by the operator.

use super::api::{Audit, AuditResult, ClientId, Event, JobId, JobState};
use super::facts::Fact;
use super::standing::{Reason, Standing};
use super::{Coordinator, Duration};
use crate::span::Span;

impl Coordinator {
    /// Returns whether an audit could still change anything. If not it need not be run, only handed
    /// back. Its client may have left: what it had confirmed stands or falls with the audit.
    pub fn still_wants(&self, audit: &Audit) -> bool {
        let entry = self.tables.jobs.find(audit.job);
        self.trust.is_pending(audit) && entry.is_some_and(|entry| entry.ended.is_none())
    }

    /// Returns whether a job waits for nothing but evidence: then audits are urgent.
    pub fn waits_for_audits(&self) -> bool {
        let mut active = self.tables.jobs.active().iter().map(|&job| &self.tables.jobs[job]);
        active.any(|entry| entry.audits > 0 && entry.state() == JobState::Checking)
    }

    /// Takes the result of an audit.
    pub fn audited(&mut self, now: Duration, result: &AuditResult) {
        let Some(audit) = self.trust.end_audit(&mut self.tables, result) else { return };
        if result.missed.is_some() {
            self.return_confirmed(audit.job, audit.span);
            if self.tables.clients.find(audit.client).is_some() {
                self.lower(audit.client, Standing::Distrusted(Reason::MissedShare));
            }
        }
        self.end_if_finished(now, audit.job);
    }

    /// Bans a client: it is not listened to any more, its leases go back, and its claims count as a
    /// liar's do.
    pub fn ban(&mut self, client: ClientId) {
        if self.tables.clients.find(client).is_some() {
            self.lower(client, Standing::Banned(Reason::Operator));
        }
    }

    /// Takes a client back that has lost its trust, or was banned: it begins like a new one.
    /// Returns `false` where there is nothing to take back.
    pub fn unban(&mut self, client: ClientId) -> bool {
        let known = self.tables.clients.find_mut(client);
        let liar = known.filter(|known| known.check_standing().is_err());
        let Some(known) = liar else { return false };
        known.conduct.pardon();
        self.trust.forget_liar(client);
        self.outbox.record(|| Fact::Pardoned { client });
        self.leases.set_timer(&mut self.tables, client);
        self.start_if_enough();
        true
    }

    /// Lowers a client's standing, if it was better: its leases end, and what it had confirmed
    /// lately is free again.
    pub(super) fn lower(&mut self, client: ClientId, standing: Standing) {
        let known = &self.tables.clients[client];
        let before = known.conduct.standing();
        if !before.is_above(standing) {
            return;
        }
        for lease in known.leases.clone() {
            self.revoke(lease);
        }
        let known = &mut self.tables.clients[client];
        self.scheduler.unprove(known);
        self.scheduler.unpark(known, client);
        let doubtful = known.conduct.lower(standing);
        if before == Standing::Good {
            self.trust.note_liar(client);
        }
        if let Some(accusation) = self.accusation(client) {
            self.outbox.record(|| accusation);
        }
        for (job, span) in doubtful {
            self.return_confirmed(job, span);
        }
        self.outbox.push(match standing {
            Standing::Banned(reason) => Event::Banned(client, reason),
            Standing::Distrusted(reason) => Event::Distrusted(client, reason),
            Standing::Good => return,
        });
    }

    /// Frees what is confirmed of `span`, since its evidence is false. The job may have ended, and
    /// be forgotten: then its result stands.
    fn return_confirmed(&mut self, job: JobId, span: Span) {
        let entry = self.tables.jobs.find_mut(job).filter(|entry| entry.ended.is_none());
        if let Some(entry) = entry {
            entry.coverage.undo(span);
            self.outbox.record(|| Fact::Returned { job, span });
            self.scheduler.offer(&mut self.tables, &mut self.outbox, job, span);
        }
    }
}
