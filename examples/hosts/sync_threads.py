"""Plain threads share a tree; none of them knows asyncio."""

import threading

from bifrost.actors import Actor, ChildSpec
from bifrost.actors.hosts import PortalSystem
from bifrost.errors import ActorCrashed


class Press(Actor[float]):
    """Keeps the highest pressure that it was told; a negative one is a defect."""

    def __init__(self) -> None:
        self.highest = 0.0

    async def receive(self, message: float) -> float:
        """Answer with the highest so far."""
        if message < 0:
            raise ValueError(f"{message} bar cannot be")
        self.highest = max(self.highest, message)
        return self.highest


def main() -> None:
    """Tell from four threads, ask from one."""
    with PortalSystem("plant", [ChildSpec(id="press", start=Press)]) as system:
        threads = [
            threading.Thread(target=lambda base=base: [system.tell("press", float(base + n)) for n in range(10)])
            for base in (0, 50, 100, 150)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("highest:", system.ask("press", 0.0))
        try:
            system.ask("press", -1.0)
        except ActorCrashed as crash:
            print("crashed:", crash.cause)
        print("started again:", system.ask("press", 20.0))
    print("stopped in order:", system.report is not None and system.report.clean)


if __name__ == "__main__":
    main()
