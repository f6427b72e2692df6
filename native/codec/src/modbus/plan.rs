//! The read planner: many tags in, few requests out.
//!
//! Fields are grouped by unit and area, sorted, and merged while the gap between them and the size of the request
//! stay within the limits. A value comes from two requests only if it is wider than one allows; it is then said to be
//! torn, for its parts may be of different age.

use std::sync::Arc;

use super::area::Area;
use super::block::{Block, Part, Piece};
use super::error::PlanError;
use super::value::{ByteOrder, Kind};
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

impl Limits {
    /// Bits or registers in one request to an area.
    pub(crate) fn most(&self, area: Area) -> u16 {
        if area.is_bits() {
            self.max_bits.min(MAX_READ_BITS)
        } else {
            self.max_registers.min(MAX_READ_REGISTERS)
        }
    }

    /// Bits or registers that are read in vain to save a request.
    pub(crate) fn gap(&self, area: Area) -> u16 {
        if area.is_bits() {
            self.max_gap_bits
        } else {
            self.max_gap_registers
        }
    }
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
        let (first, next) = (first.range(), next.range());
        let here = (self.unit, self.area) == (next.unit, next.area);
        if self.start == self.stop {
            return here && first.start < self.start && self.start <= next.start;
        }
        here && self.start < next.start && first.stop < self.stop
    }
}

/// Requests for a set of fields.
#[derive(Clone, Debug)]
pub struct Plan {
    blocks: Vec<Block>,
    slots: Vec<usize>,
    refused: Vec<usize>,
    torn: Vec<usize>,
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
            total = total.saturating_add(usize::from(field.count));
        }
        let mut torn: Vec<usize> = pieces
            .iter()
            .filter(|piece| piece.part.is_some())
            .map(|piece| piece.slot)
            .collect();
        torn.dedup();
        let (dead, mut pieces): (Vec<Piece>, Vec<Piece>) = pieces
            .into_iter()
            .partition(|piece| refused.contains(&piece.range()));
        let mut lost: Vec<usize> = dead.iter().flat_map(Piece::slots).collect();
        lost.dedup();
        pieces.sort_by_key(|piece| (piece.unit, piece.area, piece.start, piece.stop));
        let pieces: Arc<[Piece]> = pieces.into();
        let mut blocks: Vec<Block> = Vec::new();
        for index in 0..pieces.len() {
            let Some(next) = Block::single(&pieces, index) else {
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
            torn,
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

    /// Places of the values that are wider than one request allows, so that their parts may be of different age.
    #[must_use]
    pub fn torn(&self) -> &[usize] {
        &self.torn
    }

    /// How many values all fields have together.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }
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
    let limit = limits.most(field.area);
    if limit == 0 {
        return Err(PlanError::TooWide { field: index });
    }
    let piece = Piece {
        unit: field.unit,
        area: field.area,
        kind: field.kind,
        order: field.order,
        bit: field.bit.unwrap_or(0),
        start,
        stop: start,
        values: 1,
        slot,
        part: None,
    };
    if width > limit {
        torn(&piece, width, limit, field.count, pieces);
        return Ok(());
    }
    let most = limit / width;
    let mut done: u16 = 0;
    while done < field.count {
        let values = most.min(field.count - done);
        let from = start + u32::from(width) * u32::from(done);
        pieces.push(Piece {
            start: from,
            stop: from + u32::from(width) * u32::from(values),
            values,
            slot: slot + usize::from(done),
            ..piece
        });
        done += values;
    }
    Ok(())
}

/// Cuts each of `count` values that are wider than `limit` into parts.
fn torn(first: &Piece, width: u16, limit: u16, count: u16, pieces: &mut Vec<Piece>) {
    let parts = width.div_ceil(limit);
    for value in 0..count {
        let from = first.start + u32::from(width) * u32::from(value);
        let whole = (from, from + u32::from(width));
        for number in 0..parts {
            let start = from + u32::from(limit) * u32::from(number);
            pieces.push(Piece {
                start,
                stop: whole.1.min(start + u32::from(limit)),
                slot: first.slot + usize::from(value),
                part: Some(Part {
                    number,
                    of: parts,
                    whole,
                }),
                ..*first
            });
        }
    }
}
