//! One request of a plan, and its answer taken apart again.

use std::sync::Arc;

use super::answer::read_payload;
use super::area::Area;
use super::bytes::bit;
use super::decode::decode_value;
use super::error::{AnswerError, DecodeError};
use super::plan::{Limits, Range};
use super::request::Request;
use super::value::{ByteOrder, Kind, Value};

/// One of the parts of a value that is wider than one request allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// From 0, in address order.
    pub number: u16,
    /// How many parts the value has.
    pub of: u16,
    /// First address of the value, and the one after its last.
    pub(crate) whole: (u32, u32),
}

/// A run of whole values of one field that is read together, or one part of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) unit: u8,
    pub(crate) area: Area,
    pub(crate) kind: Kind,
    pub(crate) order: ByteOrder,
    pub(crate) bit: u8,
    pub(crate) start: u32,
    pub(crate) stop: u32,
    pub(crate) values: u16,
    pub(crate) slot: usize,
    pub(crate) part: Option<Part>,
}

impl Piece {
    /// Places of its values in the list of all values.
    pub(crate) fn slots(&self) -> std::ops::Range<usize> {
        self.slot..self.slot + usize::from(self.values)
    }

    /// The stretch of its values: of a part, that of the whole value, which is refused as a whole.
    pub(crate) fn range(&self) -> Range {
        let (start, stop) = self.part.map_or((self.start, self.stop), |part| part.whole);
        Range {
            unit: self.unit,
            area: self.area,
            start,
            stop,
        }
    }
}

/// What an answer holds for one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'a> {
    /// A value.
    Value(Value<'a>),
    /// A part of a value, as it stood on the wire: once all parts are there, `Block::whole` makes the value.
    Part(Part, &'a [u8]),
    /// Bits that are no value of the type.
    Bad(DecodeError),
}

/// One request and what its answer is made of.
#[derive(Clone, Debug)]
pub struct Block {
    pieces: Arc<[Piece]>,
    first: usize,
    last: usize,
    unit: u8,
    area: Area,
    start: u32,
    stop: u32,
}

impl Block {
    pub(crate) fn single(pieces: &Arc<[Piece]>, index: usize) -> Option<Self> {
        let piece = pieces.get(index)?;
        Some(Self {
            pieces: Arc::clone(pieces),
            first: index,
            last: index,
            unit: piece.unit,
            area: piece.area,
            start: piece.start,
            stop: piece.stop,
        })
    }

    pub(crate) fn joined(&self, next: &Self, limits: Limits) -> Option<Self> {
        let together = (self.unit, self.area) == (next.unit, next.area);
        if !together || self.part().is_some() || next.part().is_some() {
            return None;
        }
        let stop = self.stop.max(next.stop);
        let near = next.start.saturating_sub(self.stop) <= u32::from(limits.gap(self.area));
        let small = stop - self.start <= u32::from(limits.most(self.area));
        (near && small).then(|| Self {
            last: next.last,
            stop,
            ..self.clone()
        })
    }

    /// Unit id.
    #[must_use]
    pub fn unit(&self) -> u8 {
        self.unit
    }

    /// Which table is read.
    #[must_use]
    pub fn area(&self) -> Area {
        self.area
    }

    /// First address, from 0.
    #[must_use]
    pub fn address(&self) -> u16 {
        u16::try_from(self.start).unwrap_or(u16::MAX)
    }

    /// Bits or registers, 1..=2000 or 1..=125.
    #[must_use]
    pub fn quantity(&self) -> u16 {
        u16::try_from(self.stop - self.start).unwrap_or(u16::MAX)
    }

    /// The stretch that is read; of a part of a value, that of the whole value.
    #[must_use]
    pub fn range(&self) -> Range {
        let (start, stop) = self
            .part()
            .map_or((self.start, self.stop), |part| part.whole);
        Range {
            unit: self.unit,
            area: self.area,
            start,
            stop,
        }
    }

    /// Which part of a value this block reads; None if its values are whole.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        self.pieces.get(self.first)?.part
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> Request {
        Request::Read {
            area: self.area,
            address: self.address(),
            quantity: self.quantity(),
        }
    }

    /// Places of this block's values in the list of all values.
    pub fn slots(&self) -> impl Iterator<Item = usize> + '_ {
        self.own().iter().flat_map(Piece::slots)
    }

    /// The two halves of this block, to find out which part the device refuses; None if it is one single piece.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        if self.first == self.last {
            return None;
        }
        let middle = self.first + (self.last - self.first) / 2;
        Some((
            self.between(self.first, middle)?,
            self.between(middle + 1, self.last)?,
        ))
    }

    fn between(&self, first: usize, last: usize) -> Option<Self> {
        let pieces = self.pieces.get(first..=last)?;
        let start = pieces.iter().map(|piece| piece.start).min()?;
        let stop = pieces.iter().map(|piece| piece.stop).max()?;
        Some(Self {
            first,
            last,
            start,
            stop,
            ..self.clone()
        })
    }

    fn own(&self) -> &[Piece] {
        self.pieces.get(self.first..=self.last).unwrap_or_default()
    }

    /// Checks the answer and hands what it holds for every place to `put`.
    ///
    /// # Errors
    /// The device refused or the answer does not fit; then nothing was handed over.
    pub fn decode<E: From<AnswerError>>(
        &self,
        pdu: &[u8],
        mut put: impl FnMut(usize, Outcome<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let payload = read_payload(self.area, self.quantity(), pdu)?;
        for piece in self.own() {
            // Below 65536, and the payload's length was checked: every value is there.
            let at = usize::try_from(piece.start - self.start).unwrap_or(usize::MAX);
            if self.area.is_bits() {
                for (at, slot) in (at..).zip(piece.slots()) {
                    let value = bit(payload, at).unwrap_or_default();
                    put(slot, Outcome::Value(Value::Bool(value)))?;
                }
                continue;
            }
            let bytes = payload.get(at.saturating_mul(2)..).unwrap_or_default();
            if let Some(part) = piece.part {
                put(piece.slot, Outcome::Part(part, bytes))?;
                continue;
            }
            let width = usize::from(piece.kind.words()).saturating_mul(2);
            for (bytes, slot) in bytes.chunks_exact(width).zip(piece.slots()) {
                put(slot, piece.value(bytes))?;
            }
        }
        Ok(())
    }

    /// Makes the value of which this block reads a part, from the bytes of all its parts.
    #[must_use]
    pub fn whole<'a>(&self, bytes: &'a [u8]) -> Option<Outcome<'a>> {
        self.own().first().map(|piece| piece.value(bytes))
    }
}

impl Piece {
    fn value<'a>(&self, bytes: &'a [u8]) -> Outcome<'a> {
        match decode_value(self.kind, self.order, self.bit, bytes) {
            Ok(value) => Outcome::Value(value),
            Err(error) => Outcome::Bad(error),
        }
    }
}
