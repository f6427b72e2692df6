//! What callers may ask of the buffer, and how each request is done in the store.

use crate::outbox::{Answer, Ticket};
use crate::store::{Refusal, Store};
use crate::{NewRecord, Start};

/// What a caller asks for.
pub(crate) enum Op {
    Append(NewRecord),
    Read {
        destination: String,
        after: Option<u64>,
        limit: usize,
        max_bytes: usize,
    },
    Ack {
        destination: String,
        seq: u64,
    },
    Register {
        destination: String,
        start: Start,
    },
    Forget {
        destination: String,
    },
    DeadLetter {
        destination: String,
        seq: u64,
        reason: String,
        attempts: u32,
    },
    DeadLetters {
        limit: usize,
    },
    RetryDeadLetter {
        id: u64,
    },
    DeleteDeadLetter {
        id: u64,
    },
    Gaps {
        limit: usize,
    },
    Statistics,
    DiskLow(bool),
    Close,
}

impl Op {
    /// Payload bytes that wait in memory.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Append(record) => record.payload.len(),
            _ => 0,
        }
    }

    /// True if it needs a transaction.
    pub(crate) fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Read { .. }
                | Self::DeadLetters { .. }
                | Self::Gaps { .. }
                | Self::Statistics
                | Self::DiskLow(_)
                | Self::Close
        )
    }

    /// Anything but an append: a read may quarantine, and whatever meets damage makes a fresh file.
    pub(crate) fn may_make_room(&self) -> bool {
        !matches!(self, Self::Append(_))
    }
}

/// One request with its right to an answer.
pub(crate) struct Command {
    pub(crate) ticket: Ticket,
    pub(crate) op: Op,
}

/// Does one command in the store.
pub(crate) fn apply(store: &mut Store, op: &Op) -> Result<Answer, Refusal> {
    Ok(match op {
        Op::Append(record) => Answer::Seq(store.append(record)?),
        Op::Read {
            destination,
            after,
            limit,
            max_bytes,
        } => Answer::Records(store.read(destination, *after, *limit, *max_bytes)?),
        Op::Ack { destination, seq } => Answer::Seq(store.ack(destination, *seq)?),
        Op::Register { destination, start } => Answer::Seq(store.register(destination, *start)?),
        Op::Forget { destination } => {
            store.forget(destination)?;
            Answer::Done
        }
        Op::DeadLetter {
            destination,
            seq,
            reason,
            attempts,
        } => {
            store.dead_letter(destination, *seq, reason, *attempts)?;
            Answer::Done
        }
        Op::DeadLetters { limit } => Answer::DeadLetters(store.dead_letters(*limit)?),
        Op::RetryDeadLetter { id } => Answer::Seq(store.retry_dead_letter(*id)?),
        Op::DeleteDeadLetter { id } => {
            store.delete_dead_letter(*id)?;
            Answer::Done
        }
        Op::Gaps { limit } => Answer::Gaps(store.gaps(*limit)?),
        Op::Statistics => Answer::Statistics(Box::new(store.statistics()?)),
        Op::DiskLow(low) => {
            store.disk_low = *low;
            Answer::Done
        }
        Op::Close => Answer::Done,
    })
}
