"""Every form in which a Modbus address is written, and what is said to those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost.errors import AddressError, BifrostError, ConfigError, DataTypeError
from bifrost.plc import Area, ByteOrder, DataType, Tag
from bifrost.plc.modbus.address import ModbusAddress, is_modbus_address, words_of

PREFIXES = {Area.COIL: "C", Area.DISCRETE_INPUT: "DI", Area.INPUT: "IR", Area.HOLDING: "HR"}
DIGITS = {Area.COIL: "0", Area.DISCRETE_INPUT: "1", Area.INPUT: "3", Area.HOLDING: "4"}
AREAS = st.sampled_from(list(Area))
NUMBERS = st.integers(1, 65536)
REGISTERS = st.sampled_from([Area.INPUT, Area.HOLDING])


def parsed(address: str | int, datatype: DataType | None = None) -> ModbusAddress:
    resolved: ModbusAddress = Tag("t", address, datatype, protocol="modbus-tcp").resolved
    return resolved


def refusal(address: str | int, datatype: DataType | None = None) -> str:
    with pytest.raises(BifrostError) as caught:
        parsed(address, datatype)
    return str(caught.value)


@given(AREAS, NUMBERS)
def test_all_forms_of_a_place_are_the_same_place(area: Area, number: int) -> None:
    """With a word, a prefix, an x, and digits, as text and as a number, in any case."""
    digit, prefix = DIGITS[area], PREFIXES[area]
    forms: list[str | int] = [
        f"{area}:{number}",
        f"{area}:{number}".upper(),
        f"{prefix}{number}",
        f"{prefix}_{number}",
        f"{prefix.lower()}{number}",
        f"{digit}x{number:05d}",
        f"{digit}X{number:06d}",
        f"{digit}{number:05d}",
        f"  {prefix}{number} ",
    ]
    if number <= 9999:
        forms += [f"{digit}{number:04d}", f"{digit}x{number:04d}"]
    if digit != "0":
        forms.append(int(f"{digit}{number:05d}"))
    for form in forms:
        resolved = parsed(form)
        assert (resolved.area, resolved.offset) == (area, number - 1), form
        assert is_modbus_address(str(form)) or str(form).strip().lower().startswith("c"), form
    explicit: ModbusAddress = Tag("t", area=area, offset=number - 1, protocol="modbus-tcp").resolved
    assert (explicit.area, explicit.offset) == (area, number - 1)


@given(AREAS, NUMBERS)
def test_numbers_from_zero_are_one_higher_and_offsets_are_not(area: Area, number: int) -> None:
    """A connection's `address_base` shifts what is numbered; an option in the address has the last word."""
    numbered = parsed(f"{PREFIXES[area]}{number}")
    assert numbered.offset_from(1) == number - 1
    if number < 65536:
        assert numbered.offset_from(0) == number
        own = parsed(f"{PREFIXES[area]}{number}{{base=0}}")
        assert own.offset_from(0) == own.offset_from(1) == number
    else:
        with pytest.raises(AddressError, match="runs past"):
            numbered.offset_from(0)
    explicit: ModbusAddress = Tag("t", area=area, offset=number - 1, protocol="modbus-tcp").resolved
    assert explicit.offset_from(0) == explicit.offset_from(1) == number - 1


SUFFIXES = st.permutations([":REAL", "[4]", "{unit-id: 2, byte-order: BIG_ENDIAN_BYTE_SWAP}"])


@given(REGISTERS, SUFFIXES)
def test_suffixes_come_in_any_order(area: Area, suffixes: list[str]) -> None:
    """That of PLC4X, that of others, and any other."""
    resolved = parsed(f"{area}:11{''.join(suffixes)}")
    assert (resolved.offset, resolved.datatype, resolved.count) == (10, DataType.FLOAT32, 4)
    assert (resolved.unit, resolved.byte_order) == (2, ByteOrder.BADC)


@pytest.mark.parametrize(
    ("options", "unit", "order"),
    [
        ("{unit=2,order=CDAB}", 2, ByteOrder.CDAB),
        ("{unit: 2, order: cdab}", 2, ByteOrder.CDAB),
        ("{unit-id: 255}", 255, None),
        ("{unit_id=7}", 7, None),
        ("{Unit-Id = 7 }", 7, None),
        ("{byte-order: BIG_ENDIAN}", None, ByteOrder.ABCD),
        ("{byte-order: 'LITTLE_ENDIAN'}", None, ByteOrder.DCBA),
        ('{byte_order="LITTLE_ENDIAN_BYTE_SWAP"}', None, ByteOrder.CDAB),
        ("{}", None, None),
    ],
)
def test_options_are_read_with_a_colon_or_an_equals_sign(options: str, unit: int | None, order: object) -> None:
    """As PLC4X spells them, too."""
    resolved = parsed(f"HR1{options}")
    assert (resolved.unit, resolved.byte_order) == (unit, order)


@given(
    REGISTERS,
    NUMBERS,
    st.sampled_from([kind for kind in DataType if kind not in {DataType.STRUCT, DataType.AUTO, DataType.BOOL}]),
    st.integers(1, 250),
    st.integers(1, 200),
)
def test_a_value_fits_behind_its_address_or_is_refused(
    area: Area, number: int, datatype: DataType, length: int, count: int
) -> None:
    """Up to the last register, and never beyond it."""
    has_length = datatype in {DataType.STRING, DataType.BYTES}
    text = f"{PREFIXES[area]}{number}:{datatype}" + (f"({length})" if has_length else "") + f"[{count}]"
    words = words_of(datatype, length if has_length else 0) * count
    if number - 1 + words > 65536:
        assert "runs past" in refusal(text)
    else:
        resolved = parsed(text)
        assert (resolved.datatype, resolved.count, resolved.length) == (datatype, count, length if has_length else 0)


@pytest.mark.parametrize(
    ("name", "datatype"),
    [
        ("SINT", DataType.INT8),
        ("USINT", DataType.UINT8),
        ("INT", DataType.INT16),
        ("WORD", DataType.UINT16),
        ("DINT", DataType.INT32),
        ("UDINT", DataType.UINT32),
        ("LREAL", DataType.FLOAT64),
        ("real", DataType.FLOAT32),
        ("FLOAT16", DataType.FLOAT16),
        ("BCD16", DataType.BCD16),
        ("BCD32", DataType.BCD32),
    ],
)
def test_types_have_the_names_of_the_standard_and_ours(name: str, datatype: DataType) -> None:
    """IEC 61131-3, in any case."""
    assert parsed(f"HR1:{name}").datatype is datatype


@pytest.mark.parametrize("digits", ["41", "401", "4001", "301", "101"])
def test_short_numbers_are_ambiguous_and_both_meanings_are_named(digits: str) -> None:
    """Kepware reads 41 as holding register 1, others as register 41; as a BOOL it is a coil."""
    for address in (digits, int(digits)):
        text = refusal(address)
        prefix = {"4": "HR", "3": "IR", "1": "DI"}[digits[0]]
        assert f"'{prefix}1'" in text
        assert f"'HR{int(digits)}'" in text
        assert str(40000 + int(digits)) in text
        assert parsed(address, DataType.BOOL).area is Area.COIL


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("2.HR1", "2!HR1"),
        ("HRF100", "'HR100:FLOAT32'"),
        ("HRI100", "'HR100:INT32'"),
        ("IRUI_64100", "'IR100:UINT64'"),
        ("HR 5", "'HR5'"),
        ("HR:5", "'HR5'"),
        ("hr-5", "'HR5'"),
        ("4x1", "'4x00001' or 'HR1'"),
        ("0x10", "'0x00010' or 'C10'"),
        ("3x0000001", "'3x00001' or 'IR1'"),
        ("1!40001#BB", "{order=CDAB}"),
        ("HR0", "{base=0}"),
        ("40000", "{base=0}"),
        ("HR65536{base=0}", "the first is 'HR0'"),
        ("0001", "'C1'"),
        ("20001", "30001"),
        ("2!", "known forms"),
        ("HR1{unit=2,unit=3}", "twice"),
        ("HR1{unit=2}{unit=3}", "twice"),
        ("2!HR1{unit=2}", "twice"),
        ("HR1{base=2}", "base=0"),
        ("HR1{unit}", "unit=2"),
        ("HR1:AUTO", "UINT16"),
        ("HR1:STRUCT", "UINT16"),
        ("HR1:BYTES", ":BYTES(16)"),
        ("HR1:UINT16(3)", "STRING and BYTES"),
    ],
)
def test_other_products_forms_are_answered_with_ours(address: str, hint: str) -> None:
    """The text says what to write instead."""
    assert hint in refusal(address)


@pytest.mark.parametrize(
    "address", ["HR0", "4x1", "20001", "3!", "40000", "coil:0", "IR99999", "0x10", "2!DB1", "HR_0"]
)
def test_what_is_surely_meant_for_modbus_is_never_taken_for_another_protocol(address: str) -> None:
    """A tag without a protocol would otherwise be understood as a name in some PLC."""
    with pytest.raises(AddressError):
        Tag("t", address)


@pytest.mark.parametrize("address", ["DB1.DBD4", "%DB1:4:REAL", "MW20", "Program:Main.Speed", "Motor.Speed", "C1x"])
def test_other_protocols_addresses_are_not_claimed(address: str) -> None:
    """Nor are names that only begin like ours."""
    assert not is_modbus_address(address)


@given(st.text(alphabet="HRIDC0134x!:.[]{}=,_ aunitbse-REALFLOAT52(9)", max_size=24))
def test_whatever_is_written_is_a_place_in_the_device_or_refused_with_a_reason(text: str) -> None:
    """Never another exception, and never an offset that no device has."""
    try:
        resolved = parsed(text)
    except (AddressError, DataTypeError, ConfigError) as error:
        reason = str(error)
        assert reason.startswith("tag 't': ")
        assert not reason.endswith(".")
    else:
        assert 0 <= resolved.offset <= 65535
        assert resolved.unit is None or 0 <= resolved.unit <= 255
        assert resolved.offset + words_of(resolved.datatype, resolved.length) * resolved.count <= 65536
