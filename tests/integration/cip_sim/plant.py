"""The tags that foreign clients are let loose on."""

from __future__ import annotations

from bifrost.plc.sim.cip import Access, TagStore

__all__ = ["MANY", "micro800_store", "plant_store"]

MANY = 250


def plant_store() -> TagStore:
    """Return a store with a tag of each kind."""
    store = TagStore()
    axis = {"Position": "REAL", "Homed": "BOOL", "Fault": "BOOL", "Counts": "DINT[3]"}
    store.define("AxisUDT", axis)
    store.define_string("STR20", 20)
    motor = {"Running": "BOOL", "Ready": "BOOL", "Speed": "REAL", "Name": "STRING", "Label": "STR20", "Axis": "AxisUDT"}
    rest = {"Axes": "AxisUDT[2]", "Flags": "BOOL[32]", "Small": "SINT", "Mid": "INT", "Wide": "LINT", "Last": "BOOL"}
    store.define("Motor", motor | rest)
    store.define("Wide", {f"Member{at:03d}_with_a_long_name": "DINT" for at in range(200)})
    store.add("Speed", "REAL", 1.5)
    store.add("Count", "DINT", 0b100010)
    store.add("On", "BOOL", value=True)
    store.add("Tiny", "SINT", -8)
    store.add("Port", "UINT", 44818)
    store.add("Big", "LINT", -(2**40))
    store.add("Exact", "LREAL", 0.1)
    store.add("Arr", "DINT[10]", list(range(10)))
    store.add("Huge", "DINT[5000]", list(range(5000)))
    store.add("Grid", "INT[2,3]", [[1, 2, 3], [4, 5, 6]])
    store.add("Cube", "REAL[2,2,2]", [1, 2, 3, 4, 5, 6, 7, 8])
    store.add("Bits", "BOOL[64]", [at % 3 == 0 for at in range(64)])
    store.add("Text", "STRING", "hello")
    store.add("Short", "STR20", "abc")
    store.add("Texts", "STRING[3]", ["a", "b", "c"])
    store.add(
        "Motor1", "Motor", {"Running": True, "Speed": 2.5, "Name": "pump", "Axis": {"Homed": True}, "Wide": 2**40}
    )
    store.add("Motors", "Motor[40]", [{"Speed": float(at), "Name": f"m{at}"} for at in range(40)])
    store.add("Wide1", "Wide", {"Member199_with_a_long_name": 199})
    store.add("Fixed", "DINT", 5, access=Access.READ_ONLY)
    store.add("Level", "REAL", 7.0, program="Main")
    store.add("Inner", "AxisUDT", {"Position": 3.0}, program="Main")
    store.add("Level", "REAL", 8.0, program="Other")
    for at in range(MANY):
        store.add(f"Many_{at:04d}", "DINT", at)
    return store


def micro800_store() -> TagStore:
    """Return what a Micro800 can have."""
    store = TagStore(micro800=True)
    store.add("Speed", "REAL", 1.5)
    store.add("On", "BOOL", value=True)
    store.add("Arr", "DINT[10]", list(range(10)))
    store.add("Text", "STRING", "hello")
    store.add("Texts", "STRING[3]", ["a", "", "ccc"])
    store.add("Bits", "BOOL[10]", [at % 2 == 0 for at in range(10)])
    return store
