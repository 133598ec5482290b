//! Spans of a job that need another treatment when they are leased again.

use crate::span::{Span, SpanSet};

/// Separate spans that are remembered of each sort. They are rare; a client that makes many only
/// makes the server forget them, and then they are found out again.
const MOST_NOTED: usize = 1024;

/// Spans that were leased before and are not confirmed.
#[derive(Clone, Debug, Default)]
pub(super) struct Leftovers {
    short: SpanSet,
    stalled: SpanSet,
}

impl Leftovers {
    /// Notes a span that was searched, as its client says, and holds too few shares. Its shares
    /// will always be the same, so its next lease needs more of them.
    pub(super) fn note_short(&mut self, span: Span) {
        note(&mut self.short, span);
    }

    /// Returns whether any of `span` was short of shares.
    pub(super) fn is_short(&self, span: Span) -> bool {
        self.short.pieces(span).next().is_some()
    }

    /// Forgets that `span` was short of shares; returns whether any of it was.
    pub(super) fn take_short(&mut self, span: Span) -> bool {
        self.short.remove(span) > 0
    }

    /// Notes a span that its holder left undone: it is leased to everyone who asks, and the first
    /// to confirm it has done it.
    pub(super) fn note_stalled(&mut self, span: Span) {
        note(&mut self.stalled, span);
    }

    /// Returns whether a holder left any of `span` undone.
    pub(super) fn is_stalled(&self, span: Span) -> bool {
        self.stalled.pieces(span).next().is_some()
    }
}

fn note(set: &mut SpanSet, span: Span) {
    if set.fragments() >= MOST_NOTED {
        *set = SpanSet::new();
    }
    set.insert(span);
}
