//! The state as facts, and facts as a state.

use super::api::{ClientId, JobEnd, JobId};
use super::client::Client;
use super::config::KEPT_ENDED_JOBS;
use super::facts::{Accused, Fact, Numbers, RestoreError, Submitted};
use super::job_table::Entry;
use super::standing::Standing;
use super::{Config, Coordinator, Duration};
use crate::jobs::{Claim, Outcome, OutcomeError};
use crate::span::Span;

/// Numbers of clients that one fact reserves.
const CLIENTS_RESERVED: u64 = 1 << 10;

/// Epochs that one fact reserves: a second's worth for the largest team.
const EPOCHS_RESERVED: u64 = 1 << 20;

impl Coordinator {
    /// Returns a coordinator in the state that `facts` tell of: a log, a snapshot, or a snapshot
    /// and the log since then. What was leased or claimed is free, and clients have to join again;
    /// see [`Fact`].
    ///
    /// A job of which everything is confirmed ends here if it had not: the audits that it may have
    /// waited for are gone.
    ///
    /// Times go on from those in the facts, so the driver needs a clock that outlives it.
    ///
    /// # Errors
    /// The facts contradict each other, a solution among them solves nothing, a result is wrong, or
    /// something is larger than a coordinator makes it.
    pub fn restore(
        config: Config,
        key: [u8; 32],
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Self, RestoreError> {
        let mut restored = Self::empty(config, key);
        for fact in facts {
            fact.check_range()?;
            restored.apply(fact)?;
        }
        restored.check_jobs()?;
        restored.reserve_numbers();
        for job in restored.tables.jobs.active().clone() {
            restored.end_if_finished(restored.now, job);
        }
        Ok(restored)
    }

    /// Returns facts that give the same state as all that were emitted so far. Costs a digest for
    /// each solution.
    pub fn snapshot(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        facts.extend(self.scheduler.started.then_some(Fact::Started));
        for (job, entry) in self.tables.jobs.iter() {
            facts.push(Fact::Submitted(entry.submitted(job)));
            facts.extend(confirmed(job, entry));
            facts.extend(solutions(job, entry));
        }
        facts.extend(self.tables.jobs.ended().filter_map(|(job, entry)| {
            let (at, end) = entry.ended?;
            Some(Fact::Ended { job, at, end })
        }));
        facts.extend(self.trust.liars().filter_map(|id| self.accusation(id)));
        facts.push(Fact::Numbers(Numbers { jobs: self.tables.jobs.last(), ..self.numbers }));
        facts
    }

    /// Returns the fact that a client is not trusted; `None` where it is.
    pub(super) fn accusation(&self, client: ClientId) -> Option<Fact> {
        let known = self.tables.clients.find(client)?;
        let standing = known.conduct.standing();
        let (at, join) = (known.last_seen, known.join());
        (standing != Standing::Good).then_some(Fact::Accused(Accused {
            client,
            at,
            standing,
            join,
        }))
    }

    /// Records that numbers are used up to the newest, and some beyond it.
    pub(super) fn reserve_numbers(&mut self) {
        let (clients, epochs) = (self.tables.clients.last(), self.leases.last_epoch());
        let reserved = &mut self.numbers;
        if clients <= reserved.clients && epochs <= reserved.epochs {
            return;
        }
        if clients > reserved.clients {
            reserved.clients = clients.saturating_add(CLIENTS_RESERVED);
        }
        if epochs > reserved.epochs {
            reserved.epochs = epochs.saturating_add(EPOCHS_RESERVED);
        }
        let numbers = Numbers { jobs: self.tables.jobs.last(), ..self.numbers };
        self.outbox.record(|| Fact::Numbers(numbers));
    }

    fn apply(&mut self, fact: Fact) -> Result<(), RestoreError> {
        match fact {
            Fact::Started => self.scheduler.started = true,
            Fact::Submitted(submitted) => self.apply_submitted(submitted)?,
            Fact::Confirmed { job, span, outcome } => self.apply_confirmed(job, span, outcome)?,
            Fact::Returned { job, span } => self.apply_returned(job, span)?,
            Fact::Solution { job, client, nonce, seed } => {
                self.apply_solution(job, client, nonce, seed)?;
            }
            Fact::Ended { job, at, end } => self.apply_ended(job, at, end)?,
            Fact::Accused(accused) => self.apply_accused(accused)?,
            Fact::Pardoned { client } | Fact::Forgotten { client } => self.forget_liar(client),
            Fact::Numbers(Numbers { jobs, clients, epochs }) => {
                self.tables.jobs.skip_to(jobs);
                self.tables.clients.skip_to(clients);
                self.leases.skip_to(epochs);
                self.numbers.clients = self.numbers.clients.max(clients);
                self.numbers.epochs = self.numbers.epochs.max(epochs);
            }
        }
        Ok(())
    }

    fn apply_submitted(&mut self, submitted: Submitted) -> Result<(), RestoreError> {
        let job = submitted.job;
        if job.0 <= self.tables.jobs.last() || self.tables.jobs.by_key(submitted.key).is_some() {
            return Err(RestoreError::RepeatedJob(job));
        }
        // A snapshot submits the jobs that have ended first; the server's own are kept too.
        let most = self.tables.config.max_jobs.saturating_add(2 * KEPT_ENDED_JOBS);
        if self.tables.jobs.len() >= most {
            return Err(RestoreError::TooMany("jobs"));
        }
        self.now = self.now.max(submitted.at);
        self.tables.jobs.insert(submitted);
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        Ok(())
    }

    fn apply_confirmed(
        &mut self,
        job: JobId,
        span: Span,
        outcome: Option<Outcome>,
    ) -> Result<(), RestoreError> {
        let entry = self.known_job(job)?;
        let refused = Err(RestoreError::Units { job, span });
        if span.is_empty() || !entry.job.spec().whole().covers(span) {
            return refused;
        }
        let folds = !entry.job.spec().outcome_divides();
        let new = entry.coverage.confirm(span);
        if folds && new < span.len() {
            return refused;
        }
        if let Some(outcome) = outcome {
            if !folds || !is_foldable(entry, span, &outcome) {
                return refused;
            }
            entry.job.fold(&outcome);
        }
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        Ok(())
    }

    fn apply_returned(&mut self, job: JobId, span: Span) -> Result<(), RestoreError> {
        let entry = self.known_job(job)?;
        if !entry.job.spec().outcome_divides() {
            return Err(RestoreError::Returned { job, span });
        }
        entry.coverage.undo(span);
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        Ok(())
    }

    fn apply_solution(
        &mut self,
        job: JobId,
        client: ClientId,
        nonce: Option<u128>,
        seed: String,
    ) -> Result<(), RestoreError> {
        let known = &mut self.known_job(job)?.job;
        let claim = match nonce {
            Some(nonce) => known.claim(nonce, client.0),
            None => known.claim_seed(&seed, client.0),
        };
        match claim {
            Claim::New(_) => Ok(()),
            Claim::Known | Claim::False => Err(RestoreError::Solution { job, seed }),
        }
    }

    fn apply_ended(&mut self, job: JobId, at: Duration, end: JobEnd) -> Result<(), RestoreError> {
        if self.known_job(job)?.ended.is_some() {
            return Err(RestoreError::EndedTwice(job));
        }
        self.now = self.now.max(at);
        self.tables.jobs.end(at, job, end);
        self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        self.tables.jobs.retire(job);
        Ok(())
    }

    fn apply_accused(&mut self, accused: Accused) -> Result<(), RestoreError> {
        let Accused { client, at, standing, join } = accused;
        if standing == Standing::Good {
            return Err(RestoreError::Innocent(client));
        }
        if self.tables.clients.by_session(join.session).is_some_and(|known| known != client) {
            return Err(RestoreError::RepeatedSession(client));
        }
        self.now = self.now.max(at);
        if self.tables.clients.find(client).is_none() {
            if self.tables.clients.len() >= self.tables.config.max_clients {
                return Err(RestoreError::TooMany("clients"));
            }
            self.tables.clients.restore(client, Client::new(at, join));
            self.trust.note_liar(client);
        }
        let known = &mut self.tables.clients[client];
        known.connected = false;
        known.seen_at(at);
        known.conduct.lower(standing);
        self.leases.set_timer(&mut self.tables, client);
        Ok(())
    }

    /// Forgets a client of which only an accusation was known.
    fn forget_liar(&mut self, client: ClientId) {
        self.trust.forget_liar(client);
        if let Some(known) = self.tables.clients.remove(client) {
            self.leases.unset_timer(&known, client);
        }
    }

    /// Checks what holds of the jobs once all facts are there: the first outcome of a snapshot is
    /// that of spans which follow.
    fn check_jobs(&self) -> Result<(), RestoreError> {
        if self.tables.jobs.active().len() > self.tables.config.max_jobs {
            return Err(RestoreError::TooMany("jobs"));
        }
        let wrong = |entry: &Entry| !entry.job.is_outcome_of(&entry.coverage.confirmed);
        match self.tables.jobs.iter().find(|(_, entry)| wrong(entry)) {
            Some((job, _)) => Err(RestoreError::WrongResult(job)),
            None => Ok(()),
        }
    }

    fn known_job(&mut self, job: JobId) -> Result<&mut Entry, RestoreError> {
        self.tables.jobs.find_mut(job).ok_or(RestoreError::UnknownJob(job))
    }
}

/// Returns whether an outcome is of the right kind and size. The sum itself may be that of more
/// spans; [`Coordinator::restore`] checks it in the end.
fn is_foldable(entry: &Entry, span: Span, outcome: &Outcome) -> bool {
    let checked = entry.job.check(span, span, None, outcome);
    !matches!(checked, Err(OutcomeError::WrongKind | OutcomeError::TooLong))
}

/// Returns what is confirmed of a job. The first span carries all that was folded.
fn confirmed(job: JobId, entry: &Entry) -> impl Iterator<Item = Fact> {
    let mut folded = entry.job.folded();
    let spans = entry.coverage.confirmed.iter();
    spans.map(move |span| Fact::Confirmed { job, span, outcome: folded.take() })
}

/// Returns the solutions of a job. One of the client that found the newest comes last, since it may have
/// ended the job.
fn solutions(job: JobId, entry: &Entry) -> Vec<Fact> {
    let mut all: Vec<_> = entry.job.solutions(0).collect();
    let newest = all.iter().position(|solution| Some(solution.client) == entry.job.last_finder());
    if let Some(newest) = newest {
        let newest = all.remove(newest);
        all.push(newest);
    }
    let fact = |solution: crate::jobs::Solution| Fact::Solution {
        job,
        client: ClientId(solution.client),
        nonce: solution.nonce,
        seed: solution.seed,
    };
    all.into_iter().map(fact).collect()
}
