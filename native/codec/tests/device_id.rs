//! Device identification: what holds for all objects.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::DeviceId;
use proptest::prelude::*;

proptest! {
#![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

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
}}

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
