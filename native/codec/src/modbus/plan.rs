//! The read planner: many tags in, few requests out, and each answer taken apart again.
//!
//! Fields are grouped by unit and area, sorted, and merged while the gap between them and the size of the request
//! stay within the limits. One value never comes from two requests, so it cannot be torn.

use std::sync::Arc;

use super::answer::read_payload;
use super::bytes::bit;
use super::error::{AnswerError, PlanError};
use super::request::{Area, Request};
use super::value::{ByteOrder, Kind, Value, decode_value};
use super::{MAX_READ_BITS, MAX_READ_REGISTERS};

/// One tag as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    /// Unit id.
    pub unit: u8,
    /// Which table.
    pub area: Area,
    /// First address, from 0.
    pub address: u16,
    /// The type of one value.
    pub kind: Kind,
    /// The order of its bytes.
    pub order: ByteOrder,
    /// Values in a row, at least 1.
    pub count: u16,
    /// The bit of a register (0 = lowest) that a BOOL in a register area is; None elsewhere.
    pub bit: Option<u8>,
    /// Factor and offset: numbers become `value * factor + offset`, a float.
    pub scale: Option<(f64, f64)>,
}

/// How far requests are merged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Unwanted registers read to save a request; 0 merges only neighbours.
    pub max_gap_registers: u16,
    /// Unwanted bits read to save a request.
    pub max_gap_bits: u16,
    /// Registers in one request, at most 125.
    pub max_registers: u16,
    /// Bits in one request, at most 2000.
    pub max_bits: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_gap_registers: 8,
            max_gap_bits: 64,
            max_registers: MAX_READ_REGISTERS,
            max_bits: MAX_READ_BITS,
        }
    }
}

/// A stretch of addresses of one unit and area, `start` included, `stop` not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Range {
    /// Unit id.
    pub unit: u8,
    /// Which table.
    pub area: Area,
    /// First address.
    pub start: u32,
    /// The address after the last.
    pub stop: u32,
}

impl Range {
    /// Tells whether a request over `first` that is stretched to `next` would read across this stretch.
    ///
    /// An empty stretch is a cut: the device refused the two sides together, though not each alone.
    fn parts(&self, first: &Block, next: &Block) -> bool {
        let here = (self.unit, self.area) == (next.unit, next.area);
        if self.start == self.stop {
            return here && first.start < self.start && self.start <= next.start;
        }
        here && self.start < next.start && first.stop < self.stop
    }
}

/// A run of whole values of one field that is read together.
#[derive(Clone, Copy, Debug)]
struct Piece {
    field: usize,
    start: u32,
    stop: u32,
    values: u16,
    slot: usize,
}

/// The work that all blocks of one plan share.
#[derive(Debug)]
struct Sheet {
    fields: Vec<Field>,
    pieces: Vec<Piece>,
}

/// One request and what its answer is made of.
#[derive(Clone, Debug)]
pub struct Block {
    sheet: Arc<Sheet>,
    first: usize,
    last: usize,
    unit: u8,
    area: Area,
    start: u32,
    stop: u32,
}

/// Requests for a set of fields.
#[derive(Clone, Debug)]
pub struct Plan {
    blocks: Vec<Block>,
    slots: Vec<usize>,
    refused: Vec<usize>,
    total: usize,
}

impl Plan {
    /// Plans the reads.
    ///
    /// `refused` names stretches that the device refused as a whole: a value that is exactly one of them is left out.
    /// No request reads across a stretch of `refused` or `barriers`.
    ///
    /// # Errors
    /// A field is not one that can be read.
    pub fn new(
        fields: Vec<Field>,
        limits: Limits,
        refused: &[Range],
        barriers: &[Range],
    ) -> Result<Self, PlanError> {
        let mut pieces = Vec::with_capacity(fields.len());
        let mut slots = Vec::with_capacity(fields.len());
        let mut total: usize = 0;
        for (index, field) in fields.iter().enumerate() {
            slots.push(total);
            split_field(index, field, limits, total, &mut pieces)?;
            total += usize::from(field.count);
        }
        let place = |piece: &Piece| {
            fields
                .get(piece.field)
                .map(|field| (field.unit, field.area))
        };
        let (dead, mut pieces): (Vec<Piece>, Vec<Piece>) = pieces.into_iter().partition(|piece| {
            refused.iter().any(|hole| {
                place(piece) == Some((hole.unit, hole.area))
                    && (hole.start, hole.stop) == (piece.start, piece.stop)
            })
        });
        let lost = dead.iter().flat_map(piece_slots).collect();
        pieces.sort_by_key(|piece| (place(piece), piece.start, piece.stop));
        let sheet = Arc::new(Sheet { fields, pieces });
        let mut blocks: Vec<Block> = Vec::new();
        for index in 0..sheet.pieces.len() {
            let Some(next) = Block::single(&sheet, index) else {
                continue;
            };
            let merged = blocks.last().and_then(|block| {
                let joined = block.joined(&next, limits)?;
                let blocked = refused
                    .iter()
                    .chain(barriers)
                    .any(|hole| hole.parts(block, &next));
                (!blocked).then_some(joined)
            });
            match (merged, blocks.last_mut()) {
                (Some(joined), Some(last)) => *last = joined,
                _ => blocks.push(next),
            }
        }
        Ok(Self {
            blocks,
            slots,
            refused: lost,
            total,
        })
    }

    /// The requests, by unit, area and address.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Where each field's first value stands in the list of all values.
    #[must_use]
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// Places of the values that no request asks for, because the device refused them before.
    #[must_use]
    pub fn refused(&self) -> &[usize] {
        &self.refused
    }

    /// How many values all fields have together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }
}

fn piece_slots(piece: &Piece) -> std::ops::Range<usize> {
    piece.slot..piece.slot + usize::from(piece.values)
}

fn split_field(
    index: usize,
    field: &Field,
    limits: Limits,
    slot: usize,
    pieces: &mut Vec<Piece>,
) -> Result<(), PlanError> {
    let bits = field.area.is_bits();
    let fits = match field.kind {
        Kind::Bool if bits => field.bit.is_none(),
        Kind::Bool => field.bit.is_some_and(|bit| bit < 16) && field.count == 1,
        _ => !bits && field.bit.is_none(),
    };
    let width = field.kind.words();
    if !fits || field.count == 0 || width == 0 {
        return Err(PlanError::Shape { field: index });
    }
    let start = u32::from(field.address);
    if start + u32::from(width) * u32::from(field.count) > 65536 {
        return Err(PlanError::Address { field: index });
    }
    let limit = if bits {
        limits.max_bits.min(MAX_READ_BITS)
    } else {
        limits.max_registers.min(MAX_READ_REGISTERS)
    };
    let most = limit / width;
    if most == 0 {
        return Err(PlanError::TooWide { field: index });
    }
    let mut done: u16 = 0;
    while done < field.count {
        let values = most.min(field.count - done);
        let from = start + u32::from(width) * u32::from(done);
        pieces.push(Piece {
            field: index,
            start: from,
            stop: from + u32::from(width) * u32::from(values),
            values,
            slot: slot + usize::from(done),
        });
        done += values;
    }
    Ok(())
}

impl Block {
    fn single(sheet: &Arc<Sheet>, index: usize) -> Option<Self> {
        let piece = sheet.pieces.get(index)?;
        let field = sheet.fields.get(piece.field)?;
        Some(Self {
            sheet: Arc::clone(sheet),
            first: index,
            last: index,
            unit: field.unit,
            area: field.area,
            start: piece.start,
            stop: piece.stop,
        })
    }

    fn joined(&self, next: &Self, limits: Limits) -> Option<Self> {
        if (self.unit, self.area) != (next.unit, next.area) {
            return None;
        }
        let (gap, limit) = if self.area.is_bits() {
            (limits.max_gap_bits, limits.max_bits.min(MAX_READ_BITS))
        } else {
            (
                limits.max_gap_registers,
                limits.max_registers.min(MAX_READ_REGISTERS),
            )
        };
        let stop = self.stop.max(next.stop);
        let near = next.start.saturating_sub(self.stop) <= u32::from(gap);
        let small = stop - self.start <= u32::from(limit);
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

    /// The stretch that is read.
    #[must_use]
    pub fn range(&self) -> Range {
        Range {
            unit: self.unit,
            area: self.area,
            start: self.start,
            stop: self.stop,
        }
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
        self.pieces().iter().flat_map(piece_slots)
    }

    /// The two halves of this block, to find out which part the device refuses; None if it is one single piece.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        if self.first == self.last {
            return None;
        }
        let middle = self.first + (self.last - self.first) / 2;
        Some((
            self.part(self.first, middle)?,
            self.part(middle + 1, self.last)?,
        ))
    }

    fn part(&self, first: usize, last: usize) -> Option<Self> {
        let pieces = self.sheet.pieces.get(first..=last)?;
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

    fn pieces(&self) -> &[Piece] {
        self.sheet
            .pieces
            .get(self.first..=self.last)
            .unwrap_or_default()
    }

    /// Checks the answer and hands every value with its place to `put`.
    ///
    /// # Errors
    /// The device refused or the answer does not fit; then nothing was handed over.
    pub fn decode<E: From<AnswerError>>(
        &self,
        pdu: &[u8],
        mut put: impl FnMut(usize, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let payload = read_payload(self.area, self.quantity(), pdu)?;
        for piece in self.pieces() {
            let Some(field) = self.sheet.fields.get(piece.field) else {
                continue;
            };
            let mut at = usize::try_from(piece.start - self.start).unwrap_or(usize::MAX);
            let width = usize::from(field.kind.words());
            for slot in piece_slots(piece) {
                let value = if self.area.is_bits() {
                    bit(payload, at).map(Value::Bool)
                } else {
                    payload.get(at.saturating_mul(2)..).and_then(|bytes| {
                        decode_value(field.kind, field.order, field.bit.unwrap_or(0), bytes)
                    })
                };
                // The payload's length was checked, so every value is there.
                if let Some(value) = value {
                    put(slot, scaled(value, field.scale))?;
                }
                at += width;
            }
        }
        Ok(())
    }
}

fn scaled(value: Value, scale: Option<(f64, f64)>) -> Value {
    let Some((factor, offset)) = scale else {
        return value;
    };
    #[allow(clippy::cast_precision_loss)] // a scaled value is a float by definition
    match value {
        Value::Int(number) => Value::Float(number as f64 * factor + offset),
        Value::Uint(number) => Value::Float(number as f64 * factor + offset),
        Value::Float(number) => Value::Float(number * factor + offset),
        Value::Bool(_) | Value::Text(_) => value,
    }
}
