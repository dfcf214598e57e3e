"""What is free in the C library's heap goes back to the system."""

import ctypes

import psutil
import pytest

from kernel.plugins.spare_memory import return_spare_memory

_LIBRARY = ctypes.CDLL(None)
# Small enough to come from the heap, and so many of them that others of this process do not matter.
_BYTES, _COUNT = 2_000, 20_000
# One of so many lives on: without them the library gives the end of its heap back by itself.
_EVERY = 50


@pytest.mark.skipif(not hasattr(_LIBRARY, "malloc_trim"), reason="another C library")
def test_free_memory_between_what_is_in_use_goes_back() -> None:
    """Most of what a few blocks keep in the heap is given back."""
    take = _LIBRARY.malloc
    take.restype, take.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free = _LIBRARY.free
    free.argtypes = [ctypes.c_void_p]
    blocks = [take(_BYTES) for _ in range(_COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, _BYTES)
    for number, block in enumerate(blocks):
        if number % _EVERY:
            free(block)
    process = psutil.Process()
    before = process.memory_info().rss
    return_spare_memory()
    given_back = before - process.memory_info().rss
    for block in blocks[::_EVERY]:
        free(block)
    assert given_back > _BYTES * _COUNT / 2
