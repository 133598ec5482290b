//! Every constant of the coordinator, with the reason for its value.

use std::time::Duration;

/// Longest name, address or backend description that is kept, in characters.
pub const MAX_NAME: usize = 64;

/// False hits and shares after which a client is banned. One could be a flipped bit.
pub const MAX_FALSE_CLAIMS: u32 = 3;

/// Jobs that are kept after their end for those who ask for the result. `places` says whose.
pub(super) const KEPT_ENDED_JOBS: usize = 256;

/// Highest priority of a job; the lowest is 1.
pub const MAX_PRIORITY: u32 = 100;

/// Confirmed leases of a client that go back to free when it is found to lie: three times as many
/// as one that skips a twentieth gets before it is accused. Older ones stand.
pub(super) const DOUBTFUL_LEASES: usize = 64;

/// Maximum audits under way at once; leases that end meanwhile are not audited. [`AUDIT_BACKLOG`]
/// bounds their cost: those of short leases take no time.
pub(super) const PENDING_AUDITS: usize = 256;

/// Maximum audits under way at once for one client, so that nobody keeps others from being
/// audited.
pub(super) const AUDITS_PER_CLIENT: usize = 6;

/// Maximum blocks of MD5 that all audits under way are expected to take: a job's end waits for its
/// audits, some seconds at most.
pub(super) const AUDIT_BACKLOG: u128 = 1 << 31;

/// Places of a lease that an audit looks at. One share in 2,048 is due at each, so four of them
/// are a five-hundredth of the lease's work.
pub(super) const SPOTS: usize = 4;

/// Maximum clients without trust that are remembered. They choose their own sessions, so more would only take
/// room from others.
pub(super) const MOST_LIARS: usize = 4096;

/// With so many clients or fewer, leases are short while several jobs wait, and leases that are out
/// when a job comes are cut. Among more, turns alone divide the time.
pub(super) const FEW_CLIENTS: usize = 10;

/// Shares that a lease which is cut must have been expected to hold: enough to prove what was done.
pub(super) const SHARES_KEPT: u32 = 1024;

/// Settings. The programs use `Config::default()`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time that a lease should take its client, once its rate is known.
    pub lease_time: Duration,
    /// Units of one block that a client about which nothing is known gets: a millisecond of a fast
    /// machine. Slow ones show that they are slow, and get less.
    pub first_units: u128,
    /// Time that the first lease of a job should take a client whose speed is known from other jobs.
    pub first_lease: Duration,
    /// No lease is cut below this, or messages would cost more than the search.
    pub shortest_lease: Duration,
    /// A client that does less than a quarter of what it can for this long loses its leases. Much
    /// longer than the time between reports (1 s), shorter than people notice.
    pub patience: Duration,
    /// The same where others have nothing to do: then its leases are leased a second time.
    pub tail_patience: Duration,
    /// Time that a lease should take while several jobs wait; longer where there are many clients.
    pub turn: Duration,
    /// A client that says nothing for this long is gone. Longer than a reconnect.
    pub client_timeout: Duration,
    /// A client without trust that says nothing for this long is forgotten, and with it the reason.
    /// Its address is suspect for as long.
    pub suspicion_time: Duration,
    /// Time after which a client that gets no work asks again.
    pub retry_after: Duration,
    /// Clients that must be here, and have kept their trust, before work starts.
    pub min_clients: usize,
    /// Maximum leases that one client holds: one to work on, one in reserve, two for large clients.
    pub leases_per_client: usize,
    /// Maximum concurrent clients.
    pub max_clients: usize,
    /// Maximum jobs under way; `places` says how many of them a network may have.
    pub max_jobs: usize,
    /// Leases of a new client that are all audited; after as many good ones, every
    /// `audit_one_in`th.
    pub audit_all_until: u32,
    /// One lease in this many of a proved client is audited.
    pub audit_one_in: u32,
    /// Nonces that one place of an audit may take: 2^17 take the judge some 50 ms. An audit of a lease
    /// whose shares are rarer than that mostly proves nothing; drivers with a backend allow more.
    pub audit_budget: u64,
    /// Keeps facts for [`poll_fact`](super::Coordinator::poll_fact). Only for drivers that take them
    /// after every call: facts that nobody takes fill the memory.
    pub facts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_time: Duration::from_secs(20),
            first_units: 1 << 18,
            first_lease: Duration::from_millis(500),
            shortest_lease: Duration::from_millis(250),
            patience: Duration::from_secs(15),
            tail_patience: Duration::from_secs(3),
            turn: Duration::from_secs(2),
            client_timeout: Duration::from_secs(60),
            suspicion_time: Duration::from_secs(3600),
            retry_after: Duration::from_secs(2),
            min_clients: 2,
            leases_per_client: 4,
            max_clients: 1_000_000,
            max_jobs: 1_000,
            audit_all_until: 16,
            audit_one_in: 32,
            audit_budget: 1 << 17,
            facts: false,
        }
    }
}
