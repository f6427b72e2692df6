//! Bindings of the read planner of `bifrost-codec`'s Modbus half: fields in, requests out, answers taken apart.

use bifrost_codec::modbus::{
    AnswerError, Block, Field, Limits, Outcome, Part, Plan, PlanError, Range,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::error::config_error;
use crate::modbus::{answer_error, area, modbus_frame, request_error};
use crate::modbus_values::{kind, order, to_python};

type FieldTuple = (u8, u8, u16, String, String, u16, u16, Option<u8>);
type RangeTuple = (u8, u8, u32, u32);

struct Failure(PyErr);

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        Self(answer_error(error))
    }
}

fn range((unit, function, start, stop): RangeTuple) -> PyResult<Range> {
    Ok(Range {
        unit,
        area: area(function)?,
        start,
        stop,
    })
}

/// Keeps a part of a value in the value's place until all parts are there; then gives all bytes.
fn gathered(
    values: &Bound<'_, PyList>,
    slot: usize,
    part: Part,
    bytes: &[u8],
) -> PyResult<Option<Vec<u8>>> {
    let py = values.py();
    let place = values.get_item(slot)?;
    let parts = match place.cast_into::<PyDict>() {
        Ok(parts) => parts,
        Err(_) => {
            let parts = PyDict::new(py);
            values.set_item(slot, &parts)?;
            parts
        }
    };
    parts.set_item(part.number, PyBytes::new(py, bytes))?;
    if parts.len() < usize::from(part.of) {
        return Ok(None);
    }
    let mut whole = Vec::new();
    for number in 0..part.of {
        if let Some(bytes) = parts.get_item(number)? {
            whole.extend_from_slice(bytes.cast::<PyBytes>()?.as_bytes());
        }
    }
    Ok(Some(whole))
}

/// One request of a plan.
#[pyclass(module = "bifrost._native._rust", frozen)]
struct ModbusBlock {
    block: Block,
    pdu: Vec<u8>,
}

impl ModbusBlock {
    fn wrap(block: Block) -> PyResult<Self> {
        let pdu = block.request().encode().map_err(request_error)?;
        Ok(Self { block, pdu })
    }

    fn put(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyList>,
        slot: usize,
        outcome: Outcome<'_>,
        bad: &mut Vec<(usize, String)>,
    ) -> PyResult<()> {
        match outcome {
            Outcome::Value(value) => values.set_item(slot, to_python(py, value)?),
            Outcome::Bad(error) => {
                bad.push((slot, error.to_string()));
                values.set_item(slot, py.None())
            }
            Outcome::Part(part, bytes) => match gathered(values, slot, part, bytes)? {
                None => Ok(()),
                Some(bytes) => match self.block.whole(&bytes) {
                    Some(Outcome::Part(..)) | None => Ok(()),
                    Some(outcome) => self.put(py, values, slot, outcome, bad),
                },
            },
        }
    }
}

#[pymethods]
impl ModbusBlock {
    #[getter]
    fn unit(&self) -> u8 {
        self.block.unit()
    }

    #[getter]
    fn function(&self) -> u8 {
        self.block.area().function()
    }

    #[getter]
    fn address(&self) -> u16 {
        self.block.address()
    }

    #[getter]
    fn quantity(&self) -> u16 {
        self.block.quantity()
    }

    #[getter]
    fn range(&self) -> RangeTuple {
        let range = self.block.range();
        (range.unit, range.area.function(), range.start, range.stop)
    }

    #[getter]
    fn pdu<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.pdu)
    }

    fn frame<'py>(&self, py: Python<'py>, transaction: u16) -> PyResult<Bound<'py, PyBytes>> {
        modbus_frame(py, transaction, self.block.unit(), &self.pdu)
    }

    fn decode(
        &self,
        py: Python<'_>,
        pdu: &[u8],
        values: &Bound<'_, PyList>,
    ) -> PyResult<Option<Vec<(usize, String)>>> {
        let mut bad = Vec::new();
        let put = |slot, outcome: Outcome<'_>| {
            self.put(py, values, slot, outcome, &mut bad)
                .map_err(Failure)
        };
        self.block
            .decode(pdu, put)
            .map_err(|Failure(error)| error)?;
        Ok((!bad.is_empty()).then_some(bad))
    }

    fn slots(&self) -> Vec<usize> {
        self.block.slots().collect()
    }

    fn halves(&self) -> PyResult<Option<(Self, Self)>> {
        let Some((low, high)) = self.block.halves() else {
            return Ok(None);
        };
        Ok(Some((Self::wrap(low)?, Self::wrap(high)?)))
    }
}

/// Requests for a set of fields.
#[pyclass(module = "bifrost._native._rust", frozen)]
struct ModbusPlan {
    plan: Plan,
    #[pyo3(get)]
    blocks: Py<PyList>,
}

#[pymethods]
impl ModbusPlan {
    #[new]
    #[pyo3(signature = (fields, *, max_gap_registers=8, max_gap_bits=64, max_registers=125, max_bits=2000, refused=vec![], barriers=vec![]))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword for each limit, as the caller writes them"
    )]
    fn new(
        py: Python<'_>,
        fields: Vec<FieldTuple>,
        max_gap_registers: u16,
        max_gap_bits: u16,
        max_registers: u16,
        max_bits: u16,
        refused: Vec<RangeTuple>,
        barriers: Vec<RangeTuple>,
    ) -> PyResult<Self> {
        let fields = fields
            .into_iter()
            .map(field)
            .collect::<PyResult<Vec<_>>>()?;
        let limits = Limits {
            max_gap_registers,
            max_gap_bits,
            max_registers,
            max_bits,
        };
        let refused = refused
            .into_iter()
            .map(range)
            .collect::<PyResult<Vec<_>>>()?;
        let barriers = barriers
            .into_iter()
            .map(range)
            .collect::<PyResult<Vec<_>>>()?;
        let plan = Plan::new(fields, limits, &refused, &barriers)
            .map_err(|error: PlanError| config_error(error.to_string()))?;
        let blocks = plan
            .blocks()
            .iter()
            .cloned()
            .map(ModbusBlock::wrap)
            .collect::<PyResult<Vec<_>>>()?;
        let blocks = PyList::new(
            py,
            blocks
                .into_iter()
                .map(|block| Py::new(py, block))
                .collect::<PyResult<Vec<_>>>()?,
        )?;
        Ok(Self {
            plan,
            blocks: blocks.unbind(),
        })
    }

    #[getter]
    fn total(&self) -> usize {
        self.plan.total()
    }

    #[getter]
    fn slots(&self) -> Vec<usize> {
        self.plan.slots().to_vec()
    }

    #[getter]
    fn torn(&self) -> Vec<usize> {
        self.plan.torn().to_vec()
    }

    #[getter]
    fn refused(&self) -> Vec<usize> {
        self.plan.refused().to_vec()
    }
}

fn field(
    (unit, function, address, name, byte_order, count, length, bit): FieldTuple,
) -> PyResult<Field> {
    Ok(Field {
        unit,
        area: area(function)?,
        address,
        kind: kind(&name, length)?,
        order: order(&byte_order)?,
        count,
        bit,
    })
}

/// Adds this part's classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ModbusBlock>()?;
    module.add_class::<ModbusPlan>()?;
    Ok(())
}
