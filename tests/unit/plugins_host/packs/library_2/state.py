"""What the library knows of a book, second edition: each copy by itself."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ("Book", "Copy", "OnShelf", "WithReader")


class OnShelf(msgspec.Struct, frozen=True, kw_only=True, tag="on_shelf"):
    """A copy that may be lent."""

    shelf: str = "A"


class WithReader(msgspec.Struct, frozen=True, kw_only=True, tag="with_reader"):
    """A copy that somebody has."""

    reader: str


Copy = Annotated[OnShelf | WithReader, Meta(description="One copy.")]


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of one title, those with readers first, in the order in which they were lent."""

    isbn: str
    copies: tuple[Copy, ...] = ()

    @property
    def readers(self) -> tuple[str, ...]:
        """Who has a copy."""
        return tuple(one.reader for one in self.copies if isinstance(one, WithReader))

    @property
    def on_shelf(self) -> int:
        """How many copies are there to be lent."""
        return sum(isinstance(one, OnShelf) for one in self.copies)
