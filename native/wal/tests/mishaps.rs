//! What the buffer promises when somebody interferes while it runs, or while it mends itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use std::time::{Duration, Instant};

use bifrost_wal::{Durability, Event, OnFull, Options, Start, WalError};
use rusqlite::Connection;
use support::{Direct, Folder, record};

fn options() -> Options {
    Options {
        durability: Durability::Normal,
        ..Options::default()
    }
}

fn places(wal: &Direct) -> Vec<u64> {
    let records = wal.read("cloud", None, 1000).unwrap();
    records.iter().map(|record| record.seq).collect()
}

#[test]
fn a_deleted_file_is_made_again_with_everything_in_it() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), options()).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..5 {
        wal.append(record(number, 500)).unwrap();
    }
    wal.ack("cloud", 2).unwrap();
    std::fs::remove_dir_all(&folder.0).unwrap();
    assert_eq!(wal.append(record(5, 500)).unwrap(), 6);
    wal.collect();
    assert!(matches!(
        wal.events.lock().unwrap().first(),
        Some(Event::Recovered {
            saved: 3,
            lost: 0,
            ..
        })
    ));
    let buffer_id = wal.opened.buffer_id.clone();
    assert!(matches!(
        Direct::open(&folder.file(), options()),
        Err(WalError::Locked(_))
    ));
    wal.close();
    let wal = Direct::open(&folder.file(), options()).unwrap();
    assert_eq!(wal.opened.buffer_id, buffer_id);
    assert_eq!(places(&wal), [3, 4, 5, 6]);
    wal.close();
}

#[test]
fn a_busy_file_delays_a_group_once_and_not_once_for_each() {
    let folder = Folder::new();
    let quiet = Options {
        idle_gap: Duration::from_millis(50),
        ..options()
    };
    let wal = Direct::open(&folder.file(), quiet).unwrap();
    wal.append(record(0, 10)).unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let tokens: Vec<u64> = (1..7)
        .map(|number| wal.wal().append(record(number, 10)).unwrap())
        .collect();
    for token in tokens {
        assert!(matches!(wal.wait(token), Err(WalError::Busy(_))));
    }
    assert!(started.elapsed() < Duration::from_secs(4));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(wal.append(record(7, 10)).unwrap(), 2);
    wal.close();
}

#[test]
fn waiting_appends_go_on_when_damage_has_made_the_room() {
    let folder = Folder::new();
    let small = Options {
        max_bytes: 1 << 20,
        on_full: OnFull::Block,
        ..options()
    };
    let wal = Direct::open(&folder.file(), small).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    let mut number = 0;
    while wal.statistics().blocked == 0 {
        let _token = wal.wal().append(record(number, 20_000)).unwrap();
        number += 1;
    }
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("UPDATE records SET crc=crc+1").unwrap();
    drop(other);
    let found = wal.read("cloud", None, 1000).unwrap();
    assert!(found.is_empty());
    assert_eq!(wal.statistics().blocked, 0);
    assert_eq!(places(&wal), [number]);
    wal.close();
}

#[test]
fn the_quarantine_leaves_room_for_records() {
    let folder = Folder::new();
    let small = Options {
        max_bytes: 1 << 20,
        on_full: OnFull::Reject,
        ..options()
    };
    let wal = Direct::open(&folder.file(), small).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    let mut number = 0;
    while wal.append(record(number, 60_000)).is_ok() {
        number += 1;
    }
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("UPDATE records SET crc=crc+1").unwrap();
    drop(other);
    assert!(places(&wal).is_empty());
    wal.append(record(number, 60_000)).unwrap();
    assert!(wal.statistics().quarantined >= 1);
    wal.close();
}

fn damage_cursor(folder: &Folder) {
    let other = Connection::open(folder.file()).unwrap();
    let changed = other
        .execute(
            "UPDATE cursors SET acked=acked+8 WHERE destination='cloud'",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
}

fn with_two_destinations(folder: &Folder) -> Direct {
    let wal = Direct::open(&folder.file(), options()).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    wal.register("local", Start::Oldest).unwrap();
    for number in 0..20 {
        wal.append(record(number, 100)).unwrap();
    }
    wal.ack("cloud", 3).unwrap();
    wal.ack("local", 3).unwrap();
    wal
}

#[test]
fn a_flipped_bit_in_a_cursor_skips_no_record_after_a_restart() {
    let folder = Folder::new();
    with_two_destinations(&folder).close();
    damage_cursor(&folder);
    let wal = Direct::open(&folder.file(), options()).unwrap();
    wal.ack("local", 20).unwrap();
    assert_eq!(places(&wal), (4..=20).collect::<Vec<_>>());
    assert!(wal.events.lock().unwrap().iter().any(
        |event| matches!(event, Event::CursorReset { destination, acked: 3 } if destination == "cloud")
    ));
    wal.close();
}

#[test]
fn a_flipped_bit_in_a_cursor_deletes_no_record_at_an_acknowledgement() {
    let folder = Folder::new();
    let wal = with_two_destinations(&folder);
    damage_cursor(&folder);
    wal.ack("local", 20).unwrap();
    assert_eq!(places(&wal), (4..=20).collect::<Vec<_>>());
    assert_eq!(wal.ack("cloud", 5).unwrap(), 5);
    wal.close();
}

#[test]
fn a_salvage_that_was_cut_short_is_taken_up_again() {
    for partial in [false, true] {
        let folder = Folder::new();
        let wal = with_two_destinations(&folder);
        let buffer_id = wal.opened.buffer_id.clone();
        wal.close();
        // What a kill leaves: the damaged file under its passing name, and at most a part of the new one.
        std::fs::rename(folder.file(), folder.0.join("wal.sqlite.damaged")).unwrap();
        if partial {
            let fresh = Connection::open(folder.file()).unwrap();
            fresh
                .execute_batch("CREATE TABLE meta(key, value)")
                .unwrap();
        }
        let wal = Direct::open(&folder.file(), options()).unwrap();
        assert_eq!(wal.opened.buffer_id, buffer_id);
        assert_eq!(places(&wal), (4..=20).collect::<Vec<_>>());
        assert_eq!(wal.append(record(20, 100)).unwrap(), 21);
        assert!(!folder.0.join("wal.sqlite.damaged").exists());
        wal.close();
    }
}

#[test]
fn appends_that_waited_together_keep_to_the_cap_when_they_go_on() {
    let folder = Folder::new();
    let cap = 8 << 20;
    let small = Options {
        max_bytes: cap,
        on_full: OnFull::Block,
        ..options()
    };
    let wal = Direct::open(&folder.file(), small).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    let mut number = 0;
    let mut tokens = Vec::new();
    while wal.statistics().blocked < 50 {
        tokens.push(wal.wal().append(record(number, 100_000)).unwrap());
        number += 1;
    }
    let newest = wal.statistics().last_seq;
    wal.ack("cloud", newest).unwrap();
    for token in tokens {
        wal.wait(token).unwrap();
    }
    let statistics = wal.statistics();
    assert_eq!(statistics.records, 50);
    assert!(
        statistics.file_bytes + statistics.wal_bytes <= cap,
        "{statistics:?}"
    );
    wal.close();
}
