//! One process at a time: a lock file beside the database, held for as long as the buffer is open.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::WalError;

/// Holds the lock; the operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock or says who may hold it.
    pub(crate) fn take(database: &Path) -> Result<Self, WalError> {
        let path = beside(database, ".lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = holder.trim();
                let holder = if holder.is_empty() || !holder.bytes().all(|b| b.is_ascii_digit()) {
                    String::new()
                } else {
                    format!(" (process {holder})")
                };
                return Err(WalError::Locked(format!(
                    "the buffer {} is in use by another process{holder}: stop it, or give this one another path",
                    database.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // The number is for people only; a disk that does not take it is found by the database soon enough.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { file, path })
    }
}

impl Lock {
    /// True if somebody has deleted the lock file: then it keeps nobody out any more.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(std::fs::metadata(&self.path), Err(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock(); // closing releases it too
    }
}

/// The path with something appended to its last name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
