"""What has been before: the part of the rules' world that a single movement does not show."""

from typing import Protocol

from actors.risk.geo import Place
from actors.risk.windows import Window

__all__ = ("History", "MemoryHistory")


class History(Protocol):
    """What the engine asks; the names are those of :class:`~actors.risk.engine.Want`."""

    def sums(self, name: str, bucket: int) -> tuple[int, int]:
        """Return count and amount of the window that ends with ``bucket``, before this movement."""

    def known(self, name: str) -> bool:
        """Tell whether a device or payee was there before."""

    def place(self, name: str) -> Place | None:
        """Return where the customer was last."""


class MemoryHistory:
    """A history in plain dicts; what is not in them has not been."""

    def __init__(self) -> None:
        self.windows: dict[str, Window] = {}
        self.marks: set[str] = set()
        self.places: dict[str, Place] = {}

    def sums(self, name: str, bucket: int) -> tuple[int, int]:
        """Return count and amount of the window that ends with ``bucket``, before this movement."""
        window = self.windows.get(name)
        return (0, 0) if window is None else window.sums(bucket)

    def known(self, name: str) -> bool:
        """Tell whether a device or payee was there before."""
        return name in self.marks

    def place(self, name: str) -> Place | None:
        """Return where the customer was last."""
        return self.places.get(name)
