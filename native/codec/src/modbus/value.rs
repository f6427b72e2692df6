//! What values are, and in which order their bytes travel.
//!
//! The standard knows 16-bit words only (V1.1b3 section 4.2); wider types are the makers' convention, named by the
//! order in which the bytes A (highest) to D (lowest) of a 32-bit value travel.

use std::borrow::Cow;

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// A coil, a discrete input, or one bit of a register.
    Bool,
    /// 16 bits, two's complement.
    Int16,
    /// 16 bits.
    Uint16,
    /// 32 bits, two's complement.
    Int32,
    /// 32 bits.
    Uint32,
    /// 64 bits, two's complement.
    Int64,
    /// 64 bits.
    Uint64,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
    /// 8 bits, two's complement, in the low byte of a register; the high byte is ignored.
    Int8,
    /// 8 bits in the low byte of a register; the high byte is ignored.
    Uint8,
    /// IEEE 754 binary16.
    Float16,
    /// Four decimal digits, one in four bits, the highest first.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Text of at most so many bytes, two in a register, ended by NUL if shorter.
    Text(u16),
    /// So many bytes, two in a register.
    Bytes(u16),
}

impl Kind {
    /// Registers that one value takes; 1 for a bit.
    #[must_use]
    pub fn words(self) -> u16 {
        match self {
            Self::Bool
            | Self::Int8
            | Self::Uint8
            | Self::Int16
            | Self::Uint16
            | Self::Float16
            | Self::Bcd16 => 1,
            Self::Int32 | Self::Uint32 | Self::Float32 | Self::Bcd32 => 2,
            Self::Int64 | Self::Uint64 | Self::Float64 => 4,
            Self::Text(bytes) | Self::Bytes(bytes) => bytes.div_ceil(2),
        }
    }

    /// The name as settings write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int16 => "INT16",
            Self::Uint16 => "UINT16",
            Self::Int32 => "INT32",
            Self::Uint32 => "UINT32",
            Self::Int64 => "INT64",
            Self::Uint64 => "UINT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Int8 => "INT8",
            Self::Uint8 => "UINT8",
            Self::Float16 => "FLOAT16",
            Self::Bcd16 => "BCD16",
            Self::Bcd32 => "BCD32",
            Self::Text(_) => "STRING",
            Self::Bytes(_) => "BYTES",
        }
    }

    /// The kind of this name; `bytes` is the room of a text, or the length of BYTES.
    #[must_use]
    pub fn named(name: &str, bytes: u16) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "INT16" => Self::Int16,
            "UINT16" => Self::Uint16,
            "INT32" => Self::Int32,
            "UINT32" => Self::Uint32,
            "INT64" => Self::Int64,
            "UINT64" => Self::Uint64,
            "FLOAT32" => Self::Float32,
            "FLOAT64" => Self::Float64,
            "INT8" => Self::Int8,
            "UINT8" => Self::Uint8,
            "FLOAT16" => Self::Float16,
            "BCD16" => Self::Bcd16,
            "BCD32" => Self::Bcd32,
            "STRING" => Self::Text(bytes),
            "BYTES" => Self::Bytes(bytes),
            _ => return None,
        })
    }
}

/// The order in which the bytes of a value travel. In text and bytes only the swap of bytes applies.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum ByteOrder {
    /// Highest word first, highest byte first: as the standard sends one register.
    #[default]
    Abcd,
    /// Lowest word first.
    Cdab,
    /// Highest word first, bytes swapped in each register.
    Badc,
    /// Lowest word first, bytes swapped: little endian throughout.
    Dcba,
}

impl ByteOrder {
    /// The order of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ABCD" => Self::Abcd,
            "CDAB" => Self::Cdab,
            "BADC" => Self::Badc,
            "DCBA" => Self::Dcba,
            _ => return None,
        })
    }

    pub(crate) fn swaps_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    fn swaps_words(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    /// Turns wire order into big endian, or back: the change is its own inverse.
    pub(crate) fn arrange<const N: usize>(self, mut bytes: [u8; N]) -> [u8; N] {
        if self.swaps_words() {
            // Reversing everything reverses the words and the bytes in them ...
            bytes.reverse();
        }
        if self.swaps_bytes() != self.swaps_words() {
            // ... so CDAB turns the bytes back, and DCBA is done.
            for pair in bytes.chunks_exact_mut(2) {
                pair.reverse();
            }
        }
        bytes
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// BOOL.
    Bool(bool),
    /// The signed types.
    Int(i64),
    /// The unsigned types and decimal digits.
    Uint(u64),
    /// The float types; the narrow ones are widened exactly.
    Float(f64),
    /// STRING.
    Text(Cow<'a, str>),
    /// BYTES.
    Bytes(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// What the value is, in words.
    #[must_use]
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::Uint(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}
