//! RTU framing: what holds for all bytes, however they are split.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::{
    Area, DeviceId, Request, RtuFrame, RtuFramer, RtuRequestFramer, crc16, encode_bits,
    encode_exception, encode_registers, encode_rtu_frame, encode_write,
};
use proptest::prelude::*;

fn request() -> impl Strategy<Value = Request> {
    let words = || prop::collection::vec(any::<u16>(), 1..=121);
    let address = || 0_u16..60_000;
    prop_oneof![
        (1_u8..=2, address(), 1_u16..=2000).prop_map(|(function, address, quantity)| {
            Request::Read {
                area: Area::of_function(function).unwrap(),
                address,
                quantity,
            }
        }),
        (3_u8..=4, address(), 1_u16..=125).prop_map(|(function, address, quantity)| {
            Request::Read {
                area: Area::of_function(function).unwrap(),
                address,
                quantity,
            }
        }),
        (address(), any::<bool>())
            .prop_map(|(address, value)| Request::WriteCoil { address, value }),
        (address(), any::<u16>())
            .prop_map(|(address, value)| Request::WriteRegister { address, value }),
        (address(), prop::collection::vec(any::<bool>(), 1..300))
            .prop_map(|(address, values)| Request::WriteCoils { address, values }),
        (address(), words())
            .prop_map(|(address, values)| Request::WriteRegisters { address, values }),
        (address(), any::<u16>(), any::<u16>()).prop_map(|(address, and_mask, or_mask)| {
            Request::MaskWrite {
                address,
                and_mask,
                or_mask,
            }
        }),
        (address(), 1_u16..=125, address(), words()).prop_map(
            |(address, quantity, write_address, values)| Request::ReadWrite {
                address,
                quantity,
                write_address,
                values
            }
        ),
        (1_u8..=4, any::<u8>()).prop_map(|(code, object)| Request::DeviceId { code, object }),
    ]
}

/// A request with an answer that a device could give.
fn exchange() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (request(), any::<u64>(), 0_u8..8).prop_map(|(request, seed, refused)| {
        let words = |quantity: u16| -> Vec<u16> {
            (0..quantity)
                .map(|at| (seed >> (at % 48)) as u16 ^ at.wrapping_mul(977))
                .collect()
        };
        let answer = match &request {
            _ if refused == 0 => encode_exception(request.function(), seed as u8).to_vec(),
            Request::Read { area, quantity, .. } if area.is_bits() => {
                let bits: Vec<bool> = (0..*quantity)
                    .map(|at| seed >> (at % 64) & 1 == 1)
                    .collect();
                encode_bits(request.function(), &bits).unwrap()
            }
            Request::Read { quantity, .. } | Request::ReadWrite { quantity, .. } => {
                encode_registers(request.function(), &words(*quantity)).unwrap()
            }
            Request::DeviceId { code, object } => {
                let text = seed.to_be_bytes();
                let objects: Vec<(u8, &[u8])> = (0..=255)
                    .map(|id| (id, &text[..usize::from(id % 9)]))
                    .collect();
                DeviceId::answer(*code, *object, 0x83, &objects).unwrap()
            }
            write => encode_write(write).unwrap(),
        };
        (request.encode().unwrap(), answer)
    })
}

fn pieces<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        pieces.push(head);
        rest = tail;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..60, 1..30)
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        // Bytes that often look like the beginning of a frame.
        prop::collection::vec(
            prop::sample::select(vec![0_u8, 1, 2, 3, 4, 6, 14, 16, 17, 23, 43, 0x83, 0xff]),
            0..600
        ),
    ]
}

/// True if noise and the beginning of what follows at `at` have a good CRC by chance, as one in 65536 has.
fn straddled(stream: &[u8], at: usize) -> bool {
    (0..at).any(|start| {
        (at + 1..=stream.len().min(start + 256)).any(|stop| {
            let (body, crc) = stream[start..stop].split_at((stop - start).saturating_sub(2));
            crc16(body).to_le_bytes() == crc
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the line cuts them, the answers to requests come out, and nothing else.
    #[test]
    fn answers_come_out_in_any_split(
        exchanges in prop::collection::vec((exchange(), any::<u8>()), 1..6),
        sizes in sizes(),
        expecting: bool,
    ) {
        let mut framer = RtuFramer::new(false);
        for ((request, answer), unit) in exchanges {
            if expecting {
                framer.expect(unit, &request);
            }
            let mut found = Vec::new();
            for piece in pieces(&encode_rtu_frame(unit, &answer).unwrap(), &sizes) {
                prop_assert!(found.is_empty());
                framer.feed(piece, &mut found);
                prop_assert!(framer.pending() <= 256);
            }
            prop_assert_eq!(found, [RtuFrame { unit, pdu: answer }]);
            prop_assert_eq!(framer.pending(), 0);
        }
        prop_assert_eq!(framer.counters(), Default::default());
    }

    /// However the line cuts them, requests come out, and nothing else.
    #[test]
    fn requests_come_out_in_any_split(
        requests in prop::collection::vec((request(), any::<u8>()), 0..6),
        sizes in sizes(),
    ) {
        let expected: Vec<RtuFrame> =
            requests.iter().map(|(request, unit)| RtuFrame { unit: *unit, pdu: request.encode().unwrap() }).collect();
        let stream: Vec<u8> =
            expected.iter().flat_map(|frame| encode_rtu_frame(frame.unit, &frame.pdu).unwrap()).collect();
        let mut framer = RtuRequestFramer::new();
        let mut found = Vec::new();
        for piece in pieces(&stream, &sizes) {
            framer.feed(piece, &mut found);
            prop_assert!(framer.pending() <= 256);
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(framer.pending(), 0);
        prop_assert_eq!(framer.counters(), Default::default());
    }

    /// Any bytes, frames among them, give the same whether they come at once or one by one; every frame had a good
    /// CRC, no byte is lost from the books, and the answer that is waited for is found behind the noise at once.
    #[test]
    fn the_awaited_answer_is_found_behind_noise(
        before in noise(),
        (request, answer) in exchange(),
        unit in prop::sample::select(vec![1_u8, 2, 3, 17]),
        sizes in sizes(),
    ) {
        let whole = encode_rtu_frame(unit, &answer).unwrap();
        let stream = [&before[..], &whole].concat();
        let mut at_once = RtuFramer::new(false);
        at_once.expect(unit, &request);
        let mut found = Vec::new();
        at_once.feed(&stream, &mut found);
        let mut in_pieces = RtuFramer::new(false);
        in_pieces.expect(unit, &request);
        let mut same = Vec::new();
        for piece in pieces(&stream, &sizes) {
            in_pieces.feed(piece, &mut same);
        }
        prop_assert_eq!(&found, &same);
        prop_assert_eq!(at_once.counters(), in_pieces.counters());
        prop_assert_eq!(at_once.pending(), in_pieces.pending());
        let bytes: usize = found.iter().map(|frame| frame.pdu.len() + 3).sum();
        let noise = usize::try_from(at_once.counters().noise_bytes).unwrap();
        prop_assert_eq!(bytes + noise + at_once.pending(), stream.len());
        let wanted = RtuFrame { unit, pdu: answer };
        prop_assert!(found.contains(&wanted) || straddled(&stream, before.len()));
    }

    /// A server finds the request behind noise, at the latest when the line goes silent.
    #[test]
    fn requests_are_found_behind_noise(
        before in noise(),
        request in request(),
        unit in prop::sample::select(vec![1_u8, 2, 3, 17]),
        sizes in sizes(),
    ) {
        let pdu = request.encode().unwrap();
        let stream = [&before[..], &encode_rtu_frame(unit, &pdu).unwrap()].concat();
        let mut framer = RtuRequestFramer::new();
        let mut found = Vec::new();
        for piece in pieces(&stream, &sizes) {
            framer.feed(piece, &mut found);
        }
        framer.idle(&mut found);
        let bytes: usize = found.iter().map(|frame| frame.pdu.len() + 3).sum();
        prop_assert_eq!(bytes + usize::try_from(framer.counters().noise_bytes).unwrap(), stream.len());
        let wanted = RtuFrame { unit, pdu };
        prop_assert!(found.contains(&wanted) || straddled(&stream, before.len()));
    }

    /// A frame with one wrong bit is never handed over, and is counted.
    #[test]
    fn a_wrong_bit_is_never_delivered((request, answer) in exchange(), unit: u8, bit: prop::sample::Index) {
        for (mut frame, client) in [
            (encode_rtu_frame(unit, &answer).unwrap(), true),
            (encode_rtu_frame(unit, &request).unwrap(), false),
        ] {
            let at = bit.index(frame.len() * 8);
            frame[at / 8] ^= 1 << (at % 8);
            let mut found = Vec::new();
            let noise = if client {
                let mut framer = RtuFramer::new(false);
                framer.expect(unit, &request);
                framer.feed(&frame, &mut found);
                framer.idle(&mut found);
                framer.counters().noise_bytes
            } else {
                let mut framer = RtuRequestFramer::new();
                framer.feed(&frame, &mut found);
                framer.idle(&mut found);
                framer.counters().noise_bytes
            };
            prop_assert!(found.iter().all(|found| found.pdu.len() + 3 < frame.len()), "{found:?}");
            let bytes: usize = found.iter().map(|frame| frame.pdu.len() + 3).sum();
            prop_assert_eq!(bytes + usize::try_from(noise).unwrap(), frame.len());
        }
    }

    /// Our own request that the line gives back is swallowed once, in any split, and the answer behind it is not.
    #[test]
    fn the_echo_is_swallowed_once((request, answer) in exchange(), unit: u8, sizes in sizes(), echoes: bool) {
        // Without the echo an answer that repeats the request cannot be told from it.
        let echoes = echoes || request == answer;
        let mut stream = if echoes { encode_rtu_frame(unit, &request).unwrap() } else { Vec::new() };
        stream.extend(encode_rtu_frame(unit, &answer).unwrap());
        let mut framer = RtuFramer::new(true);
        framer.expect(unit, &request);
        let mut found = Vec::new();
        for piece in pieces(&stream, &sizes) {
            framer.feed(piece, &mut found);
        }
        prop_assert_eq!(found, [RtuFrame { unit, pdu: answer }]);
        prop_assert_eq!(framer.counters().echoes, u64::from(echoes));
        prop_assert_eq!(framer.counters().noise_bytes, 0);
    }

    /// The table gives what shifting bit by bit gives.
    #[test]
    fn the_crc_is_that_of_the_standard(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut crc = 0xffff_u16;
        for byte in &bytes {
            crc ^= u16::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
            }
        }
        prop_assert_eq!(crc16(&bytes), crc);
    }

    /// Any bytes are an identification or a named error; an identification over several answers comes back whole.
    #[test]
    fn an_identification_survives_its_pieces(
        lengths in prop::collection::btree_map(any::<u8>(), 0_usize..=244, 1..40),
        code in 1_u8..=3,
        any_bytes in prop::collection::vec(any::<u8>(), 0..253),
    ) {
        let bytes: Vec<u8> = (0..=243).collect();
        let objects: Vec<(u8, &[u8])> = lengths.iter().map(|(id, length)| (*id, &bytes[..*length])).collect();
        let wanted: Vec<(u8, &[u8])> = objects
            .iter()
            .copied()
            .filter(|(id, _)| match code { 1 => *id <= 2, 2 => *id < 0x80, _ => true })
            .collect();
        let mut found = Vec::new();
        let mut next = 0;
        loop {
            let pdu = DeviceId::answer(code, next, 0x83, &objects).unwrap();
            prop_assert!(pdu.len() <= 253);
            let answer = DeviceId::decode(&pdu).unwrap();
            found.extend(answer.objects.iter().map(|(id, bytes)| (*id, bytes.to_vec())));
            if !answer.more_follows {
                break;
            }
            prop_assert!(found.last().unwrap().0 < answer.next);
            next = answer.next;
        }
        let wanted: Vec<(u8, Vec<u8>)> = wanted.into_iter().map(|(id, bytes)| (id, bytes.to_vec())).collect();
        prop_assert_eq!(found, wanted);
        let pdu = [&[43, 14][..], &any_bytes].concat();
        if let Err(error) = DeviceId::decode(&pdu) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

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

/// A device gives what its level of conformity has; an object that is not there begins the stream anew.
#[test]
fn a_stream_of_objects_holds_its_kind() {
    let objects: Vec<(u8, &[u8])> = [0, 1, 2, 6, 0x7f, 0x80, 0xff]
        .map(|id| (id, &b"x"[..]))
        .to_vec();
    let ids = |code, object, conformity| -> Vec<u8> {
        let pdu = DeviceId::answer(code, object, conformity, &objects).unwrap();
        let answer = DeviceId::decode(&pdu).unwrap();
        answer.objects.iter().map(|(id, _)| *id).collect()
    };
    assert_eq!(ids(1, 0, 0x83), [0, 1, 2]);
    assert_eq!(ids(2, 1, 0x83), [1, 2, 6, 0x7f]);
    assert_eq!(ids(3, 0x80, 0x83), [0x80, 0xff]);
    assert_eq!(ids(3, 0, 0x81), [0, 1, 2]);
    assert_eq!(ids(2, 0x90, 0x83), [0, 1, 2, 6, 0x7f]);
    assert_eq!(ids(4, 6, 0x83), [6]);
    let missing = DeviceId::answer(4, 7, 0x83, &objects).unwrap_err();
    assert_eq!(missing.exception_code(), Some(2));
    let large = DeviceId::answer(3, 0, 0x83, &[(0, &[0; 245])]).unwrap_err();
    assert_eq!(large.exception_code(), Some(4));
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
