//! Any registers as any type in any order: a value that is written back as it was read, or a named error.
#![no_main]

use bifrost_codec::modbus::{ByteOrder, Kind, Value, decode_value, encode_value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, order, bit, length], bytes)) = data.split_first_chunk() else {
        return;
    };
    let names = [
        "BOOL", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64",
        "FLOAT16", "FLOAT32", "FLOAT64", "BCD16", "BCD32", "STRING", "BYTES",
    ];
    let orders = ["ABCD", "CDAB", "BADC", "DCBA"];
    let kind = Kind::named(names[usize::from(kind) % names.len()], length.into()).expect("a type");
    let order = ByteOrder::named(orders[usize::from(order) % orders.len()]).expect("an order");
    match decode_value(kind, order, bit, bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(Value::Bool(_)) => {}
        Ok(value) => {
            // Latin-1 takes more room in UTF-8: such a text can be refused.
            let Ok(words) = encode_value(kind, order, &value) else {
                assert!(matches!(value, Value::Text(_)));
                return;
            };
            assert_eq!(words.len(), usize::from(kind.words()));
            let back: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            let again =
                decode_value(kind, order, bit, &back).expect("what was written can be read");
            assert_eq!(format!("{again:?}"), format!("{value:?}"));
        }
    }
});
