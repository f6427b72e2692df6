//! What the buffer promises while everything is well: order, cursors, caps, reopening.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use std::time::Duration;

use bifrost_wal::{Answer, Durability, OnFull, Options, Start, WalError};
use support::{Direct, Folder, record, seq};

fn small(on_full: OnFull) -> Options {
    Options {
        durability: Durability::Normal,
        max_bytes: 1 << 20,
        on_full,
        ..Options::default()
    }
}

#[test]
fn records_come_back_in_order_after_reopening() {
    let folder = Folder::new();
    let first = Direct::open(&folder.file(), Options::default()).unwrap();
    let identity = first.opened.buffer_id.clone();
    first.register("cloud", Start::Oldest).unwrap();
    for number in 0..20 {
        assert_eq!(first.append(record(number, 100)).unwrap(), number + 1);
    }
    first.close();
    let second = Direct::open(&folder.file(), Options::default()).unwrap();
    assert_eq!(second.opened.buffer_id, identity);
    assert_eq!(second.opened.records, 20);
    let records = second.read("cloud", None, 100).unwrap();
    assert_eq!(records.len(), 20);
    for (number, found) in records.iter().enumerate() {
        assert_eq!(found.seq, number as u64 + 1);
        assert_eq!(found.content, record(number as u64, 100));
    }
}

#[test]
fn a_place_is_never_given_twice_even_if_everything_was_deleted_and_the_destination_forgotten() {
    let folder = Folder::new();
    let first = Direct::open(&folder.file(), Options::default()).unwrap();
    first.register("cloud", Start::Oldest).unwrap();
    for number in 0..5 {
        first.append(record(number, 10)).unwrap();
    }
    first.ack("cloud", 5).unwrap();
    first.wait(first.wal().forget("cloud").unwrap()).unwrap();
    first.close();
    let second = Direct::open(&folder.file(), Options::default()).unwrap();
    assert_eq!(second.append(record(9, 10)).unwrap(), 6);
}

#[test]
fn a_record_is_deleted_only_when_the_slowest_destination_has_it() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), Options::default()).unwrap();
    wal.register("fast", Start::Oldest).unwrap();
    wal.register("slow", Start::Oldest).unwrap();
    for number in 0..10 {
        wal.append(record(number, 10)).unwrap();
    }
    wal.ack("fast", 10).unwrap();
    assert_eq!(wal.statistics().records, 10);
    assert_eq!(wal.read("slow", None, 100).unwrap().len(), 10);
    wal.ack("slow", 4).unwrap();
    assert_eq!(wal.statistics().records, 6);
    assert_eq!(wal.ack("slow", 2).unwrap(), 4, "a cursor never moves back");
    assert_eq!(wal.register("late", Start::Now).unwrap(), 10);
    assert_eq!(wal.register("early", Start::Oldest).unwrap(), 4);
    assert!(matches!(wal.ack("slow", 11), Err(WalError::Invalid(_))));
    assert!(matches!(
        wal.read("nobody", None, 1),
        Err(WalError::UnknownDestination(_))
    ));
}

#[test]
fn the_cap_holds_and_what_was_dropped_is_counted_with_its_gap() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::DropOldest)).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..400 {
        wal.append(record(number, 9000)).unwrap();
        let size: u64 = ["", "-wal"]
            .iter()
            .map(|suffix| {
                let path = format!("{}{suffix}", folder.file().display());
                std::fs::metadata(path).map_or(0, |found| found.len())
            })
            .sum();
        assert!(size <= 1 << 20, "{size} bytes after {number}");
    }
    let statistics = wal.statistics();
    assert_eq!(statistics.records + statistics.dropped_records, 400);
    assert_eq!(statistics.dropped_rows, statistics.dropped_records * 10);
    let records = wal.read("cloud", None, 1000).unwrap();
    assert_eq!(records.len() as u64, statistics.records);
    assert_eq!(records.first().unwrap().seq, statistics.dropped_records + 1);
    assert_eq!(records.last().unwrap().seq, 400);
    let Answer::Gaps(gaps) = wal.wait(wal.wal().gaps(10).unwrap()).unwrap() else {
        panic!()
    };
    assert_eq!(gaps.len(), 1, "neighbouring gaps are one: {gaps:?}");
    assert_eq!(
        (gaps[0].first_seq, gaps[0].last_seq),
        (1, statistics.dropped_records)
    );
    assert_eq!(gaps[0].records, statistics.dropped_records);
}

#[test]
fn a_full_buffer_rejects_and_takes_again_once_it_has_drained() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::Reject)).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    let mut kept = 0;
    let error = loop {
        match wal.append(record(kept, 9000)) {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WalError::Full(_)), "{error}");
    assert_eq!(wal.statistics().records, kept);
    wal.ack("cloud", kept / 2).unwrap();
    assert!(wal.append(record(kept, 9000)).is_ok());
    assert_eq!(wal.statistics().dropped_records, 0);
}

#[test]
fn a_blocked_append_waits_for_room_and_keeps_its_turn() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::Block)).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    let tokens: Vec<u64> = (0..150)
        .map(|number| wal.wal().append(record(number, 9000)).unwrap())
        .collect();
    let blocked = wal.statistics().blocked;
    assert!(blocked > 0);
    let stored = 150 - blocked;
    wal.ack("cloud", stored).unwrap();
    for (number, token) in tokens.into_iter().enumerate() {
        assert_eq!(seq(wal.wait(token).unwrap()).unwrap(), number as u64 + 1);
    }
    assert_eq!(wal.statistics().blocked, 0);
}

#[test]
fn closing_answers_what_is_blocked() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::Block)).unwrap();
    let tokens: Vec<u64> = (0..150)
        .map(|number| wal.wal().append(record(number, 9000)).unwrap())
        .collect();
    let close = wal.wal().close().unwrap();
    wal.wait(close).unwrap();
    wal.wal().join();
    wal.collect();
    let closed = tokens
        .into_iter()
        .filter(|token| matches!(wal.wait(*token), Err(WalError::Closed)))
        .count();
    assert!(closed > 0);
    assert!(matches!(wal.wal().statistics(), Err(WalError::Closed)));
}

#[test]
fn a_low_disk_stops_growth_but_not_what_fits_into_free_pages() {
    let folder = Folder::new();
    let options = Options {
        on_full: OnFull::Reject,
        ..Options::default()
    };
    let wal = Direct::open(&folder.file(), options).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..20 {
        wal.append(record(number, 9000)).unwrap();
    }
    wal.wait(wal.wal().set_disk_low(true).unwrap()).unwrap();
    assert!(matches!(
        wal.append(record(20, 9000)),
        Err(WalError::Full(_))
    ));
    wal.ack("cloud", 10).unwrap();
    wal.append(record(21, 9000)).unwrap();
    wal.wait(wal.wal().set_disk_low(false).unwrap()).unwrap();
    for number in 22..60 {
        wal.append(record(number, 9000)).unwrap();
    }
}

#[test]
fn one_process_at_a_time() {
    let folder = Folder::new();
    let first = Direct::open(&folder.file(), Options::default()).unwrap();
    let Err(error) = Direct::open(&folder.file(), Options::default()) else {
        panic!("opened twice");
    };
    assert!(matches!(error, WalError::Locked(_)), "{error}");
    first.close();
    Direct::open(&folder.file(), Options::default())
        .unwrap()
        .close();
}

#[test]
fn dead_letters_are_kept_listed_retried_and_capped() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::DropOldest)).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..30 {
        let place = wal.append(record(number, 9000)).unwrap();
        let token = wal
            .wal()
            .dead_letter("cloud", place, "too late", 3)
            .unwrap();
        wal.wait(token).unwrap();
        wal.ack("cloud", place).unwrap();
    }
    let statistics = wal.statistics();
    assert!(statistics.dead_letters * 9000 <= (1 << 20) / 10);
    assert_eq!(
        statistics.dead_letters + statistics.dead_letters_dropped,
        30
    );
    let Answer::DeadLetters(letters) = wal.wait(wal.wal().dead_letters(100).unwrap()).unwrap()
    else {
        panic!()
    };
    assert_eq!(letters.len() as u64, statistics.dead_letters);
    let last = letters.last().unwrap();
    assert_eq!((last.reason.as_str(), last.attempts), ("too late", 3));
    assert_eq!(last.record.content, record(29, 9000));
    let again = seq(wal
        .wait(wal.wal().retry_dead_letter(last.id).unwrap())
        .unwrap())
    .unwrap();
    assert_eq!(again, 31);
    assert_eq!(
        wal.read("cloud", None, 10).unwrap()[0].content,
        record(29, 9000)
    );
    assert_eq!(wal.statistics().dead_letters, statistics.dead_letters - 1);
}

#[test]
fn an_empty_buffer_gives_its_space_back() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), Options::default()).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..200 {
        wal.append(record(number, 50_000)).unwrap();
    }
    wal.ack("cloud", 200).unwrap();
    let shrunk = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let path = |suffix: &str| format!("{}{suffix}", folder.file().display());
        let size = |suffix: &str| std::fs::metadata(path(suffix)).map_or(0, |found| found.len());
        size("") < 200_000 && size("-wal") == 0
    });
    assert!(shrunk);
    assert_eq!(wal.append(record(200, 10)).unwrap(), 201);
}

#[test]
fn wrong_options_touch_no_file() {
    let folder = Folder::new();
    let options = Options {
        max_bytes: 1000,
        ..Options::default()
    };
    assert!(matches!(
        Direct::open(&folder.file(), options),
        Err(WalError::Invalid(_))
    ));
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn too_large_a_record_is_told_so_and_the_rest_goes_on() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), small(OnFull::DropOldest)).unwrap();
    assert!(matches!(
        wal.append(record(0, 200_000)),
        Err(WalError::TooLarge { .. })
    ));
    assert_eq!(wal.append(record(1, 100_000)).unwrap(), 1);
}

#[test]
fn concurrent_appends_share_commits() {
    let folder = Folder::new();
    let options = Options {
        idle_gap: Duration::from_millis(20),
        ..Options::default()
    };
    let wal = Direct::open(&folder.file(), options).unwrap();
    let tokens: Vec<u64> = (0..500)
        .map(|number| wal.wal().append(record(number, 100)).unwrap())
        .collect();
    for token in tokens {
        wal.wait(token).unwrap();
    }
    assert!(wal.statistics().commits < 20);
}
