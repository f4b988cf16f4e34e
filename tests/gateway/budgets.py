"""A call budget without an end, that remembers for how long it was told to stop."""

from reconciler.core.errors import Transient
from reconciler.core.ports import Door, Told


class Unlimited:
    """A budget that never ends."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def spend(self, door: Door = Door.READ) -> None:
        pass

    def block(self, delay: float, door: Door = Door.READ) -> None:
        self.blocked.append(delay)

    def failed(self, error: Transient, door: Door = Door.READ) -> None:
        self.blocked.append(error.delay)

    def answered(self, door: Door = Door.READ) -> None:
        pass

    def hear(self, told: Told) -> None:
        pass
