//! Modbus: bytes in, values out; values in, bytes out. No socket, no clock, no Python.
//!
//! Obeys: MODBUS Application Protocol Specification V1.1b3, and MODBUS Messaging on TCP/IP Implementation Guide V1.0b.
//! Nothing here can panic on bytes from a wire, or allocate more than those bytes justify.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod modbus;
