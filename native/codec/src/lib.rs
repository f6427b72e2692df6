//! Modbus: bytes in, values out; values in, bytes out. No socket, no clock, no Python.
//!
//! Obeys: MODBUS Application Protocol Specification V1.1b3, MODBUS Messaging on TCP/IP Implementation Guide V1.0b, and
//! MODBUS over Serial Line Specification and Implementation Guide V1.02.
//! Nothing here can panic on bytes from a wire, or allocate more than those bytes justify.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod modbus;
