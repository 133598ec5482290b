//! Limits of outcomes, and how many shares prove a lease.

/// Minimum number of shares that a lease is expected to hold; the maximum is twice as many.
///
/// Enough that nearly every honest lease proves itself, see the module of trust in
/// [`crate::coordinator`]: 2,048 shares give evidence of 77 where 23 are asked for. The judge takes
/// about a quarter of a microsecond for each (docs/performance.md).
pub const SHARES_PER_LEASE: u32 = 2048;

/// Leases shorter than this have no shares: the judge searches them again. That takes about as long
/// as judging the shares of a longer one.
pub const SHORTEST_PROVABLE: u128 = 4096;

/// Maximum number of MD5 blocks that the judge hashes for a lease without shares: about a
/// millisecond.
pub(super) const MOST_RECOMPUTED: u128 = 1 << 13;

/// Maximum number of hits in one outcome; a client with more sends several reports.
pub const MAX_HITS: usize = 64;

/// Maximum number of shares in one outcome: the judge takes about a millisecond for them.
pub const MAX_SHARES: usize = 4096;

/// Maximum number of solutions that one search may want: a server keeps them, 64 KB for a job at
/// most (see `found`), whatever strangers send. `mine` has no such limit.
pub const MAX_WANTED: u32 = 1_000;
