"""Counts what happens to requests, in the process that sends them.

A book is kept for each name in each phase, and a request writes all its lines into the book that
was open when it should have started. So the warm-up's late answers never enter the measured part,
and each phase balances. Once a second :meth:`Recorder.take` hands over what is new, which costs no
copying; the sums are made elsewhere.
"""

from enum import IntEnum

from loadtest.harness.invariants.multiset import MultisetSum, MultisetTally
from loadtest.harness.model import Counts, NameSample
from loadtest.histogram import Histogram

__all__ = ("CODES_MAX", "NAMES_MAX", "OTHER_NAME", "Book", "Outcome", "Recorder")

# Names beyond this are counted together under OTHER_NAME: a scenario that puts an id into a name
# must not fill the memory.
NAMES_MAX = 200
OTHER_NAME = "(other)"

# The same for error codes of one book in one second.
CODES_MAX = 50


class Outcome(IntEnum):
    """How a request ended; see :class:`loadtest.harness.model.Counts`."""

    OK = 0
    REJECTED = 1
    FAILED = 2
    TIMED_OUT = 3
    UNKNOWN = 4


# Being turned away at once is not service, and a lost connection says nothing of its time. A
# deadline that passed is counted as the time waited, or slow answers would vanish from the figures.
_TIMED = frozenset({Outcome.OK, Outcome.REJECTED, Outcome.TIMED_OUT})


class Book:
    """The requests of one name that should have started in one phase."""

    __slots__ = (
        "_codes",
        "_dropped",
        "_lag",
        "_outcomes",
        "_response",
        "_sent",
        "_service",
        "measured",
        "name",
        "open",
        "phase",
    )

    def __init__(self, name: str, phase: str, *, measured: bool) -> None:
        self.name = name
        self.phase = phase
        self.measured = measured
        # Sent and without outcome.
        self.open = 0
        self._restart()

    def _restart(self) -> None:
        self._sent = 0
        self._dropped = 0
        self._outcomes = [0] * len(Outcome)
        self._codes: dict[str, int] = {}
        self._response = Histogram()
        self._service = Histogram()
        self._lag = Histogram()

    def sent(self, lag_ns: int) -> None:
        """Count a request that leaves now, ``lag_ns`` after it should have started."""
        self._sent += 1
        self.open += 1
        self._lag.record_ns(max(lag_ns, 0))

    def dropped(self) -> None:
        """Count a request that should have started, and never leaves."""
        self._dropped += 1

    def finished(
        self, outcome: Outcome, response_ns: int, service_ns: int, code: str | None = None
    ) -> None:
        """Count the end of a request that was :meth:`sent`."""
        self.open -= 1
        self._outcomes[outcome] += 1
        if outcome in _TIMED:
            self._response.record_ns(response_ns)
            self._service.record_ns(service_ns)
        if code is not None:
            codes = self._codes
            if code not in codes and len(codes) >= CODES_MAX:
                code = OTHER_NAME
            codes[code] = codes.get(code, 0) + 1

    def take(self) -> NameSample | None:
        """Return what is new since the last call, None when nothing is."""
        if not (self._sent or self._dropped or any(self._outcomes)):
            return None
        ok, rejected, failed, timed_out, unknown = self._outcomes
        sample = NameSample(
            name=self.name,
            phase=self.phase,
            measured=self.measured,
            counts=Counts(
                scheduled=self._sent + self._dropped,
                sent=self._sent,
                dropped=self._dropped,
                ok=ok,
                rejected=rejected,
                failed=failed,
                timed_out=timed_out,
                unknown=unknown,
                codes=self._codes,
            ),
            response=self._response.take(),
            service=self._service.take(),
            lag=self._lag.take(),
        )
        self._restart()
        return sample


class Recorder:
    """All books of one process."""

    def __init__(self, tally_key: bytes = b"") -> None:
        self._phase = ""
        self._measured = False
        self._current: dict[str, Book] = {}
        self._older: list[Book] = []
        self._tally_key = tally_key
        self._tally = MultisetTally(tally_key)

    def begin_phase(self, name: str, *, measured: bool) -> None:
        """Open new books: requests that should start from now on belong to this phase."""
        self._older += self._current.values()
        self._current = {}
        self._phase = name
        self._measured = measured

    def book(self, name: str) -> Book:
        """Return the open book of a name."""
        book = self._current.get(name)
        if book is None:
            if len(self._current) >= NAMES_MAX and name != OTHER_NAME:
                return self.book(OTHER_NAME)
            book = Book(name, self._phase, measured=self._measured)
            self._current[name] = book
        return book

    def acknowledged(self, request_id: bytes, amount_minor: int = 0) -> None:
        """Enter into the fingerprint a request that the service says is done.

        The amount, in fen, is 0 where the engine does not know it.
        """
        self._tally.add(request_id, amount_minor)

    @property
    def in_flight(self) -> int:
        """Return how many requests are sent and without outcome."""
        return sum(book.open for book in (*self._older, *self._current.values()))

    def take(self) -> tuple[NameSample, ...]:
        """Return what is new since the last call, and forget books that are closed for good."""
        samples = [book.take() for book in (*self._older, *self._current.values())]
        self._older = [book for book in self._older if book.open]
        return tuple(one for one in samples if one is not None)

    def take_acknowledged(self) -> MultisetSum:
        """Return the fingerprint of what was acknowledged since the last call."""
        taken = self._tally.sum()
        self._tally = MultisetTally(self._tally_key)
        return taken
