//! Every limit and time of listeners, sessions, links and the plain-text protocol, with its reason.
//!
//! Sizes of messages belong to the protocol, see `proto`. Limits of leases and jobs belong to the
//! coordinator.

use crate::puzzle::MAX_STRING_DIGITS;
use std::time::Duration;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// Sockets.

/// Connections that may wait to be accepted: ten thousand clients may come at once.
pub(super) const BACKLOG: i32 = 4096;

/// Silence after which the system probes a TCP peer, so that dead ones are noticed.
pub(super) const KEEPALIVE: Duration = secs(30);

/// Bytes that the system may hold for us: a thousand clients may send in the same millisecond.
pub(super) const SOCKET_BUFFER: usize = 4 << 20;

/// First size of a connection's buffers. Usual messages fit, and many connections are idle.
pub(super) const FRAME_BUFFER: usize = 256;

/// Longest attempt to connect.
pub(super) const CONNECT_TIME: Duration = secs(5);

// Connections on the server.

/// A connection that has neither said hello nor asked anything that could be answered for this long
/// is closed, whatever else it sends. Enough for a slow satellite link, and a thousand silent
/// connections are gone soon.
pub(super) const HANDSHAKE_TIME: Duration = secs(10);

/// A client from which no whole message comes for this long is cut off. Clients send something every
/// [`HEARTBEAT`].
pub(super) const IDLE_TIME: Duration = secs(60);
/// Longest wait, when the server closes, for clients to acknowledge it.
pub(super) const CLOSE_TIME: Duration = secs(3);

/// Time that a server which stayed for the jobs of others leaves them to fetch the results. They ask
/// every 200 ms.
pub(super) const RESULT_TIME: Duration = secs(2);

/// Pause between two looks, when the server closes, for acknowledgements: nobody notices it.
pub(super) const CLOSE_POLL: Duration = millis(10);

/// Pause between two looks for leases and clients whose time is over: far below every patience.
pub(super) const EXPIRY_TICK: Duration = millis(50);

/// Pause after a failed accept, which means that the system is out of sockets: a connection that was
/// evicted meanwhile has closed its own.
pub(super) const ACCEPT_PAUSE: Duration = millis(10);

/// Descriptors that are not for connections: some fifteen for the program's own use (standard
/// streams, listener, datagrams, event queue, signals), and [`MAX_LEAVING`].
pub(super) const OWN_DESCRIPTORS: usize = 16 + MAX_LEAVING;

/// Evicted connections that may still hold a descriptor; beyond that no others are accepted.
pub(super) const MAX_LEAVING: usize = 8;

/// One part in this many of the descriptors is for strangers: they need theirs for milliseconds.
pub(super) const STRANGERS_PART: usize = 4;

/// Maximum concurrent strangers where descriptors are plenty: as many as can wait to be accepted.
pub(super) const MAX_STRANGERS: usize = BACKLOG as usize;

/// One part in this many of the strangers may come from one address.
pub(super) const ADDRESS_PART: usize = 2;

/// A client with a lease that has shown no progress for this long may lose its seat to another of
/// its address: ten reports are missing.
pub(super) const USELESS: Duration = secs(10);

// Sessions and their events.

/// Maximum clients of one address: more than any network behind one address has, and far below what
/// would exhaust the client slots. Those of the server's own machine are not counted.
pub(super) const CLIENTS_PER_ADDRESS: usize = 4096;

/// Maximum notices that wait for one session. It gets one for each job that ends while it holds a
/// lease, so a session with more is not reading.
pub(super) const MAX_NOTICES: usize = 64;

/// Events that a consumer may lag behind before it misses some: a screenful, many times over.
pub(super) const EVENT_QUEUE: usize = 1024;

/// Maximum bans. The list is scanned at every hello; a thousand entries take microseconds.
pub(super) const MAX_BANS: usize = 1_000;

/// Maximum suspect addresses: a megabyte. Beyond that the oldest offence is forgotten.
pub(super) const MAX_SUSPECTS: usize = 10_000;

/// Lines of a page that fit a datagram at their largest, with a notice beside them.
pub(super) const LINES_PER_DATAGRAM: usize = 2;

/// Lines of a page that fit a frame at their largest.
pub(super) const LINES_PER_FRAME: usize = 100;

/// Seeds in a line of a list. A request for one job gets as many as fit.
pub(super) const LISTED_SEEDS: usize = 4;

// Audits.

/// Nonces that are audited at a time: an audit ends at its first shares.
pub(super) const AUDIT_PIECE: u128 = 1 << 22;

/// After an audit the auditor rests this many times as long as it took, so that a server on a small
/// machine, or one that searches too, has most of its processor left.
pub(super) const AUDIT_REST: u32 = 3;

/// Pause between two looks, while the auditor rests, for a job that waits for audits.
pub(super) const AUDIT_NAP: Duration = millis(20);

// Datagrams on the server.

/// A cookie is valid for one to two of these periods: a stolen one is soon worthless.
pub(super) const COOKIE_PERIOD: Duration = secs(120);

/// Replies kept for each session. A client has a handful of requests out at most.
pub(super) const KEPT_REPLIES: usize = 16;

/// Pause between two looks for notices that must be repeated.
pub(super) const DATAGRAM_TICK: Duration = millis(100);

/// Pause between two sweeps for sessions that have ended.
pub(super) const SWEEP_TIME: Duration = secs(10);

/// First pause between repetitions of a notice; it doubles up to [`SLOWEST_PUSH`].
pub(super) const FIRST_PUSH: Duration = millis(200);

/// Longest pause between repetitions of a notice.
pub(super) const SLOWEST_PUSH: Duration = secs(2);

// Links of clients.

/// Silence after which a client sends a heartbeat: several fit into [`IDLE_TIME`].
pub(super) const HEARTBEAT: Duration = secs(10);

/// Pause between two progress reports: often enough for people to watch, and far below a lease's
/// patience.
pub(super) const PROGRESS: Duration = secs(1);

/// First pause before connecting again; it doubles up to [`LONGEST_PAUSE`], and half of it is random,
/// so that a thousand clients do not come back in the same instant.
pub(super) const FIRST_PAUSE: Duration = millis(200);

/// Longest pause before connecting again.
pub(super) const LONGEST_PAUSE: Duration = secs(5);

/// First wait for a reply to a datagram; it doubles up to [`SLOWEST_REPEAT`].
pub(super) const FIRST_REPEAT: Duration = millis(250);

/// Longest wait for a reply to a datagram before it is sent again.
pub(super) const SLOWEST_REPEAT: Duration = secs(2);

/// Silence over UDP, with requests out, after which the server counts as lost.
pub(super) const SILENCE: Duration = secs(35);

/// Silence over TCP after which the server counts as lost: every heartbeat is answered.
pub(super) const SERVER_SILENCE: Duration = secs(30);

/// Pause after a failed receive, which reports an earlier datagram that did not arrive.
pub(super) const RECEIVE_PAUSE: Duration = millis(10);

/// Requests that may wait to be sent: more would mean that someone does not wait for answers.
pub(super) const REQUEST_QUEUE: usize = 64;

/// Shortest wait for an answer, also for callers that do not retry.
pub(super) const SHORTEST_WAIT: Duration = secs(1);

/// Longest wait for bytes that a failed connection has still delivered: they are here or close.
pub(super) const DRAIN_TIME: Duration = millis(200);

/// Copies of a good-bye over UDP. It may be lost; then the server notices the silence.
pub(super) const GOODBYES: u32 = 3;

// The plain-text protocol.

/// Longest line: claims and progress lines are far shorter.
pub(super) const MAX_LINE: usize = 4096;

/// Longest problem: a string, and the numbers before it.
pub(super) const MAX_PROBLEM: usize = MAX_STRING_DIGITS + 64;

/// Time in which all of a segment arrives, since nothing marks its end.
pub(super) const SEGMENT_TIME: Duration = millis(100);

/// A client that sends nothing for this long is a plain-text one: native clients say hello at once.
pub(super) const NATIVE_TIME: Duration = millis(700);

/// Longest wait for a client that was told to stop to hang up.
pub(super) const HANG_UP_TIME: Duration = millis(500);

/// Pause between two looks for the start of the search.
pub(super) const START_POLL: Duration = millis(50);

/// Pause between two signs of life to the coordinator for a silent client that is connected.
pub(super) const ALIVE: Duration = secs(20);

/// Pause between two progress lines of our client: old servers expect one every second.
pub(super) const SPEAK: Duration = millis(500);

/// Pause between two looks of our client for a solution: as good as at once.
pub(super) const CLAIM_POLL: Duration = millis(10);

/// Lines of plain-text clients that are shown in a second. More would fill a disk.
pub(super) const PLAINTEXT_LINES_PER_SECOND: u64 = 500;

/// A datagram client that has done nothing for this long after its problem was sent gets it again.
pub(super) const RESEND_TIME: Duration = secs(1);

/// Copies of a stop by datagram: one may be lost, and nobody acknowledges it.
pub(super) const STOPS: u32 = 4;

/// Pause between two copies of a stop.
pub(super) const STOP_PAUSE: Duration = millis(100);

/// Bytes that may be lent at once, and in a second: some hundred usual problems, and then some
/// dozens a second, which is no more than a modem sends.
pub(super) const LOANS: (u32, u32) = (12_000, 1_200);

/// Pause between two loans to an address: a client that needs another can send something.
pub(super) const LOAN_PAUSE: Duration = secs(10);

/// Maximum addresses of datagram clients: more than a network of them has, and a megabyte at most.
pub(super) const MAX_PEERS: usize = 4096;

/// Maximum ports of one address among them: more machines than stand behind one, and a small part
/// of all.
pub(super) const PEERS_PER_ADDRESS: usize = 256;

/// New addresses at once, and in a second: a forger needs a while to fill the table, and others get
/// in meanwhile.
pub(super) const NEWCOMERS: (u32, u32) = (1000, 200);

/// An address that has sent something this lately keeps its place when the table is full: clients
/// send something every second.
pub(super) const FRESH: Duration = secs(5);

/// Maximum credit of an address in bytes: it pays for the longest problem.
pub(super) const MAX_CREDIT: usize = MAX_PROBLEM;

/// First number of datagram clients, beyond those of the coordinator: a server would have to see a
/// million others before two have the same number.
pub(super) const FIRST_NUMBER: u64 = 1_000_001;
