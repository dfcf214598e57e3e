"""The lean engine: flows over the lean client, some microseconds of CPU a request."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable

from loadtest.harness.claims import Claims
from loadtest.harness.engines import Mix, turns
from loadtest.harness.flows import Flow
from loadtest.harness.pacer import Pacer
from loadtest.harness.recorder import Book, Outcome, Recorder
from loadtest.harness.unanswered import Unanswered
from loadtest.lean import NO_RESPONDERS, LeanClient, LeanError
from schemas.subjects import request_subject

__all__ = ("LeanEngine",)

_CONNECT_S = 5.0
_RECONNECT_S = 0.1

# How often requests are looked at for being overdue: a deadline of seconds is kept within this.
_SWEEP_NS = 50_000_000
_NS_PER_S = 1_000_000_000

# How long a user of a closed run stays away after it was turned away, unless the answer says.
_AWAY_NS = 100_000_000

_OK = b'{"ok":true'

# Codes by which the service says that it did not do it and the request is not to blame.
_NOT_REJECTED = frozenset({"internal", "forbidden"})

# An arrival is not a user.
_NOBODY = -1


class _Lane:
    """A flow with all that is worked out once."""

    __slots__ = ("book", "checks", "flow", "name", "prepared", "service", "verb")

    def __init__(self, flow: Flow, prepared: bytes) -> None:
        self.flow = flow
        self.service, self.verb = flow.service, flow.verb
        self.name = flow.name or f"{flow.service}.{flow.verb}"
        self.prepared = prepared
        self.checks = type(flow).check is not Flow.check
        self.book: Book | None = None


# The lane, its book when it was sent, when it was due and sent, its body and its amount (None for
# a read), whose it is.
_Waiting = tuple[_Lane, Book, int, int, bytes, int | None, int]


class LeanEngine:
    """See :class:`loadtest.harness.engines.Engine`."""

    def __init__(
        self,
        flows: list[Flow],
        recorder: Recorder,
        unanswered: Unanswered,
        claims: Claims,
        pacer: Pacer,
        *,
        url: str,
        app: str,
        allow_host: str | None,
        prefix: str,
        timeout_s: float,
        in_flight_max: int,
        rng: random.Random,
    ) -> None:
        self._flows = flows
        self._recorder = recorder
        self._unanswered = unanswered
        self._claims = claims
        self._pacer = pacer
        self._url, self._app, self._allow_host = url, app, allow_host
        self._prefix = prefix
        self._prefix_bytes = prefix.encode()
        self._timeout_ns = int(timeout_s * _NS_PER_S)
        self._in_flight_max = in_flight_max
        self._rng = rng
        self._client: LeanClient | None = None
        self._lanes: list[_Lane] = []
        self._order: list[_Lane] = []
        self._extra: dict[tuple[str, str], _Lane] = {}
        self._draw: Callable[[], _Lane]
        # token → request; a dict keeps them in order, so the oldest is the first.
        self._waiting: dict[int, _Waiting] = {}
        self._token = 0
        self._users: dict[int, _Lane] = {}
        self._reconnecting: asyncio.Task[None] | None = None
        self._ended = False

    async def open(self, preallocate: int) -> None:
        """Connect, and let the flows prepare."""
        self._client = client = await self._connected()
        for flow in self._flows:
            flow.prepare()
            subject = request_subject(self._app, flow.service, flow.verb)
            self._lanes.append(_Lane(flow, client.prepare(subject)))
        kinds = [(lane, lane.flow.weight) for lane in self._lanes]
        self._order = turns(kinds)
        self._draw = Mix(kinds, self._rng).draw
        self._pacer.at(time.perf_counter_ns() + _SWEEP_NS, self._sweep)

    async def _connected(self) -> LeanClient:
        return await LeanClient.connect(
            self._url,
            on_reply=self._answered,
            on_lost=self._connection_lost,
            timeout_s=_CONNECT_S,
            allow_host=self._allow_host,
        )

    def new_phase(self) -> None:
        """Take new books, because the recorder has opened new ones."""
        for lane in self._lanes:
            lane.book = None

    def _lane_of(self, flow: Flow) -> _Lane:
        """Return the lane of a flow that goes to another operation with each request."""
        key = (flow.service, flow.verb)
        lane = self._extra.get(key)
        if lane is None:
            assert self._client is not None
            prepared = self._client.prepare(request_subject(self._app, *key))
            lane = self._extra[key] = _Lane(flow, prepared)
            self._lanes.append(lane)
        return lane

    def fire(self, due_ns: int) -> None:
        """Send one request."""
        lane = self._draw()
        if len(self._waiting) >= self._in_flight_max:
            self._book(lane).dropped()
        else:
            self._send(lane, due_ns, _NOBODY)

    def drop(self) -> None:
        """Count an arrival that was not sent."""
        self._book(self._draw()).dropped()

    def _book(self, lane: _Lane) -> Book:
        book = lane.book
        if book is None:
            book = lane.book = self._recorder.book(lane.name)
        return book

    def _send(self, lane: _Lane, due_ns: int, user: int) -> None:
        self._token = token = self._token + 1
        flow = lane.flow
        body = flow.body(f"{self._prefix}-{token}")
        if flow.many:
            lane = self._lane_of(flow)
        book = lane.book or self._book(lane)
        sent_ns = time.perf_counter_ns()
        book.sent(sent_ns - due_ns)
        if self._client is None:
            book.finished(Outcome.FAILED, sent_ns - due_ns, 0, "not_connected")
            self._next(user, sent_ns + _AWAY_NS)
            return
        amount_minor = flow.amount_minor if flow.mutates else None
        self._waiting[token] = (lane, book, due_ns, sent_ns, body, amount_minor, user)
        self._client.send_nowait(lane.prepared, token, body)

    def _answered(self, token: int, body: bytes) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            # It was counted as timed out already.
            return
        lane, book, due_ns, sent_ns, sent_body, amount_minor, user = waiting
        now_ns = time.perf_counter_ns()
        away_ns = 0
        if body.startswith(_OK):
            book.finished(Outcome.OK, now_ns - due_ns, now_ns - sent_ns)
            if amount_minor is not None:
                self._recorder.acknowledged(b"%b-%d" % (self._prefix_bytes, token), amount_minor)
            if lane.checks:
                wrong = lane.flow.check(sent_body, body)
                claim = f"every answer to {lane.name} is as it should be"
                self._claims.check(ok=not wrong, claim=claim, detail=wrong)
        else:
            outcome, code, away_ns = _read_error(body)
            book.finished(outcome, now_ns - due_ns, now_ns - sent_ns, code)
            if outcome is Outcome.TIMED_OUT:
                self._keep(lane, token, sent_body, amount_minor)
        self._next(user, now_ns + away_ns)

    # Users of a closed run: each sends a request when the one before is over.

    def add_user(self, number: int, due_ns: int) -> None:
        """Let another user begin."""
        self._users[number] = self._order[number % len(self._order)]
        self._send_as(number, due_ns)

    def _next(self, user: int, due_ns: int) -> None:
        if user in self._users and not self._ended:
            # In another turn: what was read is looked at first, and a fault cannot recurse.
            self._pacer.at(due_ns, lambda due: self._send_as(user, due))

    def _send_as(self, user: int, due_ns: int) -> None:
        lane = self._users.get(user)
        if lane is not None and not self._ended:
            self._send(lane, due_ns, user)

    def remove_user(self) -> None:
        """Let the user who came last end."""
        if self._users:
            self._users.popitem()

    @property
    def user_count(self) -> int:
        """Return how many users there are."""
        return len(self._users)

    @property
    def busy(self) -> bool:
        """Tell whether anything is under way."""
        return bool(self._waiting)

    def end_users(self) -> None:
        """Let nobody begin anything any more."""
        self._ended = True

    # What nobody answers.

    def _sweep(self, due_ns: int) -> None:
        now_ns = time.perf_counter_ns()
        overdue_ns = now_ns - self._timeout_ns
        late = []
        for token, waiting in self._waiting.items():
            if waiting[3] > overdue_ns:
                break
            late.append(token)
        for token in late:
            self._give_up(token, Outcome.TIMED_OUT, "deadline_exceeded", now_ns)
        self._pacer.at(due_ns + _SWEEP_NS, self._sweep)

    def _give_up(self, token: int, outcome: Outcome, code: str, now_ns: int) -> None:
        lane, book, due_ns, sent_ns, body, amount_minor, user = self._waiting.pop(token)
        book.finished(outcome, now_ns - due_ns, now_ns - sent_ns, code)
        self._keep(lane, token, body, amount_minor)
        self._next(user, now_ns)

    def _keep(self, lane: _Lane, token: int, body: bytes, amount_minor: int | None) -> None:
        if amount_minor is None:
            return
        request_id = f"{self._prefix}-{token}"
        self._unanswered.add(lane.name, lane.service, lane.verb, request_id, body, amount_minor)

    def _connection_lost(self, error: Exception) -> None:
        # The answers that are still to come went to an inbox that nobody has any more.
        self._client = None
        now_ns = time.perf_counter_ns()
        for token in tuple(self._waiting):
            self._give_up(token, Outcome.UNKNOWN, "connection_lost", now_ns)
        self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while True:
            with contextlib.suppress(OSError, LeanError, TimeoutError):
                client = await self._connected()
                for lane in self._lanes:
                    subject = request_subject(self._app, lane.service, lane.verb)
                    lane.prepared = client.prepare(subject)
                self._client = client
                return
            await asyncio.sleep(_RECONNECT_S)

    async def interrupt(self) -> None:
        """Give up on what is still under way."""
        now_ns = time.perf_counter_ns()
        for token in tuple(self._waiting):
            self._give_up(token, Outcome.UNKNOWN, "interrupted", now_ns)

    async def close(self) -> None:
        """Disconnect."""
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._client is not None:
            self._client.close()


def _read_error(body: bytes) -> tuple[Outcome, str, int]:
    """Return outcome, code, and for how many nanoseconds to stay away."""
    if body == NO_RESPONDERS:
        return Outcome.FAILED, "no_responders", _AWAY_NS
    try:
        error = json.loads(body)["error"]
        code, retryable, pause_s = error["code"], error["retryable"], error["retry_after_s"]
    except (ValueError, KeyError, TypeError):
        return Outcome.FAILED, "unreadable_answer", _AWAY_NS
    if code == "deadline_exceeded":
        return Outcome.TIMED_OUT, code, 0
    if retryable:
        return Outcome.FAILED, code, int((pause_s or 0.1) * _NS_PER_S)
    if code in _NOT_REJECTED:
        return Outcome.FAILED, code, _AWAY_NS
    return Outcome.REJECTED, code, 0
