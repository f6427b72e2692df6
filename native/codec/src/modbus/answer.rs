//! Answers, both ways: a server writes them, a client checks them against the request.
//!
//! Obeys: V1.1b3 sections 6.1 to 6.6, 6.11, 6.12, 6.16, 6.17, 6.21 and 7.

use super::MAX_PDU;
use super::area::Area;
use super::bytes::pack;
use super::device_id::{DEVICE_ID, DeviceId};
use super::error::{AnswerError, RequestError};
use super::request::{Request, expected_bytes};

/// What a good answer to a request holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer<'a> {
    /// The values of a read, as they stood on the wire; of function 43 all that follows the function code.
    Payload(&'a [u8]),
    /// A write was done.
    Done,
}

pub(crate) fn check_function(pdu: &[u8], function: u8) -> Result<(), AnswerError> {
    let found = *pdu.first().ok_or(AnswerError::Truncated {
        needed: 2,
        available: 0,
    })?;
    if found == function {
        return Ok(());
    }
    if found == function | 0x80 {
        let code = *pdu.get(1).ok_or(AnswerError::Truncated {
            needed: 2,
            available: 1,
        })?;
        return Err(AnswerError::Exception { function, code });
    }
    Err(AnswerError::Function {
        expected: function,
        found,
    })
}

/// Takes the values out of the answer to a read of `quantity` values of `area`.
///
/// # Errors
/// The device refused, or the answer does not fit the request.
pub fn read_payload(area: Area, quantity: u16, pdu: &[u8]) -> Result<&[u8], AnswerError> {
    let quantity = usize::from(quantity);
    let expected = if area.is_bits() {
        quantity.div_ceil(8)
    } else {
        quantity * 2
    };
    values(area.function(), expected, pdu)
}

fn values(function: u8, expected: usize, pdu: &[u8]) -> Result<&[u8], AnswerError> {
    check_function(pdu, function)?;
    let announced = usize::from(*pdu.get(1).ok_or(AnswerError::Truncated {
        needed: 2 + expected,
        available: 1,
    })?);
    if announced != expected {
        return Err(AnswerError::ByteCount {
            expected,
            found: announced,
        });
    }
    let payload = pdu.get(2..).unwrap_or_default();
    if payload.len() != expected {
        return Err(AnswerError::ByteCount {
            expected,
            found: payload.len(),
        });
    }
    Ok(payload)
}

/// Bytes of a write's request that its answer repeats: address and value, quantity or masks.
fn echo_length(function: u8) -> usize {
    if function == 22 { 7 } else { 5 }
}

/// Checks the answer to a write: it repeats the beginning of the request.
///
/// # Errors
/// The device refused, or the answer does not repeat the request.
pub fn check_write(request: &[u8], pdu: &[u8]) -> Result<(), AnswerError> {
    let function = *request
        .first()
        .ok_or(AnswerError::Request(RequestError::Empty))?;
    let echo = request
        .get(..echo_length(function))
        .ok_or(AnswerError::Request(RequestError::Length { function }))?;
    check_function(pdu, function)?;
    if pdu.len() < echo.len() {
        return Err(AnswerError::Truncated {
            needed: echo.len(),
            available: pdu.len(),
        });
    }
    if pdu == echo {
        Ok(())
    } else {
        Err(AnswerError::Echo)
    }
}

impl<'a> Answer<'a> {
    /// Checks any answer against the PDU of its request.
    ///
    /// # Errors
    /// The device refused, the answer does not fit, or the request is not one.
    pub fn decode(request: &[u8], pdu: &'a [u8]) -> Result<Self, AnswerError> {
        let function = *request
            .first()
            .ok_or(AnswerError::Request(RequestError::Empty))?;
        let short = AnswerError::Request(RequestError::Length { function });
        match function {
            1..=4 | 23 => {
                let expected = expected_bytes(request).ok_or(short)?;
                values(function, expected, pdu).map(Answer::Payload)
            }
            DEVICE_ID => {
                let expected = *request.get(2).ok_or(short)?;
                let found = DeviceId::decode(pdu)?.code;
                if found != expected {
                    return Err(AnswerError::ReadCode { expected, found });
                }
                Ok(Answer::Payload(pdu.get(1..).unwrap_or_default()))
            }
            _ => check_write(request, pdu).map(|()| Answer::Done),
        }
    }
}

/// Writes a server's answer to functions 3, 4 and 23.
///
/// # Errors
/// More than 125 registers, none, or another function.
pub fn encode_registers(function: u8, words: &[u16]) -> Result<Vec<u8>, RequestError> {
    if !matches!(function, 3 | 4 | 23) {
        return Err(RequestError::Function(function));
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    encode_payload(
        function,
        words.len(),
        usize::from(super::MAX_READ_REGISTERS),
        &bytes,
    )
}

/// Writes a server's answer to functions 1 and 2.
///
/// # Errors
/// More than 2000 bits, none, or another function.
pub fn encode_bits(function: u8, bits: &[bool]) -> Result<Vec<u8>, RequestError> {
    if !matches!(function, 1 | 2) {
        return Err(RequestError::Function(function));
    }
    encode_payload(
        function,
        bits.len(),
        usize::from(super::MAX_READ_BITS),
        &pack(bits),
    )
}

fn encode_payload(
    function: u8,
    quantity: usize,
    limit: usize,
    bytes: &[u8],
) -> Result<Vec<u8>, RequestError> {
    let wrong = RequestError::Quantity {
        function,
        quantity: u32::try_from(quantity).unwrap_or(u32::MAX),
    };
    if quantity == 0 || quantity > limit || bytes.len() + 2 > MAX_PDU {
        return Err(wrong);
    }
    let mut pdu = Vec::with_capacity(2 + bytes.len());
    pdu.push(function);
    pdu.push(u8::try_from(bytes.len()).map_err(|_| wrong)?);
    pdu.extend_from_slice(bytes);
    Ok(pdu)
}

/// Writes a server's answer to a write: the beginning of the request.
///
/// # Errors
/// The answer to the request carries values, or the request carries more than its function allows.
pub fn encode_write(request: &Request) -> Result<Vec<u8>, RequestError> {
    let function = request.function();
    if matches!(
        request,
        Request::Read { .. } | Request::ReadWrite { .. } | Request::DeviceId { .. }
    ) {
        return Err(RequestError::Function(function));
    }
    let mut pdu = request.encode()?;
    pdu.truncate(echo_length(function));
    Ok(pdu)
}

/// Writes an exception answer; V1.1b3 section 7.
#[must_use]
pub fn encode_exception(function: u8, code: u8) -> [u8; 2] {
    [function | 0x80, code]
}
