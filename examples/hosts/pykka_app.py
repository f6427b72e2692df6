"""A pykka program owns a tree through one of its actors. Needs ``bifrost-edge[pykka]``."""

import pykka

from bifrost.actors import Actor, ChildSpec
from bifrost.actors.hosts.pykka import Ask, BifrostActor, Tell
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


class Display(pykka.ThreadingActor):
    """An ordinary pykka actor that uses the tree."""

    def __init__(self, plant: pykka.ActorRef[BifrostActor]) -> None:
        super().__init__()
        self.plant = plant

    def show(self) -> str:
        """Ask the press."""
        return f"highest: {self.plant.ask(Ask('press', 0.0), timeout=5)} bar"


def main() -> None:
    """Start, use and stop everything as in any pykka program."""
    try:
        plant = BifrostActor.start("plant", [ChildSpec(id="press", start=Press)])
        display = Display.start(plant).proxy()
        plant.tell(Tell("press", 180.0))
        print(display.show().get(timeout=5))
        try:
            plant.ask(Ask("press", -1.0), timeout=5)
        except ActorCrashed as crash:
            print("crashed:", crash.cause)
        print("started again,", display.show().get(timeout=5))
    finally:
        pykka.ActorRegistry.stop_all(timeout=10)


if __name__ == "__main__":
    main()
