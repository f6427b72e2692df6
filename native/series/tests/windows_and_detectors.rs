//! Windows and detectors: bounded, never panicking, and right in the small.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bifrost_series::{
    Aggregate, ColumnsBuilder, Detector, DetectorOptions, Method, TumblingWindows, Value,
    WindowOptions,
};
use proptest::prelude::*;

fn windows(aggregates: &[Aggregate]) -> TumblingWindows {
    TumblingWindows::new(WindowOptions {
        size_ns: 10,
        offset_ns: 0,
        max_out_of_order_ns: 2,
        max_future_ns: 100,
        idle_ns: 50,
        aggregates: aggregates.to_vec(),
    })
    .unwrap()
}

fn rows(cells: &[(i64, Value, u32)]) -> bifrost_series::Columns {
    let mut builder = ColumnsBuilder::with_capacity(cells.len());
    for (time, value, status) in cells {
        builder
            .push("t", *time, value.borrow(), *status, None)
            .unwrap();
    }
    builder.finish("", 0)
}

#[test]
fn a_window_is_emitted_when_the_watermark_reaches_its_end_and_not_before() {
    let mut windows = windows(&[Aggregate::Sum]);
    let before = windows.push(
        &rows(&[
            (0, Value::I64(1), 0),
            (9, Value::I64(2), 0),
            (11, Value::I64(4), 0),
        ]),
        0,
        0,
    );
    assert!(before.unwrap().is_empty());
    let closed = windows
        .push(
            &rows(&[(12, Value::I64(8), 0), (5, Value::I64(9), 0)]),
            0,
            0,
        )
        .unwrap();
    let row = closed.row(0).unwrap();
    assert_eq!(
        (row.tag, row.source_ts, row.value.to_owned(), row.status),
        ("t.sum", 0, Value::I64(3), 0)
    );
    assert_eq!(windows.statistics().late, 1);
}

#[test]
fn a_row_from_the_future_closes_nothing_and_open_windows_stay_bounded() {
    let mut windows = windows(&[Aggregate::Count]);
    let far: Vec<_> = (0..1_000)
        .map(|step| (1_000 + step * 10, Value::I64(1), 0))
        .collect();
    windows.push(&rows(&[(0, Value::I64(1), 0)]), 0, 0).unwrap();
    // The wall clock says 0 and 100 are allowed: not even the window at 0 is closed by them.
    assert_eq!(windows.push(&rows(&far), 0, 0).unwrap().len(), 0);
    let statistics = windows.statistics();
    assert_eq!(
        (statistics.future, statistics.open, statistics.overflowed),
        (1_000, 128, 873)
    );
}

#[test]
fn rows_of_a_wrong_clock_cost_no_honest_row_its_window() {
    let mut windows = windows(&[Aggregate::Count]);
    let mut honest = 0;
    for now in 0..1_000_i64 {
        let wrong = (1_000_000 + now * 10, Value::I64(0), 0);
        let right = (now, Value::I64(1), 0);
        for row in windows.push(&rows(&[wrong, right]), now, 0).unwrap().rows() {
            if let (true, Value::I64(count)) = (row.source_ts < 1_000_000, row.value.to_owned()) {
                honest += count;
            }
        }
    }
    let statistics = windows.statistics();
    // All but the last windows, which are open still.
    assert_eq!((statistics.late, honest), (0, 990));
    assert_eq!(statistics.overflowed, 1_000 - (statistics.open - 1));
}

#[test]
fn a_tag_that_is_steadily_ahead_of_our_own_clock_is_believed_after_a_while() {
    let mut windows = windows(&[Aggregate::Count]);
    let mut closed = Vec::new();
    for step in 0..1_000_i64 {
        // Ours stands at 1970, as that of a machine without a battery does; the device's is right.
        let row = rows(&[(1_000_000 + step, Value::I64(1), 0)]);
        for row in windows.push(&row, step, step).unwrap().rows() {
            closed.push((row.source_ts, row.value.to_owned()));
        }
    }
    let whole: Vec<_> = (0..99)
        .map(|window| (1_000_000 + window * 10, Value::I64(10)))
        .collect();
    assert_eq!(closed, whole);
    assert_eq!(windows.statistics().future, 1_000);
}

#[test]
fn now_and_then_a_wrong_row_is_never_believed_however_slow_the_tag() {
    let mut windows = windows(&[Aggregate::Count]);
    for step in 1..200_i64 {
        let now = step * 1_000;
        let time = if step % 20 < 5 { now + FAR } else { now };
        windows
            .push(&rows(&[(time, Value::I64(1), 0)]), now, now)
            .unwrap();
    }
    assert_eq!(windows.statistics().late, 0);
}

fn judged(method: Method, cooldown_ns: i64, cells: &[(i64, f64)]) -> Vec<bool> {
    let mut detector = Detector::new(DetectorOptions {
        method,
        on: None,
        min_samples: 0,
        learn_on_anomaly: false,
        relearn_after: 0,
        consecutive: 1,
        cooldown_ns,
    })
    .unwrap();
    let cells: Vec<_> = cells
        .iter()
        .map(|(time, value)| (*time, Value::F64(*value), 0))
        .collect();
    detector
        .push(&rows(&cells))
        .iter()
        .map(|verdict| verdict.is_anomaly)
        .collect()
}

const SECOND: i64 = 1_000_000_000;
const FAR: i64 = i64::MAX / 2;

#[test]
fn one_row_of_a_wrong_clock_silences_no_detector() {
    let limits = Method::Limits {
        low: None,
        high: Some(1.0),
    };
    assert_eq!(
        judged(limits, SECOND, &[(FAR, 2.0), (SECOND, 2.0), (SECOND, 2.0)]),
        [true, true, false]
    );
    let rate = Method::Rate {
        max_per_second: 1.0,
    };
    assert_eq!(
        judged(rate, 0, &[(FAR, 0.0), (SECOND, 0.0), (2 * SECOND, 9.0)]),
        [false, false, true]
    );
    let flatline = Method::Flatline {
        duration_ns: SECOND,
        tolerance: 0.0,
    };
    assert_eq!(
        judged(flatline, 0, &[(FAR, 5.0), (SECOND, 5.0), (3 * SECOND, 5.0)]),
        [false, false, true]
    );
}

#[test]
fn a_row_that_comes_a_little_late_is_no_new_base_of_a_rate() {
    let rate = Method::Rate {
        max_per_second: 1.0,
    };
    let cells = [(10 * SECOND, 5.0), (9 * SECOND, 0.0), (11 * SECOND, 5.0)];
    assert_eq!(judged(rate, 0, &cells), [false, false, false]);
}

#[test]
fn silence_completes_a_window() {
    let mut windows = windows(&[Aggregate::Last]);
    windows
        .push(&rows(&[(3, Value::F64(0.5), 0)]), 0, 1_000)
        .unwrap();
    assert!(windows.tick(1_049).unwrap().is_empty());
    assert_eq!(
        windows
            .tick(1_050)
            .unwrap()
            .row(0)
            .unwrap()
            .value
            .to_owned(),
        Value::F64(0.5)
    );
    windows
        .push(&rows(&[(4, Value::F64(0.5), 0)]), 0, 1_051)
        .unwrap();
    assert_eq!(windows.statistics().late, 1);
}

#[test]
fn integers_stay_integers_until_they_cannot() {
    let all = [
        Aggregate::Sum,
        Aggregate::Min,
        Aggregate::Max,
        Aggregate::Delta,
    ];
    let big = i64::MAX - 1;
    let mut exact = windows(&all);
    exact
        .push(
            &rows(&[
                (0, Value::I64(big), 0),
                (1, Value::I64(-5), 0),
                (2, Value::I64(5), 0),
            ]),
            0,
            0,
        )
        .unwrap();
    let values: Vec<Value> = exact
        .flush()
        .unwrap()
        .rows()
        .map(|row| row.value.to_owned())
        .collect();
    assert_eq!(
        values,
        [
            Value::I64(big),
            Value::I64(-5),
            Value::I64(big),
            Value::I64(5 - big)
        ]
    );
    let mut beyond = windows(&all);
    beyond
        .push(
            &rows(&[
                (0, Value::I64(i64::MIN), 0),
                (1, Value::I64(big), 0),
                (2, Value::I64(big), 0),
            ]),
            0,
            0,
        )
        .unwrap();
    let values: Vec<Value> = beyond
        .flush()
        .unwrap()
        .rows()
        .map(|row| row.value.to_owned())
        .collect();
    assert_eq!(values[0], Value::I64(big - 2));
    assert_eq!(values[3], Value::F64(big as f64 - i64::MIN as f64));
}

#[test]
fn a_window_with_bad_rows_only_has_no_value_and_the_reason() {
    let mut windows = windows(&[Aggregate::Mean]);
    windows
        .push(
            &rows(&[(0, Value::I64(1), 0), (21, Value::Null, 0x8005_0000)]),
            0,
            0,
        )
        .unwrap();
    let last = windows.flush().unwrap();
    let row = last.row(0).unwrap();
    assert_eq!(
        (row.source_ts, row.value.to_owned(), row.status),
        (20, Value::Null, 0x8005_0000)
    );
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::ZScore {
            threshold: 3.0,
            min_scale: 0.0
        }),
        Just(Method::Ewma {
            alpha: 0.3,
            threshold: 3.0,
            min_scale: 0.1
        }),
        (3..40_usize).prop_map(|window| Method::Mad {
            window,
            threshold: 3.5,
            min_scale: 0.0
        }),
        Just(Method::Limits {
            low: Some(-1.0),
            high: Some(1.0)
        }),
        Just(Method::Flatline {
            duration_ns: 10,
            tolerance: 0.5
        }),
        Just(Method::Rate {
            max_per_second: 1.0
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_score_is_between_0_and_1_and_an_anomaly_is_above_a_half(
        method in method(),
        cells in proptest::collection::vec((any::<i64>(), prop_oneof![any::<f64>(), -3.0..3.0]), 0..120),
        learn in any::<bool>(),
        consecutive in 1..4_u32,
    ) {
        let mut detector = Detector::new(DetectorOptions {
            method, on: None, min_samples: 5, learn_on_anomaly: learn, relearn_after: 10, consecutive, cooldown_ns: 0,
        }).unwrap();
        let cells: Vec<_> = cells.into_iter().map(|(time, value)| (time, Value::F64(value), 0)).collect();
        for verdict in detector.push(&rows(&cells)) {
            prop_assert!((0.0..=1.0).contains(&verdict.score));
            prop_assert!(!verdict.is_anomaly || verdict.score > 0.5);
            prop_assert_eq!(verdict.is_anomaly, !verdict.reason.is_empty());
        }
    }

    #[test]
    fn windows_lose_no_row_uncounted(
        cells in proptest::collection::vec((any::<i64>(), any::<i32>()), 0..120),
        now in any::<i64>(),
    ) {
        let mut windows = windows(&[Aggregate::Count]);
        let cells: Vec<_> = cells.into_iter().map(|(time, value)| (time, Value::I64(i64::from(value)), 0)).collect();
        let mut counted = 0;
        for part in [windows.push(&rows(&cells), now, 0).unwrap(), windows.flush().unwrap()] {
            for row in part.rows() {
                if let Value::I64(count) = row.value.to_owned() {
                    counted += count as u64;
                }
            }
        }
        let statistics = windows.statistics();
        prop_assert_eq!(counted + statistics.late + statistics.overflowed, cells.len() as u64);
    }
}
