//! Read plans: what holds for all sets of fields.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use bifrost_codec::modbus::{
    AnswerError, Area, Field, Kind, Limits, Outcome, Plan, PlanError, Range, decode_value,
    encode_registers,
};
use common::{bytes_of, kind, order};
use proptest::prelude::*;

fn register_field() -> impl Strategy<Value = Field> {
    (
        0_u8..3,
        prop::bool::ANY,
        0_u16..400,
        kind(),
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
        })
}

/// What a device answers to this request: `memory` everywhere.
fn answer(block: &bifrost_codec::modbus::Block) -> Vec<u8> {
    let words: Vec<u16> = (0..block.quantity())
        .map(|at| memory(block.unit(), block.area(), block.address() + at))
        .collect();
    encode_registers(block.area().function(), &words).unwrap()
}

fn memory(unit: u8, area: Area, address: u16) -> u16 {
    address.wrapping_mul(40_503) ^ u16::from(unit) << 8 ^ u16::from(area.function())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A plan reads every value exactly once, within every limit, whole unless it is wider than one request, and hands
    /// over what the device holds.
    #[test]
    fn a_plan_reads_every_value_once(
        fields in prop::collection::vec(register_field(), 0..40),
        max_gap_registers in 0_u16..20,
        max_registers in 1_u16..=125,
    ) {
        let limits = Limits { max_gap_registers, max_registers, ..Limits::default() };
        let plan = Plan::new(fields.clone(), limits, &[], &[]).unwrap();
        let mut values: Vec<Option<String>> = vec![None; plan.total()];
        let mut parts: Vec<Vec<u8>> = vec![Vec::new(); plan.total()];
        for block in plan.blocks() {
            prop_assert!(block.quantity() <= max_registers);
            block.decode(&answer(block), |slot, outcome| {
                let whole = match outcome {
                    Outcome::Part(part, bytes) => {
                        // Blocks are in address order, and so are the parts of a value.
                        parts[slot].extend_from_slice(bytes);
                        if part.number + 1 < part.of {
                            return Ok(());
                        }
                        format!("{:?}", block.whole(&parts[slot]).unwrap())
                    }
                    outcome => format!("{outcome:?}"),
                };
                assert!(values[slot].replace(whole).is_none(), "slot {slot} came twice");
                Ok::<(), AnswerError>(())
            }).unwrap();
        }
        for (field, slot) in fields.iter().zip(plan.slots()) {
            for index in 0..field.count {
                let first = field.address + index * field.kind.words();
                let words: Vec<u16> = (0..field.kind.words()).map(|at| memory(field.unit, field.area, first + at)).collect();
                let bytes = bytes_of(&words);
                let expected = match decode_value(field.kind, field.order, 0, &bytes) {
                    Ok(value) => Outcome::Value(value),
                    Err(error) => Outcome::Bad(error),
                };
                let slot = slot + usize::from(index);
                // NaN is unlike itself: compare by text.
                prop_assert_eq!(values[slot].clone(), Some(format!("{expected:?}")));
                prop_assert_eq!(plan.torn().contains(&slot), field.kind.words() > max_registers);
            }
        }
    }

    /// With no gap allowed nothing is read that nobody asked for, and neighbours still share a request.
    #[test]
    fn without_gaps_nothing_is_read_in_vain(fields in prop::collection::vec(register_field(), 1..30)) {
        let limits = Limits { max_gap_registers: 0, ..Limits::default() };
        let plan = Plan::new(fields.clone(), limits, &[], &[]).unwrap();
        let blocks: Vec<Range> = plan.blocks().iter().map(|block| block.range()).collect();
        for read in &blocks {
            for address in read.start..read.stop {
                let wanted = fields.iter().any(|field| {
                    let start = u32::from(field.address);
                    (field.unit, field.area) == (read.unit, read.area)
                        && (start..start + u32::from(field.kind.words() * field.count)).contains(&address)
                });
                prop_assert!(wanted, "address {} is read in vain", address);
            }
        }
        for pair in blocks.windows(2) {
            let touching = (pair[0].unit, pair[0].area) == (pair[1].unit, pair[1].area) && pair[1].start <= pair[0].stop;
            prop_assert!(!touching || pair[1].stop.max(pair[0].stop) - pair[0].start > 125);
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

/// Bits are merged across 64 and cut at 2000.
#[test]
fn bits_have_their_own_limits() {
    let coils = |address, count| Field {
        unit: 1,
        area: Area::Coil,
        address,
        kind: Kind::Bool,
        order: Default::default(),
        count,
        bit: None,
    };
    let ranges = |fields: Vec<Field>, limits| -> Vec<(u32, u32)> {
        let plan = Plan::new(fields, limits, &[], &[]).unwrap();
        plan.blocks()
            .iter()
            .map(|block| (block.range().start, block.range().stop))
            .collect()
    };
    let limits = Limits::default();
    assert_eq!(ranges(vec![coils(0, 1), coils(65, 1)], limits), [(0, 66)]);
    assert_eq!(
        ranges(vec![coils(0, 1), coils(66, 1)], limits),
        [(0, 1), (66, 67)]
    );
    assert_eq!(
        ranges(vec![coils(0, 4001)], limits),
        [(0, 2000), (2000, 4000), (4000, 4001)]
    );
    let generous = Limits {
        max_bits: u16::MAX,
        ..limits
    };
    assert_eq!(ranges(vec![coils(0, 2001)], generous).len(), 2);
}

/// A text of 300 registers takes three requests, shares them with nobody, and is refused as a whole.
#[test]
fn a_value_wider_than_a_request_is_torn() {
    let field = |address, kind| Field {
        unit: 1,
        area: Area::HoldingRegister,
        address,
        kind,
        order: Default::default(),
        count: 1,
        bit: None,
    };
    let fields = vec![
        field(0, Kind::Uint16),
        field(1, Kind::Text(600)),
        field(301, Kind::Uint16),
    ];
    let plan = Plan::new(fields.clone(), Limits::default(), &[], &[]).unwrap();
    let asked = |plan: &Plan| -> Vec<(u16, u16)> {
        plan.blocks()
            .iter()
            .map(|block| (block.address(), block.quantity()))
            .collect()
    };
    assert_eq!(
        asked(&plan),
        [(0, 1), (1, 125), (126, 125), (251, 50), (301, 1)]
    );
    assert_eq!(plan.torn(), [1]);
    let hole = plan.blocks()[2].range();
    assert_eq!((hole.start, hole.stop), (1, 301));
    let plan = Plan::new(fields, Limits::default(), &[hole], &[]).unwrap();
    assert_eq!(asked(&plan), [(0, 1), (301, 1)]);
    assert_eq!(plan.refused(), [1]);
    let nothing = Limits {
        max_registers: 0,
        ..Limits::default()
    };
    let refused = Plan::new(vec![field(0, Kind::Uint16)], nothing, &[], &[]);
    assert_eq!(refused.unwrap_err(), PlanError::TooWide { field: 0 });
}
