"""Messages of the library."""

from typing import Optional

import msgspec

__all__ = ("Add", "BookView", "Get", "GiveBack", "Lend", "Lent")


class Add(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Put copies on the shelf."""

    request_id: str
    isbn: str
    copies: int


class Lend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a copy to a reader."""

    request_id: str
    isbn: str
    reader: str


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a copy back."""

    request_id: str
    isbn: str
    reader: str


class Get(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a book."""

    isbn: str


class BookView(msgspec.Struct, frozen=True, kw_only=True):
    """The book as it stands; ``edition`` is of the program that says so."""

    isbn: str
    on_shelf: int
    readers: tuple[str, ...]
    edition: int
    # The older spelling on purpose: it stands in a cache of `typing`, which must not hold us.
    best_reader: Optional[str] = None  # noqa: UP045


class Lent(msgspec.Struct, frozen=True, kw_only=True):
    """A reader has a copy."""

    isbn: str
    reader: str
