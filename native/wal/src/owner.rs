//! The owner thread: holds the one connection, runs commands in groups, answers, tidies up when idle.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::command::{Command, Op, apply};
use crate::gathering::gather;
use crate::lock::Lock;
use crate::outbox::{Answer, Outbox, Ticket};
use crate::salvage::{Known, make_again, open, recover};
use crate::store::{Refusal, Store, unsigned};
use crate::wal::Opened;
use crate::{Options, WalError};

/// How long nothing must happen before space is given back to the file system.
const IDLE: Duration = Duration::from_millis(500);
/// How long a buffer whose file could not be opened again waits before the next try.
const REOPEN: Duration = Duration::from_secs(1);

enum State {
    Open(Box<Store>),
    Broken {
        reason: WalError,
        until: Instant,
        known: Known,
    },
}

#[derive(Default)]
struct Commits {
    count: u64,
    total: Duration,
    longest: Duration,
}

/// Runs on the owner thread.
pub(crate) struct Owner {
    path: PathBuf,
    options: Options,
    receiver: Receiver<Command>,
    outbox: Arc<Outbox>,
}

/// Announces the last answers, whatever ends the thread.
struct LastWord(Arc<Outbox>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl Owner {
    pub(crate) fn new(
        path: PathBuf,
        options: Options,
        receiver: Receiver<Command>,
        outbox: Arc<Outbox>,
    ) -> Self {
        Self {
            path,
            options,
            receiver,
            outbox,
        }
    }

    /// Opens, serves, closes.
    pub(crate) fn run(self, first: Ticket) {
        let _last_word = LastWord(Arc::clone(&self.outbox)); // dropped last: after every unanswered ticket
        let Self {
            path,
            options,
            receiver,
            outbox,
        } = self;
        let opened = take_lock(&path).and_then(|lock| Ok((lock, open(&path, &options, None)?)));
        let (lock, store) = match opened {
            Ok(both) => both,
            Err(error) => return first.answer(Err(error)),
        };
        first.answer(Ok(Answer::Opened(Opened {
            buffer_id: store.buffer_id.clone(),
            records: store.counters.records,
            last_seq: unsigned(store.counters.last_seq),
        })));
        let mut desk = Desk {
            path,
            options,
            outbox,
            state: State::Open(Box::new(store)),
            parked: VecDeque::new(),
            commits: Commits::default(),
            lock,
        };
        desk.announce();
        let closing = desk.serve(&receiver);
        drop(receiver);
        drop(desk); // the lock last of all
        if let Some(ticket) = closing {
            ticket.answer(Ok(Answer::Done));
        }
    }
}

fn take_lock(path: &Path) -> Result<Lock, WalError> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent)?;
    }
    Lock::take(path)
}

struct Desk {
    path: PathBuf,
    options: Options,
    outbox: Arc<Outbox>,
    state: State,
    parked: VecDeque<Command>,
    commits: Commits,
    lock: Lock,
}

impl Desk {
    fn serve(&mut self, receiver: &Receiver<Command>) -> Option<Ticket> {
        let mut untidy = true;
        loop {
            let first = if untidy {
                match receiver.recv_timeout(IDLE) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Timeout) => {
                        untidy = self.tidy();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            } else {
                match receiver.recv() {
                    Ok(first) => first,
                    Err(_) => return None,
                }
            };
            let mut group = gather(first, receiver, &self.options);
            let closing = match group.pop() {
                Some(Command {
                    ticket,
                    op: Op::Close,
                }) => Some(ticket),
                Some(last) => {
                    group.push(last);
                    None
                }
                None => None,
            };
            let may_have_made_room = group.iter().any(|command| command.op.may_make_room());
            self.execute(group);
            if may_have_made_room {
                self.try_parked();
            }
            untidy = true;
            if closing.is_some() {
                return closing;
            }
            self.announce();
        }
    }

    /// Tries what waits for room once more.
    fn try_parked(&mut self) {
        let mut waiting = std::mem::take(&mut self.parked);
        // In groups like any other, so that the write-ahead file keeps to its part of the cap.
        while self.parked.is_empty() && !waiting.is_empty() {
            let (mut group, mut bytes) = (Vec::new(), 0);
            while bytes < self.options.group_limit()
                && let Some(command) = waiting.pop_front()
            {
                bytes += command.op.weight();
                group.push(command);
            }
            self.execute(group);
        }
        self.parked.append(&mut waiting);
    }

    /// Hands out answers and events.
    fn announce(&mut self) {
        if let State::Open(store) = &mut self.state {
            for event in store.events.drain(..) {
                self.outbox.push(0, Ok(Answer::Event(event)));
            }
        }
        self.outbox.flush();
    }

    fn tidy(&mut self) -> bool {
        let State::Open(store) = &mut self.state else {
            return false;
        };
        match store.give_back() {
            Ok(more) => more,
            Err(WalError::Corrupt(reason)) => {
                self.recover(&reason);
                self.try_parked();
                self.announce();
                false
            }
            Err(_) => false, // the next command meets the same disk and says so
        }
    }

    fn execute(&mut self, group: Vec<Command>) {
        if group.is_empty() {
            return;
        }
        let ops: Vec<&Op> = group.iter().map(|command| &command.op).collect();
        match self.transact(&ops) {
            Ok(answers) => self.reply(group.into_iter().zip(answers)),
            Err(error @ WalError::Busy(_)) => {
                // It has waited for all of them: not once more for each.
                self.reply(group.into_iter().map(|command| {
                    let refusal = Err(Refusal::Failed(error.clone()));
                    (command, refusal)
                }));
            }
            Err(error) => {
                // One command spoiled the transaction for all: each now gets its own, and its own error.
                let alone = group.len() == 1;
                let recovered = self.recover_if_corrupt(&error);
                for command in group {
                    let answer = if alone && !recovered {
                        Err(Refusal::Failed(error.clone()))
                    } else {
                        self.execute_alone(&command.op)
                    };
                    self.reply(std::iter::once((command, answer)));
                }
            }
        }
    }

    fn execute_alone(&mut self, op: &Op) -> Result<Answer, Refusal> {
        let mut outcome = self.transact(&[op]);
        if let Err(error) = &outcome
            && self.recover_if_corrupt(&error.clone())
        {
            outcome = self.transact(&[op]);
        }
        match outcome {
            Ok(answers) => answers
                .into_iter()
                .next()
                .unwrap_or(Err(Refusal::Failed(WalError::Closed))),
            Err(error) => Err(Refusal::Failed(error)),
        }
    }

    fn reply(&mut self, answers: impl Iterator<Item = (Command, Result<Answer, Refusal>)>) {
        for (command, answer) in answers {
            match answer {
                Ok(answer) => command.ticket.answer(Ok(answer)),
                Err(Refusal::Failed(error)) => command.ticket.answer(Err(error)),
                Err(Refusal::Wait) => self.parked.push_back(command),
            }
        }
    }

    /// Runs operations in one transaction. An error means that none of them happened.
    fn transact(&mut self, ops: &[&Op]) -> Result<Vec<Result<Answer, Refusal>>, WalError> {
        self.reopen()?;
        let writes = ops.iter().any(|op| op.writes());
        if writes {
            self.make_again_if_deleted()?;
        }
        let State::Open(store) = &mut self.state else {
            return Err(WalError::Closed);
        };
        if writes {
            let coming: u64 = ops.iter().map(|op| op.weight() as u64).sum();
            let coming = coming + coming / 8 + (64 << 10);
            let stands = store.wal_bytes();
            if stands > 0 && stands + coming > self.options.wal_budget() {
                store.checkpoint()?;
            }
        }
        let (before, events) = (store.counters, store.events.len());
        let mut run = || -> Result<Vec<Result<Answer, Refusal>>, WalError> {
            store
                .connection
                .execute_batch(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?;
            let mut answers = Vec::with_capacity(ops.len());
            // Appends keep their order: once one waits for room, those behind it wait too.
            let mut waiting = !self.parked.is_empty();
            for op in ops {
                let answer = if waiting && matches!(op, Op::Append(_)) {
                    Err(Refusal::Wait)
                } else {
                    apply(store, op)
                };
                match answer {
                    Err(Refusal::Failed(error)) if error.is_storage() => return Err(error),
                    Err(Refusal::Wait) => {
                        waiting = true;
                        answers.push(Err(Refusal::Wait));
                    }
                    Ok(Answer::Statistics(mut statistics)) => {
                        let here = answers
                            .iter()
                            .filter(|answer| matches!(answer, Err(Refusal::Wait)))
                            .count();
                        statistics.blocked = (self.parked.len() + here) as u64;
                        statistics.commits = self.commits.count;
                        statistics.commit_ns = nanoseconds(self.commits.total);
                        statistics.commit_max_ns = nanoseconds(self.commits.longest);
                        answers.push(Ok(Answer::Statistics(statistics)));
                    }
                    other => answers.push(other),
                }
            }
            if store.counters.last_seq != before.last_seq {
                store.note_last_seq()?;
            }
            let started = Instant::now();
            store.connection.execute_batch("COMMIT")?;
            if writes {
                let took = started.elapsed();
                self.commits.count += 1;
                self.commits.total += took;
                self.commits.longest = self.commits.longest.max(took);
            }
            Ok(answers)
        };
        let outcome = run();
        if outcome.is_err() {
            let _ = store.connection.execute_batch("ROLLBACK"); // fails if SQLite has rolled back by itself
            store.counters = before;
            store.events.truncate(events);
        }
        outcome
    }

    fn recover_if_corrupt(&mut self, error: &WalError) -> bool {
        match error {
            WalError::Corrupt(reason) => self.recover(reason),
            _ => false,
        }
    }

    /// Puts the file aside and goes on with a fresh one.
    fn recover(&mut self, reason: &str) -> bool {
        let State::Open(store) = &self.state else {
            return false;
        };
        let (before, disk_low, events) = (store.counters, store.disk_low, store.events.clone());
        let known = Known {
            buffer_id: store.buffer_id.clone(),
            last_seq: before.last_seq,
            records: before.records,
        };
        self.state = State::Broken {
            reason: WalError::Corrupt(reason.to_owned()),
            until: Instant::now(),
            known: known.clone(),
        }; // the file must be closed before it is renamed
        match recover(&self.path, &self.options, reason, Some(&known)) {
            Ok(mut fresh) => {
                fresh.counters.appended_records = before.appended_records;
                fresh.counters.appended_rows = before.appended_rows;
                fresh.disk_low = disk_low;
                fresh.events.splice(0..0, events);
                self.state = State::Open(Box::new(fresh));
                true
            }
            Err(error) => {
                self.state = State::Broken {
                    reason: error,
                    until: Instant::now() + REOPEN,
                    known,
                };
                false
            }
        }
    }

    fn make_again_if_deleted(&mut self) -> Result<(), WalError> {
        let State::Open(store) = &self.state else {
            return Ok(());
        };
        if !store.is_deleted() {
            return Ok(());
        }
        if self.lock.is_deleted() {
            self.lock = take_lock(&self.path)?;
        }
        let mut fresh = make_again(store, &self.options)?;
        fresh.counters.appended_records = store.counters.appended_records;
        fresh.counters.appended_rows = store.counters.appended_rows;
        fresh.disk_low = store.disk_low;
        fresh.events.splice(0..0, store.events.clone());
        self.state = State::Open(Box::new(fresh));
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), WalError> {
        let State::Broken {
            reason,
            until,
            known,
        } = &self.state
        else {
            return Ok(());
        };
        if Instant::now() < *until {
            return Err(reason.clone());
        }
        match open(&self.path, &self.options, Some(known)) {
            Ok(store) => {
                self.state = State::Open(Box::new(store));
                Ok(())
            }
            Err(error) => {
                self.state = State::Broken {
                    reason: error.clone(),
                    until: Instant::now() + REOPEN,
                    known: known.clone(),
                };
                Err(error)
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let State::Open(store) = &self.state {
            let _ = store.checkpoint(); // only saves the next start some work
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
