//! What the properties are about.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses what it needs of this"
)]

use bifrost_codec::modbus::{Area, ByteOrder, Kind};
use proptest::prelude::*;

pub fn area() -> impl Strategy<Value = Area> {
    prop::sample::select(vec![
        Area::Coil,
        Area::DiscreteInput,
        Area::HoldingRegister,
        Area::InputRegister,
    ])
}

pub fn order() -> impl Strategy<Value = ByteOrder> {
    prop::sample::select(vec![
        ByteOrder::Abcd,
        ByteOrder::Cdab,
        ByteOrder::Badc,
        ByteOrder::Dcba,
    ])
}

/// Every type of a number, and of decimal digits.
pub fn numeric_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![
        Kind::Int8,
        Kind::Uint8,
        Kind::Int16,
        Kind::Uint16,
        Kind::Int32,
        Kind::Uint32,
        Kind::Int64,
        Kind::Uint64,
        Kind::Float16,
        Kind::Float32,
        Kind::Float64,
        Kind::Bcd16,
        Kind::Bcd32,
    ])
}

/// Every type.
pub fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => numeric_kind(),
        1 => (1_u16..40).prop_map(Kind::Text),
        1 => (1_u16..40).prop_map(Kind::Bytes),
    ]
}

/// Words as they stand on the wire.
pub fn bytes_of(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
