//! Coverage: each unit of a job is free, leased, claimed or confirmed.

use crate::span::{Span, SpanSet};

/// Four disjoint sets whose union is the whole job, after every event.
///
/// A unit moves from free to leased when it is granted, to claimed when a client says that it is done,
/// and to confirmed when there is evidence for it. What loses its holder goes back to free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Held by nobody and not done.
    pub free: SpanSet,
    /// Held by a client and not yet reported.
    pub leased: SpanSet,
    /// Reported as done, on the word of the holder alone.
    pub claimed: SpanSet,
    /// Done, with the evidence that [`super`] asks for.
    pub confirmed: SpanSet,
}

impl Coverage {
    /// Returns the coverage of a job of which nothing is done.
    pub(super) fn new(whole: Span) -> Self {
        let [leased, claimed, confirmed] = std::array::from_fn(|_| SpanSet::new());
        Self { free: SpanSet::from(whole), leased, claimed, confirmed }
    }

    /// Leases up to `len` units off the lowest free span.
    pub(super) fn lend(&mut self, len: u128) -> Option<Span> {
        let span = self.free.take(len)?;
        self.leased.insert(span);
        Some(span)
    }

    /// Leases `span` again to a holder that had claimed it up to `done`, if all of it is free.
    pub(super) fn lend_again(&mut self, span: Span, done: u128) -> bool {
        let free = self.free.covers(span);
        if free {
            self.free.remove(span);
            self.claimed.insert(Span::new(span.start(), done));
            self.leased.insert(Span::new(done, span.end()));
        }
        free
    }

    /// Moves what is leased of `span` to claimed.
    pub(super) fn claim(&mut self, span: Span) {
        for piece in self.leased.extract(span) {
            self.claimed.insert(piece);
        }
    }

    /// Confirms `span`, wherever its units are; returns how many were not confirmed before.
    pub(super) fn confirm(&mut self, span: Span) -> u128 {
        for set in [&mut self.free, &mut self.leased, &mut self.claimed] {
            set.remove(span);
        }
        self.confirmed.insert(span)
    }

    /// Frees what is leased or claimed of `span`, whose holder gives it back.
    pub(super) fn give_back(&mut self, span: Span) {
        for set in [&mut self.leased, &mut self.claimed] {
            for piece in set.extract(span) {
                self.free.insert(piece);
            }
        }
    }

    /// Frees what is confirmed of `span`: its evidence has turned out to be false.
    pub(super) fn undo(&mut self, span: Span) {
        for piece in self.confirmed.extract(span) {
            self.free.insert(piece);
        }
    }

    /// Returns whether nothing is left to lease or to search.
    pub(super) fn is_all_reported(&self) -> bool {
        self.free.is_empty() && self.leased.is_empty()
    }
}
