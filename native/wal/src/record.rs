//! What goes in, what comes out, and the checksum between.

/// A record to append.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRecord {
    /// Name of the stream, such as `telemetry`.
    pub stream: String,
    /// Oldest source time inside, ns since 1970 UTC.
    pub ts_min: i64,
    /// Newest source time inside, ns since 1970 UTC.
    pub ts_max: i64,
    /// Rows inside.
    pub rows: u32,
    /// How the payload is encoded; the caller's own number.
    pub codec: u8,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// A record as it was appended, with its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Place in the buffer, from 1; never used twice.
    pub seq: u64,
    /// What was appended.
    pub content: NewRecord,
}

/// How far a destination has acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor {
    /// The destination's name.
    pub destination: String,
    /// Everything up to this place is acknowledged.
    pub acked: u64,
}

/// Records that were deleted without an acknowledgement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// First place missing.
    pub first_seq: u64,
    /// Last place missing.
    pub last_seq: u64,
    /// Records missing.
    pub records: u64,
    /// Rows missing; what a damaged file hid counts as zero rows.
    pub rows: u64,
    /// Why: `full` or `damaged`.
    pub reason: String,
}

/// A record that a destination will never take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeadLetter {
    /// Identity in the table of dead letters.
    pub id: u64,
    /// Who refused it.
    pub destination: String,
    /// The record.
    pub record: Record,
    /// The refusal in the destination's words.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// The buffer in figures.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// Records kept.
    pub records: u64,
    /// Rows kept.
    pub rows: u64,
    /// Payload bytes kept.
    pub payload_bytes: u64,
    /// Size of the database file.
    pub file_bytes: u64,
    /// Size of its write-ahead file.
    pub wal_bytes: u64,
    /// The oldest place kept; 0 if empty.
    pub first_seq: u64,
    /// The newest place ever given.
    pub last_seq: u64,
    /// Records appended since it was opened.
    pub appended_records: u64,
    /// Rows appended since it was opened.
    pub appended_rows: u64,
    /// Commits since it was opened.
    pub commits: u64,
    /// Time spent in commits since it was opened.
    pub commit_ns: u64,
    /// The longest commit since it was opened.
    pub commit_max_ns: u64,
    /// Records deleted without an acknowledgement, over the buffer's life.
    pub dropped_records: u64,
    /// Rows in them.
    pub dropped_rows: u64,
    /// Rows of the quarantine table.
    pub quarantined: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// Dead letters deleted to keep to their cap, over the buffer's life.
    pub dead_letters_dropped: u64,
    /// Appends that wait for room.
    pub blocked: u64,
    /// Every destination's cursor, by name.
    pub cursors: Vec<Cursor>,
}

/// CRC32C over a cursor, so that a flipped bit cannot make it pass over records.
pub(crate) fn cursor_checksum(destination: &str, acked: i64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&acked.to_le_bytes()), destination.as_bytes())
}

/// CRC32C over every column, so that a flipped bit anywhere in a row is found.
pub(crate) fn checksum(seq: i64, content: &NewRecord) -> u32 {
    let mut crc = crc32c::crc32c(&seq.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &(content.stream.len() as u64).to_le_bytes());
    crc = crc32c::crc32c_append(crc, content.stream.as_bytes());
    crc = crc32c::crc32c_append(crc, &content.ts_min.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &content.ts_max.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &content.rows.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &[content.codec]);
    crc32c::crc32c_append(crc, &content.payload)
}
