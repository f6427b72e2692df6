//! A buffer that answers at once: what the tests share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bifrost_wal::{
    Answer, Event, NewRecord, Opened, Options, Record, Start, Statistics, Wal, WalError,
};

/// A folder that disappears with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("bifrost-wal-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("wal.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits for each answer.
pub(crate) struct Direct {
    wal: Wal,
    woken: Mutex<Receiver<()>>,
    early: Mutex<HashMap<u64, Result<Answer, WalError>>>,
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) opened: Opened,
}

impl Direct {
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self, WalError> {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let wake = Box::new(move || {
            let _ = sender.lock().unwrap().send(());
        });
        let wal = Wal::open(path, options, wake)?;
        let mut direct = Self {
            wal,
            woken: Mutex::new(receiver),
            early: Mutex::default(),
            events: Mutex::default(),
            opened: Opened {
                buffer_id: String::new(),
                records: 0,
                last_seq: 0,
            },
        };
        match direct.wait(1)? {
            Answer::Opened(opened) => direct.opened = opened,
            other => panic!("{other:?}"),
        }
        Ok(direct)
    }

    pub(crate) fn wait(&self, token: u64) -> Result<Answer, WalError> {
        loop {
            if let Some(answer) = self.early.lock().unwrap().remove(&token) {
                return answer;
            }
            self.woken
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(20))
                .expect("an answer within 20 s");
            self.collect();
        }
    }

    pub(crate) fn collect(&self) {
        for completion in self.wal.take() {
            if let (0, Ok(Answer::Event(event))) = (completion.token, &completion.result) {
                self.events.lock().unwrap().push(event.clone());
            }
            self.early
                .lock()
                .unwrap()
                .insert(completion.token, completion.result);
        }
    }

    pub(crate) fn wal(&self) -> &Wal {
        &self.wal
    }

    pub(crate) fn append(&self, record: NewRecord) -> Result<u64, WalError> {
        seq(self.wait(self.wal.append(record)?)?)
    }

    pub(crate) fn register(&self, name: &str, start: Start) -> Result<u64, WalError> {
        seq(self.wait(self.wal.register(name, start)?)?)
    }

    pub(crate) fn ack(&self, name: &str, to: u64) -> Result<u64, WalError> {
        seq(self.wait(self.wal.ack(name, to)?)?)
    }

    pub(crate) fn read(
        &self,
        name: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>, WalError> {
        match self.wait(self.wal.read(name, after, limit, 1 << 24)?)? {
            Answer::Records(records) => Ok(records),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        match self.wait(self.wal.statistics().unwrap()).unwrap() {
            Answer::Statistics(statistics) => *statistics,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn close(self) {
        let token = self.wal.close().unwrap();
        self.wait(token).unwrap();
        self.wal.join();
    }
}

pub(crate) fn seq(answer: Answer) -> Result<u64, WalError> {
    match answer {
        Answer::Seq(seq) => Ok(seq),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn record(number: u64, bytes: usize) -> NewRecord {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let payload = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    NewRecord {
        stream: "telemetry".to_owned(),
        ts_min: number as i64,
        ts_max: number as i64 + 1,
        rows: 10,
        codec: 1,
        payload,
    }
}
