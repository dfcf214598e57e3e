"""The load: a fixed number of requests each second, whatever the service does.

Requests are sent when they are due, not when the ones before are answered, and a response time
counts from when the request was due: so a stall of the service shows in all requests that it held
up. Each identity sends one message after another; there are more of them than are busy at a time.
"""

import random
import time
from collections import deque
from collections.abc import Mapping, Sequence

import anyio
import anyio.abc
import msgspec

from loadtest.hotload.traffic import Lane, Outcome, Request
from schemas.errors import ErrorBody, Unavailable, ZhihuiError, error_from_body
from schemas.subjects import request_subject
from zhihui.client import Client

__all__ = ("Load", "LoadCounts", "Resent")

_ATTEMPT_S = 3.0
_AGAIN_S_MIN = 0.05
# A request that has no outcome after this is lost.
_SETTLE_S_MAX = 60.0
# Shares of requests that are sent twice at once, and that are sent again later.
_TWIN_SHARE, _RESENT_SHARE = 0.02, 0.1
# Three or four switches of its pack later.
_RESENT_AFTER_S_MAX = 20.0


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"")
    error: ErrorBody | None = None


class _Served(msgspec.Struct, frozen=True):
    served_by: str = ""


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_served = msgspec.json.Decoder(_Served).decode


class Resent(msgspec.Struct, kw_only=True):
    """A request that was sent again when it had been answered, and whether the answer was same."""

    outcome: Outcome
    sent_s: float
    same: bool = False


class LoadCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How far the load is."""

    due: int
    settled: int
    busy: int
    waiting: int


class Load:
    """Send, note what comes of it, and send some again."""

    def __init__(
        self, client: Client, lanes: Mapping[str, Sequence[Lane]], *, rate: float, seed: int
    ) -> None:
        self._client = client
        self._rate = rate
        self._random = random.Random(seed)
        self._packs = tuple(lanes)
        self._free: dict[str, deque[Lane]] = {
            pack: deque(self._random.sample(list(ours), len(ours))) for pack, ours in lanes.items()
        }
        # When the requests were due that no identity was free to send.
        self._held_up: dict[str, deque[float]] = {pack: deque() for pack in lanes}
        self._stopping = False
        self._under_way = 0
        self._due = 0
        self.outcomes: list[Outcome] = []
        self.resent: list[Resent] = []
        self.retired: list[str] = []

    def counts(self) -> LoadCounts:
        """Return how far it is."""
        return LoadCounts(
            due=self._due,
            settled=sum(bool(one.answer) for one in self.outcomes),
            busy=self._under_way,
            waiting=sum(map(len, self._held_up.values())),
        )

    def stop(self) -> None:
        """Send nothing new; what is under way is settled before :meth:`run` returns."""
        self._stopping = True

    def change_rate(self, rate: float) -> None:
        """Send so many requests a second from now on."""
        self._rate = rate

    async def run(self) -> None:
        """Send until stopped."""
        due_s = time.monotonic()
        async with anyio.create_task_group() as tasks:
            while not self._stopping:
                due_s += 1 / self._rate
                await anyio.sleep(max(due_s - time.monotonic(), 0.0))
                pack = self._packs[self._due % len(self._packs)]
                self._due += 1
                if self._free[pack]:
                    self._begin(tasks, self._free[pack].popleft(), due_s)
                else:
                    self._held_up[pack].append(due_s)

    async def fill(self, pack: str, each: int) -> None:
        """Have each identity of a pack send so many requests, as fast as they are answered."""

        async def one(lane: Lane) -> None:
            for _ in range(each):
                outcome = self._new(lane, time.monotonic())
                await self._settle(outcome)
                outcome.ended.set()

        async with anyio.create_task_group() as tasks:
            for lane in self._free[pack]:
                tasks.start_soon(one, lane)

    def _begin(self, tasks: anyio.abc.TaskGroup, lane: Lane, due_s: float) -> None:
        self._under_way += 1
        tasks.start_soon(self._serve, tasks, lane, self._new(lane, due_s))

    def _new(self, lane: Lane, due_s: float) -> Outcome:
        request = lane.next(f"hot-{len(self.outcomes):07d}")
        outcome = Outcome(request=request, due_s=due_s)
        self.outcomes.append(outcome)
        return outcome

    async def _serve(self, tasks: anyio.abc.TaskGroup, lane: Lane, outcome: Outcome) -> None:
        draw = self._random.random()
        if draw < _TWIN_SHARE:
            tasks.start_soon(self._send_again, outcome, 0.0)
        await self._settle(outcome)
        outcome.ended.set()
        self._under_way -= 1
        if not outcome.answer:
            # What it would send next is not known.
            self.retired.append(f"{lane.pack} {lane.key}: {outcome.error}")
            return
        if _TWIN_SHARE <= draw < _TWIN_SHARE + _RESENT_SHARE:
            tasks.start_soon(self._send_again, outcome, self._random.random() * _RESENT_AFTER_S_MAX)
        held_up = self._held_up[lane.pack]
        if held_up:
            self._begin(tasks, lane, held_up.popleft())
        else:
            self._free[lane.pack].append(lane)

    async def _settle(self, outcome: Outcome) -> None:
        """Send a request until it has an outcome."""
        outcome.sent_s = time.monotonic()
        while time.monotonic() - outcome.sent_s < _SETTLE_S_MAX:
            error = await self._attempt(outcome)
            if error is None:
                return
            if not isinstance(error, Unavailable):
                outcome.error = f"{error.code}: {error.message}"
                outcome.done_s = time.monotonic()
                return
            await anyio.sleep(max(error.retry_after_s or 0.0, _AGAIN_S_MIN))
        outcome.error = outcome.error or "no outcome"
        outcome.done_s = time.monotonic()

    async def _attempt(self, outcome: Outcome) -> ZhihuiError | None:
        try:
            answer = await self._ask(outcome.request)
        except Unavailable as error:
            outcome.unanswered += 1
            return error
        now_s = time.monotonic()
        outcome.first_s = outcome.first_s or now_s
        if answer.error is not None:
            outcome.retries += 1
            return error_from_body(answer.error)
        outcome.answer = bytes(answer.result)
        outcome.served_by = _decode_served(outcome.answer).served_by
        outcome.done_s = now_s
        return None

    async def _ask(self, request: Request) -> _Answer:
        subject = request_subject(self._client.app, request.pack, request.verb)
        raw = await self._client.request_raw(subject, request.body, timeout_s=_ATTEMPT_S)
        return _decode_answer(raw)

    async def _send_again(self, outcome: Outcome, after_s: float) -> None:
        """Send a request another time; the answer must be the same."""
        await anyio.sleep(after_s)
        resent = Resent(outcome=outcome, sent_s=time.monotonic())
        again = Outcome(request=outcome.request, due_s=resent.sent_s)
        await self._settle(again)
        await outcome.ended.wait()
        resent.same = bool(again.answer) and again.answer == outcome.answer
        self.resent.append(resent)
