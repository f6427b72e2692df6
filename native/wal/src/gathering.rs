//! Group commit: which commands share the next transaction.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Instant;

use crate::Options;
use crate::command::{Command, Op};

/// Commands that share a transaction at most, whatever their size.
const MOST: usize = 4096;

/// Collects commands behind the first one: until the queue is empty (or idle for `idle_gap`), for `max_delay` and
/// `max_group_bytes` at most. A close ends the group.
pub(crate) fn gather(
    first: Command,
    receiver: &Receiver<Command>,
    options: &Options,
) -> Vec<Command> {
    let started = Instant::now();
    let limit = options.group_limit();
    let mut bytes = first.op.weight();
    let mut group = vec![first];
    while bytes < limit
        && group.len() < MOST
        && !matches!(group.last(), Some(Command { op: Op::Close, .. }))
    {
        let next = match receiver.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                let left = options.max_delay.saturating_sub(started.elapsed());
                let wait = options.idle_gap.min(left);
                if wait.is_zero() {
                    break;
                }
                match receiver.recv_timeout(wait) {
                    Ok(next) => next,
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        bytes += next.op.weight();
        group.push(next);
        if started.elapsed() >= options.max_delay && !options.max_delay.is_zero() {
            break;
        }
    }
    group
}
