//! Everything that can go wrong in this crate.

use std::fmt;

/// Why a batch could not be built, encoded or decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SeriesError {
    /// The bytes do not begin as an encoded batch does.
    NotABatch,
    /// A newer bifrost wrote it.
    UnsupportedVersion(u8),
    /// The bytes end before the named part does.
    Truncated(&'static str),
    /// The checksum does not match the bytes.
    Checksum {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The named part contradicts the format.
    Invalid(&'static str),
    /// The batch is beyond the format's limits.
    TooLarge(&'static str),
    /// A setting is outside its range.
    Setting(String),
}

impl fmt::Display for SeriesError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABatch => formatter.write_str("expected an encoded batch, got other bytes"),
            Self::UnsupportedVersion(version) => write!(
                formatter,
                "expected batch format {}, got {version}: a newer bifrost wrote it, read it with that one",
                crate::FORMAT_VERSION
            ),
            Self::Truncated(part) => write!(formatter, "encoded batch ends inside its {part}"),
            Self::Checksum { stored, computed } => write!(
                formatter,
                "encoded batch is damaged: expected CRC32C {stored:08x}, got {computed:08x}"
            ),
            Self::Invalid(part) => write!(formatter, "encoded batch has an impossible {part}"),
            Self::TooLarge(part) => write!(
                formatter,
                "batch has too many {part}: at most {} rows and {} bytes, split it",
                crate::MAX_ROWS,
                crate::MAX_BODY_BYTES
            ),
            Self::Setting(text) => formatter.write_str(text),
        }
    }
}

impl std::error::Error for SeriesError {}
