//! What one window says of one tag's numbers, in constant memory.

use std::cmp::Ordering;

use crate::error::SeriesError;
use crate::number::Number;
use crate::value::Value;

/// A summary of the numbers in a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Aggregate {
    /// How many numbers.
    Count,
    /// Their sum; an integer if all are and it fits.
    Sum,
    /// Their arithmetic mean, each sample weighing the same.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Sample standard deviation (n - 1); 0 for a single number.
    Std,
    /// The one with the earliest source time.
    First,
    /// The one with the latest source time.
    Last,
    /// Last less first.
    Delta,
}

impl Aggregate {
    /// All of them, in the order of their names' first use in the documentation.
    pub const ALL: [Self; 9] = [
        Self::Count,
        Self::Sum,
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::Std,
        Self::First,
        Self::Last,
        Self::Delta,
    ];

    /// The suffix of derived tags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Std => "std",
            Self::First => "first",
            Self::Last => "last",
            Self::Delta => "delta",
        }
    }

    /// The aggregate of this name.
    ///
    /// # Errors
    /// [`SeriesError::Setting`] that lists the names.
    pub fn from_name(name: &str) -> Result<Self, SeriesError> {
        Self::ALL
            .into_iter()
            .find(|aggregate| aggregate.name() == name)
            .ok_or_else(|| {
                SeriesError::Setting(format!(
                    "expected an aggregate among {}, got {name:?}",
                    Self::ALL.map(Self::name).join(", ")
                ))
            })
    }
}

/// The numbers of one tag in one window (Welford's method for mean and deviation).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accumulator {
    pub(crate) count: u64,
    mean: f64,
    squares: f64,
    sum: f64,
    /// What rounding took from `sum` (Neumaier).
    carry: f64,
    whole_sum: Option<i128>,
    extremes: Option<(Number, Number)>,
    ends: Option<((i64, Number), (i64, Number))>,
    pub(crate) uncertain: bool,
    pub(crate) bad_status: Option<u32>,
}

impl Accumulator {
    pub(crate) fn new() -> Self {
        Self {
            count: 0,
            mean: 0.0,
            squares: 0.0,
            sum: 0.0,
            carry: 0.0,
            whole_sum: Some(0),
            extremes: None,
            ends: None,
            uncertain: false,
            bad_status: None,
        }
    }

    pub(crate) fn add(&mut self, time: i64, number: Number) {
        let sample = number.as_f64();
        self.count += 1;
        let off = sample - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (sample - self.mean);
        let total = self.sum + sample;
        self.carry += if self.sum.abs() >= sample.abs() {
            (self.sum - total) + sample
        } else {
            (sample - total) + self.sum
        };
        self.sum = total;
        self.whole_sum = match (self.whole_sum, number) {
            (Some(sum), Number::I64(whole)) => sum.checked_add(i128::from(whole)),
            _ => None,
        };
        self.extremes = Some(match self.extremes {
            None => (number, number),
            Some((low, high)) => (
                if number.order(low) == Ordering::Less {
                    number
                } else {
                    low
                },
                if number.order(high) == Ordering::Greater {
                    number
                } else {
                    high
                },
            ),
        });
        let here = (time, number);
        self.ends = Some(match self.ends {
            None => (here, here),
            Some((first, last)) => (
                if time < first.0 { here } else { first },
                if time >= last.0 { here } else { last },
            ),
        });
    }

    /// The value of an aggregate; [`Value::Null`] if there was no number.
    pub(crate) fn value(&self, aggregate: Aggregate) -> Value {
        let (Some((low, high)), Some(((_, first), (_, last)))) = (self.extremes, self.ends) else {
            return Value::Null;
        };
        match aggregate {
            Aggregate::Count => Value::I64(i64::try_from(self.count).unwrap_or(i64::MAX)),
            Aggregate::Sum => self
                .whole_sum
                .and_then(|sum| i64::try_from(sum).ok())
                .map_or(Value::F64(self.sum + self.carry), Value::I64),
            Aggregate::Mean => Value::F64(self.mean),
            Aggregate::Min => low.value(),
            Aggregate::Max => high.value(),
            Aggregate::Std if self.count < 2 => Value::F64(0.0),
            Aggregate::Std => Value::F64((self.squares / (self.count - 1) as f64).sqrt()),
            Aggregate::First => first.value(),
            Aggregate::Last => last.value(),
            Aggregate::Delta => last.minus(first).value(),
        }
    }
}
