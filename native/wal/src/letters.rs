//! What is kept apart: dead letters, which a destination refused, and the quarantine, which the checksum refused.

use rusqlite::OptionalExtension;

use crate::schema::set_meta_integer;
use crate::store::{Refusal, Store, now_ns, unsigned};
use crate::{DeadLetter, NewRecord, Record, WalError};

/// Rows of the quarantine that are kept for a person to look at.
const QUARANTINE_ROWS: i64 = 256;

impl Store {
    /// Copies a record to the dead letters; repeated for the same destination and place, it replaces.
    pub(crate) fn dead_letter(
        &mut self,
        destination: &str,
        seq: u64,
        reason: &str,
        attempts: u32,
    ) -> Result<(), WalError> {
        self.cursor(destination)?;
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let size: Option<i64> = self
            .connection
            .prepare_cached("SELECT length(payload) FROM records WHERE seq=?1")?
            .query_row([seq], |row| row.get(0))
            .optional()?;
        let Some(size) = size else {
            return Err(WalError::Invalid(format!(
                "there is no record at place {seq}: it was acknowledged or dropped"
            )));
        };
        self.remove_letter("destination=?1 AND seq=?2", (destination, seq))?;
        let reason: String = reason.chars().take(1000).collect();
        self.connection
            .prepare_cached(
                "INSERT INTO dead_letters SELECT NULL, ?2, seq, stream, ts_min, ts_max, n, codec, payload, ?3, ?4, ?5
                 FROM records WHERE seq=?1",
            )?
            .execute((seq, destination, reason, attempts, now_ns()))?;
        self.counters.dead_letters += 1;
        self.counters.dead_letter_bytes += unsigned(size);
        while self.counters.dead_letter_bytes > self.options.max_bytes / 10 {
            if !self.drop_letters()? {
                break;
            }
        }
        Ok(())
    }

    fn remove_letter(
        &mut self,
        which: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<bool, WalError> {
        let size: Option<i64> = self
            .connection
            .prepare_cached(&format!(
                "DELETE FROM dead_letters WHERE {which} RETURNING length(payload)"
            ))?
            .query_row(parameters, |row| row.get(0))
            .optional()?;
        let Some(size) = size else {
            return Ok(false);
        };
        let counters = &mut self.counters;
        counters.dead_letters = counters.dead_letters.saturating_sub(1);
        counters.dead_letter_bytes = counters.dead_letter_bytes.saturating_sub(unsigned(size));
        Ok(true)
    }

    /// Deletes the oldest dead letter and counts it; false if there is none.
    pub(crate) fn drop_letters(&mut self) -> Result<bool, WalError> {
        if !self.remove_letter("id=(SELECT min(id) FROM dead_letters)", [])? {
            return Ok(false);
        }
        self.counters.dead_letters_dropped += 1;
        set_meta_integer(
            &self.connection,
            "dead_letters_dropped",
            self.counters.dead_letters_dropped,
        )?;
        Ok(true)
    }

    /// Lists dead letters, oldest first.
    pub(crate) fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, WalError> {
        self.letters(
            "ORDER BY id LIMIT ?1",
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
    }

    fn letters(&self, which: &str, parameter: i64) -> Result<Vec<DeadLetter>, WalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id, destination, seq, stream, ts_min, ts_max, n, codec, payload, reason, attempts
             FROM dead_letters {which}"
        ))?;
        let letters = statement
            .query_map([parameter], |row| {
                Ok(DeadLetter {
                    id: unsigned(row.get(0)?),
                    destination: row.get(1)?,
                    record: Record {
                        seq: unsigned(row.get(2)?),
                        content: NewRecord {
                            stream: row.get(3)?,
                            ts_min: row.get(4)?,
                            ts_max: row.get(5)?,
                            rows: row.get(6)?,
                            codec: row.get(7)?,
                            payload: row.get(8)?,
                        },
                    },
                    reason: row.get(9)?,
                    attempts: row.get(10)?,
                })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(letters)
    }

    /// Appends a dead letter again and takes it off the list, both or neither.
    pub(crate) fn retry_dead_letter(&mut self, id: u64) -> Result<u64, WalError> {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        let Some(letter) = self.letters("WHERE id=?1", id)?.pop() else {
            return Err(WalError::Invalid(format!("there is no dead letter {id}")));
        };
        let seq = match self.append(&letter.record.content) {
            Ok(seq) => seq,
            Err(Refusal::Wait) => return Err(self.full()),
            Err(Refusal::Failed(error)) => return Err(error),
        };
        self.remove_letter("id=?1", [id])?;
        Ok(seq)
    }

    /// Deletes a dead letter.
    pub(crate) fn delete_dead_letter(&mut self, id: u64) -> Result<(), WalError> {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        if self.remove_letter("id=?1", [id])? {
            Ok(())
        } else {
            Err(WalError::Invalid(format!("there is no dead letter {id}")))
        }
    }

    /// Keeps the quarantine to its cap.
    pub(crate) fn trim_quarantine(&mut self) -> Result<(), WalError> {
        let most = i64::try_from(self.options.max_bytes / 10).unwrap_or(i64::MAX);
        let gone = self
            .connection
            .prepare_cached(
                "DELETE FROM quarantine WHERE id<=(SELECT max(id) FROM quarantine)-?1 OR id IN (
                    SELECT id FROM (SELECT id, sum(length(payload)) OVER (ORDER BY id DESC) AS bytes FROM quarantine)
                    WHERE bytes>?2)",
            )?
            .execute([QUARANTINE_ROWS, most])?;
        self.counters.quarantined = self.counters.quarantined.saturating_sub(gone as u64);
        Ok(())
    }
}
