//! How long an RTU frame is, as far as its first bytes tell. Silence is never asked: adapters and drivers break it.
//!
//! Obeys: V1.1b3 sections 6.1 to 6.21, by function code and byte count.

use super::bytes::word;
use super::device_id::{DEVICE_ID, MEI_DEVICE_ID};

/// Unit, function and CRC: the shortest frame.
pub(crate) const SHORTEST: usize = 4;
/// Unit, PDU and CRC: the longest frame.
pub(crate) const LONGEST: usize = 256;

/// What the bytes so far say about the frame that would begin with them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// Nothing yet: so many bytes at least are needed to tell more.
    Open(usize),
    /// The frame has so many bytes, CRC included.
    Long(usize),
    /// No frame begins like this.
    Never,
}

fn bounded(length: usize) -> Shape {
    if length <= LONGEST {
        Shape::Long(length)
    } else {
        Shape::Never
    }
}

/// A frame with `before` bytes up to and including its byte count. Whether the count makes sense is not judged here:
/// who asked hears about it at once if the CRC is good.
fn counted(bytes: &[u8], before: usize) -> Shape {
    match bytes.get(before - 1) {
        None => Shape::Open(before),
        Some(count) => bounded(before + usize::from(*count) + 2),
    }
}

/// The frame of a request, as a server sees it.
pub(crate) fn of_request(bytes: &[u8]) -> Shape {
    let Some(function) = bytes.get(1) else {
        return Shape::Open(2);
    };
    match function {
        1..=6 | 8 => Shape::Long(8),
        7 | 11 | 12 | 17 => Shape::Long(4),
        15 | 16 => counted(bytes, 7),
        20 | 21 => counted(bytes, 3),
        22 => Shape::Long(10),
        23 => counted(bytes, 11),
        24 => Shape::Long(6),
        &DEVICE_ID => match bytes.get(2) {
            None => Shape::Open(3),
            Some(&MEI_DEVICE_ID) => Shape::Long(7),
            Some(_) => Shape::Never,
        },
        _ => Shape::Never,
    }
}

/// The frame of an answer, as a client sees it.
pub(crate) fn of_answer(bytes: &[u8]) -> Shape {
    let Some(function) = bytes.get(1) else {
        return Shape::Open(2);
    };
    match function {
        1..=4 | 12 | 17 | 20 | 21 | 23 => counted(bytes, 3),
        5 | 6 | 8 | 11 | 15 | 16 => Shape::Long(8),
        7 => Shape::Long(5),
        22 => Shape::Long(10),
        24 => match word(bytes, 2) {
            None => Shape::Open(4),
            Some(count) => bounded(usize::from(count) + 6),
        },
        &DEVICE_ID => of_device_id(bytes),
        0x81..=0xff => Shape::Long(5),
        _ => Shape::Never,
    }
}

/// The objects of an identification are walked one by one: only their own lengths tell where the frame ends.
fn of_device_id(bytes: &[u8]) -> Shape {
    if bytes.get(2).is_some_and(|mei| *mei != MEI_DEVICE_ID) {
        return Shape::Never;
    }
    let Some(objects) = bytes.get(7) else {
        return Shape::Open(8);
    };
    let mut end = 8;
    for _ in 0..*objects {
        if end + 4 > LONGEST {
            return Shape::Never;
        }
        match bytes.get(end + 1) {
            None => return Shape::Open(end + 2),
            Some(length) => end += 2 + usize::from(*length),
        }
    }
    bounded(end + 2)
}
