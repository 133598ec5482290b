//! Half-open ranges of nonces (or units of any other job) and exact sets of them.
//!
//! Coverage is counted in these, so every operation is exact and nothing is rounded. This module
//! knows nothing of puzzles, seeds or time.

use std::collections::BTreeMap;
use std::fmt;

/// A half-open range `start..end` of units; empty if `start == end`, never reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    start: u128,
    end: u128,
}

impl Span {
    /// Creates the span `start..end`; an `end` below `start` gives the empty span at `start`.
    pub fn new(start: u128, end: u128) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Creates the span of `len` units from `start`, cut off at `u128::MAX`.
    pub fn with_len(start: u128, len: u128) -> Self {
        Self { start, end: start.saturating_add(len) }
    }

    /// Returns the first unit.
    pub fn start(self) -> u128 {
        self.start
    }

    /// Returns the unit after the last.
    pub fn end(self) -> u128 {
        self.end
    }

    /// Returns the number of units.
    pub fn len(self) -> u128 {
        self.end - self.start
    }

    /// Returns true if the span holds no unit.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Returns true if `unit` is in the span.
    pub fn contains(self, unit: u128) -> bool {
        self.start <= unit && unit < self.end
    }

    /// Returns true if every unit of `other` is in this span; always true for an empty `other`.
    pub fn covers(self, other: Span) -> bool {
        other.is_empty() || (self.start <= other.start && other.end <= self.end)
    }

    /// Returns the units in both spans; empty if there are none.
    pub fn intersect(self, other: Span) -> Span {
        Span::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Splits off the first `len` units. Either part may be empty.
    pub fn split_at(self, len: u128) -> (Span, Span) {
        let middle = self.start.saturating_add(len).min(self.end);
        (Span::new(self.start, middle), Span::new(middle, self.end))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of units, kept as disjoint, non-touching, non-empty spans in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanSet {
    /// Maps start to end.
    spans: BTreeMap<u128, u128>,
    len: u128,
}

impl SpanSet {
    /// Creates the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of units in the set.
    pub fn len(&self) -> u128 {
        self.len
    }

    /// Returns true if the set holds no unit.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Iterates over the spans, ascending; no two touch.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Span> + '_ {
        self.spans.iter().map(|(&start, &end)| Span { start, end })
    }

    /// Returns the number of separate spans.
    pub fn fragments(&self) -> usize {
        self.spans.len()
    }

    /// Returns the lowest span.
    pub fn first(&self) -> Option<Span> {
        self.iter().next()
    }

    /// Returns true if every unit of `span` is in the set.
    pub fn covers(&self, span: Span) -> bool {
        span.is_empty() || self.at_or_before(span.start).is_some_and(|held| held.covers(span))
    }

    /// Adds every unit of `span`; returns how many were not in the set before.
    pub fn insert(&mut self, span: Span) -> u128 {
        if span.is_empty() {
            return 0;
        }
        let mut merged = span;
        let mut absorbed = 0;
        if let Some(left) = self.at_or_before(span.start).filter(|left| left.end >= span.start) {
            merged = Span::new(left.start, merged.end.max(left.end));
            absorbed += left.len();
            self.spans.remove(&left.start);
        }
        while let Some((&start, &end)) = self.spans.range(span.start..=span.end).next() {
            merged = Span::new(merged.start, merged.end.max(end));
            absorbed += end - start;
            self.spans.remove(&start);
        }
        self.spans.insert(merged.start, merged.end);
        let added = merged.len() - absorbed;
        self.len += added;
        added
    }

    /// Removes every unit of `span`; returns how many were in the set before.
    pub fn remove(&mut self, span: Span) -> u128 {
        if span.is_empty() {
            return 0;
        }
        let mut removed = 0;
        let mut next = self.at_or_before(span.start).or_else(|| self.starting_from(span.start));
        while let Some(held) = next.filter(|held| held.start < span.end) {
            let cut = held.intersect(span);
            if !cut.is_empty() {
                self.spans.remove(&held.start);
                for rest in [Span::new(held.start, cut.start), Span::new(cut.end, held.end)] {
                    if !rest.is_empty() {
                        self.spans.insert(rest.start, rest.end);
                    }
                }
                removed += cut.len();
            }
            next = self.starting_from(held.end);
        }
        self.len -= removed;
        removed
    }

    /// Removes every unit of `span`; returns the pieces that were in the set, ascending.
    pub fn extract(&mut self, span: Span) -> Vec<Span> {
        let pieces: Vec<Span> = self.pieces(span).collect();
        for &piece in &pieces {
            self.remove(piece);
        }
        pieces
    }

    /// Iterates over the parts of `span` that are in the set, ascending.
    pub fn pieces(&self, span: Span) -> impl Iterator<Item = Span> + '_ {
        let first = self.at_or_before(span.start).map_or(span.start, |held| held.start);
        let range = self.spans.range(first..span.end.max(first));
        range
            .map(move |(&start, &end)| Span { start, end }.intersect(span))
            .filter(|piece| !piece.is_empty())
    }

    /// Removes up to `len` units from the front of the lowest span and returns them; `None` if there
    /// are none.
    pub fn take(&mut self, len: u128) -> Option<Span> {
        let (taken, _) = self.first()?.split_at(len);
        (self.remove(taken) > 0).then_some(taken)
    }

    fn at_or_before(&self, unit: u128) -> Option<Span> {
        self.spans.range(..=unit).next_back().map(|(&start, &end)| Span { start, end })
    }

    fn starting_from(&self, unit: u128) -> Option<Span> {
        self.spans.range(unit..).next().map(|(&start, &end)| Span { start, end })
    }
}

impl From<Span> for SpanSet {
    fn from(span: Span) -> Self {
        let mut set = Self::new();
        set.insert(span);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Spans over a small universe, so that every kind of overlap and touch occurs.
    fn small_span() -> impl Strategy<Value = Span> {
        (0u128..40, 0u128..12).prop_map(|(start, len)| Span::with_len(start, len))
    }

    fn check(set: &SpanSet, model: &BTreeSet<u128>) {
        let units: BTreeSet<u128> = set.iter().flat_map(|s| s.start()..s.end()).collect();
        assert_eq!(&units, model);
        assert_eq!(set.len(), model.len() as u128);
        let spans: Vec<Span> = set.iter().collect();
        assert!(spans.iter().all(|s| !s.is_empty()));
        assert!(spans.windows(2).all(|pair| pair[0].end() < pair[1].start()), "{spans:?}");
    }

    proptest! {
        #[test]
        fn a_set_behaves_like_a_set_of_units(
            steps in prop::collection::vec((0u8..4, small_span()), 1..40)
        ) {
            let (mut set, mut model) = (SpanSet::new(), BTreeSet::new());
            for (kind, span) in steps {
                match kind {
                    0 => {
                        let added = (span.start()..span.end()).filter(|&u| model.insert(u)).count();
                        prop_assert_eq!(set.insert(span), added as u128);
                    }
                    1 => {
                        let gone = (span.start()..span.end()).filter(|u| model.remove(u)).count();
                        prop_assert_eq!(set.remove(span), gone as u128);
                    }
                    2 => {
                        let pieces = set.extract(span);
                        let units: Vec<u128> =
                            pieces.iter().flat_map(|s| s.start()..s.end()).collect();
                        let expected: Vec<u128> =
                            (span.start()..span.end()).filter(|u| model.remove(u)).collect();
                        prop_assert_eq!(units, expected);
                    }
                    _ => {
                        let taken = set.take(span.len());
                        let lowest = model.first().copied();
                        prop_assert_eq!(taken.map(Span::start), lowest.filter(|_| !span.is_empty()));
                        for unit in taken.into_iter().flat_map(|t| t.start()..t.end()) {
                            prop_assert!(model.remove(&unit));
                        }
                    }
                }
                check(&set, &model);
                let all = (span.start()..span.end()).all(|u| model.contains(&u));
                prop_assert_eq!(set.covers(span), all);
                let inside: Vec<u128> = set.pieces(span).flat_map(|s| s.start()..s.end()).collect();
                let expected: Vec<u128> = model.range(span.start()..span.end()).copied().collect();
                prop_assert_eq!(inside, expected);
            }
        }

        #[test]
        fn spans_behave_like_sets_of_units(a in small_span(), b in small_span(), at in 0u128..60) {
            let units = |span: Span| (span.start()..span.end()).collect::<BTreeSet<_>>();
            prop_assert_eq!(a.len(), units(a).len() as u128);
            prop_assert_eq!(a.is_empty(), units(a).is_empty());
            prop_assert_eq!(a.contains(at), units(a).contains(&at));
            prop_assert_eq!(a.covers(b), units(a).is_superset(&units(b)));
            prop_assert_eq!(units(a.intersect(b)), &units(a) & &units(b));
            let (left, right) = a.split_at(at);
            prop_assert_eq!(left.len(), at.min(a.len()));
            prop_assert_eq!(&units(left) | &units(right), units(a));
        }

        #[test]
        fn split_keeps_every_unit(start: u128, len: u128, at: u128) {
            let span = Span::with_len(start, len);
            let (left, right) = span.split_at(at);
            prop_assert_eq!(left.start(), span.start());
            prop_assert_eq!(left.end(), right.start());
            prop_assert_eq!(right.end(), span.end());
            prop_assert!(left.len() <= at);
        }
    }

    #[test]
    fn spans_are_written_as_ranges() {
        assert_eq!(Span::new(3, 12).to_string(), "3..12");
        assert_eq!(Span::new(9, 3), Span::new(9, 9), "a reversed span is empty");
    }

    #[test]
    fn sets_count_fragments_and_know_when_they_are_empty() {
        let mut set = SpanSet::new();
        assert!(set.is_empty() && set.fragments() == 0 && set.first().is_none());
        for start in [0, 10, 20] {
            set.insert(Span::with_len(start, 5));
        }
        assert_eq!((set.fragments(), set.first()), (3, Some(Span::new(0, 5))));
        assert_eq!(set.insert(Span::new(5, 10)), 5);
        assert_eq!(set.fragments(), 2, "spans that touch become one");
        assert!(!set.is_empty());
        set.remove(Span::new(0, 25));
        assert!(set.is_empty());
    }

    #[test]
    fn the_ends_of_u128_are_ordinary_units() {
        let mut set = SpanSet::from(Span::new(0, u128::MAX));
        assert_eq!(set.remove(Span::new(u128::MAX - 1, u128::MAX)), 1);
        assert_eq!(set.len(), u128::MAX - 1);
        assert_eq!(set.insert(Span::with_len(u128::MAX - 1, 9)), 1);
        assert_eq!(set.fragments(), 1);
    }
}
