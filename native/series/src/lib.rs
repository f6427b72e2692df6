//! Columnar batches of readings, and what the edge computes over them. No I/O, no clock, no Python.
//!
//! The public interface is:
//! - [`Columns`], [`ColumnsBuilder`], [`Value`], [`ValueRef`], [`Kind`]: the immutable table and its cells
//! - [`encode`], [`decode`]: its bytes on disk and on the wire
//! - [`TumblingWindows`], [`Aggregate`]: windows over batches
//! - [`Detector`], [`Method`]: anomalies in batches
//! - [`SeriesError`]: everything that can go wrong
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod aggregate;
mod builder;
mod column_codec;
mod columns;
mod detect;
mod error;
mod format;
mod number;

mod value;
mod window;

pub use aggregate::Aggregate;
pub use builder::ColumnsBuilder;
pub use columns::{Columns, NO_TIME, Row};
pub use detect::{Detector, DetectorOptions, Method, Verdict};
pub use error::SeriesError;
pub use format::{FORMAT_VERSION, MAX_BODY_BYTES, MAX_ROWS, decode, encode};
pub use value::{Kind, Value, ValueRef};
pub use window::{STATUS_PARTIAL, TumblingWindows, WindowOptions, WindowStatistics};
