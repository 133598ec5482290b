//! Reports: what counts, what proves, and what costs a client its trust.

use super::api::{ClientId, Event, JobId, LeaseId, LeaseState, Refusal, Report, Verdict};
use super::client::Work;
use super::facts::Fact;
use super::scheduler::seconds;
use super::standing::{Reason, Standing};
use super::{Coordinator, Duration, Span};
use crate::jobs::{Checked, Claim, JobKind, MAX_HITS, Outcome, OutcomeError, Solution};

impl Coordinator {
    /// Takes a client's report of progress on a lease, or of its end. Repeated and late reports
    /// count nothing twice; a valid hit counts whatever became of the lease.
    ///
    /// # Errors
    /// The client is unknown or banned.
    pub fn report(
        &mut self,
        now: Duration,
        client: ClientId,
        report: &Report,
    ) -> Result<Verdict, Refusal> {
        let known = self.tables.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        self.now = self.now.max(now);
        let (solutions, false_hits) = self.judge_hits(client, report);
        let counted = if self.is_held(client, report) {
            self.revive(now, report.lease);
            self.skip_confirmed(report);
            self.countable(report).map_or(0, |span| self.count(now, client, report, span))
        } else {
            0
        };
        if self.is_held(client, report)
            && (report.last || self.leases[report.lease].rest().is_empty())
        {
            self.note_given_up(report.lease);
            self.close(report.lease);
        }
        self.end_if_finished(now, report.job);
        Ok(Verdict {
            counted,
            lease: self.lease_state(client, report),
            solutions,
            false_hits,
            job_end: self.tables.jobs.find(report.job).and_then(|entry| Some(entry.ended?.1)),
        })
    }

    /// Takes the claim of a seed outside any lease, as clients of the classic protocol make it.
    ///
    /// # Errors
    /// The client is unknown or banned, or the job unknown.
    pub fn claim_seed(
        &mut self,
        now: Duration,
        client: ClientId,
        job: JobId,
        seed: &str,
    ) -> Result<Claim, Refusal> {
        let known = self.tables.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let entry = self.tables.jobs.find_mut(job).ok_or(Refusal::UnknownJob)?;
        let claim = entry.job.claim_seed(seed, client.0);
        match &claim {
            Claim::New(solution) => {
                self.note_solution(job, solution.clone());
                self.end_if_finished(now, job);
            }
            Claim::False => self.note_false_claim(client),
            Claim::Known => {}
        }
        Ok(claim)
    }

    /// Takes the word of a client outside the leases for what it has tested: shown as its rate,
    /// never counted.
    ///
    /// # Errors
    /// The client is unknown or banned.
    pub fn note_tested(
        &mut self,
        now: Duration,
        client: ClientId,
        units: u64,
    ) -> Result<(), Refusal> {
        let known = self.tables.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let (job, kind, claimed) = (JobId(0), JobKind::Md5Search, units as f64);
        self.note_work(now, client, &Work { job, kind, unit_cost: 1, claimed, proved: 0.0 });
        Ok(())
    }

    /// Judges every hit of a report, wherever in the job it lies.
    fn judge_hits(&mut self, client: ClientId, report: &Report) -> (u32, u32) {
        let mut hits: Vec<u128> = report.outcome.hits().iter().copied().take(MAX_HITS).collect();
        hits.sort_unstable();
        self.judge(client, report.job, &hits)
    }

    /// Judges nonces that should be solutions; returns how many are new, and how many are false.
    fn judge(&mut self, client: ClientId, job: JobId, hits: &[u128]) -> (u32, u32) {
        let (mut solutions, mut false_hits) = (0, 0);
        for &nonce in hits {
            let Some(entry) = self.tables.jobs.find_mut(job) else { break };
            match entry.job.claim(nonce, client.0) {
                Claim::New(solution) => {
                    solutions += 1;
                    self.note_solution(job, solution);
                }
                Claim::Known => {}
                Claim::False => {
                    false_hits += 1;
                    self.note_false_claim(client);
                }
            }
        }
        (solutions, false_hits)
    }

    fn note_solution(&mut self, job: JobId, solution: Solution) {
        self.outbox.record(|| Fact::Solution {
            job,
            client: ClientId(solution.client),
            nonce: solution.nonce,
            seed: solution.seed.clone(),
        });
        self.outbox.push(Event::Solution(job, solution));
    }

    /// Returns whether a report is about a lease that its client holds.
    fn is_held(&self, client: ClientId, report: &Report) -> bool {
        self.leases.find(report.lease).is_some_and(|lease| {
            lease.client == client && lease.epoch == report.epoch && lease.job == report.job
        })
    }

    fn lease_state(&self, client: ClientId, report: &Report) -> LeaseState {
        match self.leases.find(report.lease) {
            Some(lease) if self.is_held(client, report) => {
                LeaseState::Held(lease.held(report.lease))
            }
            _ => LeaseState::Over,
        }
    }

    /// Returns the part of a report's span that is not counted yet and may be.
    fn countable(&self, report: &Report) -> Option<Span> {
        let lease = &self.leases[report.lease];
        let divides = self.tables.jobs[lease.job].job.spec().outcome_divides();
        let counted = lease.rest().intersect(report.span);
        let follows = report.span.start() <= lease.done && !counted.is_empty();
        // Where outcomes cannot be divided, what is late counts as a whole or not: in pieces it
        // would spoil what the other holder is at.
        let whole = counted == report.span && (!lease.late || counted == lease.rest());
        (follows && (divides || whole)).then_some(counted)
    }

    /// Counts `span`, which is the client's to report, if the outcome holds what it must.
    fn count(&mut self, now: Duration, client: ClientId, report: &Report, span: Span) -> u128 {
        let entry = &mut self.tables.jobs[report.job];
        let lease = &mut self.leases[report.lease];
        let bits = lease.share_bits;
        let checked = match entry.job.check(report.span, span, bits, &report.outcome) {
            Ok(checked) => checked,
            Err(error) => {
                self.blame(client, error);
                return 0;
            }
        };
        if !lease.late {
            entry.coverage.claim(span);
        }
        lease.done = span.end();
        lease.touched = now;
        let units = span.len() as f64;
        let per_share = f64::from(bits.unwrap_or(0)).exp2();
        let shares = match &checked {
            Checked::Proved { .. } => None,
            Checked::Shares { shares, .. } => {
                lease.note_shares(shares, units);
                Some(shares.len())
            }
        };
        let accusable = shares.filter(|_| !lease.again);
        let proved = shares.map_or(units, |shares| shares as f64 * per_share);
        let credible = shares.is_none() || lease.evidence.is_credible();
        let (kind, unit_cost) = (entry.kind(), entry.job.spec().unit_cost());
        let work = Work { job: report.job, kind, unit_cost, claimed: units, proved };
        self.renew(now, client, report.lease, &work);
        self.judge(client, report.job, checked.solutions());
        let conduct = &mut self.tables.clients[client].conduct;
        if accusable.is_some_and(|shares| conduct.weigh(shares, units / per_share)) {
            self.lower(client, Standing::Distrusted(Reason::TooFewShares));
            return 0;
        }
        // Judging may have banned the client, and ended its lease.
        if credible && self.is_held(client, report) {
            self.confirm(report.lease, &report.outcome);
        }
        span.len()
    }

    /// Confirms all that is claimed of a lease, which is what `outcome` is about where outcomes do
    /// not divide.
    fn confirm(&mut self, id: LeaseId, outcome: &Outcome) {
        let lease = &mut self.leases[id];
        let (job, span) = (lease.job, lease.claimed());
        lease.confirmed = lease.done;
        let entry = &mut self.tables.jobs[job];
        let new = entry.coverage.confirm(span);
        let folds = !entry.job.spec().outcome_divides();
        if folds {
            debug_assert_eq!(new, span.len(), "folded twice");
            entry.job.fold(outcome);
        }
        let client = &mut self.tables.clients[lease.client];
        client.units = client.units.saturating_add(new);
        // A late one may have confirmed what was free.
        if lease.late {
            self.scheduler.turns.requeue(&mut self.tables.jobs, job);
        }
        let folded = || folds.then(|| outcome.clone());
        self.outbox.record(|| Fact::Confirmed { job, span, outcome: folded() });
    }

    /// Notes progress: how fast the client is, and when it will be through.
    fn renew(&mut self, now: Duration, client: ClientId, id: LeaseId, work: &Work) {
        let took = self.note_work(now, client, work);
        let config = &self.tables.config;
        let first = config.first_units as f64 / work.unit_cost as f64;
        // One that has proved nothing has all its patience for a first lease.
        let slowest = first / config.patience.as_secs_f64().max(1.0);
        let known = &mut self.tables.clients[client];
        let rate = known.proved_rate(work.job, work.kind, work.unit_cost);
        known.diligence.note(now, work.claimed / rate.unwrap_or(slowest).max(f64::MIN_POSITIVE));
        let pace = known.known_pace(work.job).map_or(0.0, |pace| pace.claimed_rate());
        let lease = &mut self.leases[id];
        lease.worked += took;
        let due = now + seconds(lease.rest().len() as f64 / rate.unwrap_or(pace).max(1.0));
        self.leases.set_due(&mut self.tables, id, due);
        self.leases.set_timer(&mut self.tables, client);
    }

    /// Notes work in the client's pace and the team's; returns the time that it took.
    fn note_work(&mut self, now: Duration, client: ClientId, work: &Work) -> Duration {
        let known = &mut self.tables.clients[client];
        let before = known.rates;
        let took = known.note_work(now, work);
        self.scheduler.count(&before, &known.rates);
        took
    }

    /// Acts on what is wrong with an outcome.
    fn blame(&mut self, client: ClientId, error: OutcomeError) {
        match error {
            OutcomeError::WrongSum => self.lower(client, Standing::Distrusted(Reason::WrongResult)),
            OutcomeError::FalseShare(_) => self.note_false_claim(client),
            // Nonsense, but no claim: it counts nothing and the lease runs out.
            OutcomeError::WrongKind | OutcomeError::TooLong => {}
        }
    }

    fn note_false_claim(&mut self, client: ClientId) {
        if self.tables.clients[client].conduct.note_false_claim() {
            self.lower(client, Standing::Banned(Reason::FalseClaims));
        }
    }
}
