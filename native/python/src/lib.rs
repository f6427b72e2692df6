//! The gate between Python and the pure crates: converts, calls once, maps the error. Nothing else.

use pyo3::prelude::*;

mod analytics;
mod arrow;
mod error;
mod modbus;
mod modbus_plan;
mod modbus_request;
mod modbus_rtu;
mod modbus_server;
mod modbus_values;
mod series;
mod wal;

/// The native half of bifrost.
#[pymodule]
fn _rust(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add(
        "BUILD_PROFILE",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )?;
    modbus::register(module)?;
    modbus_plan::register(module)?;
    modbus_request::register(module)?;
    modbus_rtu::register(module)?;
    modbus_server::register(module)?;
    modbus_values::register(module)?;
    series::register(module)?;
    wal::register(module)?;
    Ok(())
}
