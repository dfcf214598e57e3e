"""A public edge in memory: what the tests of the edge and of discovery share."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Self

import msgspec

from kernel.actor import Delivery
from kernel.clock import ManualClock
from kernel.edge import Edge, EdgeLimits
from kernel.host import BatchHost, HostLimits
from kernel.memory_bus import MemoryBus
from kernel.node import Node
from schemas.catalogue import BANK_OPERATIONS
from schemas.errors import ERRORS
from schemas.money import AmountMinor
from schemas.operation import Operation
from tests.eventually import turns
from tests.unit.kernel.harness import (
    START,
    EchoActor,
    KeptLetters,
    PlacedOwnership,
    dead_letters,
    running,
)

__all__ = ("PAY", "START_MS", "EdgeLab", "Noted", "ignore", "payment_body")

START_MS = int(START.timestamp() * 1000)
PAY = "zh.v1.shop.payment.create"


class _Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request with a nested part, a list and an amount."""

    key: str
    amount_minor: AmountMinor = 1
    tags: tuple[Annotated[str, msgspec.Meta(max_length=3)], ...] = ()
    inner: "_Inner | None" = None
    large: int = 0


class _Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deep: int


class Noted(msgspec.Struct, frozen=True):
    """Its result."""

    key: str


_NOTE = Operation(
    service="note", verb="take", request=_Note, result=Noted, kind="bank", key="key",
    mutates=False, summary="Take a note.",
)  # fmt: skip


class _Bank(EchoActor):
    """Stands for all actors: ``act`` is called with each delivery; without it nothing answers."""

    kind = "bank"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Delivery] = []
        self.act: Callable[[Delivery], None] = lambda one: one.reply(b'{"done":true}')

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        for one in deliveries:
            self.seen.append(one)
            self.act(one)


def ignore(one: Delivery) -> None:
    """Leave a request without an answer."""


class EdgeLab:
    """An edge with one actor behind it that stands for all, on a bus in memory."""

    def __init__(self, limits: EdgeLimits | None = None) -> None:
        self.bus = MemoryBus()
        self.clock = ManualClock(START)
        self.node = Node("n1", self.bus, PlacedOwnership("n1", lambda _: "n1"), self.clock)
        self.bank = _Bank()
        self.letters = dead_letters(KeptLetters(), self.clock)
        self.host = BatchHost(
            lambda: self.bank, clock=self.clock, dead_letters=self.letters, limits=HostLimits()
        )
        self.node.add_host(self.host)
        operations = [msgspec.structs.replace(one, kind="bank") for one in BANK_OPERATIONS]
        self.edge = Edge(self.node, self.bus, self.clock, [*operations, _NOTE], limits)
        self.answers: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        await self.node.open()
        await self.edge.open()
        await self.bus.subscribe("inbox.>", self._on_answer)
        self._running = running(self.host)
        await self._running.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._running.__aexit__(None, None, None)

    def _on_answer(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        answer = json.loads(data)
        # The two shapes of the contract, and no third.
        assert set(answer) in ({"ok", "result"}, {"ok", "error"})
        assert answer["ok"] is ("result" in answer)
        if not answer["ok"]:
            error = answer["error"]
            assert set(error) == {"code", "message", "field", "retryable", "retry_after_s"}
            assert ERRORS[error["code"]].retryable is error["retryable"]
            assert error["message"]
        self.answers.append(answer)

    async def request(self, subject: str, body: bytes, headers: bytes = b"") -> dict[str, Any]:
        """Return the one answer to a request."""
        before = len(self.answers)
        self.bus.publish(subject, body, reply="inbox.1", headers=headers)
        await turns()
        assert len(self.answers) == before + 1, "a request has exactly one answer"
        return self.answers[-1]

    async def refusal(self, subject: str, body: bytes, headers: bytes = b"") -> dict[str, Any]:
        """Return the error of a request that must reach no actor."""
        answer = await self.request(subject, body, headers)
        assert not self.bank.seen, answer
        return dict(answer["error"])


def payment_body(**fields: Any) -> bytes:
    """Return the body of a good payment, with the fields given in place of its own."""
    good = {"request_id": "r", "payer": "a", "payee": "b", "amount_minor": 5}
    return json.dumps(good | fields).encode()
