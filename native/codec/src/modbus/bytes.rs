//! Big-endian reads that cannot run off the end, and bits packed as Modbus packs them.

/// Reads the big-endian word at `at`; None past the end.
pub(crate) fn word(bytes: &[u8], at: usize) -> Option<u16> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(u16::from_be_bytes(pair))
}

/// Reads all big-endian words; an odd last byte is left out.
pub(crate) fn words(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .filter_map(|pair| word(pair, 0))
        .collect()
}

/// Reads one bit; the first is the lowest bit of the first byte (V1.1b3 section 6.1).
pub(crate) fn bit(bytes: &[u8], at: usize) -> Option<bool> {
    bytes.get(at / 8).map(|byte| byte >> (at % 8) & 1 == 1)
}

/// Packs bits, the first into the lowest bit of the first byte; unused bits are zero.
pub(crate) fn pack(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|chunk| {
            chunk
                .iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
        })
        .collect()
}
