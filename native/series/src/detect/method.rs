//! The methods: each keeps little of the past and says how far a number is beyond its threshold.

use std::collections::VecDeque;

use super::robust::Ring;
use crate::error::SeriesError;

/// A row so much older than the one before did not come late: the device's clock was set back, or had been wrong.
const SET_BACK_NS: i64 = 60_000_000_000;

/// How a number is judged.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Standard deviations from the mean of all that was learned (Welford).
    ZScore {
        /// Deviations at the threshold.
        threshold: f64,
        /// Least deviation to reckon with, in the value's unit.
        min_scale: f64,
    },
    /// Deviations from an exponentially weighted mean.
    Ewma {
        /// Weight of the newest number, above 0, at most 1.
        alpha: f64,
        /// Deviations at the threshold.
        threshold: f64,
        /// Least deviation to reckon with, in the value's unit.
        min_scale: f64,
    },
    /// Robust deviations from the median of the last numbers (Iglewicz and Hoaglin's modified z score).
    Mad {
        /// How many numbers are kept, 3 to 65,536.
        window: usize,
        /// Robust deviations at the threshold.
        threshold: f64,
        /// Least deviation to reckon with, in the value's unit.
        min_scale: f64,
    },
    /// Outside fixed limits.
    Limits {
        /// The least allowed.
        low: Option<f64>,
        /// The most allowed.
        high: Option<f64>,
    },
    /// No change for too long.
    Flatline {
        /// Event time at the threshold, ns.
        duration_ns: i64,
        /// Changes up to this count as none, in the value's unit.
        tolerance: f64,
    },
    /// Changing too fast.
    Rate {
        /// Change per second of event time at the threshold, in the value's unit.
        max_per_second: f64,
    },
}

impl Method {
    pub(super) fn check(&self) -> Result<(), SeriesError> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let scale = |number: f64| number.is_finite() && number >= 0.0;
        let fault = match self {
            Self::ZScore {
                threshold,
                min_scale,
            }
            | Self::Ewma {
                threshold,
                min_scale,
                ..
            }
            | Self::Mad {
                threshold,
                min_scale,
                ..
            } if !positive(*threshold) || !scale(*min_scale) => {
                "expected a threshold above 0 and a min_scale of at least 0"
            }
            Self::Ewma { alpha, .. } if !(positive(*alpha) && *alpha <= 1.0) => {
                "expected alpha above 0 and at most 1"
            }
            Self::Mad { window, .. } if !(3..=65_536).contains(window) => {
                "expected a window of 3 to 65536 values"
            }
            Self::Limits {
                low: None,
                high: None,
            } => "expected low, high or both",
            Self::Limits { low, high }
                if ![low, high]
                    .into_iter()
                    .flatten()
                    .all(|limit| limit.is_finite())
                    || matches!((low, high), (Some(low), Some(high)) if low >= high) =>
            {
                "expected finite limits, low below high"
            }
            Self::Flatline {
                duration_ns,
                tolerance,
            } if *duration_ns <= 0 || !scale(*tolerance) => {
                "expected a duration above 0 s and a tolerance of at least 0"
            }
            Self::Rate { max_per_second } if !positive(*max_per_second) => {
                "expected max_per_second above 0"
            }
            _ => return Ok(()),
        };
        Err(SeriesError::Setting(fault.to_owned()))
    }

    pub(super) fn state(&self) -> State {
        match self {
            Self::ZScore { .. } | Self::Ewma { .. } => State::Moments(Moments::default()),
            Self::Mad { .. } => State::Ring(Ring {
                order: VecDeque::new(),
                sorted: Vec::new(),
            }),
            Self::Limits { .. } | Self::Flatline { .. } | Self::Rate { .. } => State::Last(None),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    /// Sum of squares (z score) or variance (EWMA).
    spread: f64,
}

/// What a method remembers of one tag.
#[derive(Debug)]
pub(super) enum State {
    Moments(Moments),
    Ring(Ring),
    /// When the value began (flatline) or was last seen (rate).
    Last(Option<(i64, f64)>),
}

/// How far beyond: 1 is the threshold.
pub(super) struct Judgement {
    pub(super) ratio: f64,
    /// What was expected, and by how much it was missed, in the method's own unit.
    centre: f64,
    off: f64,
}

impl Judgement {
    pub(super) fn ordinary() -> Self {
        Self {
            ratio: 0.0,
            centre: 0.0,
            off: 0.0,
        }
    }

    fn deviations(value: f64, centre: f64, scale: f64, threshold: f64) -> Self {
        let distance = (value - centre).abs();
        let off = if distance == 0.0 {
            0.0
        } else {
            distance / scale
        };
        Self {
            ratio: off / threshold,
            centre,
            off,
        }
    }

    pub(super) fn words(&self, method: &Method, value: f64) -> String {
        let (centre, off) = (self.centre, self.off);
        match method {
            Method::ZScore { threshold, .. } => {
                format!(
                    "{value} is {off:.1} standard deviations from the mean {centre:.6}, limit {threshold}"
                )
            }
            Method::Ewma { threshold, .. } => {
                format!(
                    "{value} is {off:.1} deviations from the moving mean {centre:.6}, limit {threshold}"
                )
            }
            Method::Mad { threshold, .. } => {
                format!(
                    "{value} is {off:.1} robust deviations from the median {centre:.6}, limit {threshold}"
                )
            }
            Method::Limits { .. } if value < centre => {
                format!("{value} is below the limit {centre}")
            }
            Method::Limits { .. } => format!("{value} is above the limit {centre}"),
            Method::Flatline { duration_ns, .. } => {
                format!(
                    "unchanged at {value} for {off:.3} s, limit {} s",
                    *duration_ns as f64 / 1e9
                )
            }
            Method::Rate { max_per_second } => {
                format!(
                    "{value} changed by {off:.6} per second from {centre}, limit {max_per_second}"
                )
            }
        }
    }
}

impl State {
    pub(super) fn judge(&self, method: &Method, time: i64, value: f64) -> Judgement {
        match (self, method) {
            (
                Self::Moments(past),
                Method::ZScore {
                    threshold,
                    min_scale,
                },
            ) if past.count > 1 => {
                let scale = (past.spread / (past.count - 1) as f64)
                    .sqrt()
                    .max(*min_scale);
                Judgement::deviations(value, past.mean, scale, *threshold)
            }
            (
                Self::Moments(past),
                Method::Ewma {
                    threshold,
                    min_scale,
                    ..
                },
            ) if past.count > 1 => {
                let scale = past.spread.sqrt().max(*min_scale);
                Judgement::deviations(value, past.mean, scale, *threshold)
            }
            (
                Self::Ring(ring),
                Method::Mad {
                    threshold,
                    min_scale,
                    ..
                },
            ) => match ring.median_and_scale() {
                Some((median, scale)) => {
                    Judgement::deviations(value, median, scale.max(*min_scale), *threshold)
                }
                None => Judgement::ordinary(),
            },
            (_, Method::Limits { low, high }) => within(value, *low, *high),
            (
                Self::Last(Some((since, base))),
                Method::Flatline {
                    duration_ns,
                    tolerance,
                },
            ) if (value - base).abs() <= *tolerance => {
                // Times may run backwards between rows of one tag; then nothing has lasted.
                let lasted = time.saturating_sub(*since).max(0) as f64;
                Judgement {
                    ratio: lasted / *duration_ns as f64,
                    centre: *base,
                    off: lasted / 1e9,
                }
            }
            (Self::Last(Some((before, base))), Method::Rate { max_per_second })
                if time > *before =>
            {
                let seconds = time.saturating_sub(*before) as f64 / 1e9;
                let off = (value - base).abs() / seconds;
                Judgement {
                    ratio: off / max_per_second,
                    centre: *base,
                    off,
                }
            }
            _ => Judgement::ordinary(),
        }
    }

    pub(super) fn learn(&mut self, method: &Method, time: i64, value: f64) {
        match (self, method) {
            (Self::Moments(past), Method::Ewma { alpha, .. }) => {
                past.count += 1;
                if past.count == 1 {
                    past.mean = value;
                } else {
                    let off = value - past.mean;
                    past.mean += alpha * off;
                    past.spread = (1.0 - alpha) * (past.spread + alpha * off * off);
                }
            }
            (Self::Moments(past), _) => {
                past.count += 1;
                let off = value - past.mean;
                past.mean += off / past.count as f64;
                past.spread += off * (value - past.mean);
            }
            (Self::Ring(ring), Method::Mad { window, .. }) => ring.push(value, *window),
            (state, _) => state.pass(method, time, value),
        }
    }

    /// Follow what is not a matter of learning: when the present value began, what the last one was.
    pub(super) fn pass(&mut self, method: &Method, time: i64, value: f64) {
        let Self::Last(last) = self else {
            return;
        };
        match (&*last, method) {
            (Some((since, base)), Method::Flatline { tolerance, .. })
                if (value - base).abs() <= *tolerance =>
            {
                // A clock that was set back, or once was wrong: the value is as old as the oldest row that had it.
                *last = Some((time.min(*since), *base));
            }
            (Some((before, _)), Method::Rate { .. })
                if time <= *before && before.saturating_sub(time) <= SET_BACK_NS => {}
            _ => *last = Some((time, value)),
        }
    }
}

fn within(value: f64, low: Option<f64>, high: Option<f64>) -> Judgement {
    let unit = |limit: f64| match (low, high) {
        (Some(low), Some(high)) => (high - low) / 2.0,
        _ => limit.abs().max(1.0),
    };
    let missed = match (low, high) {
        (Some(low), _) if value < low => Some((low, low - value)),
        (_, Some(high)) if value > high => Some((high, value - high)),
        _ => None,
    };
    match missed {
        Some((limit, off)) => Judgement {
            ratio: 1.0 + (off / unit(limit)).max(f64::EPSILON),
            centre: limit,
            off,
        },
        None => Judgement::ordinary(),
    }
}
