"""Which numbers of a terminal were seen: spans in order, that never touch each other."""

from collections.abc import Iterable, Sequence

import msgspec

__all__ = ("Span", "added", "contains", "gaps", "numbers")


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers from ``first`` to ``last``, both among them."""

    first: int
    last: int


def contains(spans: Iterable[Span], number: int) -> bool:
    """Tell whether a number is in one of the spans."""
    return any(span.first <= number <= span.last for span in spans)


def added(spans: Sequence[Span], new: Span) -> tuple[Span, ...]:
    """Return the spans with another one, joined with those that it overlaps or touches."""
    first, last = new.first, new.last
    apart = []
    for span in spans:
        if span.last < first - 1 or span.first > last + 1:
            apart.append(span)
        else:
            first, last = min(first, span.first), max(last, span.last)
    return tuple(sorted((*apart, Span(first=first, last=last)), key=lambda span: span.first))


def gaps(spans: Sequence[Span], within: Span) -> tuple[Span, ...]:
    """Return the numbers of ``within`` that are in none of the spans."""
    missing = []
    begin = within.first
    for span in spans:
        if span.last < begin:
            continue
        if span.first > within.last:
            break
        if span.first > begin:
            missing.append(Span(first=begin, last=span.first - 1))
        begin = span.last + 1
    if begin <= within.last:
        missing.append(Span(first=begin, last=within.last))
    return tuple(missing)


def numbers(spans: Iterable[Span]) -> int:
    """Return how many numbers the spans have."""
    return sum(span.last - span.first + 1 for span in spans)
