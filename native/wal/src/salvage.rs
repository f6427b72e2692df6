//! A damaged file: put aside, and whatever can still be read of it carried over into a fresh one.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::lock::beside;
use crate::outbox::Event;
use crate::record::cursor_checksum;
use crate::schema;
use crate::store::{Store, now_ns, record_of, unsigned};
use crate::{Gap, Options, Record, WalError};

/// Single places tried between the readable ends of a damaged table.
const PROBES: i64 = 200_000;
/// Records carried over in one transaction.
const STEP: usize = 64;

/// What is known of a buffer whose file was in use until now.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Its identity, which its readers have already sent out.
    pub(crate) buffer_id: String,
    /// The newest place given: none up to it is ever given again under this identity.
    pub(crate) last_seq: i64,
    /// How many records it held.
    pub(crate) records: u64,
}

/// The damaged file's name until everything has been carried over: whoever finds it takes up the salvage again.
const PASSING: &str = ".damaged";
const PARTS: [&str; 2] = ["-wal", "-shm"];

/// Opens the file; a damaged one is put aside, and one whose salvage was cut short is salvaged again.
pub(crate) fn open(
    path: &Path,
    options: &Options,
    known: Option<&Known>,
) -> Result<Store, WalError> {
    if beside(path, PASSING).exists() {
        return salvage(path, options, "its salvage was cut short", known);
    }
    match Store::open(path, options) {
        Ok(mut store) => {
            // A file that is new under its readers must not give places again that they know under this identity.
            if let Some(known) = known.filter(|known| known.buffer_id != store.buffer_id) {
                adopt(&mut store, &known.buffer_id, &[], known.last_seq)?;
            }
            Ok(store)
        }
        Err(WalError::Corrupt(reason)) => recover(path, options, &reason, known),
        Err(error) => Err(error),
    }
}

/// Puts the file aside, opens a fresh one and fills it; the fresh store carries the event.
pub(crate) fn recover(
    path: &Path,
    options: &Options,
    reason: &str,
    known: Option<&Known>,
) -> Result<Store, WalError> {
    std::fs::rename(path, beside(path, PASSING))?;
    salvage(path, options, reason, known)
}

fn salvage(
    path: &Path,
    options: &Options,
    reason: &str,
    known: Option<&Known>,
) -> Result<Store, WalError> {
    let passing = beside(path, PASSING);
    let was_begun = path.exists();
    for part in PARTS {
        let (found, kept) = (beside(path, part), beside(&passing, part));
        if was_begun || kept.exists() {
            remove(&found)?; // of a fresh file that nobody has used yet
        } else if found.exists() {
            std::fs::rename(&found, &kept)?;
        }
    }
    if was_begun {
        remove(path)?;
    }
    let mut store = Store::open(path, options)?;
    if let Some(known) = known {
        adopt(&mut store, &known.buffer_id, &[], known.last_seq)?;
    }
    let mut carried = match schema::open_damaged(&passing) {
        Ok(damaged) => carry_over(&damaged, &mut store, known),
        Err(_) => Carried::default(), // nothing of it can be read: the file stays for a person to look at
    };
    if let Some(known) = known {
        note_unseen(&mut store, known, &mut carried);
    }
    let aside = put_aside(path)?;
    store.events.push(Event::Recovered {
        path: aside.display().to_string(),
        reason: reason.to_owned(),
        saved: carried.saved,
        lost: carried.lost,
    });
    Ok(store)
}

/// Makes a file again that somebody has deleted: the open connection still reads it.
pub(crate) fn make_again(deleted: &Store, options: &Options) -> Result<Store, WalError> {
    let mut store = Store::open(&deleted.path, options)?;
    let known = Known {
        buffer_id: deleted.buffer_id.clone(),
        last_seq: deleted.counters.last_seq,
        records: deleted.counters.records,
    };
    adopt(&mut store, &known.buffer_id, &[], known.last_seq)?;
    let mut carried = carry_over(&deleted.connection, &mut store, Some(&known));
    note_unseen(&mut store, &known, &mut carried);
    store.events.push(Event::Recovered {
        path: deleted.path.display().to_string(),
        reason: "the file was deleted while it was in use".to_owned(),
        saved: carried.saved,
        lost: carried.lost,
    });
    Ok(store)
}

fn remove(path: &Path) -> Result<(), WalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Counts the records that are neither carried over nor met in the damaged file.
fn note_unseen(store: &mut Store, known: &Known, carried: &mut Carried) {
    let unseen = known.records.saturating_sub(carried.saved + carried.lost);
    if unseen == 0 {
        return;
    }
    carried.lost += unseen;
    let last_seq = unsigned(known.last_seq);
    let gap = Gap {
        first_seq: (last_seq + 1).saturating_sub(unseen).max(1),
        last_seq,
        records: unseen,
        rows: 0,
        reason: "damaged".to_owned(),
    };
    let _ = store.note_gap(&gap); // the event counts them too
}

/// Gives the damaged file the name that it keeps.
fn put_aside(path: &Path) -> Result<PathBuf, WalError> {
    let stamp = now_ns() / 1_000_000;
    let mut aside = beside(path, &format!(".corrupt-{stamp}"));
    let mut number = 0;
    while aside.exists() {
        number += 1;
        aside = beside(path, &format!(".corrupt-{stamp}-{number}"));
    }
    let passing = beside(path, PASSING);
    for part in PARTS {
        let found = beside(&passing, part);
        if found.exists() {
            std::fs::rename(&found, beside(&aside, part))?;
        }
    }
    std::fs::rename(&passing, &aside)?; // last: without it the salvage is not over
    Ok(aside)
}

#[derive(Default)]
struct Carried {
    saved: u64,
    lost: u64,
}

/// Copies identity, cursors and every readable record. Without an identity nothing can be carried over: a place might
/// be given twice. Without cursors everything is: it may go out twice, but it is not lost.
fn carry_over(damaged: &Connection, store: &mut Store, known: Option<&Known>) -> Carried {
    let mut carried = Carried::default();
    let cursors = cursors(damaged).unwrap_or_default();
    let found = match known {
        Some(known) => Some(known.clone()),
        None => identity(damaged, &cursors),
    };
    let Some(Known {
        buffer_id,
        last_seq: last,
        ..
    }) = found
    else {
        return carried;
    };
    // A cursor that cannot be believed stands before everything: whoever it belongs to gets some of it again.
    let cursors: Vec<(String, i64)> = cursors
        .into_iter()
        .map(|(destination, acked)| {
            let acked = if (0..=last).contains(&acked) {
                acked
            } else {
                0
            };
            (destination, acked)
        })
        .collect();
    if adopt(store, &buffer_id, &cursors, last).is_err() {
        return carried;
    }
    let acked = cursors.iter().map(|(_, acked)| *acked).min().unwrap_or(0);
    let mut reached = acked; // everything up to here is carried over or lost
    let mut upper = last + 1;
    // From the old end, then from the new end, as far as the tree holds; then place by place between them.
    let forward = scan(damaged, "seq>?1 ORDER BY seq", reached, store, &mut carried);
    reached = forward.last.unwrap_or(reached);
    if !forward.complete {
        let backward = scan(
            damaged,
            "seq>?1 ORDER BY seq DESC",
            reached,
            store,
            &mut carried,
        );
        upper = backward.last.unwrap_or(upper);
        let mut missing = (0_u64, 0_i64, 0_i64); // count, first, last
        for seq in (reached + 1)..upper.min(reached.saturating_add(PROBES)) {
            match one(damaged, seq) {
                Ok(Some(record)) => keep(store, &[record], &mut carried),
                Ok(None) => {}
                Err(()) => {
                    missing = (
                        missing.0 + 1,
                        if missing.0 == 0 { seq } else { missing.1 },
                        seq,
                    );
                }
            }
        }
        if missing.0 > 0 {
            carried.lost += missing.0;
            let gap = Gap {
                first_seq: unsigned(missing.1),
                last_seq: unsigned(missing.2),
                records: missing.0,
                rows: 0,
                reason: "damaged".to_owned(),
            };
            let _ = store.note_gap(&gap); // the event counts them too
        }
    }
    let _ = store.note_last_seq(); // three witnesses exist; the next append repeats it
    carried
}

fn identity(damaged: &Connection, cursors: &[(String, i64)]) -> Option<Known> {
    let buffer_id = schema::buffer_id(damaged).ok()?;
    let noted = schema::meta_integer(damaged, "last_seq").ok()??;
    let acknowledged = cursors.iter().map(|(_, acked)| *acked).max().unwrap_or(0);
    let last_seq = noted.max(acknowledged);
    (0..=i64::MAX / 2).contains(&last_seq).then_some(Known {
        buffer_id,
        last_seq,
        records: 0,
    })
}

fn cursors(damaged: &Connection) -> Result<Vec<(String, i64)>, WalError> {
    let mut statement = damaged.prepare("SELECT destination, acked, crc FROM cursors")?;
    let cursors = statement
        .query_map([], |row| {
            let (destination, acked, crc): (String, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let is_sound = crc == i64::from(cursor_checksum(&destination, acked));
            Ok((destination, if is_sound { acked } else { 0 }))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(cursors)
}

fn adopt(
    store: &mut Store,
    buffer_id: &str,
    cursors: &[(String, i64)],
    last: i64,
) -> Result<(), WalError> {
    store.connection.execute(
        "UPDATE meta SET value=?1 WHERE key='buffer_id'",
        [buffer_id],
    )?;
    for (destination, acked) in cursors {
        store.put_cursor(destination, *acked)?;
    }
    buffer_id.clone_into(&mut store.buffer_id);
    store.counters.last_seq = last;
    store.note_last_seq()
}

struct Scan {
    last: Option<i64>,
    complete: bool,
}

const COLUMNS: &str =
    "SELECT seq, stream, ts_min, ts_max, n, codec, crc, payload FROM records WHERE";

fn scan(
    damaged: &Connection,
    which: &str,
    after: i64,
    store: &mut Store,
    carried: &mut Carried,
) -> Scan {
    let mut result = Scan {
        last: None,
        complete: false,
    };
    let Ok(mut statement) = damaged.prepare(&format!("{COLUMNS} {which}")) else {
        return result;
    };
    let Ok(mut rows) = statement.query([after]) else {
        return result;
    };
    let descending = which.ends_with("DESC");
    let mut waiting = Vec::with_capacity(STEP);
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let Ok(seq) = row.get::<_, i64>(0) else { break };
                let ordered = result
                    .last
                    .is_none_or(|last| if descending { seq < last } else { seq > last });
                if !ordered || seq <= after {
                    break; // a place out of order: the tree does not hold from here on
                }
                match record_of(row) {
                    Ok(record) => waiting.push(record),
                    Err(_) => carried.lost += 1,
                }
                result.last = Some(seq);
                if waiting.len() == STEP {
                    keep(store, &waiting, carried);
                    waiting.clear();
                }
            }
            Ok(None) => {
                result.complete = true;
                break;
            }
            Err(_) => break, // as far as the tree holds
        }
    }
    keep(store, &waiting, carried);
    result
}

/// One record by its place: `Ok(None)` if the tree says that there is none, `Err` if it cannot be read.
fn one(damaged: &Connection, seq: i64) -> Result<Option<Record>, ()> {
    let mut statement = damaged
        .prepare_cached(&format!("{COLUMNS} seq=?1"))
        .map_err(|_| ())?;
    let mut rows = statement.query([seq]).map_err(|_| ())?;
    match rows.next() {
        Ok(Some(row)) => record_of(row).map(Some).map_err(|_| ()),
        Ok(None) => Ok(None),
        Err(_) => Err(()),
    }
}

fn keep(store: &mut Store, records: &[Record], carried: &mut Carried) {
    if records.is_empty() {
        return;
    }
    let before = store.counters;
    let mut kept = store
        .connection
        .execute_batch("BEGIN")
        .map_err(WalError::from);
    for record in records {
        let seq = i64::try_from(record.seq).unwrap_or(i64::MAX);
        kept = kept.and_then(|()| store.insert(seq, &record.content));
    }
    let kept = kept.and_then(|()| Ok(store.connection.execute_batch("COMMIT")?));
    match kept {
        Ok(()) => carried.saved += records.len() as u64,
        Err(_) => {
            let _ = store.connection.execute_batch("ROLLBACK"); // counted as lost; the damaged file still has them
            store.counters = before;
            carried.lost += records.len() as u64;
        }
    }
}
