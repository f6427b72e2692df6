"""What became of several writes, tag by tag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bifrost.errors import BifrostError, WriteError

__all__ = ["WriteResults"]


class WriteResults(Mapping[str, BifrostError | None]):
    """For each tag name None if it was written, else why not; in the order in which they were given.

    ``results.ok`` tells whether all were written, `raise_errors` raises if not.
    """

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, BifrostError | None]) -> None:
        self._by_name = dict(by_name)

    def __getitem__(self, name: str) -> BifrostError | None:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={'written' if error is None else error}" for name, error in self.items())
        return f"WriteResults({shown})"

    @property
    def ok(self) -> bool:
        """True if every value was written."""
        return not self.failed

    @property
    def failed(self) -> dict[str, BifrostError]:
        """Why, for each tag that was not written."""
        return {name: error for name, error in self._by_name.items() if error is not None}

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the tags that were sent without an answer, so that the device may have acted."""
        return tuple(
            name for name, error in self.failed.items() if isinstance(error, WriteError) and error.unknown_outcome
        )

    def raise_errors(self) -> None:
        """Raise if a value was not written.

        Raises:
            WriteError: naming each tag that was not; `unknown_outcome` if the device may have acted on one; its
                `results` are these.
        """
        if failed := self.failed:
            text = "; ".join(f"{name}: {error}" for name, error in failed.items())
            summary = f"{len(failed)} of {len(self)} values were not written: {text}"
            raise WriteError(summary, unknown_outcome=bool(self.unknown), results=self)
