//! Bindings of the server's side of `bifrost-codec`'s Modbus half: requests in, answers out.

use bifrost_codec::modbus::{self, DeviceId, Request};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::modbus::request_error;

/// A request as a server sees it.
#[pyclass(module = "bifrost._native._rust", frozen)]
struct ModbusRequest(Request);

#[pymethods]
impl ModbusRequest {
    #[getter]
    fn function(&self) -> u8 {
        self.0.function()
    }

    #[getter]
    fn address(&self) -> u16 {
        self.0.address()
    }

    #[getter]
    fn quantity(&self) -> usize {
        self.0.quantity()
    }

    #[getter]
    fn is_write(&self) -> bool {
        !matches!(self.0, Request::Read { .. } | Request::DeviceId { .. })
    }

    #[getter]
    fn and_mask(&self) -> Option<u16> {
        match self.0 {
            Request::MaskWrite { and_mask, .. } => Some(and_mask),
            _ => None,
        }
    }

    #[getter]
    fn or_mask(&self) -> Option<u16> {
        match self.0 {
            Request::MaskWrite { or_mask, .. } => Some(or_mask),
            _ => None,
        }
    }

    #[getter]
    fn write_address(&self) -> Option<u16> {
        match self.0 {
            Request::ReadWrite { write_address, .. } => Some(write_address),
            _ => None,
        }
    }

    #[getter]
    fn read_code(&self) -> Option<u8> {
        match self.0 {
            Request::DeviceId { code, .. } => Some(code),
            _ => None,
        }
    }

    #[getter]
    fn object_id(&self) -> Option<u8> {
        match self.0 {
            Request::DeviceId { object, .. } => Some(object),
            _ => None,
        }
    }

    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match &self.0 {
            Request::Read { .. } | Request::MaskWrite { .. } | Request::DeviceId { .. } => {
                Ok(PyList::empty(py))
            }
            Request::WriteCoil { value, .. } => PyList::new(py, [*value]),
            Request::WriteRegister { value, .. } => PyList::new(py, [*value]),
            Request::WriteCoils { values, .. } => PyList::new(py, values),
            Request::WriteRegisters { values, .. } | Request::ReadWrite { values, .. } => {
                PyList::new(py, values)
            }
        }
    }

    fn encode<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.encode().map_err(request_error)?))
    }
}

#[pyfunction]
fn modbus_decode_request(pdu: &[u8]) -> PyResult<ModbusRequest> {
    Request::decode(pdu)
        .map(ModbusRequest)
        .map_err(request_error)
}

#[pyfunction]
fn modbus_encode_registers(
    py: Python<'_>,
    function: u8,
    words: Vec<u16>,
) -> PyResult<Bound<'_, PyBytes>> {
    let pdu = modbus::encode_registers(function, &words)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &pdu))
}

#[pyfunction]
fn modbus_encode_bits(
    py: Python<'_>,
    function: u8,
    bits: Vec<bool>,
) -> PyResult<Bound<'_, PyBytes>> {
    let pdu = modbus::encode_bits(function, &bits)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &pdu))
}

#[pyfunction]
fn modbus_encode_write<'py>(
    py: Python<'py>,
    request: &ModbusRequest,
) -> PyResult<Bound<'py, PyBytes>> {
    let pdu = modbus::encode_write(&request.0)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &pdu))
}

#[pyfunction]
#[pyo3(signature = (request, objects, *, conformity=0x83))]
fn modbus_encode_device_id<'py>(
    py: Python<'py>,
    request: &ModbusRequest,
    mut objects: Vec<(u8, Vec<u8>)>,
    conformity: u8,
) -> PyResult<Bound<'py, PyBytes>> {
    let Request::DeviceId { code, object } = request.0 else {
        return Err(PyValueError::new_err(format!(
            "expected a request of function 43, got function {}",
            request.0.function()
        )));
    };
    objects.sort_by_key(|(id, _)| *id);
    let objects: Vec<(u8, &[u8])> = objects
        .iter()
        .map(|(id, bytes)| (*id, &bytes[..]))
        .collect();
    let pdu = DeviceId::answer(code, object, conformity, &objects).map_err(request_error)?;
    Ok(PyBytes::new(py, &pdu))
}

#[pyfunction]
fn modbus_encode_exception(py: Python<'_>, function: u8, code: u8) -> Bound<'_, PyBytes> {
    PyBytes::new(py, &modbus::encode_exception(function, code))
}

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ModbusRequest>()?;
    module.add_function(wrap_pyfunction!(modbus_decode_request, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_registers, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_bits, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_write, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_device_id, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_exception, module)?)?;
    Ok(())
}
