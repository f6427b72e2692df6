//! Registers in, values out.

use std::borrow::Cow;

use super::error::DecodeError;
use super::half;
use super::value::{ByteOrder, Kind, Value};

fn array<const N: usize>(order: ByteOrder, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes
        .first_chunk()
        .map(|bytes| order.arrange(*bytes))
        .ok_or(DecodeError::Short {
            needed: N,
            available: bytes.len(),
        })
}

/// Reads one value from registers as they stood on the wire; `bit` (0 = lowest) matters to BOOL only.
///
/// Floats keep NaN and infinity. A text ends at its first NUL; bytes that are not UTF-8 are read as Latin-1, so every
/// text can be read.
///
/// # Errors
/// The bytes are not a value of this kind, or there are too few.
pub fn decode_value(
    kind: Kind,
    order: ByteOrder,
    bit: u8,
    bytes: &[u8],
) -> Result<Value<'_>, DecodeError> {
    Ok(match kind {
        Kind::Bool => Value::Bool(u16::from_be_bytes(array(order, bytes)?) >> (bit & 15) & 1 == 1),
        Kind::Int8 => {
            let [_, low] = array(order, bytes)?;
            Value::Int(i64::from(i8::from_be_bytes([low])))
        }
        Kind::Uint8 => {
            let [_, low] = array(order, bytes)?;
            Value::Uint(u64::from(low))
        }
        Kind::Int16 => Value::Int(i64::from(i16::from_be_bytes(array(order, bytes)?))),
        Kind::Uint16 => Value::Uint(u64::from(u16::from_be_bytes(array(order, bytes)?))),
        Kind::Int32 => Value::Int(i64::from(i32::from_be_bytes(array(order, bytes)?))),
        Kind::Uint32 => Value::Uint(u64::from(u32::from_be_bytes(array(order, bytes)?))),
        Kind::Int64 => Value::Int(i64::from_be_bytes(array(order, bytes)?)),
        Kind::Uint64 => Value::Uint(u64::from_be_bytes(array(order, bytes)?)),
        Kind::Float16 => Value::Float(half::widened(u16::from_be_bytes(array(order, bytes)?))),
        Kind::Float32 => Value::Float(f64::from(f32::from_be_bytes(array(order, bytes)?))),
        Kind::Float64 => Value::Float(f64::from_be_bytes(array(order, bytes)?)),
        Kind::Bcd16 => digits(kind, array::<2>(order, bytes)?)?,
        Kind::Bcd32 => digits(kind, array::<4>(order, bytes)?)?,
        Kind::Text(length) => Value::Text(text(straight(order, length, bytes)?)),
        Kind::Bytes(length) => Value::Bytes(straight(order, length, bytes)?),
    })
}

fn digits<const N: usize>(kind: Kind, bytes: [u8; N]) -> Result<Value<'static>, DecodeError> {
    let mut number: u64 = 0;
    for byte in bytes {
        let (high, low) = (byte >> 4, byte & 15);
        if high > 9 || low > 9 {
            let found = bytes
                .iter()
                .fold(0, |all, byte| all << 8 | u32::from(*byte));
            return Err(DecodeError::Digits {
                kind: kind.name(),
                found,
            });
        }
        number = number * 100 + u64::from(high * 10 + low);
    }
    Ok(Value::Uint(number))
}

/// The first `length` bytes, in the order in which they are meant.
fn straight(order: ByteOrder, length: u16, bytes: &[u8]) -> Result<Cow<'_, [u8]>, DecodeError> {
    let length = usize::from(length);
    let whole = length.next_multiple_of(2);
    let bytes = bytes.get(..whole).ok_or(DecodeError::Short {
        needed: whole,
        available: bytes.len(),
    })?;
    if !order.swaps_bytes() {
        return Ok(Cow::Borrowed(bytes.get(..length).unwrap_or(bytes)));
    }
    let mut swapped: Vec<u8> = bytes.to_vec();
    swapped.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    swapped.truncate(length);
    Ok(Cow::Owned(swapped))
}

fn text(mut bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        match &mut bytes {
            Cow::Borrowed(bytes) => *bytes = bytes.get(..end).unwrap_or(bytes),
            Cow::Owned(bytes) => bytes.truncate(end),
        }
    }
    let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    match bytes {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(latin(bytes)), Cow::Borrowed)
        }
        Cow::Owned(bytes) => {
            Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| latin(error.as_bytes())))
        }
    }
}
