//! Column codecs: integers as zigzag varints with runs of zeros, doubles as scaled decimals or shuffled bytes.
//!
//! Reading never takes more than the row count allows, and that count was checked against the input's length before.

use crate::error::SeriesError;

/// Reads a body from front to back.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn byte(&mut self, part: &'static str) -> Result<u8, SeriesError> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or(SeriesError::Truncated(part))?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn take(
        &mut self,
        count: usize,
        part: &'static str,
    ) -> Result<&'a [u8], SeriesError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(SeriesError::Truncated(part))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn varint(&mut self, part: &'static str) -> Result<u64, SeriesError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte(part)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(SeriesError::Invalid(part));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(SeriesError::Invalid(part))
    }

    pub(crate) fn length(&mut self, part: &'static str) -> Result<usize, SeriesError> {
        usize::try_from(self.varint(part)?).map_err(|_| SeriesError::Invalid(part))
    }

    /// A length-prefixed text.
    pub(crate) fn text(&mut self, part: &'static str) -> Result<&'a str, SeriesError> {
        let length = self.length(part)?;
        std::str::from_utf8(self.take(length, part)?).map_err(|_| SeriesError::Invalid(part))
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Unsigned numbers: each a varint; a run of zeros is a zero and the run's length less one.
pub(crate) fn put_unsigned(out: &mut Vec<u8>, values: impl Iterator<Item = u64>) {
    let mut zeros = 0_u64;
    for value in values {
        if value == 0 {
            zeros += 1;
            continue;
        }
        if zeros > 0 {
            out.push(0);
            put_varint(out, zeros - 1);
            zeros = 0;
        }
        put_varint(out, value);
    }
    if zeros > 0 {
        out.push(0);
        put_varint(out, zeros - 1);
    }
}

pub(crate) fn read_unsigned(
    reader: &mut Reader<'_>,
    count: usize,
    part: &'static str,
) -> Result<Vec<u64>, SeriesError> {
    let mut values = Vec::with_capacity(count);
    while values.len() < count {
        let value = reader.varint(part)?;
        if value != 0 {
            values.push(value);
            continue;
        }
        let run = reader
            .length(part)?
            .checked_add(1)
            .filter(|run| *run <= count - values.len())
            .ok_or(SeriesError::Invalid(part))?;
        values.resize(values.len() + run, 0);
    }
    Ok(values)
}

/// Signed numbers, zigzag over [`put_unsigned`].
pub(crate) fn put_signed(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    put_unsigned(out, values.map(zigzag));
}

pub(crate) fn read_signed(
    reader: &mut Reader<'_>,
    count: usize,
    part: &'static str,
) -> Result<Vec<i64>, SeriesError> {
    Ok(read_unsigned(reader, count, part)?
        .into_iter()
        .map(unzigzag)
        .collect())
}

/// Times: the difference of differences, since polls come at an even pace.
pub(crate) fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let mut last = 0_i64;
    let mut step = 0_i64;
    put_signed(
        out,
        times.iter().map(|time| {
            let new_step = time.wrapping_sub(last);
            let change = new_step.wrapping_sub(step);
            (last, step) = (*time, new_step);
            change
        }),
    );
}

pub(crate) fn read_times(
    reader: &mut Reader<'_>,
    count: usize,
    part: &'static str,
) -> Result<Vec<i64>, SeriesError> {
    let mut last = 0_i64;
    let mut step = 0_i64;
    let mut times = read_signed(reader, count, part)?;
    for time in &mut times {
        step = step.wrapping_add(*time);
        last = last.wrapping_add(step);
        *time = last;
    }
    Ok(times)
}

/// Each number less the one before it of the same key; keys count from 0.
pub(crate) fn deltas_by_key(values: &[i64], keys: &[u32]) -> Vec<i64> {
    let mut last = LastByKey::default();
    values
        .iter()
        .zip(keys)
        .map(|(value, key)| value.wrapping_sub(last.replace(*key, *value)))
        .collect()
}

/// Undo [`deltas_by_key`] in place.
pub(crate) fn sum_by_key(values: &mut [i64], keys: &[u32]) {
    let mut last = LastByKey::default();
    for (value, key) in values.iter_mut().zip(keys) {
        let before = last.get(*key);
        *value = value.wrapping_add(before);
        last.replace(*key, *value);
    }
}

/// The last number of each key. Keys are checked dictionary positions, so the table is no longer than the dictionary.
#[derive(Default)]
struct LastByKey(Vec<i64>);

impl LastByKey {
    fn get(&self, key: u32) -> i64 {
        self.0.get(key as usize).copied().unwrap_or(0)
    }

    fn replace(&mut self, key: u32, value: i64) -> i64 {
        let key = key as usize;
        if key >= self.0.len() {
            self.0.resize(key + 1, 0);
        }
        self.0
            .get_mut(key)
            .map_or(0, |last| std::mem::replace(last, value))
    }
}

const RAW: u8 = 0;
const DECIMAL: u8 = 1;
/// Most sensors print at most nine decimals; more would leave no bits for the digits before the point.
const MAX_DECIMALS: usize = 9;
const POWERS: [f64; MAX_DECIMALS + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Beyond this a double has no digit to spare, so scaling it cannot be exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The whole number which, divided by `power`, gives back exactly these bits.
fn scaled(value: f64, power: f64) -> Option<i64> {
    let whole = (value * power).round();
    // NaN fails the first comparison; -0.0 becomes 0 and fails the second.
    let whole = (whole.abs() < EXACT).then_some(whole as i64)?;
    ((whole as f64 / power).to_bits() == value.to_bits()).then_some(whole)
}

/// Doubles: whole numbers of one decimal scale where that is exact for nearly all, else their bytes, shuffled.
pub(crate) fn put_doubles(out: &mut Vec<u8>, values: &[f64], keys: &[u32]) {
    let Some((decimals, power)) = decimal_scale(values) else {
        out.push(RAW);
        put_shuffled(out, values);
        return;
    };
    let mut exceptions: Vec<(usize, u64)> = Vec::new();
    let mut before = 0_i64;
    let wholes: Vec<i64> = values
        .iter()
        .enumerate()
        .map(|(position, value)| {
            before = scaled(*value, power).unwrap_or_else(|| {
                exceptions.push((position, value.to_bits()));
                before
            });
            before
        })
        .collect();
    out.push(DECIMAL);
    out.push(decimals);
    put_varint(out, exceptions.len() as u64);
    let mut last = 0;
    for (position, bits) in exceptions {
        put_varint(out, (position - last) as u64);
        out.extend_from_slice(&bits.to_le_bytes());
        last = position;
    }
    put_signed(out, deltas_by_key(&wholes, keys).into_iter());
}

/// The smallest number of decimals that is exact for at least seven in eight, judged on a sample first.
fn decimal_scale(values: &[f64]) -> Option<(u8, f64)> {
    let enough = |sample: &mut dyn Iterator<Item = &f64>, total: usize, power: f64| {
        sample
            .filter(|value| scaled(**value, power).is_some())
            .count()
            * 8
            >= total * 7
    };
    let stride = values.len().div_ceil(64).max(1);
    let sampled = values.len().div_ceil(stride);
    (0_u8..).zip(POWERS).find(|(_, power)| {
        enough(&mut values.iter().step_by(stride), sampled, *power)
            && enough(&mut values.iter(), values.len(), *power)
    })
}

fn put_shuffled(out: &mut Vec<u8>, values: &[f64]) {
    for byte in (0..64).step_by(8) {
        out.extend(values.iter().map(|value| (value.to_bits() >> byte) as u8));
    }
}

pub(crate) fn read_doubles(
    reader: &mut Reader<'_>,
    keys: &[u32],
    part: &'static str,
) -> Result<Vec<f64>, SeriesError> {
    let count = keys.len();
    match reader.byte(part)? {
        RAW => {
            let mut bits = vec![0_u64; count];
            for shift in (0..64).step_by(8) {
                for (cell, byte) in bits.iter_mut().zip(reader.take(count, part)?) {
                    *cell |= u64::from(*byte) << shift;
                }
            }
            Ok(bits.into_iter().map(f64::from_bits).collect())
        }
        DECIMAL => {
            let power = *POWERS
                .get(usize::from(reader.byte(part)?))
                .ok_or(SeriesError::Invalid(part))?;
            let exceptions = reader.length(part)?;
            // Each exception takes nine bytes at least, so the list is shorter than the input.
            let mut list = Vec::with_capacity(exceptions.min(reader.remaining() / 9));
            let mut position = 0_usize;
            for _ in 0..exceptions {
                position = position
                    .checked_add(reader.length(part)?)
                    .filter(|position| *position < count)
                    .ok_or(SeriesError::Invalid(part))?;
                let bits = reader.take(8, part)?;
                let bits: [u8; 8] = bits.try_into().map_err(|_| SeriesError::Truncated(part))?;
                list.push((position, f64::from_bits(u64::from_le_bytes(bits))));
            }
            let mut wholes = read_signed(reader, count, part)?;
            sum_by_key(&mut wholes, keys);
            let mut values: Vec<f64> = wholes
                .into_iter()
                .map(|whole| whole as f64 / power)
                .collect();
            for (position, value) in list {
                if let Some(cell) = values.get_mut(position) {
                    *cell = value;
                }
            }
            Ok(values)
        }
        _ => Err(SeriesError::Invalid(part)),
    }
}
