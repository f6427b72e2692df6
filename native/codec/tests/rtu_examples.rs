//! RTU framing: what it does with certain bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::{RtuFramer, RtuRequestFramer, encode_rtu_frame};

/// A beginning that promises a long frame holds up what follows only until the line goes silent.
#[test]
fn silence_frees_what_a_broken_beginning_holds_up() {
    let good = encode_rtu_frame(1, &[3, 2, 0, 10]).unwrap();
    let mut framer = RtuFramer::new(false);
    let mut found = Vec::new();
    framer.feed(&[1, 3, 250], &mut found);
    framer.feed(&good, &mut found);
    assert!(found.is_empty());
    framer.idle(&mut found);
    assert_eq!(found.len(), 1);
    assert_eq!(framer.counters().noise_bytes, 3);
    assert_eq!(framer.pending(), 0);
}

/// The frame of another unit is handed over as it is: whose it is is for the caller to judge.
#[test]
fn a_foreign_answer_is_handed_over() {
    let mut framer = RtuFramer::new(false);
    framer.expect(1, &[3, 0, 0, 0, 1]);
    let mut found = Vec::new();
    framer.feed(&encode_rtu_frame(2, &[3, 2, 0, 10]).unwrap(), &mut found);
    framer.feed(
        &encode_rtu_frame(1, &[3, 4, 0, 10, 0, 11]).unwrap(),
        &mut found,
    );
    framer.feed(&encode_rtu_frame(1, &[3, 2, 0, 12]).unwrap(), &mut found);
    let units: Vec<(u8, usize)> = found
        .iter()
        .map(|frame| (frame.unit, frame.pdu.len()))
        .collect();
    assert_eq!(units, [(2, 4), (1, 6), (1, 4)]);
}

/// An answer with a wrong CRC counts once, however many frames are tried in it.
#[test]
fn a_broken_answer_counts_once() {
    let mut framer = RtuFramer::new(false);
    framer.expect(1, &[3, 0, 0, 0, 3]);
    let mut frame = encode_rtu_frame(1, &[3, 6, 1, 3, 2, 1, 3, 2]).unwrap();
    frame[10] ^= 0x10;
    let mut found = Vec::new();
    framer.feed(&frame, &mut found);
    assert!(found.is_empty());
    assert_eq!(framer.counters().crc_errors, 1);
    framer.expect(1, &[3, 0, 0, 0, 3]);
    assert_eq!(framer.counters().noise_bytes, 11);
}

/// A request for more than an answer can hold does not make the framer wait for such an answer.
#[test]
fn no_answer_is_longer_than_a_frame() {
    let mut framer = RtuFramer::new(false);
    let mut found = Vec::new();
    for quantity in [2001_u16, 2040, 2048, 0xffff] {
        let [high, low] = quantity.to_be_bytes();
        framer.expect(7, &[2, 0, 0, high, low]);
        for _ in 0..600 {
            framer.feed(&[7, 2, quantity.div_ceil(8).to_be_bytes()[1]], &mut found);
            assert!(framer.pending() <= 256);
        }
    }
    assert!(found.is_empty());
}

/// The length of every standard frame is known: a second frame right behind it is not touched.
#[test]
fn every_standard_frame_ends_where_it_should() {
    let next = encode_rtu_frame(9, &[3, 0, 0, 0, 1]).unwrap();
    let requests: [&[u8]; 14] = [
        &[5, 0, 1, 0xff, 0],
        &[7],
        &[8, 0, 0, 0xa5, 0x37],
        &[11],
        &[12],
        &[15, 0, 0x13, 0, 10, 2, 0xcd, 1],
        &[16, 0, 1, 0, 0, 0],
        &[17],
        &[20, 7, 6, 0, 4, 0, 1, 0, 2],
        &[21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xaf],
        &[22, 0, 4, 0, 0xf2, 0, 0x25],
        &[23, 0, 3, 0, 6, 0, 14, 0, 1, 2, 0, 0xff],
        &[24, 4, 0xde],
        &[43, 14, 1, 0],
    ];
    for pdu in requests {
        let mut framer = RtuRequestFramer::new();
        let mut found = Vec::new();
        framer.feed(&encode_rtu_frame(9, pdu).unwrap(), &mut found);
        framer.feed(&next, &mut found);
        let pdus: Vec<&[u8]> = found.iter().map(|frame| &frame.pdu[..]).collect();
        assert_eq!(pdus, [pdu, &[3, 0, 0, 0, 1]]);
        assert_eq!(framer.counters(), Default::default());
    }
    let next = encode_rtu_frame(9, &[0x83, 2]).unwrap();
    let answers: [&[u8]; 14] = [
        &[1, 3, 0xcd, 0x6b, 5],
        &[3, 0],
        &[7, 0x6d],
        &[8, 0, 0, 0xa5, 0x37],
        &[11, 0xff, 0xff, 1, 8],
        &[12, 8, 0, 0, 1, 8, 1, 0x21, 0x20, 0],
        &[17, 3, 1, 0xff, 0],
        &[20, 6, 5, 6, 13, 0xfe, 0, 0x20],
        &[21, 9, 6, 0, 4, 0, 7, 0, 1, 6, 0xaf],
        &[22, 0, 4, 0, 0xf2, 0, 0x25],
        &[23, 2, 0, 0xfe],
        &[24, 0, 6, 0, 2, 1, 0xb8, 0x12, 0x84],
        &[43, 14, 1, 1, 0, 0, 2, 0, 3, 65, 67, 77, 1, 0],
        &[0xab, 1],
    ];
    for pdu in answers {
        let mut framer = RtuFramer::new(false);
        let mut found = Vec::new();
        framer.feed(&encode_rtu_frame(9, pdu).unwrap(), &mut found);
        framer.feed(&next, &mut found);
        let pdus: Vec<&[u8]> = found.iter().map(|frame| &frame.pdu[..]).collect();
        assert_eq!(pdus, [pdu, &[0x83, 2]]);
        assert_eq!(framer.counters(), Default::default());
    }
}

/// A beginning that promises more than a frame can hold is noise at once.
#[test]
fn nothing_longer_than_a_frame_is_waited_for() {
    let good = encode_rtu_frame(9, &[3, 2, 0, 1]).unwrap();
    for beginning in [
        &[1, 3, 252][..],
        &[1, 24, 0, 251],
        &[1, 24, 1, 0],
        &[1, 43, 14, 1, 1, 0, 0, 200],
    ] {
        let mut framer = RtuFramer::new(false);
        let mut found = Vec::new();
        framer.feed(beginning, &mut found);
        if beginning[1] == 43 {
            framer.feed(&[0, 250], &mut found);
        }
        framer.feed(&good, &mut found);
        assert_eq!(found.len(), 1, "{beginning:?}");
    }
    let mut framer = RtuRequestFramer::new();
    let mut found = Vec::new();
    framer.feed(&[1, 16, 0, 0, 0, 0, 248], &mut found);
    framer.feed(&encode_rtu_frame(9, &[3, 0, 0, 0, 1]).unwrap(), &mut found);
    assert_eq!(found.len(), 1);
}

/// Each broken frame counts once, whether good frames or noise were before it.
#[test]
fn every_broken_frame_counts() {
    let good = encode_rtu_frame(1, &[3, 2, 0xff, 0xff]).unwrap();
    let mut broken = good.clone();
    broken[6] ^= 0x40;
    let mut framer = RtuFramer::new(false);
    let mut found = Vec::new();
    for frame in [&good, &broken, &good, &broken, &good] {
        framer.feed(frame, &mut found);
    }
    framer.idle(&mut found);
    assert_eq!(found.len(), 3);
    assert_eq!(framer.counters().crc_errors, 2);
    let mut framer = RtuFramer::new(false);
    framer.expect(1, &[3, 0, 0, 0, 1]);
    framer.feed(&[0, 0], &mut found);
    framer.feed(&broken, &mut found);
    framer.feed(&good, &mut found);
    assert_eq!(found.len(), 4);
    assert_eq!(framer.counters().crc_errors, 1);
}

/// The echo of a write looks like its answer; behind noise, too, the first one is never taken for it.
#[test]
fn an_echo_behind_noise_is_no_answer() {
    let pdu = [6, 0, 1, 0, 3];
    let whole = encode_rtu_frame(17, &pdu).unwrap();
    let mut framer = RtuFramer::new(true);
    framer.expect(17, &pdu);
    let mut found = Vec::new();
    framer.feed(&[0], &mut found);
    framer.feed(&whole, &mut found);
    assert!(found.is_empty());
    framer.feed(&whole, &mut found);
    assert_eq!(found.len(), 1);
    assert_eq!(framer.counters().echoes, 1);
}

/// An echo that breaks off is noise once the line is silent, and one that comes after the answer is none any more.
#[test]
fn an_echo_is_only_what_comes_first() {
    let pdu = [6, 0, 1, 0, 3];
    let whole = encode_rtu_frame(17, &pdu).unwrap();
    let mut framer = RtuFramer::new(true);
    let mut found = Vec::new();
    framer.expect(17, &pdu);
    framer.feed(&whole[..5], &mut found);
    assert_eq!(framer.pending(), 5);
    framer.idle(&mut found);
    assert_eq!((framer.pending(), framer.counters().noise_bytes), (0, 5));
    framer.expect(17, &pdu);
    framer.feed(&encode_rtu_frame(17, &[0x86, 2]).unwrap(), &mut found);
    framer.feed(&whole, &mut found);
    let pdus: Vec<&[u8]> = found.iter().map(|frame| &frame.pdu[..]).collect();
    assert_eq!(pdus, [&[0x86, 2][..], &pdu]);
    assert_eq!(framer.counters().echoes, 0);
}
