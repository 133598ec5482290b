//! The messages between server and clients, typed and checked; `seedrush.proto` is the schema.
//!
//! Bytes from a peer become a [`Request`] or a [`Reply`] only if every field keeps its limit, so
//! that no other module meets a span that wraps or a name that fills the screen. It knows no
//! sockets and no coordinator.

mod fields;
mod lease;
mod lines;
mod notice;
mod progress;
mod reply;
mod request;
mod work;

/// Holds the types that prost-build makes of the schema; everything else uses the checked ones.
///
/// The file is committed, so that a build needs no compiler of schemas. `tests/protobuf.rs` checks
/// that it is current, and rewrites it where `SEEDRUSH_BLESS=1` is set.
#[allow(missing_docs, unreachable_pub, clippy::doc_markdown)]
mod wire {
    // Included, not a module of its own: rustfmt would rewrite it.
    include!("generated.rs");
}

pub use fields::cleaned;
pub use lines::{BanLine, ClientLine, JobLine, Party, State};
pub use notice::{Notice, Notification, Over};
pub use progress::Progress;
pub use reply::{Answer, RefusalReason, Refused, Reply, Welcome, refused};
pub use request::{Call, Hello, Request, Submit};
pub use work::{Md5Part, Squares, Work};

/// The oldest version of the protocol that this program speaks.
pub const OLDEST_VERSION: u32 = 1;
/// The newest version of the protocol that this program speaks.
pub const NEWEST_VERSION: u32 = 1;

/// Maximum size of a message over TCP: a string of [`crate::puzzle::MAX_STRING_DIGITS`] digits fits well.
pub const MAX_FRAME: usize = 64 * 1024;

/// Maximum size of a message over UDP: below every usual path MTU (1,280 for IPv6), headers included.
pub const MAX_DATAGRAM: usize = 1200;

/// Maximum length of a cookie: 128 bits cannot be guessed.
pub const MAX_COOKIE: usize = 16;

/// Minimum size of a request over UDP without a cookie, so that a challenge is never larger.
pub const PADDED_REQUEST: usize = 64;

/// Maximum number of hits in one message: ten bytes each at most, so that they fit a datagram.
pub const MAX_HITS: usize = crate::jobs::MAX_HITS;

/// Maximum number of shares in one message: ten bytes each at most, so that they fit a frame.
pub const MAX_SHARES: usize = crate::jobs::MAX_SHARES;

/// Maximum number of digits in one description: leaves room for a notice in a datagram.
pub const MAX_PART_DIGITS: usize = 700;

/// Maximum number of leases that a client holds.
pub const MAX_HELD: usize = 16;

/// Maximum length of the name of a client or a backend, in bytes.
pub const MAX_NAME: usize = 64;

/// Maximum length of the title of a job and of the standing of a client, in bytes.
pub const MAX_TITLE: usize = 120;

/// Maximum length of the sentence in a refusal, in bytes.
pub const MAX_TEXT: usize = 300;

/// Maximum length of the result of a job in a list, in bytes: seeds, or a number.
pub const MAX_RESULT: usize = 200;

/// Reason to reject bytes from a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    /// They do not follow the schema.
    #[error("not a message of this protocol: {0}")]
    Schema(#[from] prost::DecodeError),
    /// The message is empty, or of a kind that this version does not know.
    #[error("the message holds nothing that this version knows")]
    NoBody,
    /// A field breaks its limit.
    #[error("{field}: {problem}")]
    Field {
        /// Its name in the schema.
        field: &'static str,
        /// The limit that it breaks.
        problem: &'static str,
    },
}

/// Chooses the version for a client that speaks `oldest` to `newest`.
///
/// # Errors
/// A sentence that says who has to update.
pub fn negotiate(oldest: u32, newest: u32) -> Result<u32, String> {
    let common = newest.min(NEWEST_VERSION);
    if oldest <= common && common >= OLDEST_VERSION {
        return Ok(common);
    }
    let who = if newest < OLDEST_VERSION { "client" } else { "server" };
    Err(format!(
        "the server speaks protocol {OLDEST_VERSION} to {NEWEST_VERSION}, the client {oldest} to \
         {newest}: update the {who}"
    ))
}

#[cfg(test)]
mod tests;
