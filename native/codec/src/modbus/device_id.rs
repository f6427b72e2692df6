//! Read device identification: names and versions as numbered objects, over as many answers as they need.
//!
//! Obeys: V1.1b3 section 6.21 (function 43, MEI type 14).

use super::MAX_PDU;
use super::answer::check_function;
use super::error::{AnswerError, RequestError};

/// Encapsulated interface transport.
pub(crate) const DEVICE_ID: u8 = 43;
/// The MEI type that reads the identification.
pub(crate) const MEI_DEVICE_ID: u8 = 14;
/// Bytes of an answer before its first object.
const BEFORE: usize = 7;
const MORE: u8 = 0xff;

/// One answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceId<'a> {
    /// 1 basic, 2 regular, 3 extended, 4 one single object.
    pub code: u8,
    /// What the device can do: 0x01 to 0x03, with 0x80 if single objects can be read too.
    pub conformity: u8,
    /// The rest is to be asked for from `next` on.
    pub more_follows: bool,
    /// The first object of the next answer, else 0.
    pub next: u8,
    /// Number and bytes, in order. Text is ASCII by the standard, and anything in devices.
    pub objects: Vec<(u8, &'a [u8])>,
}

/// The objects that a stream of this kind holds.
fn in_stream(code: u8, conformity: u8, id: u8) -> bool {
    match code.min(conformity & 0x0f) {
        1 => id <= 2,
        2 => id < 0x80,
        _ => true,
    }
}

impl<'a> DeviceId<'a> {
    /// Reads an answer.
    ///
    /// # Errors
    /// The device refused, or the bytes are not an answer to function 43, MEI type 14.
    pub fn decode(pdu: &'a [u8]) -> Result<Self, AnswerError> {
        check_function(pdu, DEVICE_ID)?;
        let truncated = |needed| AnswerError::Truncated {
            needed,
            available: pdu.len(),
        };
        let Some(&[_, mei, code, conformity, more, next, number]) = pdu.first_chunk::<BEFORE>()
        else {
            return Err(truncated(BEFORE));
        };
        if mei != MEI_DEVICE_ID {
            return Err(AnswerError::Mei(mei));
        }
        let mut rest = pdu.get(BEFORE..).unwrap_or_default();
        let mut objects = Vec::new();
        for _ in 0..number {
            let at = pdu.len() - rest.len();
            let (&[id, length], tail) =
                rest.split_first_chunk().ok_or_else(|| truncated(at + 2))?;
            let length = usize::from(length);
            let (object, tail) = tail
                .split_at_checked(length)
                .ok_or_else(|| truncated(at + 2 + length))?;
            objects.push((id, object));
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(AnswerError::Surplus(rest.len()));
        }
        Ok(Self {
            code,
            conformity,
            more_follows: more != 0,
            next,
            objects,
        })
    }

    /// Writes a server's answer: as many of its objects, sorted by number, as one PDU holds.
    ///
    /// An object that is not there begins a stream anew; a single one is refused with exception 2.
    ///
    /// # Errors
    /// `RequestError::exception_code` tells what to answer; an object of more than 244 bytes fits no PDU.
    pub fn answer(
        code: u8,
        object: u8,
        conformity: u8,
        objects: &[(u8, &[u8])],
    ) -> Result<Vec<u8>, RequestError> {
        let mut pdu = vec![DEVICE_ID, MEI_DEVICE_ID, code, conformity, 0, 0, 0];
        let mut number: u8 = 0;
        let mut push = |pdu: &mut Vec<u8>, id: u8, bytes: &[u8]| {
            let length = match u8::try_from(bytes.len()) {
                Ok(length) if BEFORE + 2 + bytes.len() <= MAX_PDU => length,
                _ => return Err(RequestError::Object(id)),
            };
            if pdu.len() + 2 + bytes.len() > MAX_PDU {
                return Ok(false);
            }
            pdu.extend_from_slice(&[id, length]);
            pdu.extend_from_slice(bytes);
            number += 1;
            Ok(true)
        };
        if code == 4 {
            let (id, bytes) = objects
                .iter()
                .find(|(id, _)| *id == object)
                .ok_or(RequestError::NoObject(object))?;
            push(&mut pdu, *id, bytes)?;
        } else {
            let stream = || {
                objects
                    .iter()
                    .filter(|(id, _)| in_stream(code, conformity, *id))
            };
            let first = if stream().any(|(id, _)| *id == object) {
                object
            } else {
                0
            };
            for (id, bytes) in stream().skip_while(|(id, _)| *id < first) {
                if !push(&mut pdu, *id, bytes)? {
                    if let Some([more, next]) = pdu.get_mut(4..6) {
                        (*more, *next) = (MORE, *id);
                    }
                    break;
                }
            }
        }
        if let Some(last) = pdu.get_mut(BEFORE - 1) {
            *last = number;
        }
        Ok(pdu)
    }
}
