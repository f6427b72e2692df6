//! Bindings of one pure crate.

use pyo3::prelude::*;

/// Adds this part's classes and functions to the module.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
