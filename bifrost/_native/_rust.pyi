from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Final, TypeAlias, final

from bifrost.errors import WalError

__all__ = [
    "BUILD_PROFILE",
    "SQLITE_VERSION",
    "STATUS_PARTIAL",
    "AnomalyDetector",
    "Columns",
    "ModbusBlock",
    "ModbusFramer",
    "ModbusPlan",
    "ModbusRequest",
    "RtuFramer",
    "RtuRequestFramer",
    "TumblingWindows",
    "Wal",
    "modbus_crc16",
    "modbus_decode_answer",
    "modbus_decode_device_id",
    "modbus_decode_request",
    "modbus_device_id_request",
    "modbus_encode_bits",
    "modbus_encode_device_id",
    "modbus_encode_exception",
    "modbus_encode_registers",
    "modbus_encode_value",
    "modbus_encode_write",
    "modbus_frame",
    "modbus_mask_write_request",
    "modbus_read_request",
    "modbus_read_write_request",
    "modbus_rtu_frame",
    "modbus_write_request",
]

BUILD_PROFILE: Final[str]

# --- modbus -----------------------------------------------------------------------------------------------------

_ModbusField: TypeAlias = tuple[int, int, int, str, str, int, int, int | None]
_ModbusRange: TypeAlias = tuple[int, int, int, int]

@final
class ModbusFramer:
    """Cuts a byte stream into MBAP frames: `(transaction_id, unit_id, pdu)`, the pdu of 1..253 bytes."""

    def __new__(cls) -> ModbusFramer: ...
    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Take bytes in any split. Frames before a fault are returned, and `failure` is set; else `ProtocolError`."""
    def reset(self) -> None: ...
    @property
    def failure(self) -> str | None:
        """Why the stream cannot be cut any further; close the link."""
    @property
    def pending(self) -> int:
        """Bytes kept of an incomplete frame, at most 259."""

@final
class ModbusBlock:
    """One read request of a plan and what its answer is made of."""

    @property
    def unit(self) -> int: ...
    @property
    def function(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def quantity(self) -> int: ...
    @property
    def range(self) -> _ModbusRange:
        """`(unit, function, start, stop)`, stop not included; of a part of a torn value the whole value's."""
    @property
    def pdu(self) -> bytes:
        """The request without any header."""
    def frame(self, transaction: int) -> bytes:
        """The whole request with its MBAP header."""
    def decode(self, pdu: bytes, values: list[Any]) -> list[tuple[int, str]] | None:
        """Check the answer, then put every value at its slot of `values`.

        Bits that are no value of their type (only BCD16 and BCD32 have such) leave None and are returned as
        `(slot, what was expected and came)`. A part of a torn value is kept at its slot until all parts are there: give
        the same list to all blocks of one read, and blank the slot if one of them fails. Raises `ModbusFault` and
        `ProtocolError`, with nothing put.
        """
    def slots(self) -> list[int]: ...
    def halves(self) -> tuple[ModbusBlock, ModbusBlock] | None:
        """Both halves, to find what the device refuses; None if only one value or array is left."""

@final
class ModbusPlan:
    """Few requests for many fields.

    A field is `(unit, read function 1..4, address, datatype, byte order, count, length, bit)`; the length is that of
    STRING and BYTES, in bytes. INT8 and UINT8 are the low byte of a register. STRING is UTF-8, or else Latin-1, up to
    the first NUL.
    """

    def __new__(
        cls,
        fields: Sequence[_ModbusField],
        *,
        max_gap_registers: int = 8,
        max_gap_bits: int = 64,
        max_registers: int = 125,
        max_bits: int = 2000,
        refused: Sequence[_ModbusRange] = ...,
        barriers: Sequence[_ModbusRange] = ...,
    ) -> ModbusPlan: ...
    @property
    def blocks(self) -> list[ModbusBlock]: ...
    @property
    def total(self) -> int:
        """How many values all fields have together."""
    @property
    def slots(self) -> list[int]:
        """Where each field's first value stands."""
    @property
    def torn(self) -> list[int]:
        """Slots of values wider than one request allows: their parts may be of different age."""
    @property
    def refused(self) -> list[int]:
        """Slots that no request asks for, because they lie in `refused`."""

@final
class ModbusRequest:
    """A request as a server sees it.

    `values` are bools for functions 5 and 15, words for 6, 16 and 23, else empty. `address` and `quantity` of function
    23 are those of the read. The register of function 22 becomes `(register & and_mask) | (or_mask & ~and_mask)`.
    """

    @property
    def function(self) -> int: ...
    @property
    def address(self) -> int: ...
    @property
    def quantity(self) -> int: ...
    @property
    def is_write(self) -> bool: ...
    @property
    def values(self) -> list[Any]: ...
    @property
    def and_mask(self) -> int | None:
        """Of function 22."""
    @property
    def or_mask(self) -> int | None:
        """Of function 22."""
    @property
    def write_address(self) -> int | None:
        """Of function 23: where `values` go, before the read."""
    @property
    def read_code(self) -> int | None:
        """Of function 43: 1 basic, 2 regular, 3 extended, 4 one single object."""
    @property
    def object_id(self) -> int | None:
        """Of function 43: the first object, or the only one."""
    def encode(self) -> bytes: ...

@final
class RtuFramer:
    """Cuts what a client hears on a serial line into answers `(unit_id, pdu)` with a good CRC.

    Where a frame ends follows from its function code and byte count, never from silence; a wrong CRC is given up byte
    by byte until a good frame begins. Keeps at most 256 bytes. The same bytes give the same frames in any split.
    """

    def __new__(cls, *, local_echo: bool = False) -> RtuFramer:
        """`local_echo`: the line gives back what is sent; exactly our own request is swallowed, once."""
    def expect(self, request_pdu: bytes, unit: int) -> None:
        """Say what is sent now. Bytes kept from before become noise; the answer is found behind any noise at once."""
    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes in any split. Frames of other units and functions are handed over too: check `unit_id`."""
    def idle(self) -> list[tuple[int, bytes]]:
        """Say that the line went silent: what is incomplete is given up, whole frames behind it are handed over."""
    def reset(self) -> None:
        """Forget everything but the counters, for a new line."""
    @property
    def pending(self) -> int: ...
    @property
    def crc_errors(self) -> int:
        """Frames with a wrong CRC; what is tried while searching for the next good one does not count."""
    @property
    def noise_bytes(self) -> int:
        """Bytes that belonged to no good frame."""
    @property
    def echoes(self) -> int:
        """Our own requests that came back."""

@final
class RtuRequestFramer:
    """Cuts what a server hears on a serial line into requests `(unit_id, pdu)` with a good CRC.

    Known are functions 1 to 8, 11, 12, 15 to 17, 20 to 24 and 43/14; of others the length is unknown: they are noise.
    Call `idle` when the line was silent in the middle of a frame, else a broken beginning may hold up 256 bytes.
    """

    def __new__(cls) -> RtuRequestFramer: ...
    def feed(self, data: bytes) -> list[tuple[int, bytes]]: ...
    def idle(self) -> list[tuple[int, bytes]]: ...
    def reset(self) -> None: ...
    @property
    def pending(self) -> int: ...
    @property
    def crc_errors(self) -> int: ...
    @property
    def noise_bytes(self) -> int: ...

def modbus_crc16(data: bytes) -> int:
    """The CRC-16 of RTU; on the wire its low byte goes first."""

def modbus_rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Put a PDU of 1..253 bytes into an RTU frame."""

def modbus_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Put a PDU of 1..253 bytes into an MBAP frame."""

def modbus_read_request(function: int, address: int, quantity: int) -> bytes:
    """PDU for functions 1 to 4; `ConfigError` if the quantity or address is out of range."""

def modbus_write_request(function: int, address: int, values: Sequence[bool] | Sequence[int]) -> bytes:
    """PDU for functions 5, 6, 15, 16; `ConfigError` if there are too many values."""

def modbus_mask_write_request(address: int, and_mask: int, or_mask: int) -> bytes:
    """PDU for function 22: bits set in `and_mask` stay, the others become those of `or_mask`."""

def modbus_read_write_request(read_address: int, quantity: int, write_address: int, words: Sequence[int]) -> bytes:
    """PDU for function 23: writes 1..121 words, then reads 1..125. `ConfigError` if out of range."""

def modbus_device_id_request(code: int, object_id: int) -> bytes:
    """PDU for function 43, MEI type 14; code 1 basic, 2 regular, 3 extended, 4 one single object."""

def modbus_decode_device_id(pdu: bytes) -> tuple[int, bool, int, list[tuple[int, bytes]]]:
    """Take an identification apart: `(conformity, more_follows, next_object, [(object_id, bytes)])`.

    If more follows, ask again from `next_object`, which must be higher than the last object. Raises `ModbusFault` and
    `ProtocolError`.
    """

def modbus_decode_answer(request: bytes, pdu: bytes) -> bytes | None:
    """Check an answer against its request's PDU: the value bytes of a read (functions 1 to 4, 23), None for a write.

    Of function 43 all bytes after the function code. Raises `ModbusFault` for an exception answer and `ProtocolError`
    for one that does not fit.
    """

def modbus_encode_value(value: object, datatype: str, byte_order: str, length: int) -> list[int]:
    """Registers for one value; `DataTypeError` if it does not fit: nothing is wrapped, cut or filled up.

    `length` is the room of a STRING, or the exact length of BYTES. INT8 fills the register with its sign.
    """

def modbus_decode_request(pdu: bytes) -> ModbusRequest:
    """Read a request. `ModbusFault.code` is the exception to answer with; `ProtocolError`: nothing can be answered."""

def modbus_encode_registers(function: int, words: Sequence[int]) -> bytes:
    """A server's answer PDU to functions 3, 4 and 23: 1..125 words."""

def modbus_encode_bits(function: int, bits: Sequence[bool]) -> bytes:
    """A server's answer PDU to functions 1 and 2: 1..2000 bits."""

def modbus_encode_write(request: ModbusRequest) -> bytes:
    """A server's answer PDU to a write that was done: functions 5, 6, 15, 16, 22."""

def modbus_encode_device_id(
    request: ModbusRequest, objects: Sequence[tuple[int, bytes]], *, conformity: int = 0x83
) -> bytes:
    """A server's answer PDU to function 43: as many of its objects as fit, and where the next answer begins.

    Objects hold at most 244 bytes. `ModbusFault.code` is the exception to answer with.
    """

def modbus_encode_exception(function: int, code: int) -> bytes:
    """A server's exception answer PDU; codes in V1.1b3 section 7."""

# --- series -----------------------------------------------------------------------------------------------------

_Value: TypeAlias = (
    bool | int | float | str | bytes | list[object] | None
)  # never a list; the type is that of `core.value.Value`

@final
class Columns:
    """An immutable columnar table of readings; `bifrost.core.batch.Batch` is its public face."""

    @staticmethod
    def from_columns(
        tags: Sequence[str],
        source_ts_ns: Sequence[int],
        values: Sequence[object],
        status: Sequence[int] | None,
        received_ts_ns: Sequence[int | None] | None,
        origin: str,
        sequence: int,
    ) -> Columns:
        """Take columns of equal length. `DataTypeError` for another length, kind or range."""
    @staticmethod
    def concat(parts: Sequence[Columns]) -> Columns: ...
    @staticmethod
    def decode(data: bytes) -> Columns:
        """Restore an encoding. `ProtocolError` for any other bytes."""
    def encode(self) -> bytes: ...
    def __len__(self) -> int: ...
    @property
    def origin(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def time_range(self) -> tuple[int, int] | None:
        """The earliest and the latest source time."""
    def tags(self) -> list[str]: ...
    def rows(self) -> list[tuple[str, int, _Value, int, int | None]]: ...
    def statuses(self) -> list[int] | None:
        """The status of each row; None if all are GOOD."""
    def select(self, tags: Sequence[str]) -> Columns: ...
    def slice(self, start: int, stop: int) -> Columns: ...
    def with_origin(self, origin: str, sequence: int) -> Columns: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Give an Arrow PyCapsule; a requested schema is not granted."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

STATUS_PARTIAL: Final[int]

@final
class TumblingWindows:
    """Cuts batches into windows and aggregates each; one owner at a time."""

    def __new__(
        cls,
        aggregates: Sequence[str],
        *,
        size_ns: int,
        offset_ns: int,
        max_out_of_order_ns: int,
        max_future_ns: int,
        idle_ns: int,
    ) -> TumblingWindows:
        """`ConfigError` if an option is out of range."""
    def push(self, batch: Columns, now_ns: int, monotonic_ns: int) -> Columns:
        """Take rows; give the derived rows of completed windows, by start and first-seen tag."""
    def tick(self, monotonic_ns: int) -> Columns:
        """Complete the windows of silent tags as the monotonic clock says."""
    def flush(self) -> Columns:
        """Complete all windows; their rows carry `STATUS_PARTIAL`."""
    def statistics(self) -> dict[str, int]: ...

@final
class AnomalyDetector:
    """Judges rows by each tag's own past; one owner at a time."""

    def __new__(
        cls,
        method: str,
        parameters: dict[str, float | int | None],
        *,
        on: str | None,
        min_samples: int,
        learn_on_anomaly: bool,
        relearn_after: int,
        consecutive: int,
        cooldown_ns: int,
    ) -> AnomalyDetector:
        """`ConfigError` if an option is out of range."""
    def push(self, batch: Columns) -> tuple[int, list[tuple[int, float, float, str]]]:
        """How many rows were judged, and of each anomaly: row, value, score, reason."""
    def judge(self, batch: Columns) -> list[tuple[int, float, float, bool]]:
        """As `push`, of every judged row: row, value, score, is_anomaly."""
    @property
    def overflowed(self) -> int: ...

# --- wal --------------------------------------------------------------------------------------------------------

SQLITE_VERSION: Final[str]

@final
class Wal:
    """A write-ahead buffer whose owner thread runs.

    Every call but `join` and `take` sends a command and returns its token at once; the answer comes through `take`
    after `wake` was called from the owner thread. Token 1 is the opening itself, token 0 marks events.
    """

    def __new__(
        cls,
        path: str | PathLike[str],
        wake: Callable[[], object],
        *,
        durability: str,
        max_bytes: int,
        on_full: str,
        max_delay: float,
        idle_gap: float,
        max_group_bytes: int,
        max_pending_bytes: int,
    ) -> Wal:
        """`ConfigError` for wrong options, before any file is touched."""
    def append(self, stream: str, ts_min: int, ts_max: int, rows: int, codec: int, payload: bytes) -> int: ...
    def read(self, destination: str, after: int | None, limit: int, max_bytes: int) -> int: ...
    def ack(self, destination: str, seq: int) -> int: ...
    def register(self, destination: str, from_oldest: bool) -> int: ...
    def forget(self, destination: str) -> int: ...
    def dead_letter(self, destination: str, seq: int, reason: str, attempts: int) -> int: ...
    def dead_letters(self, limit: int) -> int: ...
    def retry_dead_letter(self, id: int) -> int: ...
    def delete_dead_letter(self, id: int) -> int: ...
    def gaps(self, limit: int) -> int: ...
    def statistics(self) -> int: ...
    def set_disk_low(self, low: bool) -> int: ...
    def close(self) -> int: ...
    def join(self) -> None:
        """Wait for the owner thread's end, without the GIL; close first."""
    def take(self) -> list[tuple[int, Any, WalError | None]]:
        """`(token, answer, error)` of everything answered since the last call."""
