//! Bindings of the RTU half of `bifrost-codec`: both framers, and frames with their CRC.

use bifrost_codec::modbus::{self, RtuFrame};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type Frames<'py> = Vec<(u8, Bound<'py, PyBytes>)>;

/// Gives what `cut` finds.
fn found<'py>(py: Python<'py>, cut: impl FnOnce(&mut Vec<RtuFrame>)) -> Frames<'py> {
    let mut frames = Vec::new();
    cut(&mut frames);
    frames
        .iter()
        .map(|frame| (frame.unit, PyBytes::new(py, &frame.pdu)))
        .collect()
}

/// Cuts what a client hears into answers, `(unit_id, pdu)` each.
#[pyclass(module = "bifrost._native._rust")]
struct RtuFramer(modbus::RtuFramer);

#[pymethods]
impl RtuFramer {
    #[new]
    #[pyo3(signature = (*, local_echo=false))]
    fn new(local_echo: bool) -> Self {
        Self(modbus::RtuFramer::new(local_echo))
    }

    fn expect(&mut self, request_pdu: &[u8], unit: u8) {
        self.0.expect(unit, request_pdu);
    }

    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> Frames<'py> {
        found(py, |frames| self.0.feed(data, frames))
    }

    fn idle<'py>(&mut self, py: Python<'py>) -> Frames<'py> {
        found(py, |frames| self.0.idle(frames))
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    #[getter]
    fn pending(&self) -> usize {
        self.0.pending()
    }

    #[getter]
    fn crc_errors(&self) -> u64 {
        self.0.counters().crc_errors
    }

    #[getter]
    fn noise_bytes(&self) -> u64 {
        self.0.counters().noise_bytes
    }

    #[getter]
    fn echoes(&self) -> u64 {
        self.0.counters().echoes
    }
}

/// Cuts what a server hears into requests, `(unit_id, pdu)` each.
#[pyclass(module = "bifrost._native._rust")]
struct RtuRequestFramer(modbus::RtuRequestFramer);

#[pymethods]
impl RtuRequestFramer {
    #[new]
    fn new() -> Self {
        Self(modbus::RtuRequestFramer::new())
    }

    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> Frames<'py> {
        found(py, |frames| self.0.feed(data, frames))
    }

    fn idle<'py>(&mut self, py: Python<'py>) -> Frames<'py> {
        found(py, |frames| self.0.idle(frames))
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    #[getter]
    fn pending(&self) -> usize {
        self.0.pending()
    }

    #[getter]
    fn crc_errors(&self) -> u64 {
        self.0.counters().crc_errors
    }

    #[getter]
    fn noise_bytes(&self) -> u64 {
        self.0.counters().noise_bytes
    }
}

#[pyfunction]
fn modbus_crc16(data: &[u8]) -> u16 {
    modbus::crc16(data)
}

#[pyfunction]
fn modbus_rtu_frame<'py>(py: Python<'py>, unit: u8, pdu: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let frame = modbus::encode_rtu_frame(unit, pdu).ok_or_else(|| {
        PyValueError::new_err(format!(
            "expected a PDU of 1 to 253 bytes, got {}",
            pdu.len()
        ))
    })?;
    Ok(PyBytes::new(py, &frame))
}

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RtuFramer>()?;
    module.add_class::<RtuRequestFramer>()?;
    module.add_function(wrap_pyfunction!(modbus_crc16, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_rtu_frame, module)?)?;
    Ok(())
}
