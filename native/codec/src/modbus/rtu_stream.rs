//! RTU frames, and the bytes that are not one yet: what both framers share.
//!
//! Obeys: MODBUS over Serial Line Specification and Implementation Guide V1.02, section 2.5.1.

use super::MAX_PDU;
use super::crc::crc16;
use super::rtu_shape::{LONGEST, SHORTEST};

/// One RTU frame without its CRC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RtuFrame {
    /// Unit id, 0 for a broadcast.
    pub unit: u8,
    /// Function code and data, 1..=253 bytes.
    pub pdu: Vec<u8>,
}

/// What a framer had to throw away so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RtuCounters {
    /// Frames whose CRC was wrong; what is tried while searching for the next good one does not count.
    pub crc_errors: u64,
    /// Bytes that belonged to no good frame.
    pub noise_bytes: u64,
    /// Requests of our own that came back from the line.
    pub echoes: u64,
}

/// Puts a PDU into an RTU frame; None if the PDU is empty or longer than 253 bytes.
#[must_use]
pub fn encode_rtu_frame(unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
    if pdu.is_empty() || pdu.len() > MAX_PDU {
        return None;
    }
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    frame.extend_from_slice(&crc16(&frame).to_le_bytes());
    Some(frame)
}

fn opened(frame: &[u8]) -> Option<RtuFrame> {
    let (unit, rest) = frame.split_first()?;
    let (pdu, _) = rest.split_last_chunk::<2>()?;
    Some(RtuFrame {
        unit: *unit,
        pdu: pdu.to_vec(),
    })
}

/// The bytes that are not yet a frame, and the length at which they can become one.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wanted: usize,
    /// False from a byte given up to the next good frame.
    pub(crate) in_step: bool,
    pub(crate) counters: RtuCounters,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            wanted: SHORTEST,
            in_step: true,
            counters: RtuCounters::default(),
        }
    }

    /// Moves bytes in, up to the next length that matters; gives what is left, and whether that length is reached.
    pub(crate) fn fill<'a>(&mut self, data: &'a [u8]) -> (&'a [u8], bool) {
        let room = self.wanted.saturating_sub(self.bytes.len());
        let (head, tail) = data.split_at(room.min(data.len()));
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(LONGEST);
        }
        self.bytes.extend_from_slice(head);
        (tail, self.bytes.len() >= self.wanted)
    }

    /// Gives up everything.
    pub(crate) fn clear(&mut self) {
        self.counters.noise_bytes += u64::try_from(self.bytes.len()).unwrap_or(0);
        self.bytes.clear();
        self.wanted = SHORTEST;
        self.in_step = true;
    }

    pub(crate) fn give_up(&mut self, bytes: usize) {
        self.counters.noise_bytes += u64::try_from(bytes).unwrap_or(0);
        self.bytes.drain(..bytes.min(self.bytes.len()));
        self.in_step = false;
    }

    pub(crate) fn wrong_crc(&mut self, surely: bool) {
        if self.in_step || surely {
            self.counters.crc_errors += 1;
        }
        self.give_up(1);
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<RtuFrame> {
        let frame = self.bytes.get(..length).and_then(opened);
        self.bytes.drain(..length.min(self.bytes.len()));
        self.in_step = true;
        frame
    }
}
