//! Bindings of the values of `bifrost-codec`'s Modbus half.

use bifrost_codec::modbus::{self, ByteOrder, EncodeError, Kind, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString};

use crate::error::{config_error, data_type_error};

pub(crate) fn to_python<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Int(value) => value.into_pyobject(py)?.into_any(),
        Value::Uint(value) => value.into_pyobject(py)?.into_any(),
        Value::Float(value) => PyFloat::new(py, value).into_any(),
        Value::Text(value) => PyString::new(py, &value).into_any(),
        Value::Bytes(value) => PyBytes::new(py, &value).into_any(),
    })
}

fn from_python<'a>(value: &'a Bound<'_, PyAny>, kind: Kind) -> PyResult<Value<'a>> {
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(Value::Bool);
    }
    if value.is_instance_of::<PyInt>() {
        if let Ok(number) = value.extract() {
            return Ok(Value::Int(number));
        }
        return value
            .extract()
            .map(Value::Uint)
            .map_err(|_| data_type_error(format!("{value} does not fit {}", kind.name())));
    }
    if value.is_instance_of::<PyFloat>() {
        return value.extract().map(Value::Float);
    }
    if value.is_instance_of::<PyString>() {
        return value
            .extract::<String>()
            .map(|text| Value::Text(text.into()))
            .map_err(|error| {
                data_type_error(format!("expected text that can be encoded, got {error}"))
            });
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().into()));
    }
    Err(data_type_error(format!(
        "expected a value for {}, got {}",
        kind.name(),
        value.get_type().name()?
    )))
}

pub(crate) fn kind(name: &str, length: u16) -> PyResult<Kind> {
    Kind::named(name, length)
        .ok_or_else(|| data_type_error(format!("modbus has no data type {name}")))
}

pub(crate) fn order(name: &str) -> PyResult<ByteOrder> {
    ByteOrder::named(name).ok_or_else(|| {
        config_error(format!(
            "expected byte order ABCD, CDAB, BADC or DCBA, got {name}"
        ))
    })
}

#[pyfunction]
fn modbus_encode_value(
    value: &Bound<'_, PyAny>,
    datatype: &str,
    byte_order: &str,
    length: u16,
) -> PyResult<Vec<u16>> {
    let kind = kind(datatype, length)?;
    modbus::encode_value(kind, order(byte_order)?, &from_python(value, kind)?)
        .map_err(|error: EncodeError| data_type_error(error.to_string()))
}

/// Adds this part's function to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(modbus_encode_value, module)?)?;
    Ok(())
}
