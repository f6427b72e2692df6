//! Room in the file: what the cap still allows, and what is deleted when it allows nothing more.

use crate::outbox::Event;
use crate::schema::set_meta_integer;
use crate::store::{Store, now_ns, unsigned};
use crate::{Gap, WalError};

/// Records deleted in one step while making room: few, so that no more is lost than must be.
const STEP: i64 = 8;
/// Pages given back to the file system in one idle step, so that a command never waits long.
const VACUUM_STEP: u64 = 512;
/// The newest gaps that stay on record.
const GAPS_KEPT: i64 = 1000;

impl Store {
    fn pragma(&self, text: &str) -> Result<u64, WalError> {
        let number: i64 = self
            .connection
            .prepare_cached(text)?
            .query_row([], |row| row.get(0))?;
        Ok(unsigned(number))
    }

    /// Pages of the database file.
    pub(crate) fn file_pages(&self) -> Result<u64, WalError> {
        self.pragma("PRAGMA page_count")
    }

    fn free_pages(&self) -> Result<u64, WalError> {
        self.pragma("PRAGMA freelist_count")
    }

    /// True if that many pages can still be written under the cap.
    pub(crate) fn has_room(&self, pages: u64) -> Result<bool, WalError> {
        let free = self.free_pages()?;
        if free >= pages {
            return Ok(true);
        }
        if self.disk_low {
            return Ok(false);
        }
        let growth = self
            .options
            .page_budget()
            .saturating_sub(self.file_pages()?);
        Ok(free + growth >= pages)
    }

    /// Why an append is refused.
    pub(crate) fn full(&self) -> WalError {
        if self.disk_low {
            return WalError::Full(
                "too little disk space is left: free some, or lower min_free_disk".to_owned(),
            );
        }
        WalError::Full(format!(
            "the buffer holds its {} bytes: restore the destinations or raise max_bytes",
            self.options.max_bytes
        ))
    }

    /// Deletes the oldest records until the pages are free; counts them and writes the gap down.
    pub(crate) fn drop_oldest(&mut self, pages: u64) -> Result<(), WalError> {
        let (mut records, mut rows, mut first, mut last) = (0, 0, None, 0);
        let mut outcome = Ok(());
        while !self.has_room(pages)? {
            let Some(oldest) = self.first_seq()? else {
                if !self.drop_letters()? {
                    outcome = Err(self.full());
                    break; // what is gone by now is still counted below
                }
                continue;
            };
            let through: i64 = self
                .connection
                .prepare_cached(
                    "SELECT max(seq) FROM (SELECT seq FROM records ORDER BY seq LIMIT ?1)",
                )?
                .query_row([STEP], |row| row.get(0))?;
            let (gone, gone_rows) = self.delete_through(through)?;
            if gone == 0 {
                return Err(WalError::Corrupt(format!(
                    "place {oldest} cannot be deleted"
                )));
            }
            records += gone;
            rows += gone_rows;
            first = first.or(Some(oldest));
            last = through;
        }
        if let Some(first) = first {
            self.note_gap(&Gap {
                first_seq: unsigned(first),
                last_seq: unsigned(last),
                records,
                rows,
                reason: "full".to_owned(),
            })?;
            self.events.push(Event::Dropped { records, rows });
        }
        outcome
    }

    /// Writes a gap down; one that continues the last is merged with it.
    pub(crate) fn note_gap(&mut self, gap: &Gap) -> Result<(), WalError> {
        let (first, last) = (signed(gap.first_seq), signed(gap.last_seq));
        let (records, rows) = (signed(gap.records), signed(gap.rows));
        let merged = self
            .connection
            .prepare_cached(
                "UPDATE gaps SET last_seq=?2, records=records+?3, n=n+?4, at_ns=?6
                 WHERE id=(SELECT max(id) FROM gaps) AND last_seq=?1-1 AND reason=?5",
            )?
            .execute((first, last, records, rows, &gap.reason, now_ns()))?;
        if merged == 0 {
            self.connection
                .prepare_cached("INSERT INTO gaps VALUES (NULL,?1,?2,?3,?4,?5,?6)")?
                .execute((first, last, records, rows, &gap.reason, now_ns()))?;
            self.connection
                .prepare_cached("DELETE FROM gaps WHERE id<=(SELECT max(id) FROM gaps)-?1")?
                .execute([GAPS_KEPT])?;
        }
        self.counters.dropped_records += records;
        self.counters.dropped_rows += rows;
        set_meta_integer(
            &self.connection,
            "dropped_records",
            self.counters.dropped_records,
        )?;
        set_meta_integer(&self.connection, "dropped_rows", self.counters.dropped_rows)
    }

    /// Gives unused space back to the file system, a little at a time; true if there is more to do.
    pub(crate) fn give_back(&self) -> Result<bool, WalError> {
        let (pages, free) = (self.file_pages()?, self.free_pages()?);
        let empty = self.counters.records == 0;
        // Some slack stays: a buffer that breathes would otherwise grow and shrink its file all the time.
        let worth = if empty {
            free > 0
        } else {
            free > 1024 && free > pages / 2
        };
        if worth {
            let mut statement = self
                .connection
                .prepare(&format!("PRAGMA incremental_vacuum({VACUUM_STEP})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            return Ok(true);
        }
        if empty && self.wal_bytes() > 0 {
            self.checkpoint()?;
        }
        Ok(false)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
