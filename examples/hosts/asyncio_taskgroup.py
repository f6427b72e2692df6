"""A system is one task among others of an `asyncio.TaskGroup`; the failure of another task stops its tree in order."""

import asyncio

from bifrost.actors import Actor, ActorSystem, ChildSpec, ExitReason
from bifrost.actors.hosts import system_child


class Press(Actor[float]):
    """Keeps the highest pressure that it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.highest = 0.0

    async def receive(self, message: float) -> float:
        """Answer with the highest so far."""
        self.highest = max(self.highest, message)
        return self.highest

    async def on_stop(self, reason: ExitReason) -> None:
        """Tell that it stops."""
        print(f"{self.name} stopped: {reason}")


async def web_server() -> None:
    """Stand for the rest of the program, which fails."""
    await asyncio.sleep(0.1)
    raise OSError("address already in use")


async def main() -> None:
    """Run both, until one of them fails."""
    presses = [ChildSpec(id=name, start=Press, args=(name,)) for name in ("press-1", "press-2")]
    try:
        async with asyncio.TaskGroup() as group:
            system = await system_child(group, ActorSystem("plant", presses))
            group.create_task(web_server())
            print("highest:", await system.ref("press-1").ask(180.0))
    except* OSError as failed:
        print("the program failed:", failed.exceptions[0])


if __name__ == "__main__":
    asyncio.run(main())
