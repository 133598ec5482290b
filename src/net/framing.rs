//! Frames over a stream of bytes: four bytes of length, big-endian, then the message.

use super::sockets::prepare;
use crate::proto::MAX_FRAME;
use bytes::{Buf, BufMut, BytesMut};
use std::io;
use tokio::net::TcpStream;
use tokio_util::codec::{Decoder, Encoder, Framed};

/// First size of a connection's buffers. Usual messages fit, and many connections are idle.
const BUFFER: usize = 256;

/// Four bytes of length, big-endian, then the message.
///
/// Not tokio-util's own length-delimited codec: that one makes room for all of an announced frame
/// at once, so a thousand peers that announce 64 KiB and go silent would cost 64 MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codec;

impl Codec {
    /// Length of the frame that begins `buffer`, if its header is there.
    fn announced(buffer: &[u8]) -> Option<usize> {
        buffer.first_chunk().map(|header| u32::from_be_bytes(*header) as usize)
    }

    /// Whether a whole frame is there.
    pub(super) fn holds_frame(buffer: &[u8]) -> bool {
        Self::announced(buffer).is_some_and(|length| buffer.len() - 4 >= length)
    }
}

impl Decoder for Codec {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(length) = Self::announced(buffer) else { return Ok(None) };
        if length > MAX_FRAME {
            let text = format!("a frame of {length} bytes; at most {MAX_FRAME} are possible");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if !Self::holds_frame(buffer) {
            return Ok(None);
        }
        buffer.advance(4);
        Ok(Some(buffer.split_to(length)))
    }
}

impl Encoder<&[u8]> for Codec {
    type Error = io::Error;

    fn encode(&mut self, message: &[u8], buffer: &mut BytesMut) -> io::Result<()> {
        buffer.reserve(4 + message.len());
        buffer.put_u32(message.len() as u32);
        buffer.put_slice(message);
        Ok(())
    }
}

/// A connection that carries frames.
pub(super) type Frames = Framed<TcpStream, Codec>;

/// Frames on `stream`, sent at once and watched for dead peers.
pub(super) fn frames(stream: TcpStream) -> Frames {
    prepare(&stream);
    Framed::with_capacity(stream, Codec, BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1usize..50,
        ) {
            let mut wire = BytesMut::new();
            for message in &messages {
                Codec.encode(message, &mut wire).unwrap();
            }
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for piece in wire.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = Codec.decode(&mut buffer).unwrap() {
                    got.push(frame.to_vec());
                }
            }
            prop_assert_eq!(got, messages);
        }
    }

    #[test]
    fn an_announced_frame_costs_nothing_before_it_comes() {
        let mut buffer = BytesMut::from(&[0u8, 0, 0xff, 0xff, 1][..]);
        let before = buffer.capacity();
        assert!(Codec.decode(&mut buffer).unwrap().is_none());
        assert_eq!(buffer.capacity(), before);
        let mut buffer = BytesMut::from(&[0u8, 1, 0, 1][..]);
        assert!(Codec.decode(&mut buffer).is_err());
    }
}
