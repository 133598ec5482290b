//! Frames over a stream of bytes: four bytes of length, big-endian, then the message.

use super::limits::FRAME_BUFFER;
use crate::proto::MAX_FRAME;
use bytes::{Buf, BufMut, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder, Framed};

/// Reads and writes frames.
///
/// tokio-util's own length-delimited codec is not used: it makes room for all of an announced frame
/// at once, so a thousand peers that announce 64 KiB and fall silent would cost 64 MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codec;

impl Codec {
    /// Returns the length of the first frame in `buffer`, if its header is there.
    fn announced(buffer: &[u8]) -> Option<usize> {
        buffer.first_chunk().map(|header| u32::from_be_bytes(*header) as usize)
    }

    /// Returns true if `buffer` begins with a whole frame.
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

/// Frames over any stream of bytes.
pub(super) type Frames<S> = Framed<S, Codec>;

/// Carries frames over `stream`, of which the bytes in `read` have been read already.
pub(super) fn frames<S: AsyncRead + AsyncWrite>(stream: S, read: &[u8]) -> Frames<S> {
    let mut frames = Framed::with_capacity(stream, Codec, FRAME_BUFFER);
    if !read.is_empty() {
        // Made from parts, it decodes the buffer before it reads more. It also allocates 8 KiB for
        // each direction, which many idle connections cannot afford.
        let mut parts = frames.into_parts();
        parts.read_buf.put_slice(read);
        frames = Framed::from_parts(parts);
        *frames.read_buffer_mut() = BytesMut::from(read);
        *frames.write_buffer_mut() = BytesMut::with_capacity(FRAME_BUFFER);
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
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
    fn an_announced_frame_costs_no_memory_before_it_arrives() {
        let mut buffer = BytesMut::from(&[0u8, 0, 0xff, 0xff, 1][..]);
        let before = buffer.capacity();
        assert!(Codec.decode(&mut buffer).unwrap().is_none());
        assert_eq!(buffer.capacity(), before);
        let mut buffer = BytesMut::from(&[0u8, 1, 0, 1][..]);
        assert!(Codec.decode(&mut buffer).is_err());
    }

    #[tokio::test]
    async fn bytes_that_were_read_before_begin_the_first_frame() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut wire = BytesMut::new();
        Codec.encode(b"first", &mut wire).unwrap();
        Codec.encode(b"second", &mut wire).unwrap();
        let (read, rest) = wire.split_at(7);
        near.write_all(rest).await.unwrap();
        let mut frames = frames(far, read);
        assert!(frames.read_buffer().capacity() + frames.write_buffer().capacity() < 1024);
        for expected in ["first", "second"] {
            assert_eq!(frames.next().await.unwrap().unwrap(), expected);
        }
    }
}
