"""What random scripts showed to differ from Erlang/OTP, each as small as it became; `tests/differential` draws them."""

from __future__ import annotations

from bifrost.actors import ChildSpec, Restart
from bifrost.testing import CoreBench


def test_start_child_looks_at_the_specification_before_the_id() -> None:
    """A significant child under auto_shutdown=never is refused as such, also if its id is in use."""
    bench = CoreBench([ChildSpec(id="a", start=object)]).begin()
    significant = ChildSpec(id="a", start=object, restart=Restart.TEMPORARY, significant=True)
    assert bench.add(significant) == "significant"
    assert bench.add(ChildSpec(id="a", start=object)) == "already_started"
