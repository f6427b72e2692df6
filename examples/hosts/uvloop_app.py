"""The same system on uvloop: as the program's own loop, and in a portal's thread. Needs ``uvloop``."""

import asyncio

import uvloop

from bifrost.actors import Actor, ActorSystem, ChildSpec
from bifrost.actors.hosts import PortalSystem


class Loop(Actor[str]):
    """Tells which loop it runs on."""

    async def receive(self, message: str) -> str:
        """Answer with the loop's module."""
        return f"{message} {type(asyncio.get_running_loop()).__module__}"


async def main() -> None:
    """Own the loop."""
    async with ActorSystem("plant", [ChildSpec(id="loop", start=Loop)]) as system:
        print(await system.ref("loop").ask("as the program's loop:"))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    with PortalSystem("plant", [ChildSpec(id="loop", start=Loop)], loop_factory=uvloop.new_event_loop) as portal:
        print(portal.ask("loop", "in a portal:"))
