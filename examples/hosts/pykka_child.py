"""A pykka actor is supervised: it crashes and is started again. Needs ``bifrost-edge[pykka]``."""

import asyncio

import pykka
from pykka.messages import ProxyCall

from bifrost.actors import ActorSystem
from bifrost.actors.hosts.pykka import ask_pykka, pykka_child
from bifrost.errors import ActorCrashed


class Library(pykka.ThreadingActor):
    """An ordinary pykka actor that knows nothing of bifrost, and may block."""

    def __init__(self, tracks: dict[str, int]) -> None:
        super().__init__()
        self.tracks = tracks

    def seconds(self, track: str) -> int:
        """Look a track up."""
        return self.tracks[track]

    def on_receive(self, message: object) -> object:
        """Break on what it does not know."""
        raise TypeError(f"no such message: {message!r}")


async def main() -> None:
    """Call a method, see an ordinary error, then a crash."""
    async with ActorSystem("player", [pykka_child("library", Library, {"prelude": 141})]) as system:
        library = system.ref("library")
        print(await ask_pykka(library, ProxyCall(("seconds",), ("prelude",), {})), "seconds")
        try:
            await ask_pykka(library, ProxyCall(("seconds",), ("fugue",), {}))
        except KeyError as missing:
            print("the caller's error:", missing, "and the actor lives, incarnation", library.incarnation)
        try:
            await library.ask("nonsense")
        except ActorCrashed as crash:
            print("a crash:", crash.cause)
        await library.wait_running()
        print("started again, incarnation", library.incarnation)


if __name__ == "__main__":
    asyncio.run(main())
