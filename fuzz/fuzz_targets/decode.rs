//! Bytes from a stranger, as the server and the client meet them: they become a message or an
//! error, and a message survives the way back.

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
