"""Runs scripts on both sides and tells where they differ.

In: seeds. Out: nothing, or a text that shows the smallest script that a mismatch could be reduced to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.differential.compare import canonical, show
from tests.differential.generate import draw_script
from tests.differential.otp import Otp
from tests.differential.runtime_driver import play_on_bifrost
from tests.differential.script import Script
from tests.differential.shrink import shrink

__all__ = ["Difference", "find_difference"]


@dataclass(frozen=True)
class Difference:
    """One mismatch, reduced.

    Attributes:
        seed: draws the script in which it was found.
        script: the smallest script that shows it.
        otp: OTP's trace of that.
        bifrost: ours.
        others: seeds of the same run whose scripts differ as well.
    """

    seed: int
    script: Script
    otp: list[str]
    bifrost: list[str]
    others: tuple[int, ...]

    def __str__(self) -> str:
        others = f" (and {len(self.others)} more: {', '.join(map(str, self.others[:10]))})" if self.others else ""
        return (
            f"bifrost and OTP differ on the script of seed {self.seed}{others}; reduced to:\n\n"
            f"{show(self.script, self.otp, self.bifrost)}\n\n"
            f"once more: pytest tests/differential --otp-scripts=1 --otp-seed={self.seed}"
        )


def find_difference(otp: Otp, seeds: Sequence[int]) -> Difference | None:
    """Play the scripts of `seeds` on both sides; None if all traces agree."""
    scripts = [draw_script(seed) for seed in seeds]
    differing = [seed for seed, differs in zip(seeds, _differ(otp, scripts), strict=True) if differs]
    if not differing:
        return None
    smallest = shrink(draw_script(differing[0]), lambda smaller: _differ(otp, smaller))
    [theirs] = otp.play([smallest])
    return Difference(
        seed=differing[0],
        script=smallest,
        otp=canonical(smallest, theirs),
        bifrost=canonical(smallest, play_on_bifrost(smallest)),
        others=tuple(differing[1:]),
    )


def _differ(otp: Otp, scripts: Sequence[Script]) -> list[bool]:
    return [
        canonical(script, theirs) != canonical(script, play_on_bifrost(script))
        for script, theirs in zip(scripts, otp.play(scripts), strict=True)
    ]
