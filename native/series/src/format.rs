//! A batch as bytes: `BFC`, version, CRC32C, then one zstd frame that holds the columns, dictionary included.
//!
//! ```text
//! 0  "BFC"  3 version  4 CRC32C of all that follows (u32 LE)  8 packing  9 body bytes (u32 LE)  13 packed bytes (u32 LE)
//! 17 packed body, then zero padding
//! body: rows, sequence, origin, dictionary, tag ids, source times, kinds, bools, i64s, f64s, texts, bytes, statuses,
//!       received times
//! ```
//!
//! Runs and zstd make a monotonous batch very small. So that a few hostile bytes can never ask for gigabytes, an
//! encoding is padded to at least one byte per [`ROWS_PER_BYTE`] rows and per [`BODY_PER_BYTE`] body bytes; the decoder
//! refuses anything denser before it allocates.

use crate::column_codec::{
    Reader, deltas_by_key, put_doubles, put_signed, put_text, put_times, put_unsigned, put_varint,
    read_doubles, read_signed, read_times, read_unsigned, sum_by_key,
};
use crate::columns::{Blobs, Columns};
use crate::error::SeriesError;
use crate::value::Kind;

/// The version this code writes; it reads this one only.
pub const FORMAT_VERSION: u8 = 1;
/// Most rows in one batch.
pub const MAX_ROWS: usize = 1 << 24;
/// Most bytes of one batch before compression.
pub const MAX_BODY_BYTES: usize = 1 << 28;

const MAGIC: [u8; 3] = *b"BFC";
const HEADER: usize = 17;
const STORED: u8 = 0;
const ZSTD: u8 = 1;
const LEVEL: i32 = 3;
/// Below this a frame's own header costs more than it saves.
const WORTH_PACKING: usize = 96;
const ROWS_PER_BYTE: usize = 512;
const BODY_PER_BYTE: usize = 1024;

/// The batch as bytes, bit for bit restorable by [`decode`].
///
/// # Errors
/// [`SeriesError::TooLarge`] beyond [`MAX_ROWS`] or [`MAX_BODY_BYTES`].
pub fn encode(columns: &Columns) -> Result<Vec<u8>, SeriesError> {
    if columns.len() > MAX_ROWS {
        return Err(SeriesError::TooLarge("rows"));
    }
    let body = body(columns);
    if body.len() > MAX_BODY_BYTES {
        return Err(SeriesError::TooLarge("bytes"));
    }
    let packed = if body.len() < WORTH_PACKING {
        None
    } else {
        zstd::bulk::compress(&body, LEVEL)
            .ok()
            .filter(|packed| packed.len() < body.len())
    };
    let (packing, payload) = match &packed {
        Some(packed) => (ZSTD, packed),
        None => (STORED, &body),
    };
    let least = (columns.len() / ROWS_PER_BYTE).max(body.len() / BODY_PER_BYTE);
    let mut out = Vec::with_capacity((HEADER + payload.len()).max(least));
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT_VERSION);
    out.extend_from_slice(&[0; 4]);
    out.push(packing);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    if out.len() < least {
        out.resize(least, 0);
    }
    let checksum = crc32c::crc32c(out.get(8..).unwrap_or_default());
    if let Some(place) = out.get_mut(4..8) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(out)
}

fn body(columns: &Columns) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + columns.len() * 12);
    put_varint(&mut out, columns.len() as u64);
    put_varint(&mut out, columns.sequence);
    put_text(&mut out, &columns.origin);
    put_varint(&mut out, columns.dictionary.len() as u64);
    for tag in &columns.dictionary {
        put_text(&mut out, tag);
    }
    put_differences(&mut out, columns.tag_ids.iter().map(|id| i64::from(*id)));
    put_times(&mut out, &columns.source_ts);
    put_differences(&mut out, columns.kinds.iter().map(|kind| *kind as i64));
    put_unsigned(&mut out, columns.bools.iter().map(|cell| u64::from(*cell)));
    let keys = keys_of(columns, Kind::I64);
    put_signed(&mut out, deltas_by_key(&columns.i64s, &keys).into_iter());
    put_doubles(&mut out, &columns.f64s, &keys_of(columns, Kind::F64));
    put_blobs(&mut out, &columns.utf8);
    put_blobs(&mut out, &columns.bytes);
    put_differences(&mut out, columns.status.iter().map(|code| i64::from(*code)));
    match &columns.received_ts {
        None => out.push(0),
        Some(times) => {
            out.push(1);
            put_differences(
                &mut out,
                times
                    .iter()
                    .zip(&columns.source_ts)
                    .map(|(received, source)| received.wrapping_sub(*source)),
            );
        }
    }
    out
}

/// The tag id of each row of one kind: numbers are compared with the same tag's last.
fn keys_of(columns: &Columns, kind: Kind) -> Vec<u32> {
    columns
        .tag_ids
        .iter()
        .zip(&columns.kinds)
        .filter(|(_, own)| **own == kind)
        .map(|(id, _)| *id)
        .collect()
}

fn put_differences(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    let mut last = 0_i64;
    put_signed(
        out,
        values.map(|value| value.wrapping_sub(std::mem::replace(&mut last, value))),
    );
}

fn read_differences(
    reader: &mut Reader<'_>,
    count: usize,
    part: &'static str,
) -> Result<Vec<i64>, SeriesError> {
    let mut last = 0_i64;
    let mut values = read_signed(reader, count, part)?;
    for value in &mut values {
        last = last.wrapping_add(*value);
        *value = last;
    }
    Ok(values)
}

fn put_blobs(out: &mut Vec<u8>, blobs: &Blobs) {
    let mut last = 0;
    put_unsigned(
        out,
        blobs
            .ends
            .iter()
            .map(|end| u64::from(end - std::mem::replace(&mut last, *end))),
    );
    out.extend_from_slice(&blobs.data);
}

fn read_blobs(
    reader: &mut Reader<'_>,
    count: usize,
    part: &'static str,
) -> Result<Blobs, SeriesError> {
    let mut blobs = Blobs::default();
    let mut end = 0_usize;
    for length in read_unsigned(reader, count, part)? {
        end = usize::try_from(length)
            .ok()
            .and_then(|length| end.checked_add(length))
            .filter(|end| *end <= reader.remaining())
            .ok_or(SeriesError::Invalid(part))?;
        blobs
            .ends
            .push(u32::try_from(end).map_err(|_| SeriesError::Invalid(part))?);
    }
    blobs.data = reader.take(end, part)?.to_vec();
    Ok(blobs)
}

/// The batch that [`encode`] wrote.
///
/// # Errors
/// One of [`SeriesError`]'s first six: damaged or hostile bytes give an error and never more memory than their length
/// justifies.
pub fn decode(bytes: &[u8]) -> Result<Columns, SeriesError> {
    let mut header = Reader::new(bytes);
    if header.take(3, "header").ok() != Some(MAGIC.as_slice()) {
        return Err(SeriesError::NotABatch);
    }
    let version = header.byte("header")?;
    if version != FORMAT_VERSION {
        return Err(SeriesError::UnsupportedVersion(version));
    }
    let stored = read_u32(&mut header)?;
    let computed = crc32c::crc32c(bytes.get(8..).unwrap_or_default());
    if stored != computed {
        return Err(SeriesError::Checksum { stored, computed });
    }
    let packing = header.byte("header")?;
    let body_bytes = read_u32(&mut header)? as usize;
    let packed_bytes = read_u32(&mut header)? as usize;
    let payload = header.take(packed_bytes, "body")?;
    if body_bytes > MAX_BODY_BYTES || body_bytes / BODY_PER_BYTE > bytes.len() {
        return Err(SeriesError::Invalid("body length"));
    }
    match packing {
        STORED if payload.len() == body_bytes => read_body(payload, bytes.len()),
        ZSTD => {
            let body = zstd::bulk::decompress(payload, body_bytes)
                .map_err(|_| SeriesError::Invalid("compressed body"))?;
            if body.len() != body_bytes {
                return Err(SeriesError::Invalid("body length"));
            }
            read_body(&body, bytes.len())
        }
        _ => Err(SeriesError::Invalid("packing")),
    }
}

fn read_u32(reader: &mut Reader<'_>) -> Result<u32, SeriesError> {
    let bytes = reader.take(4, "header")?;
    let bytes: [u8; 4] = bytes
        .try_into()
        .map_err(|_| SeriesError::Truncated("header"))?;
    Ok(u32::from_le_bytes(bytes))
}

fn read_body(body: &[u8], encoded_bytes: usize) -> Result<Columns, SeriesError> {
    let mut reader = Reader::new(body);
    let rows = reader.length("row count")?;
    if rows > MAX_ROWS || rows / ROWS_PER_BYTE > encoded_bytes {
        return Err(SeriesError::Invalid("row count"));
    }
    let sequence = reader.varint("sequence")?;
    let origin = reader.text("origin")?.to_owned();
    let tags = reader.length("dictionary")?;
    if tags > rows {
        return Err(SeriesError::Invalid("dictionary"));
    }
    let mut dictionary: Vec<Box<str>> = Vec::with_capacity(tags.min(reader.remaining()));
    for _ in 0..tags {
        dictionary.push(reader.text("dictionary")?.into());
    }
    let tag_ids = read_differences(&mut reader, rows, "tag column")?
        .into_iter()
        .map(|id| u32::try_from(id).ok().filter(|id| (*id as usize) < tags))
        .collect::<Option<Vec<u32>>>()
        .ok_or(SeriesError::Invalid("tag column"))?;
    let source_ts = read_times(&mut reader, rows, "time column")?;
    let kinds = read_differences(&mut reader, rows, "kind column")?
        .into_iter()
        .map(|code| u8::try_from(code).ok().and_then(Kind::from_code))
        .collect::<Option<Vec<Kind>>>()
        .ok_or(SeriesError::Invalid("kind column"))?;
    let mut columns = Columns {
        origin,
        sequence,
        dictionary,
        tag_ids,
        source_ts,
        slots: slots(&kinds),
        kinds,
        ..Columns::default()
    };
    let count = |kind| columns.kinds.iter().filter(|own| **own == kind).count();
    columns.bools = read_unsigned(&mut reader, count(Kind::Bool), "bool column")?
        .into_iter()
        .map(|cell| (cell < 2).then_some(cell == 1))
        .collect::<Option<Vec<bool>>>()
        .ok_or(SeriesError::Invalid("bool column"))?;
    let count = |kind| columns.kinds.iter().filter(|own| **own == kind).count();
    let (texts, blobs) = (count(Kind::Utf8), count(Kind::Bytes));
    let keys = keys_of(&columns, Kind::I64);
    columns.i64s = read_signed(&mut reader, keys.len(), "integer column")?;
    sum_by_key(&mut columns.i64s, &keys);
    columns.f64s = read_doubles(&mut reader, &keys_of(&columns, Kind::F64), "double column")?;
    columns.utf8 = read_blobs(&mut reader, texts, "text column")?;
    check_utf8(&columns.utf8)?;
    columns.bytes = read_blobs(&mut reader, blobs, "bytes column")?;
    columns.status = read_differences(&mut reader, rows, "status column")?
        .into_iter()
        .map(|code| u32::try_from(code).ok())
        .collect::<Option<Vec<u32>>>()
        .ok_or(SeriesError::Invalid("status column"))?;
    columns.received_ts = match reader.byte("received column")? {
        0 => None,
        1 => {
            let mut times = read_differences(&mut reader, rows, "received column")?;
            for (time, source) in times.iter_mut().zip(&columns.source_ts) {
                *time = time.wrapping_add(*source);
            }
            Some(times)
        }
        _ => return Err(SeriesError::Invalid("received column")),
    };
    if !reader.is_done() {
        return Err(SeriesError::Invalid("length"));
    }
    Ok(columns)
}

fn slots(kinds: &[Kind]) -> Vec<u32> {
    let mut next = [0_u32; 6];
    kinds
        .iter()
        .map(|kind| match (kind, next.get_mut(*kind as usize)) {
            (Kind::Null, _) | (_, None) => 0,
            (_, Some(counter)) => {
                *counter += 1;
                *counter - 1
            }
        })
        .collect()
}

fn check_utf8(blobs: &Blobs) -> Result<(), SeriesError> {
    for slot in 0..blobs.ends.len() {
        let cell = blobs.get(slot).ok_or(SeriesError::Invalid("text column"))?;
        std::str::from_utf8(cell).map_err(|_| SeriesError::Invalid("text column"))?;
    }
    Ok(())
}
