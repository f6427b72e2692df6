//! Columnar batches of readings, and what the edge computes over them. No I/O, no clock, no Python.
//!
//! The public interface is:
//! - [`Columns`], [`ColumnsBuilder`], [`Value`], [`ValueRef`], [`Kind`]: the immutable table and its cells
//! - [`encode`], [`decode`]: its bytes on disk and on the wire
//! - [`SeriesError`]: everything that can go wrong
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod builder;
mod columns;
mod error;
mod format;
mod numbers;
mod value;

pub use builder::ColumnsBuilder;
pub use columns::{Columns, NO_TIME, Row};
pub use error::SeriesError;
pub use format::{FORMAT_VERSION, MAX_BODY_BYTES, MAX_ROWS, decode, encode};
pub use value::{Kind, Value, ValueRef};
