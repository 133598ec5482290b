//! Decodes arbitrary bytes as server and client do: every input gives a message or an error, and a
//! message stays the same when it is encoded and decoded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seedrush::proto::{Reply, Request};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Request::decode(bytes) {
        assert_eq!(Request::decode(&request.encode(0)), Ok(request));
    }
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
    }
});
