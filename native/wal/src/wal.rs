//! The handle: commands in, completions out; every call returns at once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::command::{Command, Op};
use crate::outbox::{Completion, Outbox, Ticket};
use crate::owner::Owner;
use crate::{NewRecord, Options, Start, WalError};

/// What opening found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// Identity of this buffer, stable over restarts: 32 hex digits.
    pub buffer_id: String,
    /// Records kept from before.
    pub records: u64,
    /// The newest place ever given.
    pub last_seq: u64,
}

/// A write-ahead buffer; cheap to share, closed when dropped.
pub struct Wal {
    sender: Mutex<Option<Sender<Command>>>,
    outbox: Arc<Outbox>,
    pending: Arc<AtomicUsize>,
    next_token: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
    record_limit: usize,
    max_pending_bytes: usize,
}

impl Wal {
    /// Starts the owner thread, which opens the file; the first completion (token 1) says how that went.
    ///
    /// `wake` is called from the owner thread when completions wait, once until they are taken.
    pub fn open(
        path: &Path,
        options: Options,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, WalError> {
        options.check()?;
        let (sender, receiver) = channel();
        let outbox = Arc::new(Outbox::new(wake));
        let pending = Arc::new(AtomicUsize::new(0));
        let (record_limit, max_pending_bytes) = (options.record_limit(), options.max_pending_bytes);
        let first = Ticket::new(1, 0, Arc::clone(&pending), Arc::clone(&outbox));
        let owner = Owner::new(PathBuf::from(path), options, receiver, Arc::clone(&outbox));
        let thread = std::thread::Builder::new()
            .name("bifrost-wal".to_owned())
            .spawn(move || owner.run(first))?;
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            outbox,
            pending,
            next_token: AtomicU64::new(2),
            thread: Mutex::new(Some(thread)),
            record_limit,
            max_pending_bytes,
        })
    }

    fn send(&self, op: Op) -> Result<u64, WalError> {
        let bytes = op.weight();
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().ok_or(WalError::Closed)?;
        let ticket = Ticket::new(
            token,
            bytes,
            Arc::clone(&self.pending),
            Arc::clone(&self.outbox),
        );
        match sender.send(Command { ticket, op }) {
            Ok(()) => Ok(token),
            Err(unsent) => {
                drop(unsent); // its ticket answers too; the caller does not know that token
                Err(WalError::Closed)
            }
        }
    }

    /// Appends one record; the answer is its place.
    pub fn append(&self, record: NewRecord) -> Result<u64, WalError> {
        if record.payload.len() > self.record_limit {
            return Err(WalError::TooLarge {
                bytes: record.payload.len(),
                limit: self.record_limit,
            });
        }
        if record.stream.is_empty() || record.stream.len() > 255 {
            return Err(WalError::Invalid(format!(
                "a stream name has 1 to 255 bytes, got {}",
                record.stream.len()
            )));
        }
        if self.pending.load(Ordering::Relaxed) + record.payload.len() > self.max_pending_bytes {
            return Err(WalError::Full(format!(
                "more than {} bytes wait to be written: slow down",
                self.max_pending_bytes
            )));
        }
        self.send(Op::Append(record))
    }

    /// Reads after `after`, or after the destination's cursor; the answer is at least one record if there is one.
    pub fn read(
        &self,
        destination: &str,
        after: Option<u64>,
        limit: usize,
        max_bytes: usize,
    ) -> Result<u64, WalError> {
        self.send(Op::Read {
            destination: destination.to_owned(),
            after,
            limit,
            max_bytes,
        })
    }

    /// Moves a destination's cursor forward and deletes what every destination has acknowledged; the answer is the cursor.
    pub fn ack(&self, destination: &str, seq: u64) -> Result<u64, WalError> {
        self.send(Op::Ack {
            destination: destination.to_owned(),
            seq,
        })
    }

    /// Registers a destination, or finds it; the answer is its cursor.
    pub fn register(&self, destination: &str, start: Start) -> Result<u64, WalError> {
        if destination.is_empty() || destination.len() > 255 {
            return Err(WalError::Invalid(format!(
                "a destination's name has 1 to 255 bytes, got {}",
                destination.len()
            )));
        }
        self.send(Op::Register {
            destination: destination.to_owned(),
            start,
        })
    }

    /// Forgets a destination; what only it had not acknowledged is deleted.
    pub fn forget(&self, destination: &str) -> Result<u64, WalError> {
        self.send(Op::Forget {
            destination: destination.to_owned(),
        })
    }

    /// Copies a record to the dead letters; the cursor does not move.
    pub fn dead_letter(
        &self,
        destination: &str,
        seq: u64,
        reason: &str,
        attempts: u32,
    ) -> Result<u64, WalError> {
        self.send(Op::DeadLetter {
            destination: destination.to_owned(),
            seq,
            reason: reason.to_owned(),
            attempts,
        })
    }

    /// Lists dead letters.
    pub fn dead_letters(&self, limit: usize) -> Result<u64, WalError> {
        self.send(Op::DeadLetters { limit })
    }

    /// Appends a dead letter again, under a new place, and takes it off the list; the answer is the new place.
    pub fn retry_dead_letter(&self, id: u64) -> Result<u64, WalError> {
        self.send(Op::RetryDeadLetter { id })
    }

    /// Deletes a dead letter.
    pub fn delete_dead_letter(&self, id: u64) -> Result<u64, WalError> {
        self.send(Op::DeleteDeadLetter { id })
    }

    /// Lists what was deleted without an acknowledgement.
    pub fn gaps(&self, limit: usize) -> Result<u64, WalError> {
        self.send(Op::Gaps { limit })
    }

    /// Asks for figures.
    pub fn statistics(&self) -> Result<u64, WalError> {
        self.send(Op::Statistics)
    }

    /// Says whether the disk runs low: then the file does not grow any more, as if the cap were reached.
    pub fn set_disk_low(&self, low: bool) -> Result<u64, WalError> {
        self.send(Op::DiskLow(low))
    }

    /// Asks the owner to commit what waits and to close; the answer comes when the file is closed.
    pub fn close(&self) -> Result<u64, WalError> {
        let token = self.send(Op::Close)?;
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(token)
    }

    /// Takes the completions that wait.
    pub fn take(&self) -> Vec<Completion> {
        self.outbox.take()
    }

    /// Waits for the owner thread's end; close first.
    pub fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic there has answered every ticket with Closed
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // The thread ends by itself when the last sender is gone; it commits what waits before.
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
