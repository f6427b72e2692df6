//! Tumbling windows over batches: event time, one watermark per tag, bounded memory.
//!
//! A window is half-open, `[start, start + size)`, and aligned to 1970 (plus an offset). It is emitted once, when its
//! tag's watermark (latest source time less the allowed disorder) reaches its end; what comes later is counted and
//! dropped. A tag that falls silent is carried on by the monotonic clock, so that one dead device stops no window.

use std::collections::HashMap;

use crate::aggregate::{Accumulator, Aggregate};
use crate::builder::ColumnsBuilder;
use crate::columns::{Columns, Row};
use crate::error::SeriesError;
use crate::number::Number;

/// Calculated from part of its window: OPC 10000-4 section 7.39.1, InfoType DataValue, historian bits "calculated" and "partial".
pub const STATUS_PARTIAL: u32 = 0x0000_0405;
const STATUS_UNCERTAIN: u32 = 0x4000_0000;
/// Open windows of one tag; only rows from the future can reach it.
const MAX_OPEN: usize = 128;
/// So many rows in a row ahead of our clock, over the idle time at least, are no glitch any more.
const BELIEVED_AHEAD: u32 = 10;
/// Tags of one stage, so that hostile or careless labels cannot fill the memory.
const MAX_TAGS: usize = 1 << 20;

/// How windows are cut; all times in nanoseconds.
#[derive(Clone, Debug)]
pub struct WindowOptions {
    /// Length, above 0.
    pub size_ns: i64,
    /// Shift of the alignment to 1970, 0 up to the length.
    pub offset_ns: i64,
    /// How much later than a newer row an older one may come.
    pub max_out_of_order_ns: i64,
    /// How far ahead of the wall clock a row may move the watermark.
    pub max_future_ns: i64,
    /// After this much silence of a tag the monotonic clock moves its watermark.
    pub idle_ns: i64,
    /// What is computed, in this order.
    pub aggregates: Vec<Aggregate>,
}

/// What happened to the rows so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowStatistics {
    /// Rows that came.
    pub rows: u64,
    /// Rows whose window had been emitted; dropped.
    pub late: u64,
    /// Rows ahead of the wall clock by more than allowed; used, but they move time no further than the wall clock.
    pub future: u64,
    /// Rows of BAD quality; not in any number.
    pub bad: u64,
    /// Rows without a finite number (text, bytes, NaN).
    pub skipped: u64,
    /// Rows that found no room (too many open windows or tags).
    pub overflowed: u64,
    /// Windows emitted.
    pub windows: u64,
    /// Windows open now.
    pub open: u64,
}

struct TagState {
    label: Box<str>,
    watermark: i64,
    last_seen_ns: i64,
    /// Rows in a row that were ahead of our clock, and since when (monotonic).
    ahead: u32,
    ahead_since_ns: i64,
    numeric: bool,
    /// Ascending by start; nearly always one or two.
    open: Vec<(i64, Accumulator)>,
}

/// Cuts batches into windows and aggregates each.
pub struct TumblingWindows {
    options: WindowOptions,
    index: HashMap<Box<str>, usize>,
    tags: Vec<TagState>,
    statistics: WindowStatistics,
}

/// The clocks at the moment of a batch.
#[derive(Clone, Copy)]
struct Clock {
    now: i64,
    /// Beyond this a row's own time is not believed.
    horizon: i64,
    monotonic: i64,
}

type Closed = Vec<(i64, usize, Accumulator)>;

impl TumblingWindows {
    /// Windows of these options.
    ///
    /// # Errors
    /// [`SeriesError::Setting`] if one is out of range.
    pub fn new(options: WindowOptions) -> Result<Self, SeriesError> {
        let refuse = |text: &str| Err(SeriesError::Setting(text.to_owned()));
        if options.size_ns <= 0 {
            return refuse("expected a window longer than 0 s");
        }
        if !(0..options.size_ns).contains(&options.offset_ns) {
            return refuse("expected an offset from 0 up to the window's length");
        }
        if options.max_out_of_order_ns < 0 || options.max_future_ns < 0 || options.idle_ns <= 0 {
            return refuse(
                "expected max_out_of_order and max_future of at least 0 s, idle_timeout above 0 s",
            );
        }
        if options.aggregates.is_empty() {
            return refuse("expected at least one aggregate");
        }
        Ok(Self {
            options,
            index: HashMap::new(),
            tags: Vec::new(),
            statistics: WindowStatistics::default(),
        })
    }

    /// Take a batch; give the derived rows of the windows that it completed.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn push(
        &mut self,
        columns: &Columns,
        now_ns: i64,
        monotonic_ns: i64,
    ) -> Result<Columns, SeriesError> {
        let mut closed = Closed::new();
        let mut states: Vec<Option<Option<usize>>> = vec![None; columns.tags().len()];
        let clock = Clock {
            now: now_ns,
            horizon: now_ns.saturating_add(self.options.max_future_ns),
            monotonic: monotonic_ns,
        };
        for row in columns.rows() {
            self.statistics.rows += 1;
            let known = states.get(row.tag_id as usize).copied().flatten();
            let state = match known {
                Some(state) => state,
                None => {
                    let state = self.state(row.tag);
                    if let Some(cell) = states.get_mut(row.tag_id as usize) {
                        *cell = Some(state);
                    }
                    state
                }
            };
            match state {
                Some(state) => self.add(state, &row, clock, &mut closed),
                None => self.statistics.overflowed += 1,
            }
        }
        self.emit(closed, 0)
    }

    /// Let time pass: windows of tags that fell silent are completed by the monotonic clock.
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn tick(&mut self, monotonic_ns: i64) -> Result<Columns, SeriesError> {
        let mut closed = Closed::new();
        for (position, tag) in self.tags.iter_mut().enumerate() {
            let silent = monotonic_ns.saturating_sub(tag.last_seen_ns);
            if silent >= self.options.idle_ns && !tag.open.is_empty() {
                let mark = tag.watermark.saturating_add(silent);
                complete(tag, position, mark, self.options.size_ns, &mut closed);
            }
        }
        self.emit(closed, 0)
    }

    /// Complete every open window now; their rows carry [`STATUS_PARTIAL`].
    ///
    /// # Errors
    /// [`SeriesError::TooLarge`] beyond the format's limits.
    pub fn flush(&mut self) -> Result<Columns, SeriesError> {
        let mut closed = Closed::new();
        for (position, tag) in self.tags.iter_mut().enumerate() {
            complete(tag, position, i64::MAX, self.options.size_ns, &mut closed);
        }
        self.emit(closed, STATUS_PARTIAL)
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> WindowStatistics {
        WindowStatistics {
            open: self.tags.iter().map(|tag| tag.open.len() as u64).sum(),
            ..self.statistics
        }
    }

    fn state(&mut self, label: &str) -> Option<usize> {
        if let Some(position) = self.index.get(label) {
            return Some(*position);
        }
        if self.tags.len() >= MAX_TAGS {
            return None;
        }
        let position = self.tags.len();
        self.index.insert(label.into(), position);
        self.tags.push(TagState {
            label: label.into(),
            watermark: i64::MIN,
            last_seen_ns: i64::MIN,
            ahead: 0,
            ahead_since_ns: i64::MIN,
            numeric: false,
            open: Vec::new(),
        });
        Some(position)
    }

    fn add(&mut self, position: usize, row: &Row<'_>, clock: Clock, closed: &mut Closed) {
        let Some(tag) = self.tags.get_mut(position) else {
            return;
        };
        let statistics = &mut self.statistics;
        let size = self.options.size_ns;
        let since = row.source_ts.saturating_sub(self.options.offset_ns);
        let start = row.source_ts.saturating_sub(since.rem_euclid(size));
        tag.last_seen_ns = clock.monotonic;
        // The wrong clock of one row must not close the windows of the others: it moves time as far as ours has come.
        // Where all rows of a tag are ahead for long, it is our own clock that is wrong, or theirs for good.
        let reached = if row.source_ts > clock.horizon {
            statistics.future += 1;
            if tag.ahead == 0 {
                tag.ahead_since_ns = clock.monotonic;
            }
            tag.ahead = tag.ahead.saturating_add(1);
            let lasted = clock.monotonic.saturating_sub(tag.ahead_since_ns);
            if tag.ahead >= BELIEVED_AHEAD && lasted >= self.options.idle_ns {
                row.source_ts
            } else {
                clock.now
            }
        } else {
            tag.ahead = 0;
            row.source_ts
        };
        let bad = row.status >> 30 >= 2;
        let number = Number::of(row.value);
        if bad {
            statistics.bad += 1;
        } else if number.is_none() {
            statistics.skipped += 1;
        }
        let wanted = if bad { tag.numeric } else { number.is_some() };
        if start.saturating_add(size) <= tag.watermark {
            statistics.late += 1;
        } else if wanted {
            let (accumulator, pushed_out) = window(&mut tag.open, start);
            statistics.overflowed += pushed_out;
            match accumulator {
                None => statistics.overflowed += 1,
                Some(accumulator) if bad => accumulator.bad_status = Some(row.status),
                Some(accumulator) => {
                    tag.numeric = true;
                    accumulator.uncertain |= row.status >> 30 == 1;
                    if let Some(number) = number {
                        accumulator.add(row.source_ts, number);
                    }
                }
            }
        }
        let mark = reached.saturating_sub(self.options.max_out_of_order_ns);
        if mark > tag.watermark {
            tag.watermark = mark;
            close_until(tag, position, mark, size, closed);
        }
    }

    fn emit(&mut self, mut closed: Closed, mark: u32) -> Result<Columns, SeriesError> {
        closed.sort_by_key(|(start, position, _)| (*start, *position));
        let mut builder =
            ColumnsBuilder::with_capacity(closed.len() * self.options.aggregates.len());
        for (start, position, accumulator) in closed {
            self.statistics.windows += 1;
            let Some(tag) = self.tags.get(position) else {
                continue;
            };
            let status = match (accumulator.count, accumulator.bad_status) {
                (0, Some(status)) => status,
                _ if accumulator.uncertain => STATUS_UNCERTAIN | mark,
                _ => mark,
            };
            for aggregate in &self.options.aggregates {
                let label = format!("{}.{}", tag.label, aggregate.name());
                builder.push(
                    &label,
                    start,
                    accumulator.value(*aggregate).borrow(),
                    status,
                    None,
                )?;
            }
        }
        Ok(builder.finish("", 0))
    }
}

/// The window that starts then, opening it if there is room, and how many numbers lost theirs: where all is full, the
/// window that lies furthest ahead makes room, so that a wrong clock cannot fill the room of honest rows.
fn window(open: &mut Vec<(i64, Accumulator)>, start: i64) -> (Option<&mut Accumulator>, u64) {
    let mut pushed_out = 0;
    let place = match open.binary_search_by_key(&start, |(start, _)| *start) {
        Ok(place) => place,
        Err(place) => {
            if open.len() >= MAX_OPEN {
                if place >= open.len() {
                    return (None, 0);
                }
                pushed_out = open.pop().map_or(0, |(_, furthest)| furthest.count);
            }
            open.insert(place, (start, Accumulator::new()));
            place
        }
    };
    let window = open.get_mut(place).map(|(_, accumulator)| accumulator);
    (window, pushed_out)
}

/// Move the windows that end by `mark` to `closed`, oldest first.
fn close_until(tag: &mut TagState, position: usize, mark: i64, size: i64, closed: &mut Closed) {
    let done = tag
        .open
        .partition_point(|(start, _)| start.saturating_add(size) <= mark);
    closed.extend(
        tag.open
            .drain(..done)
            .map(|(start, accumulator)| (start, position, accumulator)),
    );
}

/// As [`close_until`], when something other than a row says so: what comes later for these windows is late.
fn complete(tag: &mut TagState, position: usize, mark: i64, size: i64, closed: &mut Closed) {
    let before = closed.len();
    close_until(tag, position, mark, size, closed);
    if let Some((start, ..)) = closed.get(before..).and_then(<[_]>::last) {
        tag.watermark = tag.watermark.max(start.saturating_add(size));
    }
}
