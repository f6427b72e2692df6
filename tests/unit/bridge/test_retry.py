"""The wait between tries: full jitter, exponential, capped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bifrost.bridge.retry import RetryDelay, RetrySettings


@given(
    base=st.floats(0, 100),
    factor=st.floats(1, 100),
    cap=st.floats(0, 1000),
    drawn=st.floats(0, 1, exclude_max=True),
    failures=st.integers(0, 200),
)
def test_a_wait_lies_between_zero_and_the_bound(
    base: float, factor: float, cap: float, drawn: float, failures: int
) -> None:
    """Any settings, any number of failures: 0 <= wait <= min(cap, base * factor ** failures)."""
    delay = RetryDelay(RetrySettings(base=base, factor=factor, cap=cap), lambda: drawn)
    waits = [delay.next() for _ in range(failures + 1)]
    assert all(0 <= wait <= min(cap, base * factor ** min(number, 64)) for number, wait in enumerate(waits))


def test_the_defaults_grow_to_a_minute_and_start_again() -> None:
    """1, 2, 4 ... 60 seconds are the bounds; a success goes back to the first."""
    delay = RetryDelay(RetrySettings(), lambda: 1.0)
    assert [delay.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    delay.reset()
    assert delay.next() == 1


def test_what_the_destination_asks_for_is_the_least() -> None:
    """A wish for 10 seconds is kept even if the draw says less."""
    assert RetryDelay(RetrySettings(), lambda: 0.0).next(10.0) == 10.0
