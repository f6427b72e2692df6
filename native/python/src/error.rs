//! The one place where errors of the pure crates become Python exceptions of `bifrost.errors`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

pyo3::import_exception!(bifrost.errors, ConfigError);
pyo3::import_exception!(bifrost.errors, DataTypeError);
pyo3::import_exception!(bifrost.errors, ProtocolError);
pyo3::import_exception!(bifrost.errors, BufferClosed);
pyo3::import_exception!(bifrost.errors, BufferCorrupt);
pyo3::import_exception!(bifrost.errors, BufferFull);
pyo3::import_exception!(bifrost.errors, BatchTooLarge);
pyo3::import_exception!(bifrost.errors, WalError);

/// The settings or arguments can never work.
pub(crate) fn config_error(message: String) -> PyErr {
    ConfigError::new_err(message)
}

/// The value does not fit the type; nothing was sent.
pub(crate) fn data_type_error(message: String) -> PyErr {
    DataTypeError::new_err(message)
}

/// Bytes contradict the standard.
pub(crate) fn protocol_error(message: String) -> PyErr {
    ProtocolError::new_err(message)
}

/// A device understood and refused; `code` as in V1.1b3 section 7.
pub(crate) fn modbus_fault(message: String, code: u8) -> PyErr {
    Python::attach(|py| {
        let made = (|| {
            let options = PyDict::new(py);
            options.set_item("code", code)?;
            py.import("bifrost.errors")?
                .getattr("ModbusFault")?
                .call((message,), Some(&options))
        })();
        match made {
            Ok(fault) => PyErr::from_value(fault),
            Err(error) => error,
        }
    })
}

/// A batch could not be built, encoded or decoded.
pub(crate) fn series_error(error: &bifrost_series::SeriesError) -> PyErr {
    use bifrost_series::SeriesError as E;
    let message = error.to_string();
    match error {
        E::NotABatch
        | E::UnsupportedVersion(_)
        | E::Truncated(_)
        | E::Checksum { .. }
        | E::Invalid(_) => protocol_error(message),
        E::TooLarge(_) => data_type_error(message),
        E::Setting(_) => config_error(message),
    }
}

/// The write-ahead buffer could not do it.
pub(crate) fn wal_error(error: &bifrost_wal::WalError) -> PyErr {
    use bifrost_wal::WalError as E;
    let message = error.to_string();
    match error {
        E::Full(_) => BufferFull::new_err(message),
        E::Corrupt(_) => BufferCorrupt::new_err(message),
        E::Closed => BufferClosed::new_err(message),
        E::TooLarge { .. } => BatchTooLarge::new_err(message),
        E::Invalid(_) => config_error(message),
        _ => WalError::new_err(message),
    }
}
