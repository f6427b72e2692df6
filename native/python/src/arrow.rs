//! A batch as an Arrow stream of one record batch, through the C data interface: whoever reads it needs no bifrost code.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder,
};
use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, RecordBatch, RecordBatchIterator, StringArray,
    TimestampNanosecondArray, UInt32Array,
};
use arrow_schema::{ArrowError, Field, Schema};
use bifrost_series::{Columns, Kind, NO_TIME, ValueRef};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::error::data_type_error;

/// The capsule that `__arrow_c_stream__` returns; its destructor releases the stream if nobody took it.
pub(crate) fn stream<'py>(py: Python<'py>, columns: &Columns) -> PyResult<Bound<'py, PyCapsule>> {
    let batch = py
        .detach(|| record_batch(columns))
        .map_err(|error| data_type_error(format!("batch does not fit into Arrow: {error}")))?;
    let schema = batch.schema();
    let reader = RecordBatchIterator::new([Ok(batch)], schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

fn record_batch(columns: &Columns) -> Result<RecordBatch, ArrowError> {
    let mut fields: Vec<(&str, ArrayRef)> = vec![
        ("tag", Arc::new(tags(columns)?)),
        (
            "source_ts",
            Arc::new(
                TimestampNanosecondArray::from(columns.source_ts().to_vec()).with_timezone("UTC"),
            ),
        ),
    ];
    for (kind, name) in [
        (Kind::F64, "value_f64"),
        (Kind::I64, "value_i64"),
        (Kind::Bool, "value_bool"),
        (Kind::Utf8, "value_utf8"),
        (Kind::Bytes, "value_bytes"),
    ] {
        if columns.kinds().contains(&kind) {
            fields.push((name, values(columns, kind)));
        }
    }
    fields.push((
        "status",
        Arc::new(UInt32Array::from(columns.status().to_vec())),
    ));
    if let Some(received) = columns.received_ts() {
        let received: TimestampNanosecondArray = received
            .iter()
            .map(|time| Some(*time).filter(|time| *time != NO_TIME))
            .collect();
        fields.push(("received_ts", Arc::new(received.with_timezone("UTC"))));
    }
    let schema = Schema::new(
        fields
            .iter()
            .map(|(name, array)| {
                let nullable = name.starts_with("value_") || *name == "received_ts";
                Field::new(*name, array.data_type().clone(), nullable)
            })
            .collect::<Vec<_>>(),
    );
    RecordBatch::try_new(
        Arc::new(schema),
        fields.into_iter().map(|(_, array)| array).collect(),
    )
}

fn tags(columns: &Columns) -> Result<DictionaryArray<UInt32Type>, ArrowError> {
    let names: StringArray = columns
        .tags()
        .iter()
        .map(|tag| Some(tag.as_ref()))
        .collect();
    DictionaryArray::try_new(
        UInt32Array::from(columns.tag_ids().to_vec()),
        Arc::new(names),
    )
}

/// One column over all rows, null where a row is of another kind.
fn values(columns: &Columns, kind: Kind) -> ArrayRef {
    let rows = || columns.rows().map(|row| row.value);
    match kind {
        Kind::F64 => {
            let mut column = Float64Builder::with_capacity(columns.len());
            rows().for_each(|value| match value {
                ValueRef::F64(cell) => column.append_value(cell),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        Kind::I64 => {
            let mut column = Int64Builder::with_capacity(columns.len());
            rows().for_each(|value| match value {
                ValueRef::I64(cell) => column.append_value(cell),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        Kind::Bool => {
            let mut column = BooleanBuilder::with_capacity(columns.len());
            rows().for_each(|value| match value {
                ValueRef::Bool(cell) => column.append_value(cell),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        Kind::Utf8 => {
            let mut column = StringBuilder::new();
            rows().for_each(|value| match value {
                ValueRef::Utf8(cell) => column.append_value(cell),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
        Kind::Bytes | Kind::Null => {
            let mut column = BinaryBuilder::new();
            rows().for_each(|value| match value {
                ValueRef::Bytes(cell) => column.append_value(cell),
                _ => column.append_null(),
            });
            Arc::new(column.finish())
        }
    }
}
