//! Every way in which bytes or values can be wrong, by where they are.

use std::fmt;

/// Why a byte stream can no longer be cut into frames; the link must be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// Bytes 2 and 3 of the MBAP header are not zero.
    ProtocolId(u16),
    /// The length field is outside 2..=254, so the end of the frame is unknown.
    Length(u16),
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProtocolId(found) => write!(
                out,
                "expected protocol id 0 in the MBAP header, got {found}"
            ),
            Self::Length(found) => write!(
                out,
                "expected a length of 2..254 in the MBAP header, got {found}"
            ),
        }
    }
}

/// Why an answer's PDU does not fit its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The device refused; codes in V1.1b3 section 7.
    Exception {
        /// The function that was asked for.
        function: u8,
        /// The exception code.
        code: u8,
    },
    /// The PDU ends too early.
    Truncated {
        /// Bytes that the answer must have.
        needed: usize,
        /// Bytes that came.
        available: usize,
    },
    /// The answer is to another function.
    Function {
        /// The function that was asked for.
        expected: u8,
        /// The function that answered.
        found: u8,
    },
    /// The byte count, or the bytes that follow it, do not fit the quantity that was asked for.
    ByteCount {
        /// Bytes that the quantity calls for.
        expected: usize,
        /// Bytes announced or present.
        found: usize,
    },
    /// The answer to a write does not repeat the request's address and value or quantity.
    Echo,
    /// Function 43 answered with another MEI type than 14.
    Mei(u8),
    /// The identification of another kind was asked for.
    ReadCode {
        /// The kind that was asked for.
        expected: u8,
        /// The kind that was answered.
        found: u8,
    },
    /// Bytes are left behind the last object.
    Surplus(usize),
    /// The request itself is not one that can be answered.
    Request(RequestError),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception { function, code } => {
                let name = exception_name(*code);
                write!(
                    out,
                    "the device refused function {function}: {name} (0x{code:02x})"
                )
            }
            Self::Truncated { needed, available } => {
                write!(out, "expected an answer of {needed} bytes, got {available}")
            }
            Self::Function { expected, found } => {
                write!(
                    out,
                    "expected an answer to function {expected}, got function {found}"
                )
            }
            Self::ByteCount { expected, found } => {
                write!(
                    out,
                    "expected {expected} bytes of values in the answer, got {found}"
                )
            }
            Self::Echo => write!(
                out,
                "the answer does not repeat the write's address and value"
            ),
            Self::Mei(found) => write!(out, "expected an answer of MEI type 14, got {found}"),
            Self::ReadCode { expected, found } => write!(
                out,
                "expected an identification of kind {expected}, got {found}"
            ),
            Self::Surplus(bytes) => write!(
                out,
                "expected the answer to end with its last object, got {bytes} bytes more"
            ),
            Self::Request(error) => write!(out, "the request is wrong: {error}"),
        }
    }
}

/// The name of an exception code; V1.1b3 section 7.
#[must_use]
pub fn exception_name(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge, the device needs more time",
        6 => "server device busy",
        7 => "negative acknowledge",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target device failed to respond",
        _ => "unknown exception",
    }
}

/// Why a request's PDU is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no function code.
    Empty,
    /// The function code is not served here; answered with exception 1.
    Function(u8),
    /// Too short, too long, or a byte count that does not fit; answered with exception 3.
    Length {
        /// The function code.
        function: u8,
    },
    /// The quantity is outside what the function allows; answered with exception 3.
    Quantity {
        /// The function code.
        function: u8,
        /// The quantity asked for.
        quantity: u32,
    },
    /// Address plus quantity run past 65536; answered with exception 2.
    Address {
        /// The function code.
        function: u8,
        /// First address.
        address: u16,
        /// The quantity asked for.
        quantity: u16,
    },
    /// A coil may be set to 0x0000 or 0xFF00 only; answered with exception 3.
    CoilValue(u16),
    /// Function 43 is served with MEI type 14 only; answered with exception 1.
    Mei(u8),
    /// The identification is read with code 1 to 4; answered with exception 3.
    ReadCode(u8),
    /// The device has no such object; answered with exception 2.
    NoObject(u8),
    /// The object is too long for any answer; answered with exception 4.
    Object(u8),
}

impl RequestError {
    /// The exception code that a server answers with; V1.1b3 section 7. None: there is nothing to answer.
    #[must_use]
    pub fn exception_code(self) -> Option<u8> {
        match self {
            Self::Empty => None,
            Self::Function(_) | Self::Mei(_) => Some(1),
            Self::Address { .. } | Self::NoObject(_) => Some(2),
            Self::Length { .. }
            | Self::Quantity { .. }
            | Self::CoilValue(_)
            | Self::ReadCode(_) => Some(3),
            Self::Object(_) => Some(4),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "expected a function code, got an empty PDU"),
            Self::Function(found) => write!(
                out,
                "function {found} is not known; known are 1 to 6, 15, 16, 22, 23 and 43"
            ),
            Self::Length { function } => write!(
                out,
                "the length of the request for function {function} is wrong"
            ),
            Self::Quantity { function, quantity } => {
                write!(
                    out,
                    "function {function} cannot carry a quantity of {quantity}"
                )
            }
            Self::Address {
                function,
                address,
                quantity,
            } => write!(
                out,
                "function {function} at address {address} with quantity {quantity} runs past address 65535"
            ),
            Self::CoilValue(found) => write!(
                out,
                "expected the coil value 0x0000 or 0xff00, got 0x{found:04x}"
            ),
            Self::Mei(found) => write!(out, "expected MEI type 14 for function 43, got {found}"),
            Self::ReadCode(found) => write!(
                out,
                "expected 1 to 4 as the kind of identification, got {found}"
            ),
            Self::NoObject(id) => write!(out, "there is no identification object {id}"),
            Self::Object(id) => write!(
                out,
                "expected at most 244 bytes in identification object {id}"
            ),
        }
    }
}

/// Why registers are no value of a type; other values of the same answer are good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than the type needs.
    Short {
        /// Bytes that the type needs.
        needed: usize,
        /// Bytes that are there.
        available: usize,
    },
    /// Four of the bits are above 9.
    Digits {
        /// The type's name.
        kind: &'static str,
        /// The bits, in the order in which they are meant.
        found: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, available } => {
                write!(out, "expected {needed} bytes for a value, got {available}")
            }
            Self::Digits { kind, found } => {
                let width = if *kind == "BCD16" { 4 } else { 8 };
                write!(
                    out,
                    "expected decimal digits for {kind}, got 0x{found:0width$x}"
                )
            }
        }
    }
}

/// Why a value cannot be written as a type; nothing was sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The number does not fit the type.
    OutOfRange {
        /// The type's name.
        kind: &'static str,
        /// The value, in words.
        value: String,
    },
    /// NaN or infinity for a type that has neither.
    NotFinite(&'static str),
    /// The value is of another sort than the type takes.
    Sort {
        /// The type's name.
        kind: &'static str,
        /// The sort that came.
        found: &'static str,
    },
    /// BYTES are written as a whole.
    Size {
        /// Bytes that the tag has.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// The text needs more bytes than the tag has.
    TooLong {
        /// Bytes of room.
        room: usize,
        /// Bytes needed.
        needed: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { kind, value } => write!(out, "{value} does not fit {kind}"),
            Self::NotFinite(kind) => write!(
                out,
                "expected a finite number for {kind}, got nan or infinity"
            ),
            Self::Sort { kind, found } => write!(out, "expected a value for {kind}, got {found}"),
            Self::Size { expected, found } => {
                write!(out, "expected exactly {expected} bytes, got {found}")
            }
            Self::TooLong { room, needed } => {
                write!(
                    out,
                    "expected text of at most {room} bytes in UTF-8, got {needed}"
                )
            }
        }
    }
}

/// Why fields cannot be planned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// The field runs past address 65535.
    Address {
        /// Index of the field.
        field: usize,
    },
    /// The field's type, bit, count and area do not go together.
    Shape {
        /// Index of the field.
        field: usize,
    },
    /// One value is larger than one request may ask for.
    TooWide {
        /// Index of the field.
        field: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { field } => write!(out, "field {field} runs past address 65535"),
            Self::Shape { field } => write!(
                out,
                "type, bit, count and area of field {field} do not go together"
            ),
            Self::TooWide { field } => write!(
                out,
                "one value of field {field} is wider than one request allows"
            ),
        }
    }
}

impl std::error::Error for FrameError {}
impl std::error::Error for AnswerError {}
impl std::error::Error for RequestError {}
impl std::error::Error for DecodeError {}
impl std::error::Error for EncodeError {}
impl std::error::Error for PlanError {}
