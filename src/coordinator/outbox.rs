//! The outbox: events for the driver and facts for the store.

use super::api::Event;
use super::facts::Fact;
use std::collections::VecDeque;

/// Events and facts that nobody has taken yet, oldest first.
#[derive(Debug)]
pub(super) struct Outbox {
    events: VecDeque<Event>,
    facts: VecDeque<Fact>,
    keeps_facts: bool,
}

impl Outbox {
    /// Returns an empty outbox; without `keeps_facts` it drops facts, which then cost nothing.
    pub(super) fn new(keeps_facts: bool) -> Self {
        Self { events: VecDeque::new(), facts: VecDeque::new(), keeps_facts }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Keeps a fact, which is made only where someone wants it.
    pub(super) fn record(&mut self, fact: impl FnOnce() -> Fact) {
        if self.keeps_facts {
            self.facts.push_back(fact());
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn next_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }
}
