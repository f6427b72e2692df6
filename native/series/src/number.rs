//! A number that is an integer or a double and stays what it is.

use std::cmp::Ordering;

use crate::value::{Value, ValueRef};

/// What can be aggregated and judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    I64(i64),
    F64(f64),
}

impl Number {
    /// The number in a cell; a truth value counts as 0 or 1. None for text, bytes, NaN and infinities.
    pub(crate) fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::I64(cell) => Some(Self::I64(cell)),
            ValueRef::Bool(cell) => Some(Self::I64(i64::from(cell))),
            ValueRef::F64(cell) if cell.is_finite() => Some(Self::F64(cell)),
            _ => None,
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::I64(cell) => cell as f64,
            Self::F64(cell) => cell,
        }
    }

    pub(crate) fn value(self) -> Value {
        match self {
            Self::I64(cell) => Value::I64(cell),
            Self::F64(cell) => Value::F64(cell),
        }
    }

    pub(crate) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::I64(own), Self::I64(others)) => own.cmp(&others),
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }

    /// `self - other`, exact for integers that fit.
    pub(crate) fn minus(self, other: Self) -> Self {
        if let (Self::I64(own), Self::I64(others)) = (self, other)
            && let Some(difference) = own.checked_sub(others)
        {
            return Self::I64(difference);
        }
        Self::F64(self.as_f64() - other.as_f64())
    }
}
