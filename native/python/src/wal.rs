//! Bindings of the write-ahead buffer: commands in, completions out, one wake-up per commit.

use std::path::PathBuf;
use std::time::Duration;

use bifrost_wal::{self as wal, Answer, Completion, Durability, Event, NewRecord, OnFull, Start};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::error::{config_error, wal_error};

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SQLITE_VERSION", wal::sqlite_version())?;
    module.add_class::<Wal>()
}

/// A buffer whose owner thread runs.
#[pyclass(frozen, weakref, module = "bifrost._native._rust")]
struct Wal {
    inner: wal::Wal,
}

#[pymethods]
impl Wal {
    #[new]
    #[pyo3(signature = (path, wake, *, durability, max_bytes, on_full, max_delay, idle_gap, max_group_bytes, max_pending_bytes))]
    #[expect(
        clippy::too_many_arguments,
        reason = "every option is a keyword in Python"
    )]
    fn new(
        path: PathBuf,
        wake: Py<PyAny>,
        durability: &str,
        max_bytes: u64,
        on_full: &str,
        max_delay: f64,
        idle_gap: f64,
        max_group_bytes: usize,
        max_pending_bytes: usize,
    ) -> PyResult<Self> {
        let options = wal::Options {
            durability: match durability {
                "sync" => Durability::Sync,
                "normal" => Durability::Normal,
                other => {
                    return Err(config_error(format!(
                        "durability must be 'sync' or 'normal', got '{other}'"
                    )));
                }
            },
            max_bytes,
            on_full: match on_full {
                "drop_oldest" => OnFull::DropOldest,
                "block" => OnFull::Block,
                "reject" => OnFull::Reject,
                other => {
                    return Err(config_error(format!(
                        "on_full must be 'drop_oldest', 'block' or 'reject', got '{other}'"
                    )));
                }
            },
            max_delay: seconds("max_delay", max_delay)?,
            idle_gap: seconds("idle_gap", idle_gap)?,
            max_group_bytes,
            max_pending_bytes,
        };
        let wake = Box::new(move || {
            // No interpreter any more, or a closed event loop: nobody is left who waits.
            let _ = Python::try_attach(|py| wake.call0(py).map(drop));
        });
        wal::Wal::open(&path, options, wake)
            .map(|inner| Self { inner })
            .map_err(|error| wal_error(&error))
    }

    fn append(
        &self,
        stream: String,
        ts_min: i64,
        ts_max: i64,
        rows: u32,
        codec: u8,
        payload: &[u8],
    ) -> PyResult<u64> {
        sent(self.inner.append(NewRecord {
            stream,
            ts_min,
            ts_max,
            rows,
            codec,
            payload: payload.to_vec(),
        }))
    }

    fn read(
        &self,
        destination: &str,
        after: Option<u64>,
        limit: usize,
        max_bytes: usize,
    ) -> PyResult<u64> {
        sent(self.inner.read(destination, after, limit, max_bytes))
    }

    fn ack(&self, destination: &str, seq: u64) -> PyResult<u64> {
        sent(self.inner.ack(destination, seq))
    }

    fn register(&self, destination: &str, from_oldest: bool) -> PyResult<u64> {
        let start = if from_oldest {
            Start::Oldest
        } else {
            Start::Now
        };
        sent(self.inner.register(destination, start))
    }

    fn forget(&self, destination: &str) -> PyResult<u64> {
        sent(self.inner.forget(destination))
    }

    fn dead_letter(
        &self,
        destination: &str,
        seq: u64,
        reason: &str,
        attempts: u32,
    ) -> PyResult<u64> {
        sent(self.inner.dead_letter(destination, seq, reason, attempts))
    }

    fn dead_letters(&self, limit: usize) -> PyResult<u64> {
        sent(self.inner.dead_letters(limit))
    }

    fn retry_dead_letter(&self, id: u64) -> PyResult<u64> {
        sent(self.inner.retry_dead_letter(id))
    }

    fn delete_dead_letter(&self, id: u64) -> PyResult<u64> {
        sent(self.inner.delete_dead_letter(id))
    }

    fn gaps(&self, limit: usize) -> PyResult<u64> {
        sent(self.inner.gaps(limit))
    }

    fn statistics(&self) -> PyResult<u64> {
        sent(self.inner.statistics())
    }

    fn set_disk_low(&self, low: bool) -> PyResult<u64> {
        sent(self.inner.set_disk_low(low))
    }

    fn close(&self) -> PyResult<u64> {
        sent(self.inner.close())
    }

    fn join(&self, py: Python<'_>) {
        py.detach(|| self.inner.join());
    }

    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let taken = PyList::empty(py);
        for Completion { token, result } in self.inner.take() {
            match result {
                Ok(answer) => taken.append((token, answer_object(py, answer)?, py.None()))?,
                Err(error) => {
                    taken.append((token, py.None(), wal_error(&error).into_value(py)))?;
                }
            }
        }
        Ok(taken)
    }
}

fn sent(token: Result<u64, wal::WalError>) -> PyResult<u64> {
    token.map_err(|error| wal_error(&error))
}

fn seconds(name: &str, given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given)
        .map_err(|_| config_error(format!("{name} must be seconds from 0 on, got {given}")))
}

fn answer_object<'py>(py: Python<'py>, answer: Answer) -> PyResult<Bound<'py, PyAny>> {
    Ok(match answer {
        Answer::Opened(opened) => (opened.buffer_id, opened.records, opened.last_seq)
            .into_pyobject(py)?
            .into_any(),
        Answer::Seq(seq) => seq.into_pyobject(py)?.into_any(),
        Answer::Records(records) => {
            let list = PyList::empty(py);
            for record in records {
                list.append(record_tuple(py, record)?)?;
            }
            list.into_any()
        }
        Answer::DeadLetters(letters) => {
            let list = PyList::empty(py);
            for letter in letters {
                let record = record_tuple(py, letter.record)?;
                list.append((
                    letter.id,
                    letter.destination,
                    record,
                    letter.reason,
                    letter.attempts,
                ))?;
            }
            list.into_any()
        }
        Answer::Gaps(gaps) => {
            let list = PyList::empty(py);
            for gap in gaps {
                list.append((
                    gap.first_seq,
                    gap.last_seq,
                    gap.records,
                    gap.rows,
                    gap.reason,
                ))?;
            }
            list.into_any()
        }
        Answer::Statistics(statistics) => statistics_dict(py, &statistics)?.into_any(),
        Answer::Event(event) => event_dict(py, event)?.into_any(),
        _ => py.None().into_bound(py),
    })
}

fn record_tuple<'py>(py: Python<'py>, record: wal::Record) -> PyResult<Bound<'py, PyAny>> {
    let wal::Record { seq, content } = record;
    Ok((
        seq,
        content.stream,
        content.ts_min,
        content.ts_max,
        content.rows,
        content.codec,
        PyBytes::new(py, &content.payload),
    )
        .into_pyobject(py)?
        .into_any())
}

fn statistics_dict<'py>(
    py: Python<'py>,
    statistics: &wal::Statistics,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, number) in [
        ("records", statistics.records),
        ("rows", statistics.rows),
        ("payload_bytes", statistics.payload_bytes),
        ("file_bytes", statistics.file_bytes),
        ("wal_bytes", statistics.wal_bytes),
        ("first_seq", statistics.first_seq),
        ("last_seq", statistics.last_seq),
        ("appended_records", statistics.appended_records),
        ("appended_rows", statistics.appended_rows),
        ("commits", statistics.commits),
        ("commit_ns", statistics.commit_ns),
        ("commit_max_ns", statistics.commit_max_ns),
        ("dropped_records", statistics.dropped_records),
        ("dropped_rows", statistics.dropped_rows),
        ("quarantined", statistics.quarantined),
        ("dead_letters", statistics.dead_letters),
        ("dead_letters_dropped", statistics.dead_letters_dropped),
        ("blocked", statistics.blocked),
    ] {
        dict.set_item(name, number)?;
    }
    let cursors = PyDict::new(py);
    for cursor in &statistics.cursors {
        cursors.set_item(&cursor.destination, cursor.acked)?;
    }
    dict.set_item("cursors", cursors)?;
    Ok(dict)
}

fn event_dict(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    match event {
        Event::Recovered {
            path,
            reason,
            saved,
            lost,
        } => {
            dict.set_item("kind", "recovered")?;
            dict.set_item("path", path)?;
            dict.set_item("reason", reason)?;
            dict.set_item("saved", saved)?;
            dict.set_item("lost", lost)?;
        }
        Event::Quarantined { seq, reason } => {
            dict.set_item("kind", "quarantined")?;
            dict.set_item("seq", seq)?;
            dict.set_item("reason", reason)?;
        }
        Event::CursorReset { destination, acked } => {
            dict.set_item("kind", "cursor_reset")?;
            dict.set_item("destination", destination)?;
            dict.set_item("acked", acked)?;
        }
        Event::Dropped { records, rows } => {
            dict.set_item("kind", "dropped")?;
            dict.set_item("records", records)?;
            dict.set_item("rows", rows)?;
        }
        _ => dict.set_item("kind", "unknown")?,
    }
    Ok(dict)
}
