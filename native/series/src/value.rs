//! One cell of a batch: the six kinds of value that a reading can have.

/// The kind of a cell; the number is its code on disk.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Kind {
    /// No value: the reading is BAD.
    Null = 0,
    /// A truth value.
    Bool = 1,
    /// A signed 64-bit integer; it never passes through a float.
    I64 = 2,
    /// An IEEE 754 double, every bit kept (NaN payload, -0.0).
    F64 = 3,
    /// Text.
    Utf8 = 4,
    /// Raw bytes.
    Bytes = 5,
}

impl Kind {
    /// The kind that a code on disk stands for, if any.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Null,
            1 => Self::Bool,
            2 => Self::I64,
            3 => Self::F64,
            4 => Self::Utf8,
            5 => Self::Bytes,
            _ => return None,
        })
    }
}

/// A value, borrowed from the table that owns it or from the caller that adds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A double.
    F64(f64),
    /// Text.
    Utf8(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

impl ValueRef<'_> {
    /// The kind of this value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::I64(_) => Kind::I64,
            Self::F64(_) => Kind::F64,
            Self::Utf8(_) => Kind::Utf8,
            Self::Bytes(_) => Kind::Bytes,
        }
    }

    /// The same value, owned.
    #[must_use]
    pub fn to_owned(&self) -> Value {
        match *self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::I64(value) => Value::I64(value),
            Self::F64(value) => Value::F64(value),
            Self::Utf8(value) => Value::Utf8(value.to_owned()),
            Self::Bytes(value) => Value::Bytes(value.to_owned()),
        }
    }
}

/// A value that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed 64-bit integer.
    I64(i64),
    /// A double.
    F64(f64),
    /// Text.
    Utf8(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Borrow it.
    #[must_use]
    pub fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::I64(value) => ValueRef::I64(*value),
            Self::F64(value) => ValueRef::F64(*value),
            Self::Utf8(value) => ValueRef::Utf8(value),
            Self::Bytes(value) => ValueRef::Bytes(value),
        }
    }
}
