//! What holds for all bytes and all values.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::{
    Answer, AnswerError, Area, ByteOrder, EncodeError, Field, Frame, FrameError, Framer, Kind,
    Limits, Plan, Range, Request, Value, decode_value, encode_frame, encode_registers,
    encode_value,
};
use proptest::prelude::*;

fn area() -> impl Strategy<Value = Area> {
    prop::sample::select(vec![
        Area::Coil,
        Area::DiscreteInput,
        Area::HoldingRegister,
        Area::InputRegister,
    ])
}

fn order() -> impl Strategy<Value = ByteOrder> {
    prop::sample::select(vec![
        ByteOrder::Abcd,
        ByteOrder::Cdab,
        ByteOrder::Badc,
        ByteOrder::Dcba,
    ])
}

fn numeric_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Int16,
        Kind::Uint16,
        Kind::Int32,
        Kind::Uint32,
        Kind::Int64,
        Kind::Uint64,
        Kind::Float32,
        Kind::Float64,
    ])
}

fn frame() -> impl Strategy<Value = Frame> {
    (
        any::<u16>(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 1..=253),
    )
        .prop_map(|(transaction, unit, pdu)| Frame {
            transaction,
            unit,
            pdu,
        })
}

fn register_field() -> impl Strategy<Value = Field> {
    (
        0_u8..3,
        prop::bool::ANY,
        0_u16..400,
        numeric_kind(),
        order(),
        1_u16..5,
    )
        .prop_map(|(unit, holding, address, kind, order, count)| Field {
            unit,
            area: if holding {
                Area::HoldingRegister
            } else {
                Area::InputRegister
            },
            address,
            kind,
            order,
            count,
            bit: None,
            scale: None,
        })
}

fn bytes_of(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a stream is split, the same frames come out.
    #[test]
    fn any_split_gives_the_same_frames(
        frames in prop::collection::vec(frame(), 0..5),
        sizes in prop::collection::vec(1_usize..40, 1..30),
    ) {
        let stream: Vec<u8> =
            frames.iter().flat_map(|f| encode_frame(f.transaction, f.unit, &f.pdu).unwrap()).collect();
        let mut framer = Framer::new();
        let mut out = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            framer.feed(head, &mut out).unwrap();
            rest = tail;
            prop_assert!(framer.pending() < 260);
        }
        prop_assert_eq!(out, frames);
        prop_assert_eq!(framer.pending(), 0);
    }

    /// Any bytes give frames, or one named error that stays.
    #[test]
    fn any_bytes_give_frames_or_a_lasting_error(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5)) {
        let mut framer = Framer::new();
        let mut out = Vec::new();
        let mut failed = None;
        for chunk in &chunks {
            let outcome = framer.feed(chunk, &mut out);
            if let Some(error) = failed {
                prop_assert_eq!(outcome, Err(error));
            }
            if let Err(error) = outcome {
                failed = Some(error);
            }
        }
        prop_assert_eq!(framer.failure(), failed);
        prop_assert!(out.iter().all(|frame| (1..=253).contains(&frame.pdu.len())));
    }

    /// Any bytes are a request or a named error, and what is a request is written back as it came.
    #[test]
    fn any_bytes_are_a_request_or_a_named_error(pdu in prop::collection::vec(any::<u8>(), 0..260)) {
        match Request::decode(&pdu) {
            Ok(request) => prop_assert_eq!(request.encode().unwrap(), pdu),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// The same with a known function and a length that often fits.
    #[test]
    fn nearly_right_requests_are_read_or_refused(
        function in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 15, 16]),
        tail in prop::collection::vec(any::<u8>(), 4..14),
    ) {
        let pdu: Vec<u8> = std::iter::once(function).chain(tail).collect();
        if let Ok(request) = Request::decode(&pdu) {
            prop_assert_eq!(request.encode().unwrap(), pdu);
        }
    }

    /// Any bytes as an answer to any read give exactly the bytes asked for, or a named error.
    #[test]
    fn any_bytes_are_an_answer_or_a_named_error(
        area in area(),
        quantity in 1_u16..=125,
        pdu in prop::collection::vec(any::<u8>(), 0..260),
        function_fits in prop::bool::ANY,
    ) {
        let request = Request::Read { area, address: 0, quantity }.encode().unwrap();
        let mut pdu = pdu;
        if let (true, Some(first)) = (function_fits, pdu.first_mut()) {
            *first = area.function();
        }
        match Answer::decode(&request, &pdu) {
            Ok(Answer::Payload(payload)) => {
                let expected = if area.is_bits() { usize::from(quantity).div_ceil(8) } else { usize::from(quantity) * 2 };
                prop_assert_eq!(payload.len(), expected);
            }
            Ok(Answer::Done) => prop_assert!(false, "a read has values"),
            Err(AnswerError::Exception { function, .. }) => prop_assert_eq!(function, area.function()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// Registers to value to registers changes no bit, in any order; a NaN keeps being one.
    #[test]
    fn registers_survive_a_round_trip(kind in numeric_kind(), order in order(), words in prop::collection::vec(any::<u16>(), 4)) {
        let words = &words[..usize::from(kind.words())];
        let value = decode_value(kind, order, 0, &bytes_of(words)).unwrap();
        let back = encode_value(kind, order, &value).unwrap();
        match value {
            Value::Float(number) if number.is_nan() => {
                let again = decode_value(kind, order, 0, &bytes_of(&back)).unwrap();
                prop_assert!(matches!(again, Value::Float(number) if number.is_nan()));
            }
            _ => prop_assert_eq!(back, words),
        }
    }

    /// An integer fits its type and comes back, or is refused; nothing is wrapped.
    #[test]
    fn integers_fit_or_are_refused(kind in numeric_kind(), order in order(), number in any::<i64>()) {
        match encode_value(kind, order, &Value::Int(number)) {
            Ok(words) => match decode_value(kind, order, 0, &bytes_of(&words)).unwrap() {
                Value::Int(back) => prop_assert_eq!(back, number),
                Value::Uint(back) => prop_assert_eq!(i128::from(back), i128::from(number)),
                Value::Float(_) => prop_assert!(matches!(kind, Kind::Float32 | Kind::Float64)),
                other => prop_assert!(false, "{:?}", other),
            },
            Err(error) => prop_assert!(matches!(error, EncodeError::OutOfRange { .. }), "expected a range error, got {error}"),
        }
    }

    /// Text that fits comes back, up to its first NUL.
    #[test]
    fn text_survives_a_round_trip(order in order(), room in 1_u16..=250, text in "[^\0]{0,40}") {
        let kind = Kind::Text(room);
        match encode_value(kind, order, &Value::Text(text.clone())) {
            Ok(words) => {
                prop_assert_eq!(words.len(), usize::from(room).div_ceil(2));
                prop_assert_eq!(decode_value(kind, order, 0, &bytes_of(&words)), Some(Value::Text(text)));
            }
            Err(error) => prop_assert_eq!(error, EncodeError::TooLong { room: room.into(), needed: text.len() }),
        }
    }

    /// A plan reads every value exactly once, whole, within every limit, and hands over what the device holds.
    #[test]
    fn a_plan_reads_every_value_once_and_whole(
        fields in prop::collection::vec(register_field(), 0..40),
        max_gap_registers in 0_u16..20,
        max_registers in 4_u16..=125,
    ) {
        let limits = Limits { max_gap_registers, max_registers, ..Limits::default() };
        let plan = Plan::new(fields.clone(), limits, &[], &[]).unwrap();
        let mut values = vec![None; plan.total()];
        for block in plan.blocks() {
            prop_assert!(block.quantity() <= max_registers);
            let words: Vec<u16> = (0..block.quantity()).map(|at| memory(block.unit(), block.area(), block.address() + at)).collect();
            let pdu = encode_registers(block.area().function(), &words).unwrap();
            block.decode(&pdu, |slot, value| {
                assert!(values[slot].replace(value).is_none(), "slot {slot} came twice");
                Ok::<(), AnswerError>(())
            }).unwrap();
        }
        for (field, slot) in fields.iter().zip(plan.slots()) {
            for index in 0..field.count {
                let first = field.address + index * field.kind.words();
                let words: Vec<u16> = (0..field.kind.words()).map(|at| memory(field.unit, field.area, first + at)).collect();
                let expected = decode_value(field.kind, field.order, 0, &bytes_of(&words));
                let found = values[slot + usize::from(index)].clone();
                // NaN is unlike itself: compare by its words.
                prop_assert_eq!(format!("{found:?}"), format!("{expected:?}"));
            }
        }
    }

    /// No request reads across a barrier, and what was refused is not asked for.
    #[test]
    fn a_plan_keeps_clear_of_what_was_refused(
        fields in prop::collection::vec(register_field(), 1..30),
        hole in 0_usize..30,
        start in 0_u32..400,
        width in 1_u32..6,
    ) {
        let hole = fields[hole % fields.len()];
        let stop = u32::from(hole.address) + u32::from(hole.kind.words() * hole.count);
        let refused = Range { unit: hole.unit, area: hole.area, start: hole.address.into(), stop };
        let barrier = Range { unit: 1, area: Area::HoldingRegister, start, stop: start + width };
        let plan = Plan::new(fields.clone(), Limits::default(), &[refused], &[barrier]).unwrap();
        let touched = fields.iter().any(|field| {
            let from = u32::from(field.address);
            (field.unit, field.area) == (1, Area::HoldingRegister)
                && from < start + width
                && start < from + u32::from(field.kind.words() * field.count)
        });
        let crossed = plan.blocks().iter().map(|block| block.range()).any(|read| {
            (read.unit, read.area) == (1, Area::HoldingRegister) && read.start < start && start + width < read.stop
        });
        prop_assert!(touched || !crossed);
        prop_assert!(!plan.refused().is_empty());
        let mut asked: Vec<usize> = plan.blocks().iter().flat_map(|block| block.slots().collect::<Vec<_>>()).collect();
        asked.extend(plan.refused());
        asked.sort_unstable();
        prop_assert_eq!(asked, (0..plan.total()).collect::<Vec<_>>());
    }

    /// Halving a block loses no value, and ends.
    #[test]
    fn halves_make_the_whole(fields in prop::collection::vec(register_field(), 1..30)) {
        let plan = Plan::new(fields, Limits::default(), &[], &[]).unwrap();
        for block in plan.blocks() {
            let mut open = vec![block.clone()];
            let mut slots = Vec::new();
            while let Some(part) = open.pop() {
                match part.halves() {
                    Some((low, high)) => open.extend([low, high]),
                    None => slots.extend(part.slots()),
                }
            }
            let mut expected: Vec<usize> = block.slots().collect();
            slots.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(slots, expected);
        }
    }
}

fn memory(unit: u8, area: Area, address: u16) -> u16 {
    address.wrapping_mul(40_503) ^ u16::from(unit) << 8 ^ u16::from(area.function())
}

/// A length or protocol id that cannot be is an error at once, without waiting for the rest of the frame.
#[test]
fn bad_headers_are_noticed_as_soon_as_they_are_complete() {
    let feed = |bytes: &[u8]| Framer::new().feed(bytes, &mut Vec::new());
    assert_eq!(feed(&[0, 1, 0, 1]), Err(FrameError::ProtocolId(1)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 0]), Err(FrameError::Length(0)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 1]), Err(FrameError::Length(1)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 255]), Err(FrameError::Length(255)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 254]), Ok(()));
}

/// Each order places the four bytes as its letters say, and eight bytes by the same pattern.
#[test]
fn byte_orders_mean_what_their_letters_say() {
    for (order, wide, double) in [
        (
            ByteOrder::Abcd,
            [0x0a, 0x0b, 0x0c, 0x0d],
            [1, 2, 3, 4, 5, 6, 7, 8],
        ),
        (
            ByteOrder::Cdab,
            [0x0c, 0x0d, 0x0a, 0x0b],
            [7, 8, 5, 6, 3, 4, 1, 2],
        ),
        (
            ByteOrder::Badc,
            [0x0b, 0x0a, 0x0d, 0x0c],
            [2, 1, 4, 3, 6, 5, 8, 7],
        ),
        (
            ByteOrder::Dcba,
            [0x0d, 0x0c, 0x0b, 0x0a],
            [8, 7, 6, 5, 4, 3, 2, 1],
        ),
    ] {
        assert_eq!(
            decode_value(Kind::Uint32, order, 0, &wide),
            Some(Value::Uint(0x0a0b_0c0d))
        );
        assert_eq!(
            decode_value(Kind::Uint64, order, 0, &double),
            Some(Value::Uint(0x0102_0304_0506_0708))
        );
    }
}
