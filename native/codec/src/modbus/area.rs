//! The tables of a device.

use super::{MAX_READ_BITS, MAX_READ_REGISTERS};

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
