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
}
