//! Evidence: when a claim is credible, and when a client is accused.
//!
//! A share is a nonce whose digest has at least `bits` zero bits. A span of `len` nonces is
//! expected to hold `E = len / 2^bits` of them, and nobody knows which nonces they are before
//! hashing them. The server judges every share with the md-5 crate, each counts once, and only in
//! the span for which it is reported.
//!
//! # What confirms a span: evidence for one lease
//!
//! Let a client have claimed the units of a lease up to some place, which hold `E` expected shares,
//! have reported `S` shares in them, and have really hashed the part of them that holds `w`
//! expected shares. Whatever it hashes and in whatever order, `S` is at most the number of shares
//! among what it hashed, so `M = (1/q)^S e^(-(1/q - 1) w)` is bounded by a supermartingale that
//! begins at 1, for any `q` below 1. Take `q =` [`SEARCHED`] `= 3/4`. While `w <= q E`, the evidence
//! `L = S ln(1/q) - (1 - q) E` is at most `ln M`, so by Ville's inequality it reaches `h` with
//! probability at most `e^-h`. The client chooses the place, after it has seen what it found; `L`
//! is largest at one of its shares, and no lease is expected to hold more than 8,192, so the union
//! over them costs a factor of that times `1/q`. [`LEVEL`] `= ln(10^6 * 8192 / q)` therefore gives
//!
//! > the probability that a lease is ever confirmed up to a place at which its client has searched
//! > three quarters or less of what it claims is below `10^-6`.
//!
//! The bound holds for every lease by itself. It does not matter how often the client reports, when
//! it stops, leaves, or comes back under a new key, nor what it did before: nothing is carried from
//! one lease to the next, and what is not confirmed when a lease ends goes back to free. A client
//! that does nothing has no shares and is never confirmed. One that searches a part `p` gains
//! `p ln(1/q) - (1 - q)` an expected share, which is negative below `p = 0.87`, so between 0.75 and
//! 0.87 it passes rarely, by luck. An honest client gains 0.0377 and is confirmed after about 600
//! shares; a lease holds [`crate::jobs::SHARES_PER_LEASE`] (2,048) at least, where its evidence is
//! 77 with a standard deviation of 13: about one honest lease in fifty thousand ends short of the
//! level, and of that one the unconfirmed end is searched again, with twice the shares: the same
//! ones would be short again. Nobody is accused for it, nor for searching it again.
//!
//! Leases too short for shares are searched again by the judge, and sums have a closed form: their
//! claims are confirmed at once, with certainty.
//!
//! # What accuses a client: all it has reported
//!
//! For `theta` below 1 the product of `theta^shares e^((1-theta) expected)` over the reports of an
//! honest client is a supermartingale too; for a client that reports a part of what it should it
//! grows exponentially once `theta` is above that part. Four thetas are watched. Each is kept from
//! going below 1 (a CUSUM), so that a long honest past does not pay for a dishonest present; that
//! costs the union over the reports at which it could have started: the chance of accusing an
//! honest client in a million reports is below `4 * 10^6 e^-`[`THRESHOLD`] `< 10^-9`. One that does
//! nothing is accused when 40 shares are due, one that skips a tenth after some five leases. What
//! it had confirmed in its last [`DOUBTFUL_LEASES`] leases goes back to free.
//!
//! # What remains
//!
//! A client that searches nine tenths and leaves before it is accused keeps its tenth: it pays with
//! seven units of honest work for each false one. Random audits (`trust.rs`) make that dearer, also
//! after it has left. A client that does all the work and holds back nothing but a solution is seen
//! by an audit of just that place only. See docs/security.md.

use super::config::{Config, DOUBTFUL_LEASES, MAX_FALSE_CLAIMS};
use super::standing::Standing;
use crate::lease::JobId;
use crate::span::Span;
use std::collections::VecDeque;

/// Part of a claim that must have been searched for it to be confirmed; see the module's text.
const SEARCHED: f64 = 0.75;

/// Evidence from which on a claim is confirmed: ln(10^6 * 8192 / SEARCHED).
const LEVEL: f64 = 23.115;

/// Parts of the expected shares that accusations look for. The first finds those that did nothing
/// when 40 shares were due; the last those that skip a tenth, after some five leases.
const THETAS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];

/// Logarithm of the evidence from which on a client is accused; see the module's text.
const THRESHOLD: f64 = 36.0;

/// Evidence that one lease was searched; see the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence(f64);

impl Evidence {
    /// Notes `shares` where `expected` were due.
    pub(super) fn add(&mut self, shares: usize, expected: f64) {
        self.0 -= shares as f64 * SEARCHED.ln() + (1.0 - SEARCHED) * expected;
    }

    /// Returns whether bad luck could have made it so small: that of an honest client comes near 0
    /// once in 10^8 leases.
    pub(super) fn is_plausible(self) -> bool {
        self.0 > 0.0
    }

    /// Returns whether all that was claimed so far is credible.
    pub(super) fn is_credible(self) -> bool {
        self.0 >= LEVEL
    }
}

/// Evidence for and against one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    standing: Standing,
    evidence: [f64; THETAS.len()],
    false_claims: u32,
    good_leases: u32,
    doubtful: VecDeque<(JobId, Span)>,
}

impl Conduct {
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn false_claims(&self) -> u32 {
        self.false_claims
    }

    /// Notes `shares` where `expected` were due; returns whether that is beyond bad luck.
    #[must_use]
    pub(super) fn weigh(&mut self, shares: usize, expected: f64) -> bool {
        for (evidence, theta) in self.evidence.iter_mut().zip(THETAS) {
            let step = shares as f64 * theta.ln() + (1.0 - theta) * expected;
            *evidence = (*evidence + step).max(0.0);
        }
        self.evidence.iter().any(|&evidence| evidence > THRESHOLD)
    }

    /// Notes a false claim; returns true at the limit. The same one counts each time that it is sent:
    /// repeated datagrams are answered before they come here.
    #[must_use]
    pub(super) fn note_false_claim(&mut self) -> bool {
        self.false_claims = self.false_claims.saturating_add(1);
        self.false_claims >= MAX_FALSE_CLAIMS
    }

    /// Notes a span that was confirmed by this client's shares.
    pub(super) fn note_confirmed(&mut self, job: JobId, span: Span) {
        if span.is_empty() {
            return;
        }
        if self.doubtful.len() == DOUBTFUL_LEASES {
            self.doubtful.pop_front();
        }
        self.doubtful.push_back((job, span));
        self.good_leases = self.good_leases.saturating_add(1);
    }

    /// Returns the part of its leases that is audited: one in this many.
    pub(super) fn audit_one_in(&self, config: &Config) -> u32 {
        if self.good_leases <= config.audit_all_until { 1 } else { config.audit_one_in.max(1) }
    }

    /// Forgets what is known against it.
    pub(super) fn pardon(&mut self) {
        *self = Self::default();
    }

    /// Lowers its standing. Returns what it had confirmed that is now in doubt.
    pub(super) fn lower(&mut self, standing: Standing) -> VecDeque<(JobId, Span)> {
        self.standing = standing;
        std::mem::take(&mut self.doubtful)
    }
}
