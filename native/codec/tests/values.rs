//! Registers and values: what holds for all of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use bifrost_codec::modbus::{
    ByteOrder, DecodeError, EncodeError, Kind, Value, decode_value, encode_value,
};
use common::{bytes_of, kind, numeric_kind, order};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes are a value of any type, or a named error that only decimal digits know.
    #[test]
    fn any_bytes_are_a_value_or_a_named_error(
        kind in kind(),
        order in order(),
        bit: u8,
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        match decode_value(kind, order, bit, &bytes) {
            Ok(_) => prop_assert!(bytes.len() >= usize::from(kind.words()) * 2),
            Err(DecodeError::Digits { .. }) => prop_assert!(matches!(kind, Kind::Bcd16 | Kind::Bcd32)),
            Err(error) => {
                prop_assert!(bytes.len() < usize::from(kind.words()) * 2);
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    /// Registers to value to registers changes no bit that counts, in any order; a NaN keeps being one.
    #[test]
    fn registers_survive_a_round_trip(kind in numeric_kind(), order in order(), words in prop::collection::vec(any::<u16>(), 4)) {
        let words = &words[..usize::from(kind.words())];
        let bytes = bytes_of(words);
        let Ok(value) = decode_value(kind, order, 0, &bytes) else {
            prop_assert!(matches!(kind, Kind::Bcd16 | Kind::Bcd32));
            return Ok(());
        };
        let back = encode_value(kind, order, &value).unwrap();
        let back_bytes = bytes_of(&back);
        match (decode_value(kind, order, 0, &back_bytes).unwrap(), value) {
            (Value::Float(again), Value::Float(number)) if number.is_nan() => prop_assert!(again.is_nan()),
            (again, value) => {
                prop_assert_eq!(again, value);
                if !matches!(kind, Kind::Int8 | Kind::Uint8) {
                    prop_assert_eq!(back, words);
                }
            }
        }
    }

    /// An integer fits its type and comes back, or is refused; nothing is wrapped.
    #[test]
    fn integers_fit_or_are_refused(
        kind in numeric_kind(),
        order in order(),
        number in prop_oneof![any::<i64>(), -70_000_i64..100_000_100],
    ) {
        match encode_value(kind, order, &Value::Int(number)) {
            Ok(words) => match decode_value(kind, order, 0, &bytes_of(&words)).unwrap() {
                Value::Int(back) => prop_assert_eq!(back, number),
                Value::Uint(back) => prop_assert_eq!(i128::from(back), i128::from(number)),
                Value::Float(_) => prop_assert!(matches!(kind, Kind::Float16 | Kind::Float32 | Kind::Float64)),
                other => prop_assert!(false, "{:?}", other),
            },
            Err(error) => prop_assert!(matches!(error, EncodeError::OutOfRange { .. }), "expected a range error, got {error}"),
        }
    }

    /// Digits are read as they are printed, two in a byte.
    #[test]
    fn digits_are_read_as_they_are_printed(number in 0_u64..=99_999_999) {
        let printed = u32::from_str_radix(&number.to_string(), 16).unwrap();
        let words = encode_value(Kind::Bcd32, ByteOrder::Abcd, &Value::Uint(number)).unwrap();
        prop_assert_eq!(bytes_of(&words), printed.to_be_bytes());
        let short = encode_value(Kind::Bcd16, ByteOrder::Abcd, &Value::Uint(number));
        prop_assert_eq!(short.is_ok(), number <= 9999);
    }

    /// A number becomes the nearest of all 65536 half floats.
    #[test]
    fn half_floats_are_the_nearest(number in prop_oneof![any::<f64>(), -70_000.0..70_000.0, -1e-4..1e-4]) {
        let written = encode_value(Kind::Float16, ByteOrder::Abcd, &Value::Float(number));
        if number.is_nan() || number.is_infinite() {
            prop_assert!(written.is_ok());
        } else if number.abs() >= 65520.0 {
            prop_assert!(written.is_err());
        } else {
            let word = written.unwrap()[0];
            let distance = |word: u16| match decode_value(Kind::Float16, ByteOrder::Abcd, 0, &word.to_be_bytes()) {
                Ok(Value::Float(half)) => (half - number).abs(),
                other => panic!("{other:?}"),
            };
            for beside in [word.wrapping_sub(1), word.wrapping_add(1)] {
                let other = distance(beside);
                let tie = other == distance(word);
                prop_assert!(other.is_nan() || distance(word) < other || tie && word.is_multiple_of(2));
            }
        }
    }

    /// Text that fits comes back, up to its first NUL.
    #[test]
    fn text_survives_a_round_trip(order in order(), room in 1_u16..=250, text in "[^\0]{0,40}") {
        let kind = Kind::Text(room);
        match encode_value(kind, order, &Value::Text(text.clone().into())) {
            Ok(words) => {
                prop_assert_eq!(words.len(), usize::from(room).div_ceil(2));
                let written = bytes_of(&words);
                prop_assert_eq!(decode_value(kind, order, 0, &written), Ok(Value::Text(text.into())));
            }
            Err(error) => prop_assert_eq!(error, EncodeError::TooLong { room: room.into(), needed: text.len() }),
        }
    }

    /// Bytes come back as they are, and are neither cut nor filled up.
    #[test]
    fn bytes_survive_a_round_trip(order in order(), length in 1_u16..60, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let kind = Kind::Bytes(length);
        match encode_value(kind, order, &Value::Bytes(bytes.clone().into())) {
            Ok(words) => {
                prop_assert_eq!(words.len(), usize::from(length).div_ceil(2));
                let written = bytes_of(&words);
                prop_assert_eq!(decode_value(kind, order, 0, &written), Ok(Value::Bytes(bytes.into())));
            }
            Err(error) => prop_assert_eq!(error, EncodeError::Size { expected: length.into(), found: bytes.len() }),
        }
    }
}

/// Every half float there is survives being read and written.
#[test]
fn every_half_float_survives_a_round_trip() {
    for word in 0..=u16::MAX {
        let bytes = word.to_be_bytes();
        let value = decode_value(Kind::Float16, ByteOrder::Abcd, 0, &bytes).unwrap();
        let back = encode_value(Kind::Float16, ByteOrder::Abcd, &value).unwrap();
        match value {
            Value::Float(number) if number.is_nan() => assert_eq!(back[0] & 0x7e00, 0x7e00),
            _ => assert_eq!(back, [word]),
        }
    }
}

/// Small integers sit in the low byte, whatever the high byte holds; with swapped bytes that is the other one.
#[test]
fn small_integers_are_the_low_byte() {
    let read = |kind, order| decode_value(kind, order, 0, &[0x12, 0xfe]).unwrap();
    assert_eq!(read(Kind::Int8, ByteOrder::Abcd), Value::Int(-2));
    assert_eq!(read(Kind::Uint8, ByteOrder::Cdab), Value::Uint(0xfe));
    assert_eq!(read(Kind::Uint8, ByteOrder::Badc), Value::Uint(0x12));
    let written = |kind, number| encode_value(kind, ByteOrder::Abcd, &Value::Int(number)).unwrap();
    assert_eq!(written(Kind::Int8, -2), [0xfffe]);
    assert_eq!(written(Kind::Uint8, 254), [0x00fe]);
}

/// What is no decimal digit is named with the bits that came.
#[test]
fn wrong_digits_are_named() {
    let error = decode_value(Kind::Bcd16, ByteOrder::Badc, 0, &[0x3a, 0x12]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected decimal digits for BCD16, got 0x123a"
    );
    let error = decode_value(Kind::Bcd32, ByteOrder::Cdab, 0, &[0, 0, 0xf0, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected decimal digits for BCD32, got 0xf0000000"
    );
}

/// Text needs no NUL at its end, and what is not UTF-8 is Latin-1.
#[test]
fn odd_texts_are_read() {
    let read = |room, bytes| decode_value(Kind::Text(room), ByteOrder::Abcd, 0, bytes).unwrap();
    assert_eq!(read(4, b"ABCD"), Value::Text("ABCD".into()));
    assert_eq!(read(3, b"ABCD"), Value::Text("ABC".into()));
    assert_eq!(read(4, b"A\0CD"), Value::Text("A".into()));
    assert_eq!(read(4, b"20\xb0C"), Value::Text("20\u{b0}C".into()));
    assert_eq!(
        read(4, "\u{20ac}1".as_bytes()),
        Value::Text("\u{20ac}1".into())
    );
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
            Ok(Value::Uint(0x0a0b_0c0d))
        );
        assert_eq!(
            decode_value(Kind::Uint64, order, 0, &double),
            Ok(Value::Uint(0x0102_0304_0506_0708))
        );
    }
}

/// What lies between two half floats goes to the even one, and what is nearer to infinity is refused.
#[test]
fn half_floats_round_to_even() {
    let written = |number| encode_value(Kind::Float16, ByteOrder::Abcd, &Value::Float(number));
    assert_eq!(written(2049.0).unwrap(), written(2048.0).unwrap());
    assert_eq!(written(2051.0).unwrap(), written(2052.0).unwrap());
    assert_eq!(written(2_f64.powi(-25)).unwrap(), [0]);
    assert_eq!(written(1.5 * 2_f64.powi(-24)).unwrap(), [2]);
    assert_eq!(written(65519.9).unwrap(), [0x7bff]);
    assert!(written(65520.0).is_err());
    assert!(written(-65535.0).is_err());
    assert_eq!(written(-0.0).unwrap(), [0x8000]);
}
