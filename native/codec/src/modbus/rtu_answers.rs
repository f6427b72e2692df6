//! The client's side of RTU framing: a byte stream in any pieces in, whole answers with a good CRC out.
//!
//! Where a frame ends follows from its function code and byte count. A frame whose CRC is wrong is given up byte by
//! byte until a good one begins. What comes out depends on the bytes alone, never on how they were split.

use super::crc::fits;
use super::request::expected_bytes;
use super::rtu_shape::{LONGEST, SHORTEST, Shape, of_answer};
use super::rtu_stream::{RtuCounters, RtuFrame, Stream, encode_rtu_frame};

/// Unit, function, exception code and CRC: the shortest answer.
const EXCEPTION: usize = 5;

/// The answer that is waited for.
#[derive(Clone, Copy, Debug)]
struct Expected {
    unit: u8,
    function: u8,
    /// Bytes of the frame of a good answer; None if only the answer itself tells.
    length: Option<usize>,
    /// The byte count of the answer to a read.
    count: Option<u8>,
}

impl Expected {
    /// Takes the answer to a request apart; None if there is none to be waited for.
    fn to(unit: u8, request: &[u8]) -> Option<Self> {
        let function = *request.first()?;
        let count = expected_bytes(request)
            .and_then(|count| u8::try_from(count).ok())
            .filter(|count| usize::from(*count) + EXCEPTION <= LONGEST);
        let length = match (count, function) {
            (Some(count), _) => Some(usize::from(count) + EXCEPTION),
            (None, 5 | 6 | 15 | 16) => Some(8),
            (None, 22) => Some(10),
            (None, _) => None,
        };
        Some(Self {
            unit,
            function,
            length,
            count,
        })
    }

    /// What the frame that begins here would be, if it were the answer.
    fn shape(&self, bytes: &[u8]) -> Shape {
        match bytes.first() {
            None => return Shape::Open(EXCEPTION),
            Some(unit) if *unit != self.unit => return Shape::Never,
            Some(_) => {}
        }
        match bytes.get(1) {
            None => return Shape::Open(EXCEPTION),
            Some(function) if *function == self.function | 0x80 => return Shape::Long(EXCEPTION),
            Some(function) if *function != self.function => return Shape::Never,
            Some(_) => {}
        }
        match (self.count, bytes.get(2)) {
            (Some(_), None) => return Shape::Open(EXCEPTION),
            (Some(expected), Some(found)) if expected != *found => return Shape::Never,
            _ => {}
        }
        self.length.map_or_else(|| of_answer(bytes), Shape::Long)
    }
}

/// Cuts what a client hears into answers; keeps at most 256 bytes.
///
/// While an answer is waited for (`expect`), a frame that looks exactly like it is found behind any noise at once.
/// Without, something that looks like the beginning of a long frame holds up what follows until it is complete, or
/// until `idle`.
#[derive(Clone, Debug)]
pub struct RtuFramer {
    stream: Stream,
    local_echo: bool,
    echo: Vec<u8>,
    /// The bytes so far are the beginning of our own request.
    echoing: bool,
    expected: Option<Expected>,
}

impl RtuFramer {
    /// Makes a framer with nothing buffered. `local_echo`: the line gives back what is sent, before the answer.
    #[must_use]
    pub fn new(local_echo: bool) -> Self {
        Self {
            stream: Stream::new(),
            local_echo,
            echo: Vec::new(),
            echoing: false,
            expected: None,
        }
    }

    /// Says what is about to be sent. Bytes from before cannot be its answer and are given up.
    pub fn expect(&mut self, unit: u8, request: &[u8]) {
        self.stream.clear();
        self.expected = Expected::to(unit, request);
        self.echo = match encode_rtu_frame(unit, request) {
            Some(frame) if self.local_echo => frame,
            _ => Vec::new(),
        };
        self.echoing = !self.echo.is_empty();
        if self.echoing {
            self.stream.wanted = 1;
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
        self.echoing = false;
        self.cut(frames, true);
        self.stream.in_step = true;
    }

    /// Forgets everything but the counters, for a new line. What was kept counts as noise.
    pub fn reset(&mut self) {
        self.stream.clear();
        self.expected = None;
        self.echo.clear();
        self.echoing = false;
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
        if self.echoing && !self.swallow_echo() {
            return;
        }
        loop {
            let bytes = &self.stream.bytes;
            if bytes.is_empty() {
                self.stream.wanted = SHORTEST;
                return;
            }
            let sought = self
                .expected
                .map_or(Shape::Never, |expected| expected.shape(bytes));
            let (shape, surely) = match sought {
                Shape::Never => (of_answer(bytes), false),
                shape => (shape, true),
            };
            let wanted = match shape {
                Shape::Never => {
                    self.stream.give_up(1);
                    continue;
                }
                Shape::Long(length) if length <= bytes.len() => {
                    if bytes.get(..length).is_some_and(fits) {
                        self.deliver(length, surely, frames);
                    } else {
                        self.stream.wrong_crc(surely);
                    }
                    continue;
                }
                Shape::Long(length) | Shape::Open(length) => length,
            };
            // Until the end of the frame is known for certain, the true answer may stand behind its beginning.
            let certain = surely
                && self
                    .expected
                    .is_some_and(|expected| expected.length.is_some());
            self.stream.wanted = wanted;
            if !certain && self.search(wanted, frames) {
                continue;
            }
            if last {
                self.stream.give_up(1);
                continue;
            }
            return;
        }
    }

    /// Looks for the whole expected answer behind the first byte; else says when to look again.
    fn search(&mut self, wanted: usize, frames: &mut Vec<RtuFrame>) -> bool {
        let Some(expected) = self.expected else {
            return false;
        };
        let held = self.stream.bytes.len();
        let mut wanted = wanted.min(held + EXCEPTION);
        for at in 1..held {
            let bytes = self.stream.bytes.get(at..).unwrap_or_default();
            match expected.shape(bytes) {
                Shape::Never => {}
                Shape::Open(length) => wanted = wanted.min(at + length),
                Shape::Long(length) if length > bytes.len() => wanted = wanted.min(at + length),
                Shape::Long(length) => {
                    if bytes.get(..length).is_some_and(fits) {
                        self.stream.give_up(at);
                        self.deliver(length, true, frames);
                        return true;
                    }
                }
            }
        }
        self.stream.wanted = wanted.max(held + 1);
        false
    }

    fn deliver(&mut self, length: usize, surely: bool, frames: &mut Vec<RtuFrame>) {
        let echoed = !self.echo.is_empty() && self.stream.bytes.get(..length) == Some(&self.echo);
        let frame = self.stream.take(length);
        if echoed {
            // Behind noise our own request can pass for the answer to a write: the first one is never that.
            self.stream.counters.echoes += 1;
            self.echo.clear();
            return;
        }
        if surely {
            self.echo.clear();
        }
        frames.extend(frame);
    }

    /// Compares the first bytes with our own request; true if that is settled.
    fn swallow_echo(&mut self) -> bool {
        let held = self.stream.bytes.len();
        if self.stream.bytes == self.echo {
            self.stream.bytes.clear();
            self.stream.counters.echoes += 1;
            self.echo.clear();
        } else if self.echo.starts_with(&self.stream.bytes) {
            self.stream.wanted = held + 1;
            return false;
        }
        self.echoing = false;
        true
    }
}
