//! What a client's shares prove, and what it loses when they do not.
//!
//! A span of `len` nonces holds Poisson(len / 2^bits) shares, to within a binomial that is narrower
//! still. An honest client reports all of them. For any `theta` below 1 the product of
//! `theta^shares * e^((1-theta) * expected)` over the reports of an honest client is a
//! supermartingale, so it rarely grows large (Ville's inequality: it ever reaches `e^h` with
//! probability at most `e^-h`), whenever and however often one looks. For a client that reports a
//! part `q` of what it should, it grows exponentially once `theta` is somewhat above `q`. Four
//! thetas are watched at once. Each is kept from going below 1 (a CUSUM), so that a long honest
//! past does not pay for a dishonest present; that costs the union over the reports at which it
//! could have started: the chance of accusing an honest client in a million reports is below
//! 4 * 10^6 * e^-[`THRESHOLD`] < 10^-9.

use std::collections::VecDeque;
use std::fmt;

use super::config::{Config, DOUBTFUL_LEASES, MAX_FALSE_CLAIMS};
use super::event::JobId;
use crate::span::Span;

/// Parts of the expected shares that the tests look for. The first finds those that did nothing
/// when 40 shares were due, so within one lease; the last those that skipped a tenth, after about
/// a hundred leases.
const THETAS: [f64; 4] = [0.1, 0.5, 0.8, 0.95];

/// Logarithm of the evidence from which on a client is accused; see the module's text.
const THRESHOLD: f64 = 36.0;

/// Why a client is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Far fewer shares than the spans it claims must hold.
    TooFewShares,
    /// An audit found a share in a span that it claims to have searched without finding it.
    MissedShare,
    /// A result that is wrong.
    WrongResult,
    /// Too many hits or shares that are none.
    FalseClaims,
    /// The operator of the server says so.
    Operator,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TooFewShares => "too few shares for the work it claims",
            Self::MissedShare => "an audit found a share that it had missed",
            Self::WrongResult => "a result of it was wrong",
            Self::FalseClaims => "it claimed solutions or shares that are none",
            Self::Operator => "the server's operator has banned it",
        })
    }
}

/// How far a client is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Nothing is known against it.
    #[default]
    Good,
    /// Gets no more work; hits of it are still judged.
    Distrusted(Reason),
    /// Is not listened to.
    Banned(Reason),
}

/// What is known about one client.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    standing: Standing,
    evidence: [f64; THETAS.len()],
    /// Claimed nonces or numbers that were none; kept so that a repeated message counts once.
    false_claims: Vec<u128>,
    good_leases: u32,
    doubtful: VecDeque<(JobId, Span)>,
}

impl Trust {
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn false_claims(&self) -> u32 {
        self.false_claims.len() as u32
    }

    /// Takes note of `shares` where `expected` were due; whether that is beyond bad luck.
    #[must_use]
    pub(super) fn weigh(&mut self, shares: usize, expected: f64) -> bool {
        for (evidence, theta) in self.evidence.iter_mut().zip(THETAS) {
            let step = shares as f64 * theta.ln() + (1.0 - theta) * expected;
            *evidence = (*evidence + step).max(0.0);
        }
        self.evidence.iter().any(|&evidence| evidence > THRESHOLD)
    }

    /// Takes note of a claim that is none; whether it was one too many.
    #[must_use]
    pub(super) fn note_false_claim(&mut self, nonce: u128) -> bool {
        if self.false_claims.len() < MAX_FALSE_CLAIMS as usize
            && !self.false_claims.contains(&nonce)
        {
            self.false_claims.push(nonce);
        }
        self.false_claims.len() >= MAX_FALSE_CLAIMS as usize
    }

    /// Takes note of a span that is counted as done on this client's word.
    pub(super) fn note_finished(&mut self, job: JobId, span: Span) {
        if span.is_empty() {
            return;
        }
        if self.doubtful.len() == DOUBTFUL_LEASES {
            self.doubtful.pop_front();
        }
        self.doubtful.push_back((job, span));
        self.good_leases = self.good_leases.saturating_add(1);
    }

    /// The part of its leases that is audited: one in this many.
    pub(super) fn audit_one_in(&self, config: &Config) -> u32 {
        if self.good_leases <= config.audit_all_until { 1 } else { config.audit_one_in.max(1) }
    }

    /// Forgets what is known against it.
    pub(super) fn pardon(&mut self) {
        *self = Self::default();
    }

    /// Lowers its standing. Returns what it has finished that is now in doubt.
    pub(super) fn lower(&mut self, standing: Standing) -> VecDeque<(JobId, Span)> {
        self.standing = standing;
        std::mem::take(&mut self.doubtful)
    }
}
