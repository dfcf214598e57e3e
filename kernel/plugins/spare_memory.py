"""Memory that is free, given back to the system."""

import ctypes
from collections.abc import Callable

__all__ = ("return_spare_memory",)


def _found_trim() -> Callable[[int], int] | None:
    """Return ``malloc_trim`` of the GNU C library; others give memory back in their own way."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


_trim = _found_trim()


def return_spare_memory() -> None:
    """Give back what is free of the C library's heap.

    By itself it gives back only what is free at the heap's end, so one small block that lives on
    there keeps all that a generation had below it. It takes some milliseconds.
    """
    if _trim is not None:
        _trim(0)
