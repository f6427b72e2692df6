//! Builds a table row by row.

use std::collections::HashMap;

use crate::columns::{Columns, NO_TIME, Row};
use crate::error::SeriesError;
use crate::format::MAX_ROWS;
use crate::value::ValueRef;

/// Collects rows, then becomes [`Columns`].
#[derive(Debug, Default)]
pub struct ColumnsBuilder {
    columns: Columns,
    index: HashMap<Box<str>, u32>,
}

impl ColumnsBuilder {
    /// A builder with room for `rows` rows.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        let rows = rows.min(MAX_ROWS);
        Self {
            columns: Columns {
                tag_ids: Vec::with_capacity(rows),
                source_ts: Vec::with_capacity(rows),
                kinds: Vec::with_capacity(rows),
                slots: Vec::with_capacity(rows),
                status: Vec::with_capacity(rows),
                ..Columns::default()
            },
            index: HashMap::new(),
        }
    }

    /// The number of rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if no row was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The dictionary position of a tag, entering it if it is new.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] if the dictionary is full.
    pub fn intern(&mut self, tag: &str) -> Result<u32, SeriesError> {
        if let Some(id) = self.index.get(tag) {
            return Ok(*id);
        }
        let id = u32::try_from(self.columns.dictionary.len())
            .map_err(|_| SeriesError::TooLarge("tags"))?;
        self.columns.dictionary.push(tag.into());
        self.index.insert(tag.into(), id);
        Ok(id)
    }

    /// Add one row.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn push(
        &mut self,
        tag: &str,
        source_ts: i64,
        value: ValueRef<'_>,
        status: u32,
        received_ts: Option<i64>,
    ) -> Result<(), SeriesError> {
        let tag_id = self.intern(tag)?;
        self.push_interned(tag_id, source_ts, value, status, received_ts)
    }

    /// Add one row whose tag is in the dictionary already.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits, [`SeriesError::Invalid`] for an unknown tag.
    pub fn push_interned(
        &mut self,
        tag_id: u32,
        source_ts: i64,
        value: ValueRef<'_>,
        status: u32,
        received_ts: Option<i64>,
    ) -> Result<(), SeriesError> {
        let columns = &mut self.columns;
        if columns.len() >= MAX_ROWS {
            return Err(SeriesError::TooLarge("rows"));
        }
        if tag_id as usize >= columns.dictionary.len() {
            return Err(SeriesError::Invalid("tag number"));
        }
        let slot = match value {
            ValueRef::Null => 0,
            ValueRef::Bool(cell) => append(&mut columns.bools, cell)?,
            ValueRef::I64(cell) => append(&mut columns.i64s, cell)?,
            ValueRef::F64(cell) => append(&mut columns.f64s, cell)?,
            ValueRef::Utf8(cell) => columns.utf8.push(cell.as_bytes())?,
            ValueRef::Bytes(cell) => columns.bytes.push(cell)?,
        };
        match (&mut columns.received_ts, received_ts) {
            (Some(times), time) => times.push(time.unwrap_or(NO_TIME)),
            (None, Some(time)) => {
                let mut times = vec![NO_TIME; columns.tag_ids.len()];
                times.push(time);
                columns.received_ts = Some(times);
            }
            (None, None) => {}
        }
        columns.tag_ids.push(tag_id);
        columns.source_ts.push(source_ts);
        columns.kinds.push(value.kind());
        columns.slots.push(slot);
        columns.status.push(status);
        Ok(())
    }

    /// Add rows of another table, translating its dictionary once per tag.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn extend<'a>(
        &mut self,
        from: &Columns,
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Result<(), SeriesError> {
        let mut translation: Vec<Option<u32>> = vec![None; from.dictionary.len()];
        for row in rows {
            let tag_id = match translation.get_mut(row.tag_id as usize) {
                Some(Some(known)) => *known,
                Some(unknown) => *unknown.insert(self.intern(row.tag)?),
                None => return Err(SeriesError::Invalid("tag number")),
            };
            self.push_interned(
                tag_id,
                row.source_ts,
                row.value,
                row.status,
                row.received_ts,
            )?;
        }
        Ok(())
    }

    /// The finished table.
    #[must_use]
    pub fn finish(self, origin: &str, sequence: u64) -> Columns {
        self.columns.with_origin(origin, sequence)
    }
}

fn append<T>(column: &mut Vec<T>, cell: T) -> Result<u32, SeriesError> {
    let slot = u32::try_from(column.len()).map_err(|_| SeriesError::TooLarge("rows"))?;
    column.push(cell);
    Ok(slot)
}
