//! Anomaly detectors with one face: a number in, a score from 0 to 1 out, 0.5 at the threshold; bounded memory.

mod method;
mod robust;

use std::collections::HashMap;

use crate::columns::Columns;
use crate::error::SeriesError;
use crate::number::Number;
use crate::window::STATUS_PARTIAL;

pub use method::Method;
use method::{Judgement, State};

/// Tags of one stage, so that hostile or careless labels cannot fill the memory.
const MAX_TAGS: usize = 1 << 16;

/// A method and when it speaks.
#[derive(Clone, Debug)]
pub struct DetectorOptions {
    /// How a number is judged.
    pub method: Method,
    /// Only rows of tags that end with "." and this; all rows if none.
    pub on: Option<Box<str>>,
    /// Numbers of a tag to learn from before any is judged.
    pub min_samples: u32,
    /// Whether numbers beyond the threshold are learned from.
    pub learn_on_anomaly: bool,
    /// After this many in a row beyond the threshold they are the new normal and are learned from; 0: never.
    pub relearn_after: u32,
    /// How many in a row must be beyond the threshold, at least 1.
    pub consecutive: u32,
    /// Event time after a report without another one.
    pub cooldown_ns: i64,
}

/// What a detector says of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The row's position in the batch.
    pub row: usize,
    /// The number judged.
    pub value: f64,
    /// From 0, ordinary, over 0.5, at the threshold, to 1.
    pub score: f64,
    /// True if it is to be reported.
    pub is_anomaly: bool,
    /// Why, in words; only for what is reported.
    pub reason: String,
}

#[derive(Debug)]
struct TagState {
    state: State,
    seen: u32,
    run: u32,
    reported_ns: Option<i64>,
}

/// Judges the rows of batches, each tag by its own past.
#[derive(Debug)]
pub struct Detector {
    options: DetectorOptions,
    suffix: Option<String>,
    tags: HashMap<Box<str>, TagState>,
    overflowed: u64,
}

impl Detector {
    /// A detector of these options.
    ///
    /// # Errors
    /// [`SeriesError::Setting`] if one is out of range.
    pub fn new(options: DetectorOptions) -> Result<Self, SeriesError> {
        options.method.check()?;
        if options.consecutive == 0 || options.cooldown_ns < 0 {
            return Err(SeriesError::Setting(
                "expected consecutive of at least 1 and a cooldown of at least 0 s".to_owned(),
            ));
        }
        Ok(Self {
            suffix: options.on.as_ref().map(|on| format!(".{on}")),
            options,
            tags: HashMap::new(),
            overflowed: 0,
        })
    }

    /// Rows that were not judged because there are too many tags.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Judge a batch; one verdict for each row that could be judged. BAD, partial and non-numeric rows are passed over.
    pub fn push(&mut self, columns: &Columns) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let wanted: Vec<bool> = columns
            .tags()
            .iter()
            .map(|tag| {
                self.suffix
                    .as_ref()
                    .is_none_or(|suffix| tag.ends_with(suffix.as_str()))
            })
            .collect();
        for (position, row) in columns.rows().enumerate() {
            let judged = wanted.get(row.tag_id as usize).copied().unwrap_or(false)
                && row.status >> 30 < 2
                && row.status & STATUS_PARTIAL != STATUS_PARTIAL;
            let (true, Some(number)) = (judged, Number::of(row.value)) else {
                continue;
            };
            if !self.tags.contains_key(row.tag) {
                if self.tags.len() >= MAX_TAGS {
                    self.overflowed += 1;
                    continue;
                }
                self.tags
                    .insert(row.tag.into(), TagState::new(&self.options));
            }
            if let Some(tag) = self.tags.get_mut(row.tag) {
                let value = number.as_f64();
                verdicts.push(tag.judge(&self.options, position, row.source_ts, value));
            }
        }
        verdicts
    }
}

impl TagState {
    fn new(options: &DetectorOptions) -> Self {
        Self {
            state: options.method.state(),
            seen: 0,
            run: 0,
            reported_ns: None,
        }
    }

    fn judge(&mut self, options: &DetectorOptions, row: usize, time: i64, value: f64) -> Verdict {
        let judgement = if self.seen >= options.min_samples {
            self.state.judge(&options.method, time, value)
        } else {
            Judgement::ordinary()
        };
        let beyond = judgement.ratio > 1.0;
        self.run = if beyond {
            self.run.saturating_add(1)
        } else {
            0
        };
        let new_normal = options.relearn_after > 0 && self.run > options.relearn_after;
        if !beyond || options.learn_on_anomaly || new_normal {
            self.state.learn(&options.method, time, value);
        } else {
            self.state.pass(&options.method, time, value);
        }
        self.seen = self.seen.saturating_add(1);
        let cooling = self
            .reported_ns
            // Both ways: a report of a wrong clock, far ahead, must not silence the tag until then.
            .is_some_and(|reported| time.abs_diff(reported) < options.cooldown_ns.unsigned_abs());
        let is_anomaly = beyond && self.run >= options.consecutive && !cooling;
        if is_anomaly {
            self.reported_ns = Some(time);
        }
        Verdict {
            row,
            value,
            score: score(judgement.ratio),
            is_anomaly,
            reason: if is_anomaly {
                judgement.words(&options.method, value)
            } else {
                String::new()
            },
        }
    }
}

/// 0 for 0, 0.5 for 1 (the threshold), towards 1 beyond.
fn score(ratio: f64) -> f64 {
    if ratio.is_nan() {
        0.0
    } else if ratio.is_infinite() {
        1.0
    } else {
        ratio / (1.0 + ratio)
    }
}
