//! Requests, both ways: a client writes them, a server reads them.
//!
//! Obeys: V1.1b3 sections 6.1 to 6.6, 6.11, 6.12.

use super::bytes::{bit, pack, word, words};
use super::error::RequestError;
use super::{MAX_READ_BITS, MAX_READ_REGISTERS, MAX_WRITE_BITS, MAX_WRITE_REGISTERS};

/// The four tables of a device; V1.1b3 section 4.3.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Area {
    /// Bits that may be written: functions 1, 5, 15.
    Coil,
    /// Bits that may be read: function 2.
    DiscreteInput,
    /// Words that may be written: functions 3, 6, 16.
    HoldingRegister,
    /// Words that may be read: function 4.
    InputRegister,
}

impl Area {
    /// The area that a read function reads.
    #[must_use]
    pub fn of_function(function: u8) -> Option<Self> {
        match function {
            1 => Some(Self::Coil),
            2 => Some(Self::DiscreteInput),
            3 => Some(Self::HoldingRegister),
            4 => Some(Self::InputRegister),
            _ => None,
        }
    }

    /// The function that reads this area.
    #[must_use]
    pub fn function(self) -> u8 {
        match self {
            Self::Coil => 1,
            Self::DiscreteInput => 2,
            Self::HoldingRegister => 3,
            Self::InputRegister => 4,
        }
    }

    /// True for the two areas of single bits.
    #[must_use]
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::DiscreteInput)
    }

    /// How many values one read may ask for.
    #[must_use]
    pub fn max_read(self) -> u16 {
        if self.is_bits() {
            MAX_READ_BITS
        } else {
            MAX_READ_REGISTERS
        }
    }
}

/// One request of the eight that are served here.
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
        }
    }

    /// The first address, from 0.
    #[must_use]
    pub fn address(&self) -> u16 {
        match self {
            Self::Read { address, .. }
            | Self::WriteCoil { address, .. }
            | Self::WriteRegister { address, .. }
            | Self::WriteCoils { address, .. }
            | Self::WriteRegisters { address, .. } => *address,
        }
    }

    /// How many bits or registers it is about.
    #[must_use]
    pub fn quantity(&self) -> usize {
        match self {
            Self::Read { quantity, .. } => usize::from(*quantity),
            Self::WriteCoil { .. } | Self::WriteRegister { .. } => 1,
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
        let mut pdu = Vec::with_capacity(6);
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
        if !matches!(function, 1..=6 | 15 | 16) {
            return Err(RequestError::Function(function));
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
            Self::WriteCoil { .. } | Self::WriteRegister { .. } => 1,
            Self::WriteCoils { .. } => MAX_WRITE_BITS,
            Self::WriteRegisters { .. } => MAX_WRITE_REGISTERS,
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

fn push_values(pdu: &mut Vec<u8>, quantity: u16, bytes: &[u8]) {
    pdu.extend_from_slice(&quantity.to_be_bytes());
    // At most 246 bytes: the quantity was checked before.
    pdu.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
    pdu.extend_from_slice(bytes);
}
