"""A trio program owns a tree: it asks, and at last the tree gives up and cancels it. Needs ``bifrost-edge[trio]``."""

import trio

from bifrost.actors import Actor, ChildSpec, ExitReason
from bifrost.actors.hosts.trio import TrioSystem, open_system
from bifrost.errors import AskTimeout, SupervisorGaveUp


class Press(Actor[float]):
    """Keeps the highest pressure that it was told; a negative one is a defect."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.highest = 0.0

    async def receive(self, message: float) -> float:
        """Answer with the highest so far."""
        if message < 0:
            raise ValueError(f"{message} bar cannot be")
        self.highest = max(self.highest, message)
        return self.highest

    async def on_stop(self, reason: ExitReason) -> None:
        """Tell that it stops."""
        print(f"{self.name} stopped: {reason}")


async def measure(system: TrioSystem, path: str, bar: float) -> None:
    """Ask within a deadline of trio's own."""
    with trio.move_on_after(1.0):
        try:
            print(path, "highest:", await system.ask(path, bar))
        except AskTimeout:
            print(path, "is busy")


async def main() -> None:
    """Measure on both presses at once, then send what cannot be."""
    presses = [ChildSpec(id=name, start=Press, args=(name,)) for name in ("press-1", "press-2")]
    try:
        async with open_system("plant", presses, intensity=1) as system:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(measure, system, "press-1", 180.0)
                nursery.start_soon(measure, system, "press-2", 90.0)
            for _ in range(2):
                system.tell("press-1", -1.0)
            await trio.sleep_forever()  # cancelled when the tree gives up
    except SupervisorGaveUp as failed:
        print("the tree failed:", failed)


if __name__ == "__main__":
    trio.run(main)
