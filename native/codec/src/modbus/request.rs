//! Requests, both ways: a client writes them, a server reads them.
//!
//! Obeys: V1.1b3 sections 6.1 to 6.6, 6.11, 6.12, 6.16, 6.17, 6.21.

use super::area::Area;
use super::bytes::{bit, pack, word, words};
use super::device_id::{DEVICE_ID, MEI_DEVICE_ID};
use super::error::RequestError;
use super::{MAX_READ_REGISTERS, MAX_READ_WRITE_REGISTERS, MAX_WRITE_BITS, MAX_WRITE_REGISTERS};

/// One request of the eleven that are served here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Request {
    /// Functions 1 to 4.
    Read {
        /// What is read.
        area: Area,
        /// First address, from 0.
        address: u16,
        /// Bits or registers.
        quantity: u16,
    },
    /// Function 5.
    WriteCoil {
        /// Address, from 0.
        address: u16,
        /// The new state.
        value: bool,
    },
    /// Function 6.
    WriteRegister {
        /// Address, from 0.
        address: u16,
        /// The new word.
        value: u16,
    },
    /// Function 15.
    WriteCoils {
        /// First address, from 0.
        address: u16,
        /// 1 to 1968 states.
        values: Vec<bool>,
    },
    /// Function 16.
    WriteRegisters {
        /// First address, from 0.
        address: u16,
        /// 1 to 123 words.
        values: Vec<u16>,
    },
    /// Function 22: the register becomes `(register & and_mask) | (or_mask & !and_mask)`.
    MaskWrite {
        /// Address, from 0.
        address: u16,
        /// The bits that stay.
        and_mask: u16,
        /// What the other bits become.
        or_mask: u16,
    },
    /// Function 23: writes first, then reads.
    ReadWrite {
        /// First address that is read, from 0.
        address: u16,
        /// Registers to read, 1 to 125.
        quantity: u16,
        /// First address that is written, from 0.
        write_address: u16,
        /// 1 to 121 words to write.
        values: Vec<u16>,
    },
    /// Function 43, MEI type 14.
    DeviceId {
        /// 1 basic, 2 regular, 3 extended, 4 one single object.
        code: u8,
        /// The first object, or the only one.
        object: u8,
    },
}

/// Bytes of values that the answer to a read carries; None for what is no read.
pub(crate) fn expected_bytes(request: &[u8]) -> Option<usize> {
    let quantity = usize::from(word(request, 3)?);
    match request.first()? {
        1 | 2 => Some(quantity.div_ceil(8)),
        3 | 4 | 23 => Some(quantity * 2),
        _ => None,
    }
}

impl Request {
    /// The function code.
    #[must_use]
    pub fn function(&self) -> u8 {
        match self {
            Self::Read { area, .. } => area.function(),
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
            Self::MaskWrite { .. } => 22,
            Self::ReadWrite { .. } => 23,
            Self::DeviceId { .. } => DEVICE_ID,
        }
    }

    /// The first address, from 0; of function 23 that of the read, and 0 for function 43.
    #[must_use]
    pub fn address(&self) -> u16 {
        match self {
            Self::Read { address, .. }
            | Self::WriteCoil { address, .. }
            | Self::WriteRegister { address, .. }
            | Self::WriteCoils { address, .. }
            | Self::WriteRegisters { address, .. }
            | Self::MaskWrite { address, .. }
            | Self::ReadWrite { address, .. } => *address,
            Self::DeviceId { .. } => 0,
        }
    }

    /// How many bits or registers it is about; of function 23 those of the read, and 0 for function 43.
    #[must_use]
    pub fn quantity(&self) -> usize {
        match self {
            Self::Read { quantity, .. } | Self::ReadWrite { quantity, .. } => {
                usize::from(*quantity)
            }
            Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::MaskWrite { .. } => 1,
            Self::DeviceId { .. } => 0,
            Self::WriteCoils { values, .. } => values.len(),
            Self::WriteRegisters { values, .. } => values.len(),
        }
    }

    /// Writes the PDU.
    ///
    /// # Errors
    /// The quantity or the address is outside what the function allows.
    pub fn encode(&self) -> Result<Vec<u8>, RequestError> {
        let function = self.function();
        let address = self.address();
        let quantity = self.checked_quantity()?;
        let mut pdu = Vec::with_capacity(10);
        pdu.push(function);
        pdu.extend_from_slice(&address.to_be_bytes());
        match self {
            Self::Read { .. } => pdu.extend_from_slice(&quantity.to_be_bytes()),
            Self::WriteCoil { value, .. } => {
                pdu.extend_from_slice(if *value { &[0xff, 0] } else { &[0, 0] })
            }
            Self::WriteRegister { value, .. } => pdu.extend_from_slice(&value.to_be_bytes()),
            Self::WriteCoils { values, .. } => push_values(&mut pdu, quantity, &pack(values)),
            Self::WriteRegisters { values, .. } => {
                let bytes: Vec<u8> = values.iter().flat_map(|word| word.to_be_bytes()).collect();
                push_values(&mut pdu, quantity, &bytes);
            }
            Self::MaskWrite {
                and_mask, or_mask, ..
            } => {
                pdu.extend_from_slice(&and_mask.to_be_bytes());
                pdu.extend_from_slice(&or_mask.to_be_bytes());
            }
            Self::ReadWrite {
                write_address,
                values,
                ..
            } => {
                let writes = check_quantity(
                    function,
                    *write_address,
                    values.len(),
                    MAX_READ_WRITE_REGISTERS,
                )?;
                pdu.extend_from_slice(&quantity.to_be_bytes());
                pdu.extend_from_slice(&write_address.to_be_bytes());
                let bytes: Vec<u8> = values.iter().flat_map(|word| word.to_be_bytes()).collect();
                push_values(&mut pdu, writes, &bytes);
            }
            Self::DeviceId { code, object } => {
                check_read_code(*code)?;
                pdu.truncate(1);
                pdu.extend_from_slice(&[MEI_DEVICE_ID, *code, *object]);
            }
        }
        Ok(pdu)
    }

    /// Reads a PDU.
    ///
    /// # Errors
    /// `RequestError::exception_code` tells a server what to answer.
    pub fn decode(pdu: &[u8]) -> Result<Self, RequestError> {
        let function = *pdu.first().ok_or(RequestError::Empty)?;
        let short = RequestError::Length { function };
        match function {
            1..=6 | 15 | 16 => {}
            22 => return decode_mask_write(pdu),
            23 => return decode_read_write(pdu),
            DEVICE_ID => return decode_device_id(pdu),
            _ => return Err(RequestError::Function(function)),
        }
        let address = word(pdu, 1).ok_or(short)?;
        let second = word(pdu, 3).ok_or(short)?;
        let request = match (Area::of_function(function), function) {
            (Some(area), _) => Self::Read {
                area,
                address,
                quantity: second,
            },
            (None, 5) => Self::WriteCoil {
                address,
                value: match second {
                    0 => false,
                    0xff00 => true,
                    other => return Err(RequestError::CoilValue(other)),
                },
            },
            (None, 6) => Self::WriteRegister {
                address,
                value: second,
            },
            (None, _) => return decode_write_multiple(pdu, function, address, second),
        };
        if pdu.len() != 5 {
            return Err(short);
        }
        request.checked_quantity()?;
        Ok(request)
    }

    fn checked_quantity(&self) -> Result<u16, RequestError> {
        let function = self.function();
        let limit = match self {
            Self::Read { area, .. } => area.max_read(),
            Self::WriteCoil { .. } | Self::WriteRegister { .. } | Self::MaskWrite { .. } => 1,
            Self::WriteCoils { .. } => MAX_WRITE_BITS,
            Self::WriteRegisters { .. } => MAX_WRITE_REGISTERS,
            Self::ReadWrite { .. } => MAX_READ_REGISTERS,
            Self::DeviceId { .. } => return Ok(0),
        };
        check_quantity(function, self.address(), self.quantity(), limit)
    }
}

fn check_quantity(
    function: u8,
    address: u16,
    quantity: usize,
    limit: u16,
) -> Result<u16, RequestError> {
    let wrong = RequestError::Quantity {
        function,
        quantity: u32::try_from(quantity).unwrap_or(u32::MAX),
    };
    let quantity = u16::try_from(quantity).map_err(|_| wrong)?;
    if quantity == 0 || quantity > limit {
        return Err(wrong);
    }
    if u32::from(address) + u32::from(quantity) > 65536 {
        return Err(RequestError::Address {
            function,
            address,
            quantity,
        });
    }
    Ok(quantity)
}

fn decode_write_multiple(
    pdu: &[u8],
    function: u8,
    address: u16,
    quantity: u16,
) -> Result<Request, RequestError> {
    let short = RequestError::Length { function };
    let count = usize::from(quantity);
    let (limit, bytes) = if function == 15 {
        (MAX_WRITE_BITS, count.div_ceil(8))
    } else {
        (MAX_WRITE_REGISTERS, count * 2)
    };
    check_quantity(function, address, count, limit)?;
    let announced = usize::from(*pdu.get(5).ok_or(short)?);
    let payload = pdu.get(6..).ok_or(short)?;
    if announced != bytes || payload.len() != bytes {
        return Err(short);
    }
    Ok(if function == 15 {
        Request::WriteCoils {
            address,
            values: (0..count).filter_map(|at| bit(payload, at)).collect(),
        }
    } else {
        Request::WriteRegisters {
            address,
            values: words(payload),
        }
    })
}

fn decode_mask_write(pdu: &[u8]) -> Result<Request, RequestError> {
    match (word(pdu, 1), word(pdu, 3), word(pdu, 5), pdu.len()) {
        (Some(address), Some(and_mask), Some(or_mask), 7) => Ok(Request::MaskWrite {
            address,
            and_mask,
            or_mask,
        }),
        _ => Err(RequestError::Length { function: 22 }),
    }
}

fn decode_read_write(pdu: &[u8]) -> Result<Request, RequestError> {
    let short = RequestError::Length { function: 23 };
    let number = |at| word(pdu, at).ok_or(short);
    let (address, quantity, write_address, writes) =
        (number(1)?, number(3)?, number(5)?, number(7)?);
    check_quantity(23, address, usize::from(quantity), MAX_READ_REGISTERS)?;
    let count = usize::from(writes);
    check_quantity(23, write_address, count, MAX_READ_WRITE_REGISTERS)?;
    let announced = usize::from(*pdu.get(9).ok_or(short)?);
    let payload = pdu.get(10..).ok_or(short)?;
    if announced != count * 2 || payload.len() != count * 2 {
        return Err(short);
    }
    Ok(Request::ReadWrite {
        address,
        quantity,
        write_address,
        values: words(payload),
    })
}

fn decode_device_id(pdu: &[u8]) -> Result<Request, RequestError> {
    match *pdu {
        [_, MEI_DEVICE_ID, code, object] => {
            check_read_code(code)?;
            Ok(Request::DeviceId { code, object })
        }
        [_, mei, ..] if mei != MEI_DEVICE_ID => Err(RequestError::Mei(mei)),
        _ => Err(RequestError::Length {
            function: DEVICE_ID,
        }),
    }
}

fn check_read_code(code: u8) -> Result<(), RequestError> {
    if matches!(code, 1..=4) {
        Ok(())
    } else {
        Err(RequestError::ReadCode(code))
    }
}

fn push_values(pdu: &mut Vec<u8>, quantity: u16, bytes: &[u8]) {
    pdu.extend_from_slice(&quantity.to_be_bytes());
    // At most 246 bytes: the quantity was checked before.
    pdu.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    pdu.extend_from_slice(bytes);
}
