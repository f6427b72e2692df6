//! MBAP framing: a byte stream in any pieces in, whole frames out.
//!
//! Obeys: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.

use super::bytes::word;
use super::error::FrameError;

/// Bytes of the largest PDU; V1.1b3 section 4.1.
pub const MAX_PDU: usize = 253;
const HEADER: usize = 7;
const MAX_FRAME: usize = HEADER + MAX_PDU;

/// One MBAP frame without its length and protocol id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Transaction id: the answer repeats the request's.
    pub transaction: u16,
    /// Unit id.
    pub unit: u8,
    /// Function code and data, 1..=253 bytes.
    pub pdu: Vec<u8>,
}

/// Cuts a byte stream into frames; keeps at most one incomplete frame (260 bytes).
#[derive(Clone, Debug, Default)]
pub struct Framer {
    partial: Vec<u8>,
    failure: Option<FrameError>,
}

impl Framer {
    /// Makes a framer with nothing buffered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes and appends every frame that they complete to `frames`.
    ///
    /// # Errors
    /// The stream cannot be cut any further: from then on every call gives the same error until `reset`.
    /// Frames before the fault have been appended.
    pub fn feed(&mut self, data: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let mut rest = data;
        while !self.partial.is_empty() && !rest.is_empty() {
            // Complete the one frame under way first: never more than 260 bytes are copied for it.
            let wanted = needed(&self.partial).map_err(|error| self.fail(error))?;
            let take = wanted.saturating_sub(self.partial.len()).min(rest.len());
            let (head, tail) = rest.split_at(take);
            self.partial.extend_from_slice(head);
            rest = tail;
            if self.partial.len() >= needed(&self.partial).map_err(|error| self.fail(error))? {
                frames.extend(cut(&self.partial));
                self.partial.clear();
            }
        }
        while !rest.is_empty() {
            let wanted = needed(rest).map_err(|error| self.fail(error))?;
            if rest.len() < wanted {
                self.partial.reserve_exact(MAX_FRAME);
                self.partial.extend_from_slice(rest);
                break;
            }
            let (whole, tail) = rest.split_at(wanted);
            frames.extend(cut(whole));
            rest = tail;
        }
        Ok(())
    }

    /// Bytes kept of a frame that is not complete yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.partial.len()
    }

    /// Why the stream could not be cut any further.
    #[must_use]
    pub fn failure(&self) -> Option<FrameError> {
        self.failure
    }

    /// Forgets everything, for a new stream.
    pub fn reset(&mut self) {
        self.partial.clear();
        self.failure = None;
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.failure = Some(error);
        self.partial.clear();
        error
    }
}

/// How many bytes the frame that starts here has, as far as its header is known.
fn needed(bytes: &[u8]) -> Result<usize, FrameError> {
    match word(bytes, 2) {
        Some(0) | None => {}
        Some(other) => return Err(FrameError::ProtocolId(other)),
    }
    match word(bytes, 4) {
        None => Ok(HEADER),
        Some(length @ 2..=254) => Ok(6 + usize::from(length)),
        Some(length) => Err(FrameError::Length(length)),
    }
}

fn cut(whole: &[u8]) -> Option<Frame> {
    Some(Frame {
        transaction: word(whole, 0)?,
        unit: *whole.get(6)?,
        pdu: whole.get(HEADER..)?.to_vec(),
    })
}

/// Puts a PDU into an MBAP frame; None if the PDU is empty or longer than 253 bytes.
#[must_use]
pub fn encode_frame(transaction: u16, unit: u8, pdu: &[u8]) -> Option<Vec<u8>> {
    if pdu.is_empty() || pdu.len() > MAX_PDU {
        return None;
    }
    let length = u16::try_from(pdu.len() + 1).ok()?;
    let mut frame = Vec::with_capacity(HEADER + pdu.len());
    frame.extend_from_slice(&transaction.to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.push(unit);
    frame.extend_from_slice(pdu);
    Some(frame)
}
