//! What the buffer promises when its file is damaged: it opens, it answers, it says what is lost, it never panics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod support;

use bifrost_wal::{Durability, Event, Options, Start, WalError};
use support::{Direct, Folder, record};

fn options() -> Options {
    Options {
        durability: Durability::Normal,
        ..Options::default()
    }
}

fn filled(folder: &Folder, records: u64, bytes: usize) {
    let wal = Direct::open(&folder.file(), options()).unwrap();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..records {
        wal.append(record(number, bytes)).unwrap();
    }
    wal.close();
}

/// Reads everything; every record that comes must be one that was appended.
fn drain(wal: &Direct, bytes: usize) -> Result<Vec<u64>, WalError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let records = wal.read("cloud", after, 7)?;
        let Some(last) = records.last() else {
            return Ok(found);
        };
        after = Some(last.seq);
        for one in records {
            assert_eq!(one.content, record(one.seq - 1, bytes), "place {}", one.seq);
            found.push(one.seq);
        }
    }
}

#[test]
fn garbage_instead_of_a_database_is_put_aside() {
    let folder = Folder::new();
    std::fs::write(folder.file(), vec![0xa5; 100_000]).unwrap();
    let wal = Direct::open(&folder.file(), options()).unwrap();
    assert_eq!(wal.append(record(0, 10)).unwrap(), 1);
    wal.collect();
    let events = wal.events.lock().unwrap().clone();
    let Some(Event::Recovered { path, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(std::fs::read(path).unwrap(), vec![0xa5; 100_000]);
}

#[test]
fn another_programs_database_is_left_alone() {
    let folder = Folder::new();
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute_batch("CREATE TABLE contacts(name)").unwrap();
    drop(other);
    assert!(matches!(
        Direct::open(&folder.file(), options()),
        Err(WalError::Foreign(_))
    ));
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other
        .execute_batch("INSERT INTO contacts VALUES ('a')")
        .unwrap();
}

#[test]
fn a_row_with_a_wrong_checksum_goes_to_quarantine_and_the_rest_comes() {
    let folder = Folder::new();
    filled(&folder, 10, 500);
    let file = rusqlite::Connection::open(folder.file()).unwrap();
    file.execute_batch(
        "UPDATE records SET payload=zeroblob(500) WHERE seq=4; UPDATE records SET n=n+1 WHERE seq=6;
         UPDATE records SET stream=x'ff' WHERE seq=8; UPDATE records SET ts_min='soon' WHERE seq=9",
    )
    .unwrap();
    drop(file);
    let wal = Direct::open(&folder.file(), options()).unwrap();
    assert_eq!(drain(&wal, 500).unwrap(), [1, 2, 3, 5, 7, 10]);
    let statistics = wal.statistics();
    assert_eq!((statistics.quarantined, statistics.records), (4, 6));
    wal.collect();
    let quarantined = wal.events.lock().unwrap().len();
    assert_eq!(quarantined, 4);
}

#[test]
fn flipped_bits_anywhere_never_stop_the_buffer_and_never_forge_a_record() {
    let folder = Folder::new();
    filled(&folder, 60, 3000);
    let sound = std::fs::read(folder.file()).unwrap();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut complete, mut recovered) = (0, 0);
    for round in 0..150 {
        let damaged = Folder::new();
        let mut bytes = sound.clone();
        // One flip in every page region in turn, then bursts.
        let flips = if round < 100 { 1 } else { 1 + draw(40) };
        for _ in 0..flips {
            let at = if round % 2 == 0 {
                draw(bytes.len())
            } else {
                draw(bytes.len() / 4096) * 4096 + draw(120)
            };
            bytes[at] ^= 1 << draw(8);
        }
        std::fs::write(damaged.file(), &bytes).unwrap();
        let wal = match Direct::open(&damaged.file(), options()) {
            Ok(wal) => wal,
            Err(WalError::Foreign(_)) => continue, // the flip turned our table into a stranger's
            Err(error) => panic!("round {round}: {error}"),
        };
        if wal.register("cloud", Start::Oldest).is_ok() {
            let found = drain(&wal, 3000).unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(found.is_sorted());
            complete += usize::from(found.len() == 60);
        }
        let next = wal.append(record(wal.statistics().last_seq, 3000)).unwrap();
        assert!(next > 60 || wal.opened.last_seq < 60, "round {round}");
        wal.collect();
        recovered += wal
            .events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| matches!(event, Event::Recovered { .. }))
            .count();
        wal.close();
    }
    assert!(complete > 10, "{complete} survived whole");
    assert!(recovered > 5, "{recovered} were put aside");
}

#[test]
fn a_damaged_page_in_use_is_survived_and_its_neighbours_are_carried_over() {
    let folder = Folder::new();
    filled(&folder, 300, 1000);
    let mut bytes = std::fs::read(folder.file()).unwrap();
    // Wreck one leaf page of the records: the first that holds the payload of place 150.
    let needle = record(149, 1000).payload[..64].to_vec();
    let at = bytes
        .windows(64)
        .position(|window| window == needle)
        .unwrap();
    let page = at / 4096 * 4096;
    bytes[page..page + 64].fill(0xff);
    std::fs::write(folder.file(), &bytes).unwrap();
    let wal = Direct::open(&folder.file(), options()).unwrap();
    let found = drain(&wal, 1000).unwrap();
    assert!(found.len() >= 290, "{} of 300 carried over", found.len());
    assert!(!found.contains(&150));
    assert_eq!(wal.append(record(300, 1000)).unwrap(), 301);
}

#[test]
fn a_file_wrecked_while_in_use_keeps_identity_and_places() {
    let folder = Folder::new();
    let wal = Direct::open(&folder.file(), options()).unwrap();
    let identity = wal.opened.buffer_id.clone();
    wal.register("cloud", Start::Oldest).unwrap();
    for number in 0..3000 {
        wal.append(record(number, 4000)).unwrap(); // more than the page cache holds, so that pages are read again
    }
    let length = std::fs::metadata(folder.file()).unwrap().len() as usize;
    std::fs::write(folder.file(), vec![0x5a; length]).unwrap();
    let read = wal.read("cloud", Some(100), 50);
    assert!(!matches!(read, Err(WalError::Closed)), "{read:?}");
    let next = wal.append(record(3000, 10)).unwrap();
    assert!(next > 3000, "place {next} was given before");
    wal.collect();
    let events = wal.events.lock().unwrap().clone();
    let Some(Event::Recovered { saved, lost, .. }) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(saved + lost, 3000);
    wal.close();
    let again = Direct::open(&folder.file(), options()).unwrap();
    assert_eq!(again.opened.buffer_id, identity);
    assert!(again.append(record(3001, 10)).unwrap() > next);
}

#[test]
fn truncated_files_open() {
    let folder = Folder::new();
    filled(&folder, 40, 3000);
    let sound = std::fs::read(folder.file()).unwrap();
    for length in [
        0,
        1,
        15,
        16,
        99,
        100,
        512,
        4095,
        4096,
        5000,
        20_000,
        sound.len() - 1,
    ] {
        let damaged = Folder::new();
        std::fs::write(damaged.file(), &sound[..length]).unwrap();
        let wal = Direct::open(&damaged.file(), options()).unwrap();
        wal.register("cloud", Start::Oldest).unwrap();
        drain(&wal, 3000).unwrap();
        wal.append(record(wal.statistics().last_seq, 10)).unwrap();
    }
}
