//! Reports: what counts, what proves, and what costs a client its trust.

use super::event::{ClientId, Event, JobId, LeaseId, LeaseState, Refusal, Report, Verdict};
use super::trust::{Reason, Standing};
use super::work::seconds;
use super::{Coordinator, Duration, Span};
use crate::jobs::{Claim, Fault, JobKind, MAX_HITS, Outcome};

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
        let (solutions, false_hits) = self.judge_hits(client, report);
        if self.is_held(client, report) {
            self.revive(now, report.lease);
        }
        let counted = match self.countable(client, report) {
            Some(span) => self.count(now, client, report, span),
            None => 0,
        };
        if report.last && self.is_held(client, report) {
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
                self.events.push_back(Event::Solution(job, solution.clone()));
                self.end_if_finished(now, job);
            }
            Claim::False => self.note_false_claim(client, fingerprint(seed)),
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
        self.note_work(now, client, JobKind::Md5Search, units as f64, 0.0);
        Ok(())
    }

    /// Judges every hit of a report, wherever in the job it lies.
    fn judge_hits(&mut self, client: ClientId, report: &Report) -> (u32, u32) {
        let Outcome::Md5Search { hits, .. } = &report.outcome else { return (0, 0) };
        let (mut solutions, mut false_hits) = (0, 0);
        let mut hits: Vec<u128> = hits.iter().copied().take(MAX_HITS).collect();
        hits.sort_unstable();
        for nonce in hits {
            let Some(entry) = self.jobs.find_mut(report.job) else { break };
            match entry.job.claim(nonce, client.0) {
                Claim::New(solution) => {
                    solutions += 1;
                    self.events.push_back(Event::Solution(report.job, solution));
                }
                Claim::Known => {}
                Claim::False => {
                    false_hits += 1;
                    self.note_false_claim(client, nonce);
                }
            }
        }
        (solutions, false_hits)
    }

    fn is_held(&self, client: ClientId, report: &Report) -> bool {
        self.leases.find(report.lease).is_some_and(|lease| {
            lease.client == client && lease.epoch == report.epoch && lease.job == report.job
        })
    }

    fn lease_state(&self, client: ClientId, report: &Report) -> LeaseState {
        match self.leases.find(report.lease) {
            Some(lease) if self.is_held(client, report) => {
                LeaseState::Held { done: lease.done, end: lease.end }
            }
            _ => LeaseState::Over,
        }
    }

    /// The part of a report's span that is not counted yet and may be.
    fn countable(&self, client: ClientId, report: &Report) -> Option<Span> {
        let lease = self.leases.find(report.lease).filter(|_| self.is_held(client, report))?;
        let divides = self.jobs.find(report.job)?.job.spec().outcome_divides();
        let counted = lease.rest().intersect(report.span);
        let follows = report.span.start() <= lease.done && !counted.is_empty();
        (follows && (divides || counted == report.span)).then_some(counted)
    }

    /// Counts `span`, which is the client's to report, if the outcome holds what it must.
    fn count(&mut self, now: Duration, client: ClientId, report: &Report, span: Span) -> u128 {
        let Some(entry) = self.jobs.find_mut(report.job) else { return 0 };
        let Some(lease) = self.leases.find_mut(report.lease) else { return 0 };
        let mut shares = match entry.job.check(report.span, lease.share_bits, &report.outcome) {
            Ok(shares) => shares,
            Err(fault) => {
                self.blame(client, fault);
                return 0;
            }
        };
        shares.retain(|&nonce| span.contains(nonce));
        entry.job.fold(&report.outcome);
        entry.finish(span);
        entry.due.remove(&(lease.due, report.lease));
        lease.done = span.end();
        let units = span.len() as f64;
        let per_share = lease.share_bits.map(|bits| f64::from(bits).exp2());
        let proved = per_share.map_or(units, |per_share| shares.len() as f64 * per_share);
        let (count, bits) = (shares.len(), lease.share_bits);
        lease.shares.extend(shares);
        self.renew(now, client, report.lease, units, proved);
        let expected = bits.map_or(0.0, |bits| units / f64::from(bits).exp2());
        let known = self.clients.find_mut(client);
        if bits.is_some() && known.is_some_and(|known| known.trust.weigh(count, expected)) {
            self.lower(client, Standing::Distrusted(Reason::TooFewShares));
            return 0;
        }
        if self.leases.find(report.lease).is_some_and(|lease| lease.rest().is_empty()) {
            self.close(report.lease);
        }
        span.len()
    }

    /// Progress renews every lease of the client, for it works on them one after the other, and
    /// tells how fast it is.
    fn renew(&mut self, now: Duration, client: ClientId, id: LeaseId, units: f64, proved: f64) {
        let Some(lease) = self.leases.find(id) else { return };
        let (job, rest) = (lease.job, lease.rest());
        let Some(kind) = self.jobs.find(job).map(|entry| entry.kind()) else { return };
        let rate = self.note_work(now, client, kind, units, proved);
        let Some(known) = self.clients.find_mut(client) else { return };
        known.units = known.units.saturating_add(units as u128);
        let leases = known.leases.clone();
        for id in leases {
            if let Some(lease) = self.leases.find_mut(id) {
                lease.deadline = now.saturating_add(self.config.patience);
            }
        }
        let due = now + seconds(rest.len() as f64 / rate.max(1) as f64);
        if let Some(lease) = self.leases.find_mut(id) {
            lease.due = due;
        }
        if let Some(entry) = self.jobs.find_mut(job) {
            entry.due.insert((due, id));
        }
    }

    /// Takes note of work in the client's pace and the team's; returns the client's rate.
    fn note_work(
        &mut self,
        now: Duration,
        client: ClientId,
        kind: JobKind,
        units: f64,
        proved: f64,
    ) -> u64 {
        let Some(known) = self.clients.find_mut(client) else { return 0 };
        let before = known.rate(kind);
        known.note_work(now, kind, units, proved);
        let after = known.rate(kind);
        let team = &mut self.team_rates[kind.index()];
        *team = *team - u128::from(before) + u128::from(after);
        after
    }

    /// What a fault costs.
    fn blame(&mut self, client: ClientId, fault: Fault) {
        match fault {
            Fault::WrongSum => self.lower(client, Standing::Distrusted(Reason::WrongResult)),
            Fault::FalseShare(nonce) => self.note_false_claim(client, nonce),
            // Nonsense, but no claim: it counts nothing and the lease runs out.
            Fault::WrongKind | Fault::TooLong => {}
        }
    }

    fn note_false_claim(&mut self, client: ClientId, what: u128) {
        let Some(known) = self.clients.find_mut(client) else { return };
        if known.trust.note_false_claim(what) {
            self.lower(client, Standing::Banned(Reason::FalseClaims));
        }
    }

    /// A client loses its trust: its leases end, and what it has finished lately is free again.
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
        self.drop_rates(client);
        let Some(known) = self.clients.find_mut(client) else { return };
        for (job, span) in known.trust.lower(standing) {
            if let Some(entry) = self.jobs.find_mut(job).filter(|entry| entry.ended.is_none()) {
                entry.undo(span);
            }
            self.offer(job, span);
        }
        self.parked.remove(&client);
        self.events.push_back(match standing {
            Standing::Banned(reason) => Event::Banned(client, reason),
            Standing::Distrusted(reason) => Event::Distrusted(client, reason),
            Standing::Good => return,
        });
    }
}

/// A number for a claimed text, so that the same claim is known again (FNV-1a).
fn fingerprint(text: &str) -> u128 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u128, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
