"""Wakes the load at its moments, more exactly than an event loop's own timers do.

The timers of uvloop and asyncio count in milliseconds; ``asyncio.sleep`` adds 0.6 ms to every
latency that begins with it. A timerfd of Linux is read by the loop like a socket and is 0.03 to
0.15 ms late. Where there is none, :class:`Pacer` falls back to ``call_at``, and says so in
:attr:`Pacer.exact`: the lag that is recorded with every request shows what it costs.
"""

import asyncio
import contextlib
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable

__all__ = ("Pacer", "TimerFd")

# Moments nearer to each other than this are served by one wake, which costs some 5 µs: at 20,000 a
# second two requests share one, and each is at most this late.
_GAP_NS = 60_000

# How long one wake may go on calling: a load that is behind its schedule must still read answers.
_WAKE_NS_MAX = 2_000_000

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_TFD_TIMER_ABSTIME = 1
_NS_PER_S = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class TimerFd:
    """A timer of the kernel that a loop can wait for; Python has it in ``os`` from 3.13 on only."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._set = library.timerfd_settime
        self.descriptor: int = library.timerfd_create(
            _CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC
        )
        if self.descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._spec = _TimerSpec()
        self._pointer = ctypes.byref(self._spec)

    def set(self, at_ns: int) -> None:
        """Let it fire at a moment of the monotonic clock; one that is over fires at once."""
        # Zero would turn it off.
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(max(at_ns, 1), _NS_PER_S)
        self._set(self.descriptor, _TFD_TIMER_ABSTIME, self._pointer, None)

    def read(self) -> None:
        """Make it silent until it fires again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 8)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.descriptor)


class Pacer:
    """Calls functions at moments of ``time.perf_counter_ns``, in the order of the moments.

    A function gets the moment it was to be called at. :meth:`close` forgets all that are left.
    """

    def __init__(self, *, timerfd: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = 0
        self._armed_ns = 0
        self._timer: TimerFd | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._closed = False
        # perf_counter is CLOCK_MONOTONIC on Linux, so the moments are those of the timer.
        if timerfd and sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):
                self._timer = TimerFd()
                self._loop.add_reader(self._timer.descriptor, self._fired)

    @property
    def exact(self) -> bool:
        """Tell whether the kernel's timer is used, and not the loop's."""
        return self._timer is not None

    def at(self, due_ns: int, function: Callable[[int], None]) -> None:
        """Call ``function(due_ns)`` when it is time, or as soon as possible after."""
        self._order += 1
        heapq.heappush(self._heap, (due_ns, self._order, function))
        if not self._armed_ns or due_ns < self._armed_ns:
            self._arm(due_ns)

    def _arm(self, due_ns: int) -> None:
        if self._closed:
            return
        self._armed_ns = due_ns
        if self._timer is not None:
            self._timer.set(due_ns)
            return
        if self._handle is not None:
            self._handle.cancel()
        delay_s = max(due_ns - time.perf_counter_ns(), 0) / _NS_PER_S
        self._handle = self._loop.call_later(delay_s, self._run)

    def _fired(self) -> None:
        assert self._timer is not None
        self._timer.read()
        self._run()

    def _run(self) -> None:
        heap = self._heap
        # What is added meanwhile arms nothing: it is looked at here.
        self._armed_ns = 1
        now_ns = time.perf_counter_ns()
        until_ns = now_ns + _WAKE_NS_MAX
        while heap and heap[0][0] <= now_ns < until_ns:
            due_ns, _, function = heapq.heappop(heap)
            function(due_ns)
            now_ns = time.perf_counter_ns()
        self._armed_ns = 0
        if heap:
            overdue = heap[0][0] <= now_ns
            self._arm(now_ns if overdue else max(heap[0][0], now_ns + _GAP_NS))

    def close(self) -> None:
        """Forget everything and give the timer back."""
        self._closed = True
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
        if self._timer is not None:
            self._loop.remove_reader(self._timer.descriptor)
            self._timer.close()
            self._timer = None
