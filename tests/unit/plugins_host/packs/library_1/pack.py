"""The operations of the library."""

import logging

from msgspec.structs import replace

from kernel.pack import Context, Notice, Pack, Plan, operation
from schemas.errors import InvalidState, NotFound

from .messages import Add, BookView, Get, GiveBack, Lend, Lent
from .rules.loans import may_lend, per_reader_max
from .state import Book

__all__ = ("EDITION", "Library")

EDITION = 1

_log = logging.getLogger(__name__)


class Library(Pack):
    """A library that lends books."""

    name = "library"

    async def self_test(self) -> None:
        """Check that the rules can be read."""
        assert per_reader_max() >= 1

    @operation("add", collection="book", key="isbn", state=Book, result=BookView)
    async def add(self, context: Context, message: Add, book: Book | None) -> Plan:
        """Put copies on the shelf."""
        known = book or Book(isbn=message.isbn, copies=0)
        known = replace(known, copies=known.copies + message.copies)
        return Plan(state=known, result=_view(known))

    @operation(
        "lend",
        collection="book",
        key="isbn",
        state=Book,
        result=BookView,
        errors=("invalid_state",),
        events=("library.lent",),
    )
    async def lend(self, context: Context, message: Lend, book: Book | None) -> Plan:
        """Give a copy to a reader."""
        if book is None:
            raise NotFound(f"no book {message.isbn!r}", field="isbn")
        if not may_lend(book, message.reader):
            raise InvalidState(f"no copy of {message.isbn!r} for {message.reader!r}")
        lent = replace(book, readers=(*book.readers, message.reader))
        notice = Notice(
            type="library.lent",
            subject=message.isbn,
            data=Lent(isbn=message.isbn, reader=message.reader),
        )
        return Plan(state=lent, result=_view(lent), notices=(notice,))

    @operation("give_back", collection="book", key="isbn", state=Book, result=BookView)
    async def give_back(self, context: Context, message: GiveBack, book: Book | None) -> Plan:
        """Take a copy back."""
        if book is None or message.reader not in book.readers:
            raise InvalidState(f"{message.reader!r} has no copy of {message.isbn!r}")
        readers = list(book.readers)
        readers.remove(message.reader)
        back = replace(book, readers=tuple(readers))
        return Plan(state=back, result=_view(back))

    @operation("get", collection="book", key="isbn", state=Book, result=BookView, mutates=False)
    async def get(self, context: Context, message: Get, book: Book | None) -> BookView:
        """Return a book as it stands."""
        if book is None:
            raise NotFound(f"no book {message.isbn!r}", field="isbn")
        return _view(book)


def _view(book: Book) -> BookView:
    _log.debug("%s", book.isbn)
    return BookView(
        isbn=book.isbn,
        on_shelf=book.on_shelf,
        readers=book.readers,
        edition=EDITION,
        best_reader=max(book.readers, key=book.readers.count, default=None),
    )
