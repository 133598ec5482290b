//! Reports: what counts, what proves, and what costs a client its trust.

use super::api::{ClientId, Event, JobId, LeaseId, LeaseState, Refusal, Report, Verdict};
use super::client::Work;
use super::facts::Fact;
use super::scheduler::seconds;
use super::trust::{Reason, Standing};
use super::{Coordinator, Duration, Span};
use crate::jobs::{Checked, Claim, Fault, JobKind, MAX_HITS, Outcome, Solution};

impl Coordinator {
    /// A client reports progress on a lease, or its end. Repeated and late reports count nothing
    /// twice; a valid hit counts whatever became of the lease.
    ///
    /// # Errors
    /// The client is unknown or banned.
    pub fn report(
        &mut self,
        now: Duration,
        client: ClientId,
        report: &Report,
    ) -> Result<Verdict, Refusal> {
        let known = self.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        self.now = self.now.max(now);
        let (solutions, false_hits) = self.judge_hits(client, report);
        if self.is_held(client, report) {
            self.revive(now, report.lease);
        }
        self.skip_confirmed(client, report);
        let counted = match self.countable(client, report) {
            Some(span) => self.count(now, client, report, span),
            None => 0,
        };
        let through = self.leases.find(report.lease).is_some_and(|lease| lease.rest().is_empty());
        if (report.last || through) && self.is_held(client, report) {
            self.note_given_up(client, report.lease);
            self.close(report.lease);
        }
        self.end_if_finished(now, report.job);
        Ok(Verdict {
            counted,
            lease: self.lease_state(client, report),
            solutions,
            false_hits,
            job_end: self.jobs.find(report.job).and_then(|entry| Some(entry.ended?.1)),
        })
    }

    /// A client claims a seed outside any lease, as clients of the classic protocol do.
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
        let known = self.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let entry = self.jobs.find_mut(job).ok_or(Refusal::UnknownJob)?;
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

    /// A client outside the leases says what it has tested: shown as its rate, never counted.
    ///
    /// # Errors
    /// The client is unknown or banned.
    pub fn note_tested(
        &mut self,
        now: Duration,
        client: ClientId,
        units: u64,
    ) -> Result<(), Refusal> {
        let known = self.clients.known_mut(client)?;
        known.check_banned()?;
        known.seen(now);
        let (job, kind, claimed) = (JobId(0), JobKind::Md5Search, units as f64);
        self.note_work(now, client, &Work { job, kind, unit_cost: 1, claimed, proved: 0.0 });
        Ok(())
    }

    /// Judges every hit of a report, wherever in the job it lies.
    fn judge_hits(&mut self, client: ClientId, report: &Report) -> (u32, u32) {
        let Outcome::Md5Search { hits, .. } = &report.outcome else { return (0, 0) };
        let mut hits: Vec<u128> = hits.iter().copied().take(MAX_HITS).collect();
        hits.sort_unstable();
        self.judge(client, report.job, &hits)
    }

    /// Judges nonces that should be solutions; returns how many are new, and how many are none.
    fn judge(&mut self, client: ClientId, job: JobId, hits: &[u128]) -> (u32, u32) {
        let (mut solutions, mut false_hits) = (0, 0);
        for &nonce in hits {
            let Some(entry) = self.jobs.find_mut(job) else { break };
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

    /// Moves a lease past what others have confirmed of it meanwhile, and off what they have
    /// confirmed further on, where an outcome cannot be divided: nothing is folded twice.
    fn skip_confirmed(&mut self, client: ClientId, report: &Report) {
        if !self.is_held(client, report) {
            return;
        }
        let Some(entry) = self.jobs.find_mut(report.job) else { return };
        let Some(lease) = self.leases.find_mut(report.lease) else { return };
        if entry.job.spec().outcome_divides() {
            return;
        }
        let rest = lease.rest();
        let others: Vec<Span> = entry.coverage.confirmed.pieces(rest).take(2).collect();
        for piece in others {
            if piece.start() == lease.done {
                (lease.done, lease.confirmed) = (piece.end(), piece.end());
                continue;
            }
            let tail = Span::new(piece.start(), lease.end);
            lease.end = piece.start();
            if !lease.late {
                entry.coverage.give_back(tail);
                self.offer(report.job, tail);
            }
            return;
        }
    }

    /// A client that gives a lease up with hardly anything done of it is no better than one that lets
    /// it lie.
    fn note_given_up(&mut self, client: ClientId, id: LeaseId) {
        let Some(lease) = self.leases.find(id) else { return };
        let (done, whole) = (lease.done - lease.start, lease.end - lease.start);
        if !lease.late && done < whole / 4 {
            self.note_stalled(id);
            self.unprove(client);
        }
    }

    /// The part of a report's span that is not counted yet and may be.
    fn countable(&self, client: ClientId, report: &Report) -> Option<Span> {
        let lease = self.leases.find(report.lease).filter(|_| self.is_held(client, report))?;
        let divides = self.jobs.find(report.job)?.job.spec().outcome_divides();
        let counted = lease.rest().intersect(report.span);
        let follows = report.span.start() <= lease.done && !counted.is_empty();
        // Where outcomes cannot be divided, what is late counts as a whole or not: in pieces it
        // would spoil what the other holder is at.
        let whole = counted == report.span && (!lease.late || counted == lease.rest());
        (follows && (divides || whole)).then_some(counted)
    }

    /// Counts `span`, which is the client's to report, if the outcome holds what it must.
    fn count(&mut self, now: Duration, client: ClientId, report: &Report, span: Span) -> u128 {
        let Some(entry) = self.jobs.find_mut(report.job) else { return 0 };
        let Some(lease) = self.leases.find_mut(report.lease) else { return 0 };
        let (bits, again) = (lease.share_bits, lease.again);
        let checked = match entry.job.check(report.span, span, bits, &report.outcome) {
            Ok(checked) => checked,
            Err(fault) => {
                self.blame(client, fault);
                return 0;
            }
        };
        if !lease.late {
            entry.coverage.claim(span);
        }
        lease.done = span.end();
        lease.touched = now;
        let units = span.len() as f64;
        let (kind, unit_cost) = (entry.kind(), entry.job.spec().unit_cost());
        let (shares, per_share) = match &checked {
            Checked::Proved { .. } => (None, units),
            Checked::Shares { shares, .. } => {
                shares_of(lease, shares, units);
                (Some(shares.len()), f64::from(bits.unwrap_or(0)).exp2())
            }
        };
        let proved = shares.map_or(units, |shares| shares as f64 * per_share);
        let credible = shares.is_none() || lease.evidence.is_credible();
        let work = Work { job: report.job, kind, unit_cost, claimed: units, proved };
        self.renew(now, client, report.lease, &work);
        self.judge(client, report.job, checked.solutions());
        let known = self.clients.find_mut(client);
        if let (Some(shares), Some(known)) = (shares, known)
            && !again
            && known.trust.weigh(shares, units / per_share)
        {
            self.lower(client, Standing::Distrusted(Reason::TooFewShares));
            return 0;
        }
        if credible {
            self.confirm(client, report.lease, &report.outcome);
        }
        span.len()
    }

    /// Confirms all that is claimed of a lease, which is what `outcome` is about where outcomes do
    /// not divide.
    fn confirm(&mut self, client: ClientId, id: LeaseId, outcome: &Outcome) {
        let Some(lease) = self.leases.find_mut(id) else { return };
        let Some(entry) = self.jobs.find_mut(lease.job) else { return };
        let span = lease.claimed();
        let new = entry.coverage.confirm(span);
        let folds = !entry.job.spec().outcome_divides();
        if folds {
            debug_assert_eq!(new, span.len(), "folded twice");
            entry.job.fold(outcome);
        }
        lease.confirmed = lease.done;
        let (job, late) = (lease.job, lease.late);
        self.outbox.record(|| Fact::Confirmed {
            job,
            span,
            outcome: folds.then(|| outcome.clone()),
        });
        if let Some(known) = self.clients.find_mut(client) {
            known.units = known.units.saturating_add(new);
        }
        // A late one may have confirmed what was free.
        if late {
            self.jobs.requeue(job);
        }
    }

    /// Takes note of progress: how fast the client is, and when it will be through.
    fn renew(&mut self, now: Duration, client: ClientId, id: LeaseId, work: &Work) {
        let took = self.note_work(now, client, work);
        let Some(known) = self.clients.find_mut(client) else { return };
        let first = self.config.first_units as f64 / work.unit_cost as f64;
        // One that has proved nothing has all its patience for a first lease.
        let slowest = first / self.config.patience.as_secs_f64().max(1.0);
        let rate = known.proved_rate(work.job, work.kind, work.unit_cost);
        known.diligence.note(now, work.claimed / rate.unwrap_or(slowest).max(f64::MIN_POSITIVE));
        let Some(lease) = self.leases.find_mut(id) else { return };
        lease.worked += took;
        let pace = known.known_pace(work.job).map_or(0.0, |pace| pace.claimed_rate());
        let rate = rate.unwrap_or(pace).max(1.0);
        let due = now + seconds(lease.rest().len() as f64 / rate);
        if !lease.late
            && let Some(entry) = self.jobs.find_mut(lease.job)
        {
            entry.due.remove(&(lease.due, id));
            entry.due.insert((due, id));
        }
        lease.due = due;
        self.set_timer(client);
    }

    /// Takes note of work in the client's pace and the team's; returns the time that it took.
    fn note_work(&mut self, now: Duration, client: ClientId, work: &Work) -> Duration {
        let Some(known) = self.clients.find_mut(client) else { return Duration::ZERO };
        self.team.remove(&known.rates);
        let took = known.note_work(now, work);
        self.team.add(&known.rates);
        took
    }

    /// What a fault costs.
    fn blame(&mut self, client: ClientId, fault: Fault) {
        match fault {
            Fault::WrongSum => self.lower(client, Standing::Distrusted(Reason::WrongResult)),
            Fault::FalseShare(_) => self.note_false_claim(client),
            // Nonsense, but no claim: it counts nothing and the lease runs out.
            Fault::WrongKind | Fault::TooLong => {}
        }
    }

    fn note_false_claim(&mut self, client: ClientId) {
        let Some(known) = self.clients.find_mut(client) else { return };
        if known.trust.note_false_claim() {
            self.lower(client, Standing::Banned(Reason::FalseClaims));
        }
    }

    /// A client loses its trust: its leases end, and what it had confirmed lately is free again.
    pub(super) fn lower(&mut self, client: ClientId, standing: Standing) {
        let Some(known) = self.clients.find(client) else { return };
        let lower = match known.trust.standing() {
            Standing::Good => true,
            Standing::Distrusted(_) => matches!(standing, Standing::Banned(_)),
            Standing::Banned(_) => false,
        };
        if !lower {
            return;
        }
        for lease in known.leases.clone() {
            self.revoke(lease);
        }
        self.unprove(client);
        let Some(known) = self.clients.find_mut(client) else { return };
        if known.check_standing().is_ok() {
            self.liars.push_back(client);
        }
        let doubtful = known.trust.lower(standing);
        let accusation = self.accusation(client);
        accusation.into_iter().for_each(|fact| self.outbox.record(|| fact));
        for (job, span) in doubtful {
            if let Some(entry) = self.jobs.find_mut(job).filter(|entry| entry.ended.is_none()) {
                entry.coverage.undo(span);
                self.outbox.record(|| Fact::Returned { job, span });
            }
            self.offer(job, span);
        }
        self.unpark(client);
        self.outbox.push(match standing {
            Standing::Banned(reason) => Event::Banned(client, reason),
            Standing::Distrusted(reason) => Event::Distrusted(client, reason),
            Standing::Good => return,
        });
    }
}

/// Enters new shares in the evidence of their lease, and at the places where it may be audited.
fn shares_of(lease: &mut super::lease::Lease, shares: &[u128], units: f64) {
    let bits = lease.share_bits.unwrap_or(0);
    lease.evidence.add(shares.len(), units / f64::from(bits).exp2());
    lease.spots.iter_mut().for_each(|spot| spot.note(shares));
}
