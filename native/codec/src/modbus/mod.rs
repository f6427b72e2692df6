//! The parts of Modbus, from the wire inwards: frame, PDU, value, plan.

mod answer;
mod area;
mod block;
mod bytes;
mod crc;
mod decode;
mod device_id;
mod encode;
mod error;
mod frame;
mod half;
mod plan;
mod request;
mod rtu_answers;
mod rtu_requests;
mod rtu_shape;
mod rtu_stream;
mod value;

pub use answer::{
    Answer, check_write, encode_bits, encode_exception, encode_registers, encode_write,
    read_payload,
};
pub use area::Area;
pub use block::{Block, Outcome, Part};
pub use crc::crc16;
pub use decode::decode_value;
pub use device_id::DeviceId;
pub use encode::encode_value;
pub use error::{
    AnswerError, DecodeError, EncodeError, FrameError, PlanError, RequestError, exception_name,
};
pub use frame::{Frame, Framer, MAX_PDU, encode_frame};
pub use plan::{Field, Limits, Plan, Range};
pub use request::Request;
pub use rtu_answers::RtuFramer;
pub use rtu_requests::RtuRequestFramer;
pub use rtu_stream::{RtuCounters, RtuFrame, encode_rtu_frame};
pub use value::{ByteOrder, Kind, Value};

/// Registers that one read may ask for; V1.1b3 sections 6.3 and 6.4.
pub const MAX_READ_REGISTERS: u16 = 125;
/// Coils or discrete inputs that one read may ask for; V1.1b3 sections 6.1 and 6.2.
pub const MAX_READ_BITS: u16 = 2000;
/// Registers that one write may carry; V1.1b3 section 6.12.
pub const MAX_WRITE_REGISTERS: u16 = 123;
/// Coils that one write may carry; V1.1b3 section 6.11.
pub const MAX_WRITE_BITS: u16 = 1968;
/// Registers that one read/write may write; V1.1b3 section 6.17.
pub const MAX_READ_WRITE_REGISTERS: u16 = 121;
