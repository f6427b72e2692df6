//! Commands on an open file. Every function runs inside the transaction that the owner began.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::lock::beside;
use crate::outbox::Event;
use crate::record::{checksum, cursor_checksum};
use crate::schema::{self, meta_integer, set_meta_integer};
use crate::{Cursor, Gap, NewRecord, OnFull, Options, Record, Start, Statistics, WalError};

/// What is kept in memory beside the file; restored when a transaction is rolled back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) payload_bytes: u64,
    pub(crate) last_seq: i64,
    pub(crate) dropped_records: i64,
    pub(crate) dropped_rows: i64,
    pub(crate) quarantined: u64,
    pub(crate) dead_letters: u64,
    pub(crate) dead_letter_bytes: u64,
    pub(crate) dead_letters_dropped: i64,
    pub(crate) appended_records: u64,
    pub(crate) appended_rows: u64,
}

/// An open buffer file.
pub(crate) struct Store {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) counters: Counters,
    pub(crate) buffer_id: String,
    pub(crate) disk_low: bool,
    pub(crate) events: Vec<Event>,
}

/// Why an append did not happen, beside errors.
pub(crate) enum Refusal {
    /// It must wait for room.
    Wait,
    /// It failed.
    Failed(WalError),
}

/// A row that is no record: its place and why.
type BadRow = (i64, String);

impl From<WalError> for Refusal {
    fn from(error: WalError) -> Self {
        Self::Failed(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Store {
    /// Opens the file and counts what it holds; memory does not depend on how much that is.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, WalError> {
        let connection = schema::open(path, options)?;
        let buffer_id = schema::buffer_id(&connection)?;
        let mut counters = Counters::default();
        let (records, rows, bytes, newest): (i64, i64, i64, i64) = connection.query_row(
            "SELECT count(*), coalesce(sum(n),0), coalesce(sum(length(payload)),0), coalesce(max(seq),0) FROM records",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        counters.records = unsigned(records);
        counters.rows = unsigned(rows);
        counters.payload_bytes = unsigned(bytes);
        let acked: i64 =
            connection.query_row("SELECT coalesce(max(acked),0) FROM cursors", [], |row| {
                row.get(0)
            })?;
        let stored = meta_integer(&connection, "last_seq")?.unwrap_or(0);
        // Three witnesses, so that one flipped bit cannot make a place be given twice.
        counters.last_seq = stored.max(newest).max(acked).max(0);
        if counters.last_seq > i64::MAX / 2 {
            return Err(WalError::Corrupt(format!(
                "the last place is {}, which no buffer reaches",
                counters.last_seq
            )));
        }
        counters.dropped_records = meta_integer(&connection, "dropped_records")?
            .unwrap_or(0)
            .max(0);
        counters.dropped_rows = meta_integer(&connection, "dropped_rows")?
            .unwrap_or(0)
            .max(0);
        counters.dead_letters_dropped = meta_integer(&connection, "dead_letters_dropped")?
            .unwrap_or(0)
            .max(0);
        let (letters, letter_bytes): (i64, i64) = connection.query_row(
            "SELECT count(*), coalesce(sum(length(payload)),0) FROM dead_letters",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        counters.dead_letters = unsigned(letters);
        counters.dead_letter_bytes = unsigned(letter_bytes);
        let quarantined: i64 =
            connection.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0))?;
        counters.quarantined = unsigned(quarantined);
        let mut store = Self {
            connection,
            path: path.to_owned(),
            options: options.clone(),
            counters,
            buffer_id,
            disk_low: false,
            events: Vec::new(),
        };
        store.slowest()?; // a damaged cursor is mended before anybody relies on it
        Ok(store)
    }

    /// Appends one record and gives its place.
    pub(crate) fn append(&mut self, record: &NewRecord) -> Result<u64, Refusal> {
        let need = pages_for(record.payload.len());
        if !self.has_room(need)? {
            match self.options.on_full {
                OnFull::DropOldest => self.drop_oldest(need)?,
                OnFull::Block => return Err(Refusal::Wait),
                OnFull::Reject => return Err(Refusal::Failed(self.full())),
            }
        }
        let seq = self.counters.last_seq + 1;
        self.insert(seq, record)?;
        self.counters.appended_records += 1;
        self.counters.appended_rows += u64::from(record.rows);
        Ok(unsigned(seq))
    }

    /// Stores a record under its place; also how salvage carries records over.
    pub(crate) fn insert(&mut self, seq: i64, record: &NewRecord) -> Result<(), WalError> {
        let crc = checksum(seq, record);
        self.connection
            .prepare_cached("INSERT INTO records VALUES (?1,?2,?3,?4,?5,?6,?7,?8)")?
            .execute((
                seq,
                &record.stream,
                record.ts_min,
                record.ts_max,
                record.rows,
                record.codec,
                crc,
                &record.payload,
            ))?;
        self.counters.last_seq = self.counters.last_seq.max(seq);
        self.counters.records += 1;
        self.counters.rows += u64::from(record.rows);
        self.counters.payload_bytes += record.payload.len() as u64;
        Ok(())
    }

    /// Writes down the newest place; once per transaction that appended.
    pub(crate) fn note_last_seq(&self) -> Result<(), WalError> {
        set_meta_integer(&self.connection, "last_seq", self.counters.last_seq)
    }

    /// Where a destination stands.
    pub(crate) fn cursor(&mut self, destination: &str) -> Result<i64, WalError> {
        let (acked, crc): (i64, i64) = self
            .connection
            .prepare_cached("SELECT acked, crc FROM cursors WHERE destination=?1")?
            .query_row([destination], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .ok_or_else(|| WalError::UnknownDestination(destination.to_owned()))?;
        if crc == i64::from(cursor_checksum(destination, acked)) {
            return Ok(acked);
        }
        self.reset_cursor(destination)
    }

    /// The cursor that is furthest behind; `None` without destinations.
    fn slowest(&mut self) -> Result<Option<i64>, WalError> {
        let cursors: Vec<(String, i64, i64)> = self
            .connection
            .prepare_cached("SELECT destination, acked, crc FROM cursors")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let mut slowest: Option<i64> = None;
        for (destination, acked, crc) in cursors {
            let acked = if crc == i64::from(cursor_checksum(&destination, acked)) {
                acked
            } else {
                self.reset_cursor(&destination)?
            };
            slowest = Some(slowest.map_or(acked, |least| least.min(acked)));
        }
        Ok(slowest)
    }

    /// Puts a cursor that cannot be believed before the oldest record kept: some may go out twice, none is passed over.
    fn reset_cursor(&mut self, destination: &str) -> Result<i64, WalError> {
        let acked = self
            .first_seq()?
            .map_or(self.counters.last_seq, |first| first - 1);
        self.put_cursor(destination, acked)?;
        self.events.push(Event::CursorReset {
            destination: destination.to_owned(),
            acked: unsigned(acked),
        });
        Ok(acked)
    }

    /// Writes a cursor with its checksum.
    pub(crate) fn put_cursor(&self, destination: &str, acked: i64) -> Result<(), WalError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO cursors VALUES (?1,?2,?3)")?
            .execute((destination, acked, cursor_checksum(destination, acked)))?;
        Ok(())
    }

    /// Registers a destination or finds it.
    pub(crate) fn register(&mut self, destination: &str, start: Start) -> Result<u64, WalError> {
        let begin = match start {
            Start::Now => self.counters.last_seq,
            Start::Oldest => self
                .first_seq()?
                .map_or(self.counters.last_seq, |first| first - 1),
        };
        match self.cursor(destination) {
            Ok(acked) => Ok(unsigned(acked)),
            Err(WalError::UnknownDestination(_)) => {
                self.put_cursor(destination, begin)?;
                Ok(unsigned(begin))
            }
            Err(error) => Err(error),
        }
    }

    /// Forgets a destination.
    pub(crate) fn forget(&mut self, destination: &str) -> Result<(), WalError> {
        self.cursor(destination)?;
        self.connection
            .prepare_cached("DELETE FROM cursors WHERE destination=?1")?
            .execute([destination])?;
        self.delete_acknowledged()
    }

    /// Moves a cursor forward and, in the same transaction, deletes what all have acknowledged.
    pub(crate) fn ack(&mut self, destination: &str, seq: u64) -> Result<u64, WalError> {
        let cursor = self.cursor(destination)?;
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        if seq > self.counters.last_seq {
            return Err(WalError::Invalid(format!(
                "place {seq} was never given: the newest is {}",
                self.counters.last_seq
            )));
        }
        if seq <= cursor {
            return Ok(unsigned(cursor)); // late or repeated: a cursor never moves back
        }
        self.put_cursor(destination, seq)?;
        self.delete_acknowledged()?;
        Ok(unsigned(seq))
    }

    fn delete_acknowledged(&mut self) -> Result<(), WalError> {
        if let Some(slowest) = self.slowest()? {
            self.delete_through(slowest)?;
        }
        Ok(())
    }

    /// Deletes every record up to a place; returns how many records and rows that were.
    pub(crate) fn delete_through(&mut self, seq: i64) -> Result<(u64, u64), WalError> {
        let (records, rows, bytes): (i64, i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(n),0), coalesce(sum(length(payload)),0) FROM records WHERE seq<=?1",
            )?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if records == 0 {
            return Ok((0, 0));
        }
        self.connection
            .prepare_cached("DELETE FROM records WHERE seq<=?1")?
            .execute([seq])?;
        let (records, rows) = (unsigned(records), unsigned(rows));
        self.uncount(records, rows, unsigned(bytes));
        Ok((records, rows))
    }

    fn uncount(&mut self, records: u64, rows: u64, bytes: u64) {
        let counters = &mut self.counters;
        counters.records = counters.records.saturating_sub(records);
        counters.rows = counters.rows.saturating_sub(rows);
        counters.payload_bytes = counters.payload_bytes.saturating_sub(bytes);
    }

    /// The oldest place kept.
    pub(crate) fn first_seq(&self) -> Result<Option<i64>, WalError> {
        Ok(self
            .connection
            .prepare_cached("SELECT min(seq) FROM records")?
            .query_row([], |row| row.get(0))?)
    }

    /// Reads records after a place, oldest first; what does not match its checksum goes to quarantine.
    pub(crate) fn read(
        &mut self,
        destination: &str,
        after: Option<u64>,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, WalError> {
        let cursor = self.cursor(destination)?;
        let mut after = after.map_or(cursor, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
        loop {
            let (records, bad) = self.read_once(after, limit, max_bytes)?;
            for (seq, reason) in &bad {
                self.quarantine(*seq, reason)?;
                after = after.max(*seq);
            }
            if bad.is_empty() || !records.is_empty() {
                return Ok(records);
            }
        }
    }

    fn read_once(
        &self,
        after: i64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, Vec<BadRow>), WalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, stream, ts_min, ts_max, n, codec, crc, payload, length(payload) FROM records
             WHERE seq>?1 ORDER BY seq LIMIT ?2",
        )?;
        let mut found = statement.query((after, i64::try_from(limit).unwrap_or(i64::MAX)))?;
        let (mut records, mut bad) = (Vec::new(), Vec::new());
        let (mut bytes, mut last) = (0_usize, after);
        while let Some(row) = found.next()? {
            let seq: i64 = row.get(0)?;
            if seq <= last {
                return Err(WalError::Corrupt(format!(
                    "place {seq} stands after place {last}"
                )));
            }
            last = seq;
            match record_of(row) {
                Ok(record) => {
                    bytes += record.content.payload.len();
                    if bytes > max_bytes && !records.is_empty() {
                        break;
                    }
                    records.push(record);
                }
                Err(reason) => bad.push((seq, reason)),
            }
        }
        Ok((records, bad))
    }

    fn quarantine(&mut self, seq: i64, reason: &str) -> Result<(), WalError> {
        let (rows, bytes): (i64, i64) = self
            .connection
            .prepare_cached(
                "SELECT coalesce(CAST(n AS INTEGER),0), coalesce(length(payload),0) FROM records WHERE seq=?1",
            )?
            .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
        // The copy is for a person to look at. Without room for it the row goes all the same: it must not keep the
        // sound ones behind it from leaving.
        let has_room = self.has_room(pages_for(usize::try_from(bytes).unwrap_or(0)))?;
        if has_room {
            self.connection
                .prepare_cached(
                    "INSERT INTO quarantine SELECT NULL, seq, stream, ts_min, ts_max, n, codec, crc, payload, ?2, ?3
                     FROM records WHERE seq=?1",
                )?
                .execute((seq, reason, now_ns()))?;
            self.counters.quarantined += 1;
        }
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM records WHERE seq=?1")?
            .execute([seq])?;
        if deleted != 1 {
            return Err(WalError::Corrupt(format!(
                "place {seq} cannot be found again"
            )));
        }
        self.uncount(1, unsigned(rows), unsigned(bytes));
        self.events.push(Event::Quarantined {
            seq: unsigned(seq),
            reason: reason.to_owned(),
        });
        self.trim_quarantine()
    }

    /// The buffer in figures; the owner adds what it knows.
    pub(crate) fn statistics(&self) -> Result<Statistics, WalError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT destination, acked FROM cursors ORDER BY destination")?;
        let cursors = statement
            .query_map([], |row| {
                Ok(Cursor {
                    destination: row.get(0)?,
                    acked: unsigned(row.get(1)?),
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let counters = &self.counters;
        Ok(Statistics {
            records: counters.records,
            rows: counters.rows,
            payload_bytes: counters.payload_bytes,
            file_bytes: self.file_pages()? * crate::options::PAGE_BYTES,
            wal_bytes: self.wal_bytes(),
            first_seq: unsigned(self.first_seq()?.unwrap_or(0)),
            last_seq: unsigned(counters.last_seq),
            appended_records: counters.appended_records,
            appended_rows: counters.appended_rows,
            dropped_records: unsigned(counters.dropped_records),
            dropped_rows: unsigned(counters.dropped_rows),
            quarantined: counters.quarantined,
            dead_letters: counters.dead_letters,
            dead_letters_dropped: unsigned(counters.dead_letters_dropped),
            cursors,
            ..Statistics::default()
        })
    }

    /// Lists gaps, oldest first.
    pub(crate) fn gaps(&self, limit: usize) -> Result<Vec<Gap>, WalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT first_seq, last_seq, records, n, reason FROM gaps ORDER BY id LIMIT ?1",
        )?;
        let gaps = statement
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                Ok(Gap {
                    first_seq: unsigned(row.get(0)?),
                    last_seq: unsigned(row.get(1)?),
                    records: unsigned(row.get(2)?),
                    rows: unsigned(row.get(3)?),
                    reason: row.get(4)?,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(gaps)
    }

    /// Size of the write-ahead file.
    pub(crate) fn wal_bytes(&self) -> u64 {
        std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |found| found.len())
    }

    /// True if somebody has deleted the file: what is written to it now is lost when it is closed.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(std::fs::metadata(&self.path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    }

    /// Empties the write-ahead file into the database.
    pub(crate) fn checkpoint(&self) -> Result<(), WalError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// A row as a record, or why it is none.
pub(crate) fn record_of(row: &Row<'_>) -> Result<Record, String> {
    fn integer(row: &Row<'_>, column: usize, name: &str) -> Result<i64, String> {
        match row.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Ok(number),
            _ => Err(format!("column {name} is no integer")),
        }
    }
    let seq = integer(row, 0, "seq")?;
    let Ok(ValueRef::Text(stream)) = row.get_ref(1) else {
        return Err("column stream is no text".to_owned());
    };
    let stream = std::str::from_utf8(stream)
        .map_err(|_| "column stream is not UTF-8".to_owned())?
        .to_owned();
    let Ok(ValueRef::Blob(payload)) = row.get_ref(7) else {
        return Err("column payload holds no bytes".to_owned());
    };
    let content = NewRecord {
        stream,
        ts_min: integer(row, 2, "ts_min")?,
        ts_max: integer(row, 3, "ts_max")?,
        rows: u32::try_from(integer(row, 4, "n")?)
            .map_err(|_| "column n is out of range".to_owned())?,
        codec: u8::try_from(integer(row, 5, "codec")?)
            .map_err(|_| "column codec is out of range".to_owned())?,
        payload: payload.to_vec(),
    };
    let (stored, found) = (integer(row, 6, "crc")?, checksum(seq, &content));
    if stored != i64::from(found) {
        return Err(format!("checksum {found:08x} instead of {stored:08x}"));
    }
    Ok(Record {
        seq: unsigned(seq),
        content,
    })
}

/// Pages that a payload needs at most, with the tree and the pointer map around it.
pub(crate) fn pages_for(bytes: usize) -> u64 {
    (bytes as u64 + 512) / (crate::options::PAGE_BYTES - 4) + 3
}

/// A number from the file that cannot be negative, kept from being so.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Wall clock, for the record only: nothing is decided by it.
pub(crate) fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or(0)
}
