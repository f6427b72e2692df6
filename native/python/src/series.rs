//! Bindings of the columnar batch.

use std::collections::HashSet;
use std::sync::Arc;

use bifrost_series::{self as series, ColumnsBuilder, NO_TIME, ValueRef};
use pyo3::prelude::*;
use pyo3::types::list::BoundListIterator;
use pyo3::types::{PyBool, PyBytes, PyCapsule, PyFloat, PyInt, PyList, PyString};

use crate::error::{data_type_error, series_error};

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Columns>()?;
    crate::analytics::register(module)
}

/// An immutable columnar table.
#[pyclass(frozen, module = "bifrost._native._rust")]
pub(crate) struct Columns {
    pub(crate) inner: Arc<series::Columns>,
}

impl Columns {
    pub(crate) fn new(inner: series::Columns) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }
}

#[pymethods]
impl Columns {
    #[staticmethod]
    #[pyo3(signature = (tags, source_ts_ns, values, status, received_ts_ns, origin, sequence))]
    fn from_columns(
        tags: &Bound<'_, PyAny>,
        source_ts_ns: &Bound<'_, PyAny>,
        values: &Bound<'_, PyAny>,
        status: Option<&Bound<'_, PyAny>>,
        received_ts_ns: Option<&Bound<'_, PyAny>>,
        origin: &str,
        sequence: u64,
    ) -> PyResult<Self> {
        let tags = listed(tags)?;
        let rows = tags.len();
        let mut times = column(rows, "source_ts_ns", source_ts_ns)?;
        let mut cells = column(rows, "values", values)?;
        let mut codes = status
            .map(|given| column(rows, "status", given))
            .transpose()?;
        let mut received = received_ts_ns
            .map(|given| column(rows, "received_ts_ns", given))
            .transpose()?;
        let mut builder = ColumnsBuilder::with_capacity(rows);
        for tag in tags.iter() {
            let (Some(time), Some(cell)) = (times.next(), cells.next()) else {
                break;
            };
            let tag = tag
                .cast::<PyString>()
                .map_err(|_| wrong("a tag", "str", &tag))?;
            let time = integer("source_ts_ns", &time)?;
            let code = match codes.as_mut().and_then(Iterator::next) {
                Some(code) => code
                    .extract::<u32>()
                    .map_err(|_| wrong("a status", "a 32-bit status code", &code))?,
                None => 0,
            };
            let seen = match received.as_mut().and_then(Iterator::next) {
                Some(seen) if !seen.is_none() => {
                    Some(integer("received_ts_ns", &seen)?).filter(|time| *time != NO_TIME)
                }
                _ => None,
            };
            push(&mut builder, tag.to_str()?, time, &cell, code, seen)?;
        }
        Ok(Self::new(builder.finish(origin, sequence)))
    }

    #[staticmethod]
    fn concat(parts: Vec<PyRef<'_, Self>>) -> PyResult<Self> {
        let parts: Vec<&series::Columns> = parts.iter().map(|part| part.inner.as_ref()).collect();
        series::Columns::concat(&parts)
            .map(Self::new)
            .map_err(|error| series_error(&error))
    }

    #[staticmethod]
    fn decode(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        py.detach(|| series::decode(data))
            .map(Self::new)
            .map_err(|error| series_error(&error))
    }

    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = py
            .detach(|| series::encode(&self.inner))
            .map_err(|error| series_error(&error))?;
        Ok(PyBytes::new(py, &encoded))
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    #[getter]
    fn origin(&self) -> &str {
        self.inner.origin()
    }

    #[getter]
    fn sequence(&self) -> u64 {
        self.inner.sequence()
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.nbytes()
    }

    fn time_range(&self) -> Option<(i64, i64)> {
        self.inner.time_range()
    }

    fn tags(&self) -> Vec<&str> {
        self.inner.tags().iter().map(AsRef::as_ref).collect()
    }

    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let names: Vec<Bound<'py, PyString>> = self
            .inner
            .tags()
            .iter()
            .map(|tag| PyString::new(py, tag))
            .collect();
        let rows = PyList::empty(py);
        for row in self.inner.rows() {
            let cell = value_object(py, row.value)?;
            rows.append((
                names.get(row.tag_id as usize),
                row.source_ts,
                cell,
                row.status,
                row.received_ts,
            ))?;
        }
        Ok(rows)
    }

    /// Nothing if every row is GOOD: the usual case costs no objects.
    fn statuses(&self) -> Option<Vec<u32>> {
        let codes = self.inner.status();
        codes.iter().any(|code| *code != 0).then(|| codes.to_vec())
    }

    fn select(&self, tags: Vec<PyBackedTag>) -> PyResult<Self> {
        let tags: HashSet<&str> = tags.iter().map(|tag| tag.0.as_ref()).collect();
        self.inner
            .select(&tags)
            .map(Self::new)
            .map_err(|error| series_error(&error))
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<Self> {
        self.inner
            .slice(start, stop)
            .map(Self::new)
            .map_err(|error| series_error(&error))
    }

    fn with_origin(&self, origin: &str, sequence: u64) -> Self {
        Self::new(self.inner.as_ref().clone().with_origin(origin, sequence))
    }

    /// Arrow's PyCapsule protocol. A requested schema is a wish that need not be granted.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        crate::arrow::stream(py, &self.inner)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        // Bit for bit: a NaN equals the same NaN, and -0.0 is not 0.0.
        other.cast::<Self>().is_ok_and(|other| {
            Arc::ptr_eq(&self.inner, &other.get().inner)
                || self.inner.is_identical(&other.get().inner)
        })
    }

    fn __hash__(&self) -> u64 {
        self.inner.sequence() ^ (self.inner.len() as u64) << 32
    }
}

/// A tag name that lives as long as the call.
struct PyBackedTag(pyo3::pybacked::PyBackedStr);

impl<'a, 'py> FromPyObject<'a, 'py> for PyBackedTag {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        object
            .extract()
            .map(Self)
            .map_err(|_| wrong("a tag", "str", &object))
    }
}

fn listed<'py>(given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    match given.cast::<PyList>() {
        Ok(list) => Ok(list.clone()),
        Err(_) => {
            let list = PyList::empty(given.py());
            for item in given.try_iter()? {
                list.append(item?)?;
            }
            Ok(list)
        }
    }
}

fn column<'py>(
    rows: usize,
    name: &str,
    given: &Bound<'py, PyAny>,
) -> PyResult<BoundListIterator<'py>> {
    let list = listed(given)?;
    if list.len() == rows {
        Ok(list.into_iter())
    } else {
        Err(data_type_error(format!(
            "expected {rows} {name}, one per tag, got {}",
            list.len()
        )))
    }
}

fn wrong(what: &str, expected: &str, got: &Bound<'_, PyAny>) -> PyErr {
    let kind = got
        .get_type()
        .name()
        .map_or_else(|_| "?".to_owned(), |name| name.to_string());
    data_type_error(format!("{what} must be {expected}, got {kind} {got}"))
}

fn integer(name: &str, given: &Bound<'_, PyAny>) -> PyResult<i64> {
    given
        .extract::<i64>()
        .map_err(|_| wrong(name, "a 64-bit integer, ns since 1970", given))
}

fn push(
    builder: &mut ColumnsBuilder,
    tag: &str,
    time: i64,
    cell: &Bound<'_, PyAny>,
    status: u32,
    received: Option<i64>,
) -> PyResult<()> {
    let text;
    let value = if let Ok(number) = cell.cast::<PyFloat>() {
        ValueRef::F64(number.value())
    } else if cell.is_none() {
        ValueRef::Null
    } else if let Ok(truth) = cell.cast::<PyBool>() {
        ValueRef::Bool(truth.is_true())
    } else if let Ok(number) = cell.cast::<PyInt>() {
        ValueRef::I64(number.extract::<i64>().map_err(|_| {
            data_type_error(format!(
                "tag {tag}: expected an integer of 64 bits with sign, got {number}: read it as a float or as text"
            ))
        })?)
    } else if let Ok(string) = cell.cast::<PyString>() {
        text = string;
        ValueRef::Utf8(text.to_str()?)
    } else if let Ok(bytes) = cell.cast::<PyBytes>() {
        ValueRef::Bytes(bytes.as_bytes())
    } else {
        return Err(wrong(
            &format!("the value of tag {tag}"),
            "bool, int, float, str, bytes or None",
            cell,
        ));
    };
    builder
        .push(tag, time, value, status, received)
        .map_err(|error| series_error(&error))
}

fn value_object<'py>(py: Python<'py>, value: ValueRef<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        ValueRef::Null => py.None().into_bound(py),
        ValueRef::Bool(cell) => PyBool::new(py, cell).to_owned().into_any(),
        ValueRef::I64(cell) => cell.into_pyobject(py)?.into_any(),
        ValueRef::F64(cell) => PyFloat::new(py, cell).into_any(),
        ValueRef::Utf8(cell) => PyString::new(py, cell).into_any(),
        ValueRef::Bytes(cell) => PyBytes::new(py, cell).into_any(),
    })
}
