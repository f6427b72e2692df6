//! Values in, registers out.

use super::error::EncodeError;
use super::half;
use super::value::{ByteOrder, Kind, Value};

/// Writes one value as registers.
///
/// # Errors
/// The value does not fit the kind: nothing is wrapped, rounded or cut. A BOOL is no register and is refused.
pub fn encode_value(
    kind: Kind,
    order: ByteOrder,
    value: &Value<'_>,
) -> Result<Vec<u16>, EncodeError> {
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
        Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => Err(sort()),
    };
    Ok(match kind {
        Kind::Bool => return Err(sort()),
        Kind::Int8 => {
            // The sign fills the register: a reader of INT16 sees the same number.
            let number = i8::try_from(whole()?).map_err(|_| range())?;
            words(order, i16::from(number).to_be_bytes())
        }
        Kind::Uint8 => {
            let number = u8::try_from(whole()?).map_err(|_| range())?;
            words(order, u16::from(number).to_be_bytes())
        }
        Kind::Bcd16 => {
            let digits = digits(whole()?, 9_999).ok_or_else(range)?;
            let low = u16::try_from(digits).map_err(|_| range())?;
            words(order, low.to_be_bytes())
        }
        Kind::Bcd32 => {
            let digits = digits(whole()?, 99_999_999).ok_or_else(range)?;
            words(order, digits.to_be_bytes())
        }
        Kind::Float16 => {
            let wide = float(value).ok_or_else(sort)?;
            words(order, half::narrowed(wide).ok_or_else(range)?.to_be_bytes())
        }
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
            packed(order, text.as_bytes(), kind.words())
        }
        Kind::Bytes(length) => {
            let Value::Bytes(bytes) = value else {
                return Err(sort());
            };
            let expected = usize::from(length);
            if bytes.len() != expected {
                return Err(EncodeError::Size {
                    expected,
                    found: bytes.len(),
                });
            }
            packed(order, bytes, kind.words())
        }
    })
}

/// Two bytes in a word, the rest of the words filled with zero.
fn packed(order: ByteOrder, bytes: &[u8], words: u16) -> Vec<u16> {
    let mut bytes = bytes.to_vec();
    bytes.resize(usize::from(words) * 2, 0);
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

/// Puts one decimal digit into each four bits; None if there are more digits than room, or a sign.
fn digits(number: i128, most: u32) -> Option<u32> {
    let mut rest = u32::try_from(number)
        .ok()
        .filter(|number| *number <= most)?;
    let mut digits = 0;
    let mut shift = 0;
    while rest > 0 {
        digits |= (rest % 10) << shift;
        rest /= 10;
        shift += 4;
    }
    Some(digits)
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.clone().into_owned(),
        Value::Bytes(value) => format!("{value:02x?}"),
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

fn float(value: &Value<'_>) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)] // a float type rounds to its own precision by definition
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => None,
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
