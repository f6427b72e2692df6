//! Bindings of the client's side of `bifrost-codec`'s Modbus half: framing, plans, values.

use bifrost_codec::modbus::{
    self, AnswerError, Area, Block, ByteOrder, EncodeError, Field, Frame, Framer, Kind, Limits,
    Outcome, Part, Plan, PlanError, Range, RequestError, Value,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::error::{config_error, data_type_error, modbus_fault, protocol_error};

type FieldTuple = (u8, u8, u16, String, String, u16, u16, Option<u8>);
type RangeTuple = (u8, u8, u32, u32);

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

struct Failure(PyErr);

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        Self(answer_error(error))
    }
}

fn to_python<'py>(py: Python<'py>, value: Value<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Int(value) => value.into_pyobject(py)?.into_any(),
        Value::Uint(value) => value.into_pyobject(py)?.into_any(),
        Value::Float(value) => PyFloat::new(py, value).into_any(),
        Value::Text(value) => PyString::new(py, &value).into_any(),
        Value::Bytes(value) => PyBytes::new(py, &value).into_any(),
    })
}

fn from_python<'a>(value: &'a Bound<'_, PyAny>, kind: Kind) -> PyResult<Value<'a>> {
    if value.is_instance_of::<PyBool>() {
        return value.extract().map(Value::Bool);
    }
    if value.is_instance_of::<PyInt>() {
        if let Ok(number) = value.extract() {
            return Ok(Value::Int(number));
        }
        return value
            .extract()
            .map(Value::Uint)
            .map_err(|_| data_type_error(format!("{value} does not fit {}", kind.name())));
    }
    if value.is_instance_of::<PyFloat>() {
        return value.extract().map(Value::Float);
    }
    if value.is_instance_of::<PyString>() {
        return value
            .extract::<String>()
            .map(|text| Value::Text(text.into()))
            .map_err(|error| {
                data_type_error(format!("expected text that can be encoded, got {error}"))
            });
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().into()));
    }
    Err(data_type_error(format!(
        "expected a value for {}, got {}",
        kind.name(),
        value.get_type().name()?
    )))
}

pub(crate) fn area(function: u8) -> PyResult<Area> {
    Area::of_function(function)
        .ok_or_else(|| PyValueError::new_err(format!("expected function 1 to 4, got {function}")))
}

fn kind(name: &str, length: u16) -> PyResult<Kind> {
    Kind::named(name, length)
        .ok_or_else(|| data_type_error(format!("modbus has no data type {name}")))
}

fn order(name: &str) -> PyResult<ByteOrder> {
    ByteOrder::named(name).ok_or_else(|| {
        config_error(format!(
            "expected byte order ABCD, CDAB, BADC or DCBA, got {name}"
        ))
    })
}

fn range((unit, function, start, stop): RangeTuple) -> PyResult<Range> {
    Ok(Range {
        unit,
        area: area(function)?,
        start,
        stop,
    })
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

#[pyfunction]
fn modbus_frame<'py>(
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

#[pyfunction]
fn modbus_encode_value(
    value: &Bound<'_, PyAny>,
    datatype: &str,
    byte_order: &str,
    length: u16,
) -> PyResult<Vec<u16>> {
    let kind = kind(datatype, length)?;
    modbus::encode_value(kind, order(byte_order)?, &from_python(value, kind)?)
        .map_err(|error: EncodeError| data_type_error(error.to_string()))
}

/// Adds this part's classes and functions to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ModbusFramer>()?;
    module.add_class::<ModbusBlock>()?;
    module.add_class::<ModbusPlan>()?;
    module.add_function(wrap_pyfunction!(modbus_frame, module)?)?;
    module.add_function(wrap_pyfunction!(modbus_encode_value, module)?)?;
    Ok(())
}
