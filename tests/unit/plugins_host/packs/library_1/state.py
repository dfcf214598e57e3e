"""What the library knows of a book."""

import msgspec

__all__ = ("Book",)


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of one title; ``readers`` have one each."""

    isbn: str
    copies: int
    readers: tuple[str, ...] = ()

    @property
    def on_shelf(self) -> int:
        """How many copies are there to be lent."""
        return self.copies - len(self.readers)
