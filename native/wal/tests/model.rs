//! Any sequence of operations, with reopening in between, behaves as a list with cursors does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use std::collections::BTreeMap;

use bifrost_wal::{Durability, NewRecord, Options, Start};
use proptest::prelude::*;
use support::{Direct, Folder};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>, i64),
    Register(u8, bool),
    Forget(u8),
    Ack(u8, u64),
    Read(u8, usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (proptest::collection::vec(any::<u8>(), 0..3000), any::<i64>()).prop_map(|(p, t)| Step::Append(p, t)),
        2 => (0..3_u8, any::<bool>()).prop_map(|(d, now)| Step::Register(d, now)),
        1 => (0..3_u8).prop_map(Step::Forget),
        4 => (0..3_u8, 0..40_u64).prop_map(|(d, seq)| Step::Ack(d, seq)),
        4 => (0..3_u8, 1..20_usize).prop_map(|(d, limit)| Step::Read(d, limit)),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    records: BTreeMap<u64, NewRecord>,
    cursors: BTreeMap<String, u64>,
    last: u64,
}

impl Model {
    fn trim(&mut self) {
        if let Some(slowest) = self.cursors.values().min().copied() {
            self.records.retain(|seq, _| *seq > slowest);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_buffer_behaves_as_a_list_with_cursors(steps in proptest::collection::vec(step(), 1..60)) {
        let folder = Folder::new();
        let options = Options { durability: Durability::Normal, ..Options::default() };
        let mut wal = Direct::open(&folder.file(), options.clone()).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(payload, time) => {
                    let record = NewRecord {
                        stream: "s".to_owned(), ts_min: time, ts_max: time, rows: 1, codec: 1, payload,
                    };
                    model.last += 1;
                    prop_assert_eq!(wal.append(record.clone()).unwrap(), model.last);
                    model.records.insert(model.last, record);
                }
                Step::Register(number, now) => {
                    let name = number.to_string();
                    let oldest = model.records.keys().next().map_or(model.last, |first| first - 1);
                    let begin = if now { model.last } else { oldest };
                    let expected = *model.cursors.entry(name.clone()).or_insert(begin);
                    let start = if now { Start::Now } else { Start::Oldest };
                    prop_assert_eq!(wal.register(&name, start).unwrap(), expected);
                }
                Step::Forget(number) => {
                    let name = number.to_string();
                    let done = wal.wait(wal.wal().forget(&name).unwrap());
                    prop_assert_eq!(done.is_ok(), model.cursors.remove(&name).is_some());
                    if done.is_ok() {
                        model.trim();
                    }
                }
                Step::Ack(number, seq) => {
                    let name = number.to_string();
                    let acked = wal.ack(&name, seq);
                    match model.cursors.get_mut(&name) {
                        Some(cursor) if seq <= model.last => {
                            let moved = seq > *cursor;
                            *cursor = seq.max(*cursor);
                            prop_assert_eq!(acked.unwrap(), *cursor);
                            if moved {
                                model.trim();
                            }
                        }
                        _ => prop_assert!(acked.is_err()),
                    }
                }
                Step::Read(number, limit) => {
                    let name = number.to_string();
                    let read = wal.read(&name, None, limit);
                    match model.cursors.get(&name) {
                        None => prop_assert!(read.is_err()),
                        Some(cursor) => {
                            let expected: Vec<_> = model.records.range(cursor + 1..).take(limit).collect();
                            let read = read.unwrap();
                            let found: Vec<_> = read.iter().map(|one| (&one.seq, &one.content)).collect();
                            prop_assert_eq!(found, expected);
                        }
                    }
                }
                Step::Reopen => {
                    wal.close();
                    wal = Direct::open(&folder.file(), options.clone()).unwrap();
                    prop_assert_eq!(wal.opened.last_seq, model.last);
                }
            }
            prop_assert_eq!(wal.statistics().records, model.records.len() as u64);
        }
    }
}
