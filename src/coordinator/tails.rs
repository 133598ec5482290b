//! Cuts: tails off leases at the end of a job, so that all clients end together, and room for a job
//! that has just come.

use super::api::{ClientId, LeaseId};
use super::config::FEW_CLIENTS;
use super::lease_book::{Lease, LeaseBook};
use super::pace::aligned_end;
use super::scheduler::{Scheduler, lendable};
use super::tables::Tables;
use crate::span::Span;
use std::time::Duration;

/// A tail is leased again when its holder is this far from its end, in units of the shortest lease:
/// below that the message comes too late to save anything.
const WORTH_CUTTING: u32 = 4;

/// Jobs that a client without work looks at for tails. There are rarely more than one.
const JOBS_FOR_TAILS: usize = 8;

/// A change to a lease that makes room.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// Takes this tail off it.
    Tail(LeaseId, Span),
    /// Takes all of it away.
    Whole(LeaseId),
}

impl Scheduler {
    /// With nothing free: returns the tail of the lease that would be through last, such that both
    /// clients end together.
    pub(super) fn longest_tail(
        &self,
        tables: &Tables,
        leases: &LeaseBook,
        now: Duration,
        client: ClientId,
    ) -> Option<(LeaseId, Span)> {
        let known = &tables.clients[client];
        let own = known.leases.iter().map(|&id| &leases[id]);
        // When this client could begin with it.
        let begin = own.map(|lease| lease.due).fold(now, Duration::max);
        let jobs = tables.jobs.active().iter().take(JOBS_FOR_TAILS);
        let victims = jobs.filter_map(|&job| {
            let entry = &tables.jobs[job];
            let latest = entry.due.iter().rev().take(tables.config.leases_per_client + 1);
            let mut others = latest.filter(|&&(_, id)| leases[id].client != client);
            others.next().filter(|_| known.can(entry.kind()))
        });
        let &(_, victim) = victims.max_by_key(|&&(due, _)| due.saturating_sub(begin))?;
        Some((victim, tail_for(tables, begin, client, &leases[victim])?))
    }

    /// Returns what to cut so that a job that has just come has its turn soon. Where many clients
    /// are here one of them ends a lease soon anyway.
    pub(super) fn room_for_another(
        &self,
        tables: &Tables,
        leases: &LeaseBook,
        now: Duration,
    ) -> Vec<Cut> {
        let mut cuts = Vec::new();
        if !self.turns.is_contended() || tables.clients.len() > FEW_CLIENTS {
            return cuts;
        }
        let turn = self.lease_time(tables);
        for (_, client) in tables.clients.iter() {
            let mut held = client.leases.iter().copied().filter(|&id| !leases[id].late);
            let Some(first) = held.next() else { continue };
            let tail = beyond_turn(tables, &leases[first], now + turn);
            cuts.extend(tail.map(|tail| Cut::Tail(first, tail)));
            // The client has not begun those behind the first.
            cuts.extend(held.map(Cut::Whole));
        }
        cuts
    }
}

/// Returns the tail of `lease` that `client`, beginning at `begin`, should take; `None` if that saves
/// no time, or if either has proved nothing yet: then nobody knows.
fn tail_for(tables: &Tables, begin: Duration, client: ClientId, lease: &Lease) -> Option<Span> {
    let theirs = tables.rate(lease.client, lease.job)?;
    let mine = tables.rate(client, lease.job)?;
    let worth = tables.config.shortest_lease * WORTH_CUTTING;
    let gain = lease.due.checked_sub(begin).filter(|&gain| gain > worth)?;
    let rest = lease.rest();
    let left = ((gain.as_secs_f64() * theirs) as u128).min(rest.len());
    // Not more than there is, whatever rounding makes of the largest numbers.
    let tail = ((left as f64 * (mine / (mine + theirs))) as u128).min(left);
    // Cuts near which a kernel would have ended anyway.
    let spec = tables.jobs[lease.job].job.spec();
    let aligned = rest.end() - aligned_end(0, lendable(spec, tail));
    // The holder must keep enough to prove it.
    let aligned = aligned.max(lease.provable_end());
    let (head, tail) = rest.split_at(aligned - rest.start());
    (!head.is_empty() && !tail.is_empty()).then_some(tail)
}

/// Returns what of a lease its client does not reach until `end`, and need not to prove what it did.
fn beyond_turn(tables: &Tables, lease: &Lease, end: Duration) -> Option<Span> {
    let rate = tables.rate(lease.client, lease.job)?;
    let time = end.saturating_sub(lease.touched);
    let done = lease.done.saturating_add((time.as_secs_f64() * rate) as u128);
    let keep = done.max(lease.provable_end());
    let (_, tail) = lease.rest().split_at(keep.saturating_sub(lease.done));
    (!tail.is_empty()).then_some(tail)
}
