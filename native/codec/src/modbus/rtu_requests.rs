//! The server's side of RTU framing: a byte stream in any pieces in, whole requests with a good CRC out.

use super::crc::fits;
use super::rtu_shape::{SHORTEST, Shape, of_request};
use super::rtu_stream::{RtuCounters, RtuFrame, Stream};

/// Cuts what a server hears into requests; keeps at most 256 bytes.
///
/// Something that looks like the beginning of a long request holds up what follows until it is complete, or until
/// `idle`.
#[derive(Clone, Debug)]
pub struct RtuRequestFramer {
    stream: Stream,
}

impl Default for RtuRequestFramer {
    fn default() -> Self {
        Self::new()
    }
}

impl RtuRequestFramer {
    /// Makes a framer with nothing buffered.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stream: Stream::new(),
        }
    }

    /// Takes the next bytes and appends every frame that they complete to `frames`.
    pub fn feed(&mut self, data: &[u8], frames: &mut Vec<RtuFrame>) {
        let mut rest = data;
        while !rest.is_empty() {
            let (tail, reached) = self.stream.fill(rest);
            rest = tail;
            if reached {
                self.cut(frames, false);
            }
        }
    }

    /// Says that the line went silent: what is incomplete stays so, but frames behind it may be whole.
    pub fn idle(&mut self, frames: &mut Vec<RtuFrame>) {
        self.cut(frames, true);
        self.stream.in_step = true;
    }

    /// Forgets everything but the counters, for a new line. What was kept counts as noise.
    pub fn reset(&mut self) {
        self.stream.clear();
    }

    /// Bytes kept of what is not a frame yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.stream.bytes.len()
    }

    /// What was thrown away so far.
    #[must_use]
    pub fn counters(&self) -> RtuCounters {
        self.stream.counters
    }

    fn cut(&mut self, frames: &mut Vec<RtuFrame>, last: bool) {
        loop {
            let bytes = &self.stream.bytes;
            if bytes.is_empty() {
                self.stream.wanted = SHORTEST;
                return;
            }
            match of_request(bytes) {
                Shape::Long(length) if length <= bytes.len() => {
                    if bytes.get(..length).is_some_and(fits) {
                        frames.extend(self.stream.take(length));
                    } else {
                        self.stream.wrong_crc(false);
                    }
                }
                Shape::Long(length) | Shape::Open(length) if !last => {
                    self.stream.wanted = length;
                    return;
                }
                _ => self.stream.give_up(1),
            }
        }
    }
}
