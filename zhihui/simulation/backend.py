"""The backends of a simulated day: they ask, wait, ask again or give up, and note what they heard.

What a step was told is evidence: the judge compares all of it with the model and with the store.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from kernel.memory_bus import MemoryBus
from schemas.subjects import inbox_prefix, request_subject
from zhihui.simulation.requests import Asked, NotThere, request_of
from zhihui.simulation.workload import Step
from zhihui.simulation.world import World

__all__ = ("Backend", "Heard", "Record")

# As a client does that was told to come back, seconds.
_AGAIN_S = 0.1
_SHOP = "shop"
_OFFICE = "ops"


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one asking: when it came, and how long after it was asked for."""

    at_s: float
    after_s: float
    answer: Any


class Record(msgspec.Struct, kw_only=True):
    """What became of a step as whoever asked knows it.

    ``answer`` is the first definite one. ``asked`` is empty for a step that was never sent, because
    what it is about was never made as far as anybody knows.
    """

    step: Step
    asked: Asked | None = None
    first_asked_s: float = 0.0
    answered_s: float | None = None
    answer: Any = None
    heard: list[Heard] = []
    # Whether a look-up by the id of the request found it, and the last change that stood when it
    # was asked for, and when it was answered.
    found: bool | None = None
    found_between: tuple[int, int] = (0, 0)

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The result, if there is one."""
        if self.answer is None or not self.answer["ok"]:
            return None
        result: Mapping[str, Any] = self.answer["result"]
        return result

    @property
    def outcome(self) -> str | None:
        """'committed' or the code of the error; None while nothing definite was heard."""
        if self.answer is None:
            return None
        return "committed" if self.answer["ok"] else str(self.answer["error"]["code"])


class Backend:
    """An app and the back office, which share one connection each to the bus."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.records: dict[int, Record] = {}
        self._done: dict[int, asyncio.Event] = {}
        self._buses = {app: MemoryBus(world.broker) for app in (_SHOP, _OFFICE)}
        self._inboxes = 0
        self._waiting: dict[str, tuple[float, asyncio.Future[Any], Record | None]] = {}

    async def open(self) -> None:
        """Begin to hear answers."""
        for app, bus in self._buses.items():
            await bus.subscribe(f"{inbox_prefix(app)}.*", self._on_answer)

    def _on_answer(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        known = self._waiting.get(subject)
        if known is None:
            return
        asked_s, future, record = known
        answer = orjson.loads(data)
        now_s = self._world.clock.monotonic_s()
        if record is not None:
            record.heard.append(Heard(at_s=now_s, after_s=now_s - asked_s, answer=answer))
            if record.answer is None and not _is_retryable(answer):
                record.answer, record.answered_s = answer, now_s
        if not future.done():
            future.set_result(answer)

    async def ask(
        self, app: str, operation: str, body: bytes, timeout_s: float, record: Record | None = None
    ) -> Any:
        """Ask once; return the answer, or None when there is none in time."""
        self._inboxes += 1
        inbox = f"{inbox_prefix(app)}.{self._inboxes}"
        future = asyncio.get_running_loop().create_future()
        self._waiting[inbox] = (self._world.clock.monotonic_s(), future, record)
        service, verb = operation.split(".")
        self._buses[app].publish(request_subject(app, service, verb), body, reply=inbox)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            return None

    async def settle(
        self, app: str, operation: str, body: dict[str, Any], *, timeout_s: float = 6.0
    ) -> Any:
        """Ask until there is a definite answer, and return it."""
        while True:
            answer = await self.ask(app, operation, orjson.dumps(body), timeout_s)
            if answer is not None and not _is_retryable(answer):
                return answer
            await self._world.clock.sleep(_AGAIN_S)

    # Steps.

    def expect(self, steps: tuple[Step, ...]) -> None:
        """Announce steps, so that others can wait for what they make."""
        for step in steps:
            self._done[step.number] = asyncio.Event()
            self.records[step.number] = Record(step=step, heard=[])

    async def play(self, step: Step) -> None:
        """Ask for a step as patiently as it says."""
        record = self.records[step.number]
        try:
            for number in _needs(step):
                await self._done[number].wait()
            if await self._prepare(record):
                await self._insist(record, step.attempts)
        finally:
            self._done[step.number].set()

    async def _prepare(self, record: Record) -> bool:
        step = record.step
        try:
            asked = request_of(step, self.records)
        except NotThere:
            return False
        if step.kind == "settle_plan":
            answer = await self.settle(
                _SHOP, "credit.payoff", {"plan_id": self._plan_of(asked.body["plan_id"])}
            )
            if not answer["ok"] or not answer["result"]["total_minor"]:
                return False
            asked.body["plan_id"] = answer["result"]["plan_id"]
            asked.body["total_minor"] = answer["result"]["total_minor"]
        record.asked = asked
        record.first_asked_s = self._world.clock.monotonic_s()
        return True

    def _plan_of(self, payment_id: str) -> str:
        plans = self._world.rows("credit_plan")
        return next((one["plan_id"] for one in plans if one["payment_id"] == payment_id), "none")

    async def _insist(self, record: Record, attempts: int) -> None:
        asked = record.asked
        assert asked is not None
        body = orjson.dumps(asked.body)
        for _ in range(attempts):
            answer = await self.ask(asked.app, asked.operation, body, record.step.timeout_s, record)
            if record.answer is not None:
                return
            if answer is not None:
                await self._world.clock.sleep(_AGAIN_S)

    async def look_up(self, record: Record) -> None:
        """Look a payment up by the id of its request."""
        database = self._world.database
        before = database.position().change_seq
        answer = await self.settle(_SHOP, "payment.get", {"request_id": record.step.request_id})
        record.found = bool(answer["ok"])
        record.found_between = (before, database.position().change_seq)

    async def ask_again(self, record: Record) -> None:
        """Ask once more for what nobody has heard of, until there is an answer."""
        if record.asked is not None:
            await self._insist(record, 1_000)


def _needs(step: Step) -> list[int]:
    """Return the steps that make what this one is about."""
    args = step.args
    names = ("account", "payee", "payment", "hold", "freeze", "of", "line", "person", "units")
    found = [args[name] for name in names if name in args]
    for leg in args.get("legs", ()):
        found += [leg[name] for name in ("account", "units", "line", "quote") if name in leg]
    return found


def _is_retryable(answer: Any) -> bool:
    return not answer["ok"] and bool(answer["error"]["retryable"])
