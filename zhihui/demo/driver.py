"""Sends a recorded day through the public interface as an outside client, and notes the answers.

Messages start in the order of their arrival times, as fast as the service takes them. Those of one
lane go one after another; many lanes are under way at a time. What may be tried again is
tried again with the same bytes, and so with the same request id, until an answer stands. When a day
repeats a message that took effect, it has to be answered the same.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import anyio
import msgspec

from kernel.clock import Clock, SystemClock
from schemas.errors import DeadlineExceeded, ErrorBody, Unavailable
from zhihui.demo.day import DayLine
from zhihui.demo.days.answers import Answers
from zhihui.demo.tally import NOT_SENT, Answer, Tally, contains

__all__ = ("IN_FLIGHT", "DayDriver", "PublicClient")

# Requests under way at a time. Enough to fill batches; a scenario backend of a city has about as
# many gates that report in the same second.
IN_FLIGHT = 256

# How long one sending waits for its answer, and how long a message is tried in all. The second
# bounds the run: it is beyond what a restart of the service takes, and its lease.
_ATTEMPT_S = 5.0
_GIVE_UP_S = 60.0

# How many answers may be wrong before waiting ends sooner, and how soon: the run has failed by
# then, and whoever broke something wants to know what within a minute or two.
_PATIENT_UNTIL = 10
_IMPATIENT_S = 2.0

# Pause between two sendings of one message when the error does not say how long.
_PAUSE_S = 0.25


class PublicClient(Protocol):
    """What the driver needs of a client."""

    async def request_raw(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Send bytes once and return the bytes of the reply."""


class _Reply(msgspec.Struct, frozen=True):
    ok: bool
    result: dict[str, Any] = {}
    error: ErrorBody | None = None


class _Lanes:
    """Gives out lines in their order, never two of one lane at a time."""

    def __init__(self, lines: Iterable[DayLine]) -> None:
        self._lines = iter(lines)
        self._parked: dict[str, deque[DayLine]] = {}

    def take(self) -> DayLine | None:
        """Return the next line whose lane is free; None when there is none any more."""
        for line in self._lines:
            parked = self._parked.get(line.lane)
            if parked is None:
                self._parked[line.lane] = deque()
                return line
            parked.append(line)
        return None

    def after(self, line: DayLine) -> DayLine | None:
        """Say that ``line`` is done; return what to do next.

        A line that had to wait for its lane comes before all that were not yet looked at, for its
        time has passed already.
        """
        if self._parked[line.lane]:
            return self._parked[line.lane].popleft()
        del self._parked[line.lane]
        return self.take()


class DayDriver:
    """Drive one day through one client, as ``app``.

    ``account_ids`` holds what the day opened, by name, and ``kept`` the results that lines keep.
    """

    def __init__(
        self,
        client: PublicClient,
        *,
        app: str,
        attempt_s: float = _ATTEMPT_S,
        give_up_s: float = _GIVE_UP_S,
        clock: Clock | None = None,
    ) -> None:
        self.account_ids: dict[str, str] = {}
        self.kept: dict[str, Any] = {}
        self._client = client
        self._app = app
        self._attempt_s = attempt_s
        self._give_up_s = give_up_s
        self._clock = clock or SystemClock()
        self._answers = Answers()
        self._decode = msgspec.json.Decoder(_Reply).decode

    async def run_lines(
        self, lines: list[DayLine], on_done: Callable[[int], None] | None = None
    ) -> Tally:
        """Send some of the lines, and return when all are answered.

        ``on_done`` is called with the count after each one.
        """
        tally = Tally()
        lanes = _Lanes(lines)
        began_s = self._clock.monotonic_s()

        async def work() -> None:
            line = lanes.take()
            while line is not None:
                await self._send(line, tally)
                if on_done is not None:
                    on_done(tally.done)
                line = lanes.after(line)

        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT):
                group.start_soon(work)
        tally.elapsed_s = self._clock.monotonic_s() - began_s
        return tally

    async def ask(self, operation: str, body: dict[str, Any], *, app: str = "") -> dict[str, Any]:
        """Return the result of a read, or an empty dict when it was refused."""
        reply, _, _ = await self._settled(operation, msgspec.json.encode(body), app)
        return reply.result

    async def _send(self, line: DayLine, tally: Tally) -> None:
        began_s = self._clock.monotonic_s()
        try:
            payload = line.payload(self.account_ids, self.kept)
        except KeyError as error:
            # What it refers to did not come about.
            tally.add(line, Answer(outcome=NOT_SENT, raw=str(error).encode()))
            return
        reply, raw, sendings = await self._settled(line.subject_tail, payload, line.app)
        while line.until and not _fits(line, reply):
            give_up_s = _IMPATIENT_S if tally.mismatched >= _PATIENT_UNTIL else self._give_up_s
            if self._clock.monotonic_s() > began_s + give_up_s:
                break
            await self._clock.sleep(_PAUSE_S)
            reply, raw, sendings = await self._settled(line.subject_tail, payload, line.app)
        tally.latencies_s.append(self._clock.monotonic_s() - began_s)
        tally.sent_again += sendings - 1
        if line.defines and reply.ok:
            self.account_ids[line.defines] = reply.result["account_id"]
        if line.keeps and reply.ok:
            self.kept[line.keeps] = reply.result
        tally.add(line, self._answer(line, payload, reply, raw))

    def _answer(self, line: DayLine, payload: bytes, reply: _Reply, raw: bytes) -> Answer:
        error = reply.error
        subject = self._subject(line.subject_tail, line.app)
        # Whether it came in time has nothing to do with whether it is the same.
        final = error is None or not error.retryable
        return Answer(
            outcome=_outcome(line, reply),
            result=reply.result,
            error="" if error is None else error.code,
            final=final,
            repetition=self._answers.note(subject, payload, raw, ok=reply.ok) if final else "first",
            raw=raw or msgspec.json.encode(error),
        )

    def _subject(self, operation: str, app: str) -> str:
        return f"zh.v1.{app or self._app}.{operation}"

    async def _settled(
        self, operation: str, payload: bytes, app: str = ""
    ) -> tuple[_Reply, bytes, int]:
        """Send until the answer is final; return it, its bytes, and the number of sendings."""
        subject = self._subject(operation, app)
        give_up_s = self._clock.monotonic_s() + self._give_up_s
        sendings = 0
        while True:
            sendings += 1
            try:
                raw = await self._client.request_raw(subject, payload, timeout_s=self._attempt_s)
                reply = self._decode(raw)
            except Unavailable as error:
                raw, reply = b"", _Reply(False, error=error.body())
            error_body = reply.error
            if error_body is None or not error_body.retryable:
                return reply, raw, sendings
            # A missing answer was waited for already.
            waited = error_body.code == DeadlineExceeded.code
            pause_s = 0.0 if waited else error_body.retry_after_s or _PAUSE_S
            if self._clock.monotonic_s() + pause_s > give_up_s:
                return reply, raw, sendings
            await self._clock.sleep(pause_s)


def _fits(line: DayLine, reply: _Reply) -> bool:
    return reply.ok and contains(reply.result, line.expect_result)


def _outcome(line: DayLine, reply: _Reply) -> str:
    if reply.error is not None:
        return reply.error.code
    if line.app:
        return "ok"
    # The bank's own operations have statuses of their own; what counts here is that they stand.
    bank = line.subject_tail.startswith(("account.", "payment."))
    return "ok" if bank else str(reply.result.get("status", "ok"))
