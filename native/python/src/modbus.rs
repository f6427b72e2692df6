//! Bindings of the MBAP framer of `bifrost-codec`'s Modbus half, and what its other bindings share.

use bifrost_codec::modbus::{self, AnswerError, Area, Frame, Framer, RequestError};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::{modbus_fault, protocol_error};

pub(crate) fn answer_error(error: AnswerError) -> PyErr {
    match error {
        AnswerError::Exception { code, .. } => modbus_fault(error.to_string(), code),
        _ => protocol_error(error.to_string()),
    }
}

pub(crate) fn request_error(error: RequestError) -> PyErr {
    match error.exception_code() {
        Some(code) => modbus_fault(error.to_string(), code),
        None => protocol_error(error.to_string()),
    }
}

pub(crate) fn area(function: u8) -> PyResult<Area> {
    Area::of_function(function)
        .ok_or_else(|| PyValueError::new_err(format!("expected function 1 to 4, got {function}")))
}

/// Cuts a byte stream into frames, `(transaction_id, unit_id, pdu)` each.
#[pyclass(module = "bifrost._native._rust")]
struct ModbusFramer {
    framer: Framer,
    frames: Vec<Frame>,
}

#[pymethods]
impl ModbusFramer {
    #[new]
    fn new() -> Self {
        Self {
            framer: Framer::new(),
            frames: Vec::new(),
        }
    }

    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        data: &[u8],
    ) -> PyResult<Vec<(u16, u8, Bound<'py, PyBytes>)>> {
        let outcome = self.framer.feed(data, &mut self.frames);
        let frames = self
            .frames
            .drain(..)
            .map(|f| (f.transaction, f.unit, PyBytes::new(py, &f.pdu)))
            .collect::<Vec<_>>();
        match outcome {
            // Whole frames before the fault are still good; `failure` tells, and the next call raises.
            Err(error) if frames.is_empty() => Err(protocol_error(error.to_string())),
            _ => Ok(frames),
        }
    }

    fn reset(&mut self) {
        self.framer.reset();
    }

    #[getter]
    fn failure(&self) -> Option<String> {
        self.framer.failure().map(|error| error.to_string())
    }

    #[getter]
    fn pending(&self) -> usize {
        self.framer.pending()
    }
}

#[pyfunction]
pub(crate) fn modbus_frame<'py>(
    py: Python<'py>,
    transaction: u16,
    unit: u8,
    pdu: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let frame = modbus::encode_frame(transaction, unit, pdu).ok_or_else(|| {
        PyValueError::new_err(format!(
            "expected a PDU of 1 to 253 bytes, got {}",
            pdu.len()
        ))
    })?;
    Ok(PyBytes::new(py, &frame))
}

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ModbusFramer>()?;
    module.add_function(wrap_pyfunction!(modbus_frame, module)?)?;
    Ok(())
}
