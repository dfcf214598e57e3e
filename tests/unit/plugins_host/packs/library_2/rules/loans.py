"""How many copies a reader may have; the number stands in a file of the pack."""

import tomllib
from importlib.resources import files

from ..state import Book  # noqa: TID252 - a pack has no absolute name of its own

__all__ = ("may_lend", "per_reader_max")


def per_reader_max() -> int:
    """Return how many copies of one title a reader may have."""
    text = files(__package__).joinpath("loans.toml").read_text("utf-8")
    found = tomllib.loads(text)["per_reader_max"]
    assert isinstance(found, int)
    return found


def may_lend(book: Book, reader: str) -> bool:
    """Tell whether the reader may have another copy."""
    return book.on_shelf > 0 and book.readers.count(reader) < per_reader_max()
