"""The document of a terminal, and the judgement of a record by its number.

A number counts once. Of the newest :data:`PRINTS_MAX` numbers a print of the record is kept, so
that another sale under an old number is told from the same sale sent again; of older ones a record
is taken for the same. Either way nothing is charged twice.
"""

from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec.structs import replace

from .fields import Category
from .sequence import Span, added, contains, gaps

__all__ = ("GAPS_MAX", "PRINTS_MAX", "SHOWN_MAX", "Print", "Terminal", "print_of")

# Numbers whose records can be compared: four full uploads of fifty, and some more.
PRINTS_MAX = 256
# Spans of a terminal: so many uploads may be missing at once. It bounds the document.
GAPS_MAX = 64
# Missing spans that an answer shows.
SHOWN_MAX = 16

_PRINT_BYTES = 8


class Print(msgspec.Struct, frozen=True, array_like=True):
    """A number and the print of its record."""

    sequence: int
    digest: str


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """A till. ``keys`` are its public keys, the newest first; ``seen`` is in order.

    ``written_off`` numbers are among those seen.
    """

    terminal_id: str
    school_id: str
    payee: str
    category: Category
    keys: tuple[str, ...]
    seen: tuple[Span, ...] = ()
    written_off: tuple[Span, ...] = ()
    prints: tuple[Print, ...] = ()
    accepted: int = 0
    accepted_minor: int = 0

    @property
    def missing(self) -> tuple[Span, ...]:
        """Return the gaps below the highest number seen."""
        if not self.seen:
            return ()
        return gaps(self.seen, Span(first=1, last=self.seen[-1].last))

    def judge(
        self, sequence: int, digest: str
    ) -> Literal["new", "duplicate", "conflict", "written_off", "too_many_gaps"]:
        """Tell what a record with this number and this print is."""
        if contains(self.written_off, sequence):
            return "written_off"
        if contains(self.seen, sequence):
            known = next((one.digest for one in self.prints if one.sequence == sequence), digest)
            return "duplicate" if known == digest else "conflict"
        if len(added(self.seen, Span(first=sequence, last=sequence))) > GAPS_MAX:
            return "too_many_gaps"
        return "new"

    def with_record(self, sequence: int, digest: str, amount_minor: int) -> "Terminal":
        """Return the terminal with a new record counted."""
        prints = sorted((*self.prints, Print(sequence, digest)), key=lambda one: one.sequence)
        return replace(
            self,
            seen=added(self.seen, Span(first=sequence, last=sequence)),
            prints=tuple(prints[-PRINTS_MAX:]),
            accepted=self.accepted + 1,
            accepted_minor=self.accepted_minor + amount_minor,
        )


def print_of(signed: bytes) -> str:
    """Return the print of what a terminal signed."""
    return blake2b(signed, digest_size=_PRINT_BYTES).hexdigest()
