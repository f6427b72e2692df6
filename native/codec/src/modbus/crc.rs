//! The check at the end of an RTU frame.
//!
//! Obeys: MODBUS over Serial Line Specification and Implementation Guide V1.02, section 6.2.2.

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the index is below 256")]
        let mut value = index as u16;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xa001
            } else {
                value >> 1
            };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[index] = value;
        }
        index += 1;
    }
    table
}

/// The CRC-16 of some bytes. On the wire its low byte goes first.
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        let [low, _] = crc.to_le_bytes();
        // A byte is always inside the table.
        crc >> 8 ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or(0)
    })
}

/// Tells whether bytes end with the CRC of what is before it.
pub(crate) fn fits(frame: &[u8]) -> bool {
    frame
        .split_last_chunk()
        .is_some_and(|(body, last)| crc16(body) == u16::from_le_bytes(*last))
}
