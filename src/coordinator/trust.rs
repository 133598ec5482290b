//! Trust: chooses the leases that are audited, and remembers the clients that lied.
//!
//! `evidence` has the arithmetic that confirms claims and accuses clients.

use super::api::{ClientId, Event, JobId};
use super::audit::{Audit, AuditResult, Spot};
use super::client::Client;
use super::config::{AUDIT_BACKLOG, AUDITS_PER_CLIENT, Config, MOST_LIARS, PENDING_AUDITS, SPOTS};
use super::lease_book::Lease;
use super::outbox::Outbox;
use super::random::Random;
use super::tables::Tables;
use crate::jobs::{JobSpec, Sample};
use crate::span::Span;
use std::collections::{BTreeMap, VecDeque};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Trust {
    random: Random,
    audits: BTreeMap<u64, Pending>,
    /// Blocks of MD5 that these are expected to take.
    backlog: u128,
    last_audit: u64,
    /// Clients without trust, the one that lost it first in front.
    liars: VecDeque<ClientId>,
}

/// An audit that is under way. Its client may have left, and its job may have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) client: ClientId,
    pub(super) job: JobId,
    /// Units of the lease that were confirmed.
    pub(super) span: Span,
    /// Blocks of MD5 that it is expected to take.
    cost: u128,
}

impl Trust {
    pub(super) fn new(random: Random) -> Self {
        let (audits, liars) = (BTreeMap::new(), VecDeque::new());
        Self { random, audits, backlog: 0, last_audit: 0, liars }
    }

    /// Draws the places at which a new lease of `span` may be audited.
    pub(super) fn draw_spots(
        &mut self,
        config: &Config,
        client: &Client,
        span: Span,
        share_bits: Option<u32>,
    ) -> Vec<Spot> {
        let one_in = if client.suspect { 1 } else { client.conduct.audit_one_in(config) };
        let most = if client.suspect { 2 * SPOTS } else { SPOTS };
        if share_bits.is_none() || self.random.below(one_in.into()) != 0 {
            return Vec::new();
        }
        let mut spots: Vec<Spot> = (0..most)
            .map(|_| Spot { at: span.start() + self.random.below(span.len()), share: None })
            .collect();
        spots.sort_unstable_by_key(|spot| spot.at);
        spots
    }

    /// Audits a lease that has ended, if it was chosen and there is room.
    pub(super) fn plan_audit(&mut self, tables: &mut Tables, outbox: &mut Outbox, lease: &Lease) {
        let (client, entry) = (&tables.clients[lease.client], &tables.jobs[lease.job]);
        let room = self.audits.len() < PENDING_AUDITS && client.audits < AUDITS_PER_CLIENT;
        if client.check_standing().is_err() || entry.ended.is_some() || !room {
            return;
        }
        let spec = entry.job.spec();
        let (samples, reported, cost) = self.samples(&tables.config, spec, lease);
        if samples.is_empty() {
            return;
        }
        tables.jobs[lease.job].audits += 1;
        tables.clients[lease.client].audits += 1;
        self.backlog += cost;
        self.last_audit += 1;
        let (id, client, job) = (self.last_audit, lease.client, lease.job);
        let span = Span::new(lease.start, lease.confirmed);
        self.audits.insert(id, Pending { client, job, span, cost });
        outbox.push(Event::Audit(Audit { id, job, samples, reported }));
    }

    /// Returns what to search again of a lease, the share that its client reported in each, and the
    /// cost of all: as many places as the backlog has room for, since a job's end waits for its
    /// audits.
    fn samples(
        &self,
        config: &Config,
        spec: &JobSpec,
        lease: &Lease,
    ) -> (Vec<Sample>, Vec<Option<u128>>, u128) {
        let Some(share_bits) = lease.share_bits else { return Default::default() };
        let budget = u128::from(config.audit_budget.max(1));
        let each = 1u128.checked_shl(share_bits).unwrap_or(u128::MAX).min(budget);
        let each = each * u128::from(spec.unit_cost());
        let most = (AUDIT_BACKLOG - self.backlog.min(AUDIT_BACKLOG)) / each;
        let searched = lease.spots.iter().filter(|spot| spot.at < lease.confirmed);
        let (samples, reported): (Vec<_>, Vec<_>) = searched
            .take(most.min(64) as usize)
            .filter_map(|spot| {
                let end = spot.share.map_or(lease.confirmed, |share| share + 1);
                let end = end.min(lease.confirmed);
                let span = Span::with_len(spot.at, budget.min(end - spot.at));
                let sample = spec.sample(span, share_bits)?;
                Some((sample, spot.share.filter(|&share| span.contains(share))))
            })
            .unzip();
        let cost = each * samples.len() as u128;
        (samples, reported, cost)
    }

    /// Returns whether an audit is under way.
    pub(super) fn is_pending(&self, audit: &Audit) -> bool {
        self.audits.contains_key(&audit.id)
    }

    /// Ends an audit; `None` if it was handed back before.
    pub(super) fn end_audit(
        &mut self,
        tables: &mut Tables,
        result: &AuditResult,
    ) -> Option<Pending> {
        let pending = self.audits.remove(&result.id)?;
        self.backlog -= pending.cost;
        if let Some(client) = tables.clients.find_mut(pending.client) {
            client.audits -= 1;
        }
        if let Some(entry) = tables.jobs.find_mut(pending.job) {
            entry.audits -= 1;
        }
        Some(pending)
    }

    /// Returns the clients without trust, the one that lost it first in front.
    pub(super) fn liars(&self) -> impl Iterator<Item = ClientId> {
        self.liars.iter().copied()
    }

    /// Returns the number of clients without trust.
    pub(super) fn liar_count(&self) -> usize {
        self.liars.len()
    }

    /// Remembers a client that has lost its trust.
    pub(super) fn note_liar(&mut self, client: ClientId) {
        self.liars.push_back(client);
    }

    /// Forgets a client that is gone or was pardoned.
    pub(super) fn forget_liar(&mut self, client: ClientId) {
        self.liars.retain(|&liar| liar != client);
    }

    /// Returns the client that lost its trust first, where there are too many to remember: such
    /// clients come back under another name anyway.
    pub(super) fn one_liar_too_many(&self) -> Option<ClientId> {
        self.liars.front().copied().filter(|_| self.liars.len() > MOST_LIARS)
    }
}
