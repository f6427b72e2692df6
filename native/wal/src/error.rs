//! Why the buffer could not do it.

use std::fmt;

use rusqlite::ErrorCode;

/// Why the buffer could not do it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WalError {
    /// The size cap is reached, or the disk is full, read-only or failing: retry once it has drained or been mended.
    Full(String),
    /// Stored bytes contradict themselves.
    Corrupt(String),
    /// The buffer is closed.
    Closed,
    /// Another process holds the lock file.
    Locked(String),
    /// The file is a database of somebody else, or of a newer version; it was not touched.
    Foreign(String),
    /// One record is larger than the buffer may hold.
    TooLarge {
        /// Payload bytes of the record.
        bytes: usize,
        /// The largest payload that this buffer takes.
        limit: usize,
    },
    /// No destination of this name is registered.
    UnknownDestination(String),
    /// An argument or option is wrong; nothing was done.
    Invalid(String),
    /// Another program holds the file at the moment: retry later.
    Busy(String),
    /// Anything else that the storage reported.
    Storage(String),
}

impl WalError {
    /// True if the database reported it, so that the transaction cannot be trusted any more.
    pub(crate) fn is_storage(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Busy(_) | Self::Storage(_))
            || matches!(self, Self::Full(text) if text.starts_with(DISK))
    }
}

/// How the text of a failing disk begins; the size cap's text begins otherwise.
pub(crate) const DISK: &str = "the disk";

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(text)
            | Self::Corrupt(text)
            | Self::Locked(text)
            | Self::Foreign(text)
            | Self::Invalid(text)
            | Self::Busy(text)
            | Self::Storage(text) => f.write_str(text),
            Self::Closed => f.write_str("the buffer is closed"),
            Self::TooLarge { bytes, limit } => write!(
                f,
                "a record of {bytes} bytes does not fit: the limit is {limit} bytes, send smaller batches or raise max_bytes"
            ),
            Self::UnknownDestination(name) => {
                write!(
                    f,
                    "no destination named '{name}': register it before reading"
                )
            }
        }
    }
}

impl std::error::Error for WalError {}

impl From<rusqlite::Error> for WalError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => {
                return Self::Corrupt(format!("a stored value has the wrong type: {error}"));
            }
            _ => {}
        }
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied,
            ) => Self::Full(format!("{DISK} does not take it: {error}")),
            Some(
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch,
            ) => Self::Corrupt(format!("the buffer's file is damaged: {error}")),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(format!(
                "another program holds the buffer's file, try again once it has let go: {error}"
            )),
            _ => Self::Storage(format!("the buffer's storage failed: {error}")),
        }
    }
}

impl From<std::io::Error> for WalError {
    fn from(error: std::io::Error) -> Self {
        Self::Full(format!("{DISK} does not take it: {error}"))
    }
}
