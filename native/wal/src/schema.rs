//! The file: how it is opened, what it must contain, when it is not ours.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::options::PAGE_BYTES;
use crate::{Durability, Options, WalError};

const VERSION: i64 = 2;
/// Before this version two connections could damage the write-ahead file (the "WAL-reset" defect).
const OLDEST_SQLITE: i32 = 3_051_003;

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE records(seq INTEGER PRIMARY KEY, stream TEXT NOT NULL, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL,
    n INTEGER NOT NULL, codec INTEGER NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE cursors(destination TEXT PRIMARY KEY, acked INTEGER NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine(id INTEGER PRIMARY KEY, seq INTEGER, stream, ts_min, ts_max, n, codec, crc, payload,
    reason TEXT NOT NULL, at_ns INTEGER NOT NULL);
CREATE TABLE dead_letters(id INTEGER PRIMARY KEY, destination TEXT NOT NULL, seq INTEGER NOT NULL, stream TEXT NOT NULL,
    ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL, n INTEGER NOT NULL, codec INTEGER NOT NULL, payload BLOB NOT NULL,
    reason TEXT NOT NULL, attempts INTEGER NOT NULL, at_ns INTEGER NOT NULL, UNIQUE(destination, seq));
CREATE TABLE gaps(id INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, records INTEGER NOT NULL,
    n INTEGER NOT NULL, reason TEXT NOT NULL, at_ns INTEGER NOT NULL);
";

/// The version of the SQLite inside, such as `3.54.1`.
#[must_use]
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Opens the file, creating its tables if it is new. `Corrupt` means that it cannot be used.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Connection, WalError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(WalError::Storage(format!(
            "SQLite {} can damage its write-ahead file: 3.51.3 or newer is needed",
            rusqlite::version()
        )));
    }
    let connection = connect(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    )?;
    let tables = tables(&connection)?;
    if tables == 0 {
        // Must come before the first table and before the journal mode.
        connection.execute_batch(&format!(
            "PRAGMA page_size={PAGE_BYTES}; PRAGMA auto_vacuum=INCREMENTAL;"
        ))?;
    } else {
        check(&connection)?;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(WalError::Storage(format!(
            "the file system under {} does not allow a write-ahead journal (got '{mode}'): use a local disk",
            path.display()
        )));
    }
    let synchronous = match options.durability {
        Durability::Sync => "FULL",
        Durability::Normal => "NORMAL",
    };
    connection.execute_batch(&format!(
        "PRAGMA synchronous={synchronous};
         PRAGMA wal_autocheckpoint=1000;
         PRAGMA journal_size_limit={};
         PRAGMA cache_size=-2048;
         PRAGMA cell_size_check=ON;
         PRAGMA max_page_count={};",
        options.wal_budget(),
        options.page_budget()
    ))?;
    if tables == 0 {
        create(&connection)?;
    }
    Ok(connection)
}

/// Opens a damaged file for reading what is left.
pub(crate) fn open_damaged(path: &Path) -> Result<Connection, WalError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE) // its write-ahead file must be read too
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, WalError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    // The file may be damaged or forged: no code of its own runs, no value is larger than a record may be.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 32 << 20)?;
    connection.execute_batch("PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;")?;
    Ok(connection)
}

fn tables(connection: &Connection) -> Result<i64, WalError> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?)
}

fn check(connection: &Connection) -> Result<(), WalError> {
    let ours: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_master WHERE type='table'
         AND name IN ('meta','records','cursors','quarantine','dead_letters','gaps')",
        [],
        |row| row.get(0),
    )?;
    if ours == 0 {
        return Err(WalError::Foreign(
            "the file is another program's database: give the buffer a path of its own".to_owned(),
        ));
    }
    if ours != 6 {
        return Err(WalError::Corrupt("a table is missing".to_owned()));
    }
    match meta_integer(connection, "version")? {
        Some(VERSION) => Ok(()),
        Some(newer) if newer > VERSION && newer < 1000 => Err(WalError::Foreign(format!(
            "the file has format {newer}, this program knows {VERSION}: use the newer program"
        ))),
        found => Err(WalError::Corrupt(format!("the format number is {found:?}"))),
    }
}

fn create(connection: &Connection) -> Result<(), WalError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = connection.execute_batch(TABLES).and_then(|()| {
        connection.execute_batch(&format!(
            "INSERT INTO meta VALUES ('version', {VERSION}), ('buffer_id', lower(hex(randomblob(16)))), ('last_seq', 0),
                ('dropped_records', 0), ('dropped_rows', 0), ('dead_letters_dropped', 0);
             COMMIT"
        ))
    });
    if let Err(error) = made {
        let _ = connection.execute_batch("ROLLBACK"); // the first error says more
        return Err(error.into());
    }
    Ok(())
}

/// A number of the `meta` table; `None` if it is absent or no number.
pub(crate) fn meta_integer(connection: &Connection, key: &str) -> Result<Option<i64>, WalError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key=?1")?;
    let value = statement
        .query_row([key], |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Integer(number) => Some(number),
                _ => None,
            })
        })
        .optional()?;
    Ok(value.flatten())
}

/// Sets a number of the `meta` table.
pub(crate) fn set_meta_integer(
    connection: &Connection,
    key: &str,
    value: i64,
) -> Result<(), WalError> {
    connection
        .prepare_cached("UPDATE meta SET value=?2 WHERE key=?1")?
        .execute((key, value))?;
    Ok(())
}

/// The buffer's identity, checked for its form.
pub(crate) fn buffer_id(connection: &Connection) -> Result<String, WalError> {
    let id: String =
        connection.query_row("SELECT value FROM meta WHERE key='buffer_id'", [], |row| {
            row.get(0)
        })?;
    if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(id)
    } else {
        Err(WalError::Corrupt(
            "the buffer's identity is not 32 hex digits".to_owned(),
        ))
    }
}
