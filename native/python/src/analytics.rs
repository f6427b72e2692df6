//! Bindings of windows and detectors.

use bifrost_series::{
    self as series, Aggregate, DetectorOptions, Method, SeriesError, WindowOptions,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{config_error, series_error};
use crate::series::Columns;

/// Adds this part's classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("STATUS_PARTIAL", series::STATUS_PARTIAL)?;
    module.add_class::<TumblingWindows>()?;
    module.add_class::<AnomalyDetector>()
}

fn columns(made: Result<series::Columns, SeriesError>) -> PyResult<Columns> {
    made.map(Columns::new).map_err(|error| series_error(&error))
}

/// Cuts batches into windows and aggregates each; one owner at a time.
#[pyclass(module = "bifrost._native._rust")]
struct TumblingWindows {
    inner: series::TumblingWindows,
}

#[pymethods]
impl TumblingWindows {
    #[new]
    #[pyo3(signature = (aggregates, *, size_ns, offset_ns, max_out_of_order_ns, max_future_ns, idle_ns))]
    fn new(
        aggregates: Vec<String>,
        size_ns: i64,
        offset_ns: i64,
        max_out_of_order_ns: i64,
        max_future_ns: i64,
        idle_ns: i64,
    ) -> PyResult<Self> {
        let aggregates = aggregates
            .iter()
            .map(|name| Aggregate::from_name(name))
            .collect::<Result<Vec<_>, _>>();
        let inner = aggregates.and_then(|aggregates| {
            series::TumblingWindows::new(WindowOptions {
                size_ns,
                offset_ns,
                max_out_of_order_ns,
                max_future_ns,
                idle_ns,
                aggregates,
            })
        });
        Ok(Self {
            inner: inner.map_err(|error| series_error(&error))?,
        })
    }

    fn push(
        &mut self,
        py: Python<'_>,
        batch: PyRef<'_, Columns>,
        now_ns: i64,
        monotonic_ns: i64,
    ) -> PyResult<Columns> {
        let (inner, batch) = (&mut self.inner, batch.inner.as_ref());
        columns(py.detach(|| inner.push(batch, now_ns, monotonic_ns)))
    }

    fn tick(&mut self, monotonic_ns: i64) -> PyResult<Columns> {
        columns(self.inner.tick(monotonic_ns))
    }

    fn flush(&mut self) -> PyResult<Columns> {
        columns(self.inner.flush())
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let now = self.inner.statistics();
        let counts = PyDict::new(py);
        counts.set_item("rows", now.rows)?;
        counts.set_item("late", now.late)?;
        counts.set_item("future", now.future)?;
        counts.set_item("bad", now.bad)?;
        counts.set_item("skipped", now.skipped)?;
        counts.set_item("overflowed", now.overflowed)?;
        counts.set_item("windows", now.windows)?;
        counts.set_item("open", now.open)?;
        Ok(counts)
    }
}

/// Judges rows by each tag's own past; one owner at a time.
#[pyclass(module = "bifrost._native._rust")]
struct AnomalyDetector {
    inner: series::Detector,
}

#[pymethods]
impl AnomalyDetector {
    #[new]
    #[pyo3(signature = (method, parameters, *, on, min_samples, learn_on_anomaly, relearn_after, consecutive, cooldown_ns))]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one keyword of the Python call"
    )]
    fn new(
        method: &str,
        parameters: &Bound<'_, PyDict>,
        on: Option<String>,
        min_samples: u32,
        learn_on_anomaly: bool,
        relearn_after: u32,
        consecutive: u32,
        cooldown_ns: i64,
    ) -> PyResult<Self> {
        let options = DetectorOptions {
            method: read_method(method, parameters)?,
            on: on.map(String::into_boxed_str),
            min_samples,
            learn_on_anomaly,
            relearn_after,
            consecutive,
            cooldown_ns,
        };
        series::Detector::new(options)
            .map(|inner| Self { inner })
            .map_err(|error| series_error(&error))
    }

    /// Only what is to be reported: (row, value, score, reason); and how many rows were judged.
    fn push(&mut self, batch: PyRef<'_, Columns>) -> (usize, Vec<(usize, f64, f64, String)>) {
        let verdicts = self.inner.push(&batch.inner);
        let judged = verdicts.len();
        let found = verdicts
            .into_iter()
            .filter(|verdict| verdict.is_anomaly)
            .map(|verdict| (verdict.row, verdict.value, verdict.score, verdict.reason))
            .collect();
        (judged, found)
    }

    /// Everything: (row, value, score, is_anomaly).
    fn judge(&mut self, batch: PyRef<'_, Columns>) -> Vec<(usize, f64, f64, bool)> {
        self.inner
            .push(&batch.inner)
            .into_iter()
            .map(|verdict| {
                (
                    verdict.row,
                    verdict.value,
                    verdict.score,
                    verdict.is_anomaly,
                )
            })
            .collect()
    }

    #[getter]
    fn overflowed(&self) -> u64 {
        self.inner.overflowed()
    }
}

fn read_method(name: &str, parameters: &Bound<'_, PyDict>) -> PyResult<Method> {
    let given = |key: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(parameters.get_item(key)?.filter(|value| !value.is_none()))
    };
    let maybe = |key: &str| -> PyResult<Option<f64>> {
        given(key)?.map(|value| value.extract()).transpose()
    };
    let number = |key: &str| -> PyResult<f64> {
        maybe(key)?.ok_or_else(|| config_error(format!("{name}: expected a {key}, got none")))
    };
    let whole = |key: &str| -> PyResult<i64> {
        given(key)?
            .ok_or_else(|| config_error(format!("{name}: expected a {key}, got none")))?
            .extract()
    };
    Ok(match name {
        "zscore" => Method::ZScore {
            threshold: number("threshold")?,
            min_scale: number("min_scale")?,
        },
        "ewma" => Method::Ewma {
            alpha: number("alpha")?,
            threshold: number("threshold")?,
            min_scale: number("min_scale")?,
        },
        "mad" => Method::Mad {
            window: usize::try_from(whole("window")?).unwrap_or(0),
            threshold: number("threshold")?,
            min_scale: number("min_scale")?,
        },
        "limits" => Method::Limits {
            low: maybe("low")?,
            high: maybe("high")?,
        },
        "flatline" => Method::Flatline {
            duration_ns: whole("duration_ns")?,
            tolerance: number("tolerance")?,
        },
        "rate" => Method::Rate {
            max_per_second: number("max_per_second")?,
        },
        _ => {
            return Err(config_error(format!(
                "expected a detector among zscore, ewma, mad, limits, flatline, rate, got {name:?}"
            )));
        }
    })
}
