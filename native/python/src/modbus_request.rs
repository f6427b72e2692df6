//! Bindings of the requests of `bifrost-codec`'s Modbus half, as a client writes them, and of the checks of answers.

use bifrost_codec::modbus::{self, Area, DeviceId, Request};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::config_error;
use crate::modbus::{answer_error, area};

type Identification<'py> = (u8, bool, u8, Vec<(u8, Bound<'py, PyBytes>)>);

fn pdu<'py>(py: Python<'py>, request: &Request) -> PyResult<Bound<'py, PyBytes>> {
    let pdu = request
        .encode()
        .map_err(|error| config_error(error.to_string()))?;
    Ok(PyBytes::new(py, &pdu))
}

#[pyfunction]
fn modbus_read_request(
    py: Python<'_>,
    function: u8,
    address: u16,
    quantity: u16,
) -> PyResult<Bound<'_, PyBytes>> {
    let area: Area = area(function)?;
    pdu(
        py,
        &Request::Read {
            area,
            address,
            quantity,
        },
    )
}

#[pyfunction]
fn modbus_write_request<'py>(
    py: Python<'py>,
    function: u8,
    address: u16,
    values: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let request = match function {
        5 => Request::WriteCoil {
            address,
            value: one(values)?,
        },
        6 => Request::WriteRegister {
            address,
            value: one(values)?,
        },
        15 => Request::WriteCoils {
            address,
            values: values.extract()?,
        },
        16 => Request::WriteRegisters {
            address,
            values: values.extract()?,
        },
        other => {
            return Err(PyValueError::new_err(format!(
                "expected function 5, 6, 15 or 16, got {other}"
            )));
        }
    };
    pdu(py, &request)
}

#[pyfunction]
fn modbus_mask_write_request(
    py: Python<'_>,
    address: u16,
    and_mask: u16,
    or_mask: u16,
) -> PyResult<Bound<'_, PyBytes>> {
    pdu(
        py,
        &Request::MaskWrite {
            address,
            and_mask,
            or_mask,
        },
    )
}

#[pyfunction]
fn modbus_read_write_request(
    py: Python<'_>,
    read_address: u16,
    quantity: u16,
    write_address: u16,
    words: Vec<u16>,
) -> PyResult<Bound<'_, PyBytes>> {
    pdu(
        py,
        &Request::ReadWrite {
            address: read_address,
            quantity,
            write_address,
            values: words,
        },
    )
}

#[pyfunction]
fn modbus_device_id_request(
    py: Python<'_>,
    code: u8,
    object_id: u8,
) -> PyResult<Bound<'_, PyBytes>> {
    pdu(
        py,
        &Request::DeviceId {
            code,
            object: object_id,
        },
    )
}

#[pyfunction]
fn modbus_decode_answer<'py>(
    py: Python<'py>,
    request: &[u8],
    pdu: &[u8],
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    match modbus::Answer::decode(request, pdu).map_err(answer_error)? {
        modbus::Answer::Payload(payload) => Ok(Some(PyBytes::new(py, payload))),
        modbus::Answer::Done => Ok(None),
    }
}

#[pyfunction]
fn modbus_decode_device_id<'py>(py: Python<'py>, pdu: &[u8]) -> PyResult<Identification<'py>> {
    let answer = DeviceId::decode(pdu).map_err(answer_error)?;
    let objects = answer
        .objects
        .iter()
        .map(|(id, bytes)| (*id, PyBytes::new(py, bytes)))
        .collect();
    Ok((answer.conformity, answer.more_follows, answer.next, objects))
}

/// Takes the only item of a sequence.
fn one<'py, T>(values: &Bound<'py, PyAny>) -> PyResult<T>
where
    [T; 1]: FromPyObjectOwned<'py>,
{
    let [value] = values.extract::<[T; 1]>().map_err(Into::into)?;
    Ok(value)
}

/// Adds this part's functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(modbus_read_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_write_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_mask_write_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_read_write_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_device_id_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_decode_answer, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_decode_device_id, module)?)?;
    Ok(())
}
