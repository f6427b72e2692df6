//! How a buffer behaves, checked before anything is opened.

use std::time::Duration;

use crate::WalError;

/// What survives when an append has been answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Durability {
    /// A power cut: every commit reaches the disk (`synchronous=FULL`).
    Sync,
    /// A killed process; a power cut may take what was committed since the last checkpoint (`synchronous=NORMAL`).
    Normal,
}

/// What an append does when the size cap is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFull {
    /// Delete the oldest records, counted and with a gap on record.
    DropOldest,
    /// Wait until acknowledgements have made room.
    Block,
    /// Answer [`WalError::Full`].
    Reject,
}

/// Where a new destination begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// At the oldest record kept.
    Oldest,
    /// After the newest record.
    Now,
}

/// How a buffer behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// What an answered append survives.
    pub durability: Durability,
    /// Cap on the database file and its write-ahead file together; at least 1 MiB.
    pub max_bytes: u64,
    /// What happens at the cap.
    pub on_full: OnFull,
    /// The longest that an append waits for others to share its commit.
    pub max_delay: Duration,
    /// A commit begins once no command has arrived for this long; zero commits as soon as the queue is empty.
    pub idle_gap: Duration,
    /// A commit begins once this many payload bytes wait.
    pub max_group_bytes: usize,
    /// Payload bytes that may wait in memory before appends are refused.
    pub max_pending_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            max_bytes: 1 << 30,
            on_full: OnFull::DropOldest,
            max_delay: Duration::from_millis(250),
            idle_gap: Duration::ZERO,
            max_group_bytes: 1 << 20,
            max_pending_bytes: 64 << 20,
        }
    }
}

/// Bytes of one database page.
pub(crate) const PAGE_BYTES: u64 = 4096;
const SMALLEST_CAP: u64 = 1 << 20;
const LARGEST_WAL: u64 = 16 << 20;

impl Options {
    /// Checks what can be checked without I/O.
    pub fn check(&self) -> Result<(), WalError> {
        if self.max_bytes < SMALLEST_CAP {
            return Err(WalError::Invalid(format!(
                "max_bytes must be at least {SMALLEST_CAP}, got {}",
                self.max_bytes
            )));
        }
        if self.max_bytes > i64::MAX as u64 / 2 {
            return Err(WalError::Invalid(format!(
                "max_bytes must be at most {}, got {}",
                i64::MAX / 2,
                self.max_bytes
            )));
        }
        if self.max_group_bytes == 0 || self.max_pending_bytes == 0 {
            return Err(WalError::Invalid(
                "max_group_bytes and max_pending_bytes must be positive".to_owned(),
            ));
        }
        Ok(())
    }

    /// The part of the cap that the write-ahead file may use.
    pub(crate) fn wal_budget(&self) -> u64 {
        (self.max_bytes / 4).min(LARGEST_WAL)
    }

    /// The part of the cap that the database file may use, in pages.
    pub(crate) fn page_budget(&self) -> u64 {
        (self.max_bytes - self.wal_budget()) / PAGE_BYTES
    }

    /// The largest payload: two of them fit into the write-ahead file's part.
    pub(crate) fn record_limit(&self) -> usize {
        usize::try_from(self.wal_budget() / 2).unwrap_or(usize::MAX)
    }

    /// Payload bytes that one transaction takes at most.
    pub(crate) fn group_limit(&self) -> usize {
        self.max_group_bytes.min(self.record_limit())
    }
}
