//! The encoding: lossless for every batch, an error for every other bytes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use bifrost_series::{Columns, ColumnsBuilder, SeriesError, Value, decode, encode};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        (-100_000_i32..100_000).prop_map(|tenths| Value::F64(f64::from(tenths) / 10.0)),
        Just(Value::F64(-0.0)),
        ".{0,12}".prop_map(Value::Utf8),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        1_700_000_000_000_000_000_i64..1_700_000_000_001_000_000
    ]
}

fn received() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(time().prop_filter("the sentinel", |time| *time != i64::MIN))
}

prop_compose! {
    fn columns()(
        rows in proptest::collection::vec((0..6_usize, time(), value(), any::<u32>(), received()), 0..80),
        origin in ".{0,8}",
        sequence in any::<u64>(),
    ) -> Columns {
        let mut builder = ColumnsBuilder::with_capacity(rows.len());
        for (tag, time, value, status, received) in &rows {
            builder.push(&format!("device/tag{tag}"), *time, value.borrow(), *status, *received).unwrap();
        }
        builder.finish(&origin, sequence)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_decoded_is_what_was_encoded_bit_for_bit(columns in columns()) {
        let encoded = encode(&columns).unwrap();
        let decoded = decode(&encoded).unwrap();
        prop_assert!(decoded.is_identical(&columns));
        prop_assert_eq!(decoded.nbytes(), columns.nbytes());
    }

    #[test]
    fn any_bytes_give_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_never_goes_unnoticed(columns in columns(), place in any::<usize>(), change in 1..=255_u8) {
        let mut encoded = encode(&columns).unwrap();
        let place = place % encoded.len();
        encoded[place] ^= change;
        prop_assert!(decode(&encoded).is_err());
    }

    #[test]
    fn a_hostile_body_under_a_right_checksum_gives_an_error_or_a_batch_and_no_panic(
        columns in columns(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6),
    ) {
        // Stored, not compressed, so that the changes reach the column codecs.
        let mut encoded = stored(&encode(&columns).unwrap());
        for (place, byte) in changes {
            let place = 8 + place % (encoded.len() - 8);
            encoded[place] = byte;
        }
        seal(&mut encoded);
        if let Ok(decoded) = decode(&encoded) {
            prop_assert_eq!(decoded.rows().count(), decoded.len());
        }
    }

    #[test]
    fn slices_put_together_again_are_the_batch(columns in columns(), cut in 0..90_usize) {
        let parts = [columns.slice(0, cut).unwrap(), columns.slice(cut, usize::MAX).unwrap()];
        let whole = Columns::concat(&[&parts[0], &parts[1]]).unwrap();
        let rows: Vec<String> = whole.rows().map(|row| format!("{:?}", (row.tag, row.source_ts, row.value, row.status, row.received_ts))).collect();
        let expected: Vec<String> = columns.rows().map(|row| format!("{:?}", (row.tag, row.source_ts, row.value, row.status, row.received_ts))).collect();
        prop_assert_eq!(rows, expected);
    }
}

fn seal(encoded: &mut [u8]) {
    let checksum = crc32c::crc32c(&encoded[8..]);
    encoded[4..8].copy_from_slice(&checksum.to_le_bytes());
}

fn stored(encoded: &[u8]) -> Vec<u8> {
    let body_bytes = u32::from_le_bytes(encoded[9..13].try_into().unwrap()) as usize;
    let packed_bytes = u32::from_le_bytes(encoded[13..17].try_into().unwrap()) as usize;
    let payload = &encoded[17..17 + packed_bytes];
    let body = if encoded[8] == 1 {
        zstd::bulk::decompress(payload, body_bytes).unwrap()
    } else {
        payload.to_vec()
    };
    let mut out = encoded[..8].to_vec();
    out.push(0);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&body);
    seal(&mut out);
    out
}

#[test]
fn a_few_bytes_cannot_ask_for_millions_of_rows() {
    let mut bomb = b"BFC\x01\0\0\0\0\0".to_vec();
    let body = [0x80, 0x80, 0x80, 0x04, 0, 0, 0]; // 8,388,608 rows
    bomb.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bomb.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bomb.extend_from_slice(&body);
    seal(&mut bomb);
    assert_eq!(decode(&bomb), Err(SeriesError::Invalid("row count")));
}

#[test]
fn a_few_bytes_cannot_unpack_into_a_flood() {
    let packed = zstd::bulk::compress(&vec![0_u8; 1 << 24], 3).unwrap();
    let mut bomb = b"BFC\x01\0\0\0\0\x01".to_vec();
    bomb.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    bomb.extend_from_slice(&(packed.len() as u32).to_le_bytes());
    bomb.extend_from_slice(&packed);
    seal(&mut bomb);
    assert_eq!(decode(&bomb), Err(SeriesError::Invalid("body length")));
}

#[test]
fn a_monotonous_batch_is_small_and_still_restorable() {
    let mut builder = ColumnsBuilder::with_capacity(200_000);
    for row in 0..200_000_i64 {
        builder
            .push(
                "device/tag",
                row * 1_000_000,
                Value::F64(20.5).borrow(),
                0,
                None,
            )
            .unwrap();
    }
    let columns = builder.finish("device", 1);
    let encoded = encode(&columns).unwrap();
    assert!(encoded.len() < 1_000, "{} bytes", encoded.len());
    assert!(decode(&encoded).unwrap().is_identical(&columns));
}

#[test]
fn every_cut_of_an_encoding_is_refused() {
    let mut builder = ColumnsBuilder::with_capacity(3);
    for row in 0..3 {
        builder
            .push("a", row, Value::I64(row).borrow(), 0, Some(row))
            .unwrap();
    }
    let encoded = encode(&builder.finish("o", 1)).unwrap();
    for cut in 0..encoded.len() {
        assert!(decode(&encoded[..cut]).is_err(), "cut at {cut}");
    }
    let mut newer = encoded.clone();
    newer[3] = 2;
    assert_eq!(decode(&newer), Err(SeriesError::UnsupportedVersion(2)));
}
