//! Answers on their way back: collected per commit, announced by one wake-up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wal::Opened;
use crate::{DeadLetter, Gap, Record, Statistics, WalError};

/// What a command was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// The buffer is open.
    Opened(Opened),
    /// The place of an appended record, or where a destination's cursor stands.
    Seq(u64),
    /// Records after a cursor, oldest first.
    Records(Vec<Record>),
    /// Dead letters, oldest first.
    DeadLetters(Vec<DeadLetter>),
    /// Gaps, oldest first.
    Gaps(Vec<Gap>),
    /// The buffer in figures.
    Statistics(Box<Statistics>),
    /// Done.
    Done,
    /// Not an answer: something happened that people should know (token 0).
    Event(Event),
}

/// Something that people should know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The file was unreadable and put aside, or deleted by somebody; a fresh one is in use.
    Recovered {
        /// Where the damaged file is; where the fresh one is, if the old one was deleted.
        path: String,
        /// What was found.
        reason: String,
        /// Records carried over.
        saved: u64,
        /// Records that could not be read.
        lost: u64,
    },
    /// A row did not match its checksum and is in quarantine.
    Quarantined {
        /// Its place.
        seq: u64,
        /// What was found.
        reason: String,
    },
    /// A cursor did not match its checksum: the destination gets everything that is kept, some of it again.
    CursorReset {
        /// The destination.
        destination: String,
        /// Where its cursor stands now.
        acked: u64,
    },
    /// Records were deleted to make room.
    Dropped {
        /// How many records.
        records: u64,
        /// How many rows.
        rows: u64,
    },
}

/// An answer and the command that it belongs to.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The command's number; 0 for an event.
    pub token: u64,
    /// The answer.
    pub result: Result<Answer, WalError>,
}

#[derive(Default)]
struct Waiting {
    ready: Vec<Completion>,
    woken: bool,
}

/// Where the owner thread leaves answers.
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Outbox {
    pub(crate) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            waiting: Mutex::new(Waiting::default()),
            wake,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, token: u64, result: Result<Answer, WalError>) {
        self.lock().ready.push(Completion { token, result });
    }

    /// Wakes the caller once, however many answers wait, until it has taken them.
    pub(crate) fn flush(&self) {
        let mut waiting = self.lock();
        if waiting.ready.is_empty() || waiting.woken {
            return;
        }
        waiting.woken = true;
        drop(waiting); // the caller may take from inside the wake-up
        (self.wake)();
    }

    pub(crate) fn take(&self) -> Vec<Completion> {
        let mut waiting = self.lock();
        waiting.woken = false;
        std::mem::take(&mut waiting.ready)
    }
}

/// A command's right to one answer: if it is dropped unanswered, it answers [`WalError::Closed`].
pub(crate) struct Ticket {
    token: u64,
    bytes: usize,
    pending: Arc<AtomicUsize>,
    outbox: Arc<Outbox>,
    answered: bool,
}

impl Ticket {
    pub(crate) fn new(
        token: u64,
        bytes: usize,
        pending: Arc<AtomicUsize>,
        outbox: Arc<Outbox>,
    ) -> Self {
        pending.fetch_add(bytes, Ordering::Relaxed);
        Self {
            token,
            bytes,
            pending,
            outbox,
            answered: false,
        }
    }

    pub(crate) fn answer(mut self, result: Result<Answer, WalError>) {
        self.answered = true;
        self.outbox.push(self.token, result);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pending.fetch_sub(self.bytes, Ordering::Relaxed);
        if !self.answered {
            self.outbox.push(self.token, Err(WalError::Closed));
        }
    }
}
