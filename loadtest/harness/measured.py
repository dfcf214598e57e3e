"""The public client as a user of a scenario has it: the same calls, each of them measured."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import msgspec

from loadtest.harness.events import Events
from loadtest.harness.recorder import Book, Outcome, Recorder
from loadtest.harness.unanswered import Unanswered
from schemas.errors import DeadlineExceeded, Forbidden, Rejected, Unavailable, ZhihuiError
from zhihui.client import Accounts, Client, Holds, Payments

__all__ = ("MeasuredClient", "Meter")

_T = TypeVar("_T")

_WORDS = {
    Outcome.OK: "ok",
    Outcome.REJECTED: "rejected",
    Outcome.FAILED: "failed",
    Outcome.TIMED_OUT: "timed_out",
    Outcome.UNKNOWN: "unknown",
}


class Meter:
    """What the measured clients of one process share."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        unanswered: Unanswered,
        events: Events,
        *,
        prefix: str,
        timeout_s: float,
    ) -> None:
        self.client = client
        self.recorder = recorder
        self.unanswered = unanswered
        self.events = events
        self.timeout_s = timeout_s
        self._prefix = prefix
        self._number = 0

    def new_request_id(self) -> str:
        """Return a request id that tells the run, the process and the request."""
        self._number += 1
        return f"{self._prefix}-{self._number}"


class MeasuredClient:
    """The public client of one user. Every call is one request in the figures.

    It goes under ``name``, by default ``service.verb``. What the service answers is raised as the
    public client raises it. ``unmeasured`` is the client itself, for what should not be counted.
    """

    __slots__ = ("_meter", "due_ns", "name")

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        # When the next request should have started, where that is not when it does.
        self.due_ns = 0
        # Under which name the next request goes; "" for the usual one.
        self.name = ""

    @property
    def unmeasured(self) -> Client:
        """Return the public client, whose calls are not counted."""
        return self._meter.client

    @property
    def accounts(self) -> Accounts:
        """Return the account service, measured."""
        return Accounts(self)

    @property
    def holds(self) -> Holds:
        """Return the hold service, measured."""
        return Holds(self)

    @property
    def payments(self) -> Payments:
        """Return the payment service, measured."""
        return Payments(self)

    def named(self, name: str) -> "MeasuredClient":
        """Return a client whose one call goes under ``name``: ``client.named("exit").call(…)``."""
        client = MeasuredClient(self._meter)
        client.name = name
        client.due_ns, self.due_ns = self.due_ns, 0
        return client

    def new_request_id(self) -> str:
        """Return a request id that nobody else uses."""
        return self._meter.new_request_id()

    async def call(
        self, service: str, verb: str, body: Mapping[str, Any] | msgspec.Struct | None = None,
        **fields: Any,
    ) -> Any:  # fmt: skip
        """Send a request and return its result as plain JSON values.

        Without ``body`` it is made of ``fields`` and a new request id.
        """
        if body is None:
            body = {"request_id": self.new_request_id(), **fields}
        meter = self._meter
        request = meter.client.call(service, verb, body, timeout_s=meter.timeout_s)
        request_id = body.get("request_id") if isinstance(body, Mapping) else _id_of(body)
        return await self._measure(service, verb, body, request_id, request)

    async def typed_call(
        self, service: str, verb: str, request: msgspec.Struct, result: type[_T]
    ) -> _T:
        """Send a request and return its result as ``result``."""
        sent = self._meter.client.typed_call(service, verb, request, result)
        return await self._measure(service, verb, request, _id_of(request), sent)

    async def _measure(
        self,
        service: str,
        verb: str,
        body: object,
        request_id: str | None,
        request: Awaitable[_T],
    ) -> _T:
        name = self.name or f"{service}.{verb}"
        book = self._meter.recorder.book(name)
        sent_ns = time.perf_counter_ns()
        due_ns, self.due_ns = self.due_ns or sent_ns, 0
        book.sent(sent_ns - due_ns)
        outcome, code = Outcome.UNKNOWN, None
        try:
            answer = await request
            outcome = Outcome.OK
        except ZhihuiError as error:
            outcome, code = _outcome_of(error), error.code
            if request_id and isinstance(error, Unavailable):
                # An attempt before the last one may have been done.
                self._meter.unanswered.add(name, service, verb, request_id, body)
            raise
        except asyncio.CancelledError:
            code = "interrupted"
            if request_id:
                self._meter.unanswered.add(name, service, verb, request_id, body)
            raise
        else:
            return answer
        finally:
            self._note(book, outcome, code, due_ns, sent_ns, request_id)

    def _note(
        self,
        book: Book,
        outcome: Outcome,
        code: str | None,
        due_ns: int,
        sent_ns: int,
        request_id: str | None,
    ) -> None:
        now_ns = time.perf_counter_ns()
        book.finished(outcome, now_ns - due_ns, now_ns - sent_ns, code)
        meter = self._meter
        if outcome is Outcome.OK and request_id:
            meter.recorder.acknowledged(request_id.encode())
        if meter.events.request:
            meter.events.request.fire(
                name=book.name,
                outcome=_WORDS[outcome],
                code=code,
                response_ms=(now_ns - due_ns) / 1e6,
                service_ms=(now_ns - sent_ns) / 1e6,
                request_id=request_id,
            )


def _id_of(body: msgspec.Struct) -> str | None:
    found = getattr(body, "request_id", None)
    return found if isinstance(found, str) else None


def _outcome_of(error: ZhihuiError) -> Outcome:
    if isinstance(error, DeadlineExceeded):
        return Outcome.TIMED_OUT
    # The broker took the access away: nobody decided on the request.
    if isinstance(error, Rejected) and not isinstance(error, Forbidden):
        return Outcome.REJECTED
    return Outcome.FAILED
