//! Registers in, values out; values in, registers out: ten types in four byte orders.
//!
//! The standard knows 16-bit words only (V1.1b3 section 4.2); wider types are the makers' convention, named by the
//! order in which the bytes A (highest) to D (lowest) of a 32-bit value travel.

use super::error::EncodeError;

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// A coil, a discrete input, or one bit of a register.
    Bool,
    /// 16 bits, two's complement.
    Int16,
    /// 16 bits.
    Uint16,
    /// 32 bits, two's complement.
    Int32,
    /// 32 bits.
    Uint32,
    /// 64 bits, two's complement.
    Int64,
    /// 64 bits.
    Uint64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// Text of at most so many bytes, two in a register, ended by NUL if shorter.
    Text(u16),
}

impl Kind {
    /// Registers that one value takes; 1 for a bit.
    #[must_use]
    pub fn words(self) -> u16 {
        match self {
            Self::Bool | Self::Int16 | Self::Uint16 => 1,
            Self::Int32 | Self::Uint32 | Self::Float32 => 2,
            Self::Int64 | Self::Uint64 | Self::Float64 => 4,
            Self::Text(bytes) => bytes.div_ceil(2),
        }
    }

    /// The name as settings write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int16 => "INT16",
            Self::Uint16 => "UINT16",
            Self::Int32 => "INT32",
            Self::Uint32 => "UINT32",
            Self::Int64 => "INT64",
            Self::Uint64 => "UINT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Text(_) => "STRING",
        }
    }

    /// The kind of this name; `bytes` is the room of a text.
    #[must_use]
    pub fn named(name: &str, bytes: u16) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "INT16" => Self::Int16,
            "UINT16" => Self::Uint16,
            "INT32" => Self::Int32,
            "UINT32" => Self::Uint32,
            "INT64" => Self::Int64,
            "UINT64" => Self::Uint64,
            "FLOAT32" => Self::Float32,
            "FLOAT64" => Self::Float64,
            "STRING" => Self::Text(bytes),
            _ => return None,
        })
    }
}

/// The order in which the bytes of a value travel. In a text only the swap of bytes applies.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ByteOrder {
    /// Highest word first, highest byte first: as the standard sends one register.
    #[default]
    Abcd,
    /// Lowest word first.
    Cdab,
    /// Highest word first, bytes swapped in each register.
    Badc,
    /// Lowest word first, bytes swapped: little endian throughout.
    Dcba,
}

impl ByteOrder {
    /// The order of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ABCD" => Self::Abcd,
            "CDAB" => Self::Cdab,
            "BADC" => Self::Badc,
            "DCBA" => Self::Dcba,
            _ => return None,
        })
    }

    fn swaps_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    fn swaps_words(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    /// Turns wire order into big endian, or back: the change is its own inverse.
    fn arrange<const N: usize>(self, mut bytes: [u8; N]) -> [u8; N] {
        if self.swaps_words() {
            // Reversing everything reverses the words and the bytes in them ...
            bytes.reverse();
        }
        if self.swaps_bytes() != self.swaps_words() {
            // ... so CDAB turns the bytes back, and DCBA is done.
            for pair in bytes.chunks_exact_mut(2) {
                pair.reverse();
            }
        }
        bytes
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// BOOL.
    Bool(bool),
    /// The signed types.
    Int(i64),
    /// The unsigned types.
    Uint(u64),
    /// Both float types; a FLOAT32 is widened exactly.
    Float(f64),
    /// STRING.
    Text(String),
}

impl Value {
    fn sort(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::Uint(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
        }
    }
}

fn array<const N: usize>(order: ByteOrder, bytes: &[u8]) -> Option<[u8; N]> {
    let bytes: [u8; N] = bytes.get(..N)?.try_into().ok()?;
    Some(order.arrange(bytes))
}

/// Reads one value from registers as they stood on the wire; `bit` (0 = lowest) matters to BOOL only.
///
/// A text ends at its first NUL; bytes that are not UTF-8 are read as Latin-1, so every text can be read.
/// None: there are fewer bytes than the kind needs.
#[must_use]
pub fn decode_value(kind: Kind, order: ByteOrder, bit: u8, bytes: &[u8]) -> Option<Value> {
    Some(match kind {
        Kind::Bool => Value::Bool(u16::from_be_bytes(array(order, bytes)?) >> (bit & 15) & 1 == 1),
        Kind::Int16 => Value::Int(i64::from(i16::from_be_bytes(array(order, bytes)?))),
        Kind::Uint16 => Value::Uint(u64::from(u16::from_be_bytes(array(order, bytes)?))),
        Kind::Int32 => Value::Int(i64::from(i32::from_be_bytes(array(order, bytes)?))),
        Kind::Uint32 => Value::Uint(u64::from(u32::from_be_bytes(array(order, bytes)?))),
        Kind::Int64 => Value::Int(i64::from_be_bytes(array(order, bytes)?)),
        Kind::Uint64 => Value::Uint(u64::from_be_bytes(array(order, bytes)?)),
        Kind::Float32 => Value::Float(f64::from(f32::from_be_bytes(array(order, bytes)?))),
        Kind::Float64 => Value::Float(f64::from_be_bytes(array(order, bytes)?)),
        Kind::Text(room) => {
            let mut text = bytes.get(..usize::from(kind.words()) * 2)?.to_vec();
            if order.swaps_bytes() {
                text.chunks_exact_mut(2).for_each(<[u8]>::reverse);
            }
            text.truncate(usize::from(room));
            if let Some(end) = text.iter().position(|byte| *byte == 0) {
                text.truncate(end);
            }
            Value::Text(match String::from_utf8(text) {
                Ok(text) => text,
                Err(error) => error
                    .into_bytes()
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect(),
            })
        }
    })
}

/// Writes one value as registers.
///
/// # Errors
/// The value does not fit the kind: nothing is wrapped, rounded or cut. A BOOL is no register and is refused.
pub fn encode_value(kind: Kind, order: ByteOrder, value: &Value) -> Result<Vec<u16>, EncodeError> {
    let name = kind.name();
    let sort = || EncodeError::Sort {
        kind: name,
        found: value.sort(),
    };
    let range = || EncodeError::OutOfRange {
        kind: name,
        value: shown(value),
    };
    let whole = || match value {
        Value::Int(number) => Ok(i128::from(*number)),
        Value::Uint(number) => Ok(i128::from(*number)),
        Value::Float(number) => whole_number(*number, name),
        Value::Bool(_) | Value::Text(_) => Err(sort()),
    };
    Ok(match kind {
        Kind::Bool => return Err(sort()),
        Kind::Int16 => words(
            order,
            i16::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Uint16 => words(
            order,
            u16::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Int32 => words(
            order,
            i32::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Uint32 => words(
            order,
            u32::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Int64 => words(
            order,
            i64::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Uint64 => words(
            order,
            u64::try_from(whole()?).map_err(|_| range())?.to_be_bytes(),
        ),
        Kind::Float32 => {
            let wide = float(value).ok_or_else(sort)?;
            #[allow(clippy::cast_possible_truncation)]
            // rounding to binary32 is what FLOAT32 means; overflow is refused below
            let narrow = wide as f32;
            if wide.is_finite() && !narrow.is_finite() {
                return Err(range());
            }
            words(order, narrow.to_be_bytes())
        }
        Kind::Float64 => words(order, float(value).ok_or_else(sort)?.to_be_bytes()),
        Kind::Text(room) => {
            let Value::Text(text) = value else {
                return Err(sort());
            };
            let room = usize::from(room);
            if text.len() > room {
                return Err(EncodeError::TooLong {
                    room,
                    needed: text.len(),
                });
            }
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(usize::from(kind.words()) * 2, 0);
            bytes
                .chunks_exact(2)
                .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
                .map(|pair| {
                    if order.swaps_bytes() {
                        u16::from_le_bytes(pair)
                    } else {
                        u16::from_be_bytes(pair)
                    }
                })
                .collect()
        }
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.clone(),
    }
}

/// A float counts as a whole number if it is one exactly: nothing is rounded in silence.
fn whole_number(number: f64, kind: &'static str) -> Result<i128, EncodeError> {
    if !number.is_finite() {
        return Err(EncodeError::NotFinite(kind));
    }
    if number.fract() != 0.0 {
        return Err(EncodeError::OutOfRange {
            kind,
            value: number.to_string(),
        });
    }
    #[allow(clippy::cast_possible_truncation)]
    // the cast saturates, and both ends are outside every kind's range
    Ok(number as i128)
}

fn float(value: &Value) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)] // a float type rounds to its own precision by definition
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Bool(_) | Value::Text(_) => None,
    }
}

fn words<const N: usize>(order: ByteOrder, bytes: [u8; N]) -> Vec<u16> {
    order
        .arrange(bytes)
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
        .map(u16::from_be_bytes)
        .collect()
}
