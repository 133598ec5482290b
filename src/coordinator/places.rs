//! Submitters, and the places for their jobs: under way, and kept after their end.
//!
//! Each submitter has places of its own, so that nobody fills those of another or pushes another's
//! results out. This machine is one submitter, and so is each network elsewhere.

use super::api::JobId;
use super::config::KEPT_ENDED_JOBS;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Networks together have one in this many of the places; the others are this machine's alone.
const NETWORKS_PART: usize = 2;

/// One network has one in this many of the places.
const NETWORK_PART: usize = 16;

/// The submitter of a job.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Submitter {
    /// The server itself, at its start. Its job is never forgotten.
    Server,
    /// Someone on the server's machine.
    Here,
    /// Someone in a network elsewhere; by its first address, so that all of it is one submitter.
    Network(IpAddr),
}

impl Submitter {
    /// Returns whether it may end a job of `owner`: submitters on this machine may end everything,
    /// others only their own.
    pub fn may_end(self, owner: Submitter) -> bool {
        !self.is_elsewhere() || self == owner
    }

    pub(super) fn is_elsewhere(self) -> bool {
        matches!(self, Self::Network(_))
    }
}

/// Jobs by submitter.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    active: BTreeMap<Submitter, usize>,
    ended: BTreeMap<Submitter, VecDeque<JobId>>,
}

impl Places {
    /// Returns whether `submitter` may have one more of `most` jobs under way.
    pub(super) fn has_room(&self, submitter: Submitter, most: usize) -> bool {
        let all: usize = self.active.values().sum();
        if !submitter.is_elsewhere() {
            return all < most;
        }
        let networks = self.active.iter().filter(|(submitter, _)| submitter.is_elsewhere());
        let own = self.active.get(&submitter).copied().unwrap_or(0);
        all < most
            && networks.map(|(_, jobs)| jobs).sum::<usize>() < most / NETWORKS_PART
            && own < (most / NETWORK_PART).max(1)
    }

    pub(super) fn begin(&mut self, submitter: Submitter) {
        *self.active.entry(submitter).or_default() += 1;
    }

    /// Returns the ended jobs that are kept, each submitter's in the order in which they ended.
    pub(super) fn ended(&self) -> impl Iterator<Item = JobId> {
        self.ended.values().flatten().copied()
    }

    /// Moves a job to those that have ended; returns one to be forgotten in its place.
    pub(super) fn end(&mut self, submitter: Submitter, job: JobId) -> Option<JobId> {
        if let Some(active) = self.active.get_mut(&submitter) {
            *active -= 1;
            if *active == 0 {
                self.active.remove(&submitter);
            }
        }
        // The server was started for its own job.
        if submitter == Submitter::Server {
            return None;
        }
        self.ended.entry(submitter).or_default().push_back(job);
        let kept: usize = self.ended.values().map(VecDeque::len).sum();
        if kept <= KEPT_ENDED_JOBS {
            return None;
        }
        let crowded = self.most_crowded();
        let jobs = self.ended.get_mut(&crowded)?;
        let oldest = jobs.pop_front();
        if jobs.is_empty() {
            self.ended.remove(&crowded);
        }
        oldest
    }

    /// Returns the submitter whose oldest ended job is forgotten: the one that has the most, but this
    /// machine keeps its part however many networks there are. Among equals it is the one whose
    /// oldest job is older.
    fn most_crowded(&self) -> Submitter {
        let here = self.ended.get(&Submitter::Here).map_or(0, VecDeque::len);
        let spared = here <= KEPT_ENDED_JOBS - KEPT_ENDED_JOBS / NETWORKS_PART;
        let candidates = self.ended.iter().filter(|(who, _)| !spared || who.is_elsewhere());
        candidates
            .max_by_key(|(_, jobs)| (jobs.len(), std::cmp::Reverse(jobs.front().copied())))
            .map_or(Submitter::Here, |(&who, _)| who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: u32) -> Submitter {
        Submitter::Network(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_network_has_its_places_and_this_machine_has_the_rest() {
        let mut places = Places::default();
        for n in 0..8 {
            for _ in 0..62 {
                assert!(places.has_room(network(n), 1_000));
                places.begin(network(n));
            }
            assert!(!places.has_room(network(n), 1_000));
        }
        (0..4).for_each(|_| places.begin(network(8)));
        assert!(!places.has_room(network(9), 1_000), "networks have half of the places");
        for _ in 0..500 {
            assert!(places.has_room(Submitter::Here, 1_000));
            places.begin(Submitter::Here);
        }
        assert!(!places.has_room(Submitter::Here, 1_000));
        assert_eq!(places.end(network(3), JobId(1)), None);
        assert!(places.has_room(network(9), 1_000) && places.has_room(Submitter::Here, 1_000));
    }

    #[test]
    fn ended_jobs_are_forgotten_by_the_submitter_that_has_most() {
        let mut places = Places::default();
        let mut last = 0;
        let mut end = |places: &mut Places, submitter| {
            last += 1;
            places.begin(submitter);
            places.end(submitter, JobId(last))
        };
        assert_eq!(end(&mut places, Submitter::Server), None);
        assert_eq!(end(&mut places, Submitter::Here), None);
        assert_eq!(end(&mut places, network(1)), None);
        let forgotten: Vec<_> = (0..300).filter_map(|_| end(&mut places, network(2))).collect();
        assert_eq!(forgotten.len(), 300 + 2 - KEPT_ENDED_JOBS);
        assert!(forgotten.iter().copied().eq((4..).take(forgotten.len()).map(JobId)));
        // However many networks there are, half of the results are this machine's.
        for _ in 0..KEPT_ENDED_JOBS / 2 - 1 {
            end(&mut places, Submitter::Here);
        }
        for n in 0..1_000 {
            end(&mut places, network(n));
        }
        assert_eq!(places.ended[&Submitter::Here].len(), KEPT_ENDED_JOBS / 2);
        assert_eq!(places.ended.values().map(VecDeque::len).sum::<usize>(), KEPT_ENDED_JOBS);
        assert!(places.active.is_empty());
    }
}
