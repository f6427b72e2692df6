//! The immutable columnar table that travels between stages.

use std::collections::HashSet;

use crate::builder::ColumnsBuilder;
use crate::error::SeriesError;
use crate::value::{Kind, ValueRef};

/// Stands for "no received time" inside the received column.
pub const NO_TIME: i64 = i64::MIN;

/// Variable-length cells: offsets into one buffer, as in Arrow.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Blobs {
    pub(crate) ends: Vec<u32>,
    pub(crate) data: Vec<u8>,
}

impl Blobs {
    pub(crate) fn push(&mut self, cell: &[u8]) -> Result<u32, SeriesError> {
        let slot = u32::try_from(self.ends.len()).map_err(|_| SeriesError::TooLarge("rows"))?;
        let end = u32::try_from(self.data.len() + cell.len())
            .map_err(|_| SeriesError::TooLarge("bytes"))?;
        self.data.extend_from_slice(cell);
        self.ends.push(end);
        Ok(slot)
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&[u8]> {
        let start = match slot.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.data.get(start..*self.ends.get(slot)? as usize)
    }

    fn nbytes(&self) -> usize {
        self.ends.len() * size_of::<u32>() + self.data.len()
    }
}

/// One row, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// The tag's label.
    pub tag: &'a str,
    /// Its position in the dictionary.
    pub tag_id: u32,
    /// The device's own time, ns since 1970 UTC.
    pub source_ts: i64,
    /// The value.
    pub value: ValueRef<'a>,
    /// 32-bit OPC UA status code.
    pub status: u32,
    /// When bifrost saw it, ns since 1970 UTC.
    pub received_ts: Option<i64>,
}

/// Rows of readings, column by column; nothing changes after it is built.
///
/// Every row has a kind and a slot in that kind's dense column, so an integer never passes through a float and a
/// batch of doubles holds no empty text column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    pub(crate) origin: String,
    pub(crate) sequence: u64,
    pub(crate) dictionary: Vec<Box<str>>,
    pub(crate) tag_ids: Vec<u32>,
    pub(crate) source_ts: Vec<i64>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) slots: Vec<u32>,
    pub(crate) bools: Vec<bool>,
    pub(crate) i64s: Vec<i64>,
    pub(crate) f64s: Vec<f64>,
    pub(crate) utf8: Blobs,
    pub(crate) bytes: Blobs,
    pub(crate) status: Vec<u32>,
    pub(crate) received_ts: Option<Vec<i64>>,
}

impl Columns {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tag_ids.len()
    }

    /// True if there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tag_ids.is_empty()
    }

    /// Where the batch comes from.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its number at the origin.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The distinct tags, in first-seen order.
    #[must_use]
    pub fn tags(&self) -> &[Box<str>] {
        &self.dictionary
    }

    /// The dictionary position of each row's tag.
    #[must_use]
    pub fn tag_ids(&self) -> &[u32] {
        &self.tag_ids
    }

    /// Source times, ns since 1970 UTC.
    #[must_use]
    pub fn source_ts(&self) -> &[i64] {
        &self.source_ts
    }

    /// The kind of each row's value.
    #[must_use]
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// OPC UA status codes.
    #[must_use]
    pub fn status(&self) -> &[u32] {
        &self.status
    }

    /// Received times with [`NO_TIME`] for absent ones, if any row has one.
    #[must_use]
    pub fn received_ts(&self) -> Option<&[i64]> {
        self.received_ts.as_deref()
    }

    /// The earliest and the latest source time.
    #[must_use]
    pub fn time_range(&self) -> Option<(i64, i64)> {
        Some((*self.source_ts.iter().min()?, *self.source_ts.iter().max()?))
    }

    /// The bytes that the columns, the dictionary and the origin hold.
    #[must_use]
    pub fn nbytes(&self) -> usize {
        self.origin.len()
            + self.dictionary.iter().map(|tag| tag.len()).sum::<usize>()
            + self.len() * (size_of::<u32>() * 3 + size_of::<i64>() + size_of::<Kind>())
            + self.bools.len()
            + self.i64s.len() * size_of::<i64>()
            + self.f64s.len() * size_of::<f64>()
            + self.utf8.nbytes()
            + self.bytes.nbytes()
            + self
                .received_ts
                .as_ref()
                .map_or(0, |times| times.len() * size_of::<i64>())
    }

    /// The value of one row.
    #[must_use]
    pub fn value(&self, row: usize) -> Option<ValueRef<'_>> {
        let slot = *self.slots.get(row)? as usize;
        Some(match self.kinds.get(row)? {
            Kind::Null => ValueRef::Null,
            Kind::Bool => ValueRef::Bool(*self.bools.get(slot)?),
            Kind::I64 => ValueRef::I64(*self.i64s.get(slot)?),
            Kind::F64 => ValueRef::F64(*self.f64s.get(slot)?),
            Kind::Utf8 => ValueRef::Utf8(std::str::from_utf8(self.utf8.get(slot)?).ok()?),
            Kind::Bytes => ValueRef::Bytes(self.bytes.get(slot)?),
        })
    }

    /// One row.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<Row<'_>> {
        let tag_id = *self.tag_ids.get(row)?;
        Some(Row {
            tag: self.dictionary.get(tag_id as usize)?,
            tag_id,
            source_ts: *self.source_ts.get(row)?,
            value: self.value(row)?,
            status: *self.status.get(row)?,
            received_ts: self
                .received_ts
                .as_ref()
                .and_then(|times| times.get(row).copied())
                .filter(|time| *time != NO_TIME),
        })
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).filter_map(|row| self.row(row))
    }

    /// True if both hold the same rows bit for bit: a NaN is itself, and -0.0 is not 0.0.
    #[must_use]
    pub fn is_identical(&self, other: &Self) -> bool {
        self.origin == other.origin
            && self.sequence == other.sequence
            && self.dictionary == other.dictionary
            && self.tag_ids == other.tag_ids
            && self.source_ts == other.source_ts
            && self.kinds == other.kinds
            && self.bools == other.bools
            && self.i64s == other.i64s
            && self.f64s.len() == other.f64s.len()
            && self
                .f64s
                .iter()
                .zip(&other.f64s)
                .all(|(own, others)| own.to_bits() == others.to_bits())
            && self.utf8 == other.utf8
            && self.bytes == other.bytes
            && self.status == other.status
            && self.received_ts == other.received_ts
    }

    /// The same rows under another origin and number.
    #[must_use]
    pub fn with_origin(mut self, origin: &str, sequence: u64) -> Self {
        self.origin = origin.to_owned();
        self.sequence = sequence;
        self
    }

    /// All rows of all batches, in order; origin and number are the first batch's.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn concat(parts: &[&Self]) -> Result<Self, SeriesError> {
        let Some(first) = parts.first() else {
            return Ok(Self::default());
        };
        let rows = parts.iter().map(|part| part.len()).sum();
        let mut builder = ColumnsBuilder::with_capacity(rows);
        for part in parts {
            builder.extend(part, part.rows())?;
        }
        Ok(builder.finish(&first.origin, first.sequence))
    }

    /// The rows of the named tags, in order.
    ///
    /// # Errors
    /// Never in practice: a part of a batch is within the limits that the batch is in.
    pub fn select(&self, tags: &HashSet<&str>) -> Result<Self, SeriesError> {
        let wanted: Vec<bool> = self
            .dictionary
            .iter()
            .map(|tag| tags.contains(tag.as_ref()))
            .collect();
        self.keep(|row| wanted.get(row.tag_id as usize).copied().unwrap_or(false))
    }

    /// The rows for which `predicate` holds, in order.
    ///
    /// # Errors
    /// Never in practice, as [`Columns::select`].
    pub fn keep(&self, predicate: impl Fn(&Row<'_>) -> bool) -> Result<Self, SeriesError> {
        let mut builder = ColumnsBuilder::with_capacity(0);
        builder.extend(self, self.rows().filter(predicate))?;
        Ok(builder.finish(&self.origin, self.sequence))
    }

    /// The rows from `start` up to, not including, `stop`; both are cut to the length.
    ///
    /// # Errors
    /// Never in practice, as [`Columns::select`].
    pub fn slice(&self, start: usize, stop: usize) -> Result<Self, SeriesError> {
        let stop = stop.min(self.len());
        let start = start.min(stop);
        let mut builder = ColumnsBuilder::with_capacity(stop - start);
        builder.extend(self, (start..stop).filter_map(|row| self.row(row)))?;
        Ok(builder.finish(&self.origin, self.sequence))
    }
}
