//! A write-ahead buffer on SQLite: records in, the same records out, until every destination has acknowledged them.
//!
//! In: opaque payloads with a stream name, a time range and a row count. Out: the records after a destination's cursor.
//! Not here: what a payload means, any network, any Python.
//!
//! One owner thread holds the one connection. Callers hand it commands and collect completions; all commands that
//! wait when a commit begins share that commit, and one wake-up tells the caller about all of them.
//!
//! The promises, each with a test:
//!
//! * an append that was answered is on disk as firmly as [`Durability`] says;
//! * a record is deleted only in the transaction that moves the last cursor past it, or, counted and with a gap on
//!   record, when [`OnFull::DropOldest`] makes room;
//! * a sequence number is never used twice;
//! * whatever the file contains, nothing panics: a bad row is quarantined, a bad file is put aside and what can be
//!   read of it is carried over;
//! * a full or broken disk is an answer ([`WalError::Full`]), never an exit and never a busy loop.
#![forbid(unsafe_code)]

mod command;
mod error;
mod gathering;
mod letters;
mod lock;
mod options;
mod outbox;
mod owner;
mod record;
mod room;
mod salvage;
mod schema;
mod store;
mod wal;

pub use error::WalError;
pub use options::{Durability, OnFull, Options, Start};
pub use outbox::{Answer, Completion, Event};
pub use record::{Cursor, DeadLetter, Gap, NewRecord, Record, Statistics};
pub use schema::sqlite_version;
pub use wal::{Opened, Wal};
