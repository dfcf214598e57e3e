"""The channels of a world on virtual time: their books and their moods, without a wire."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import anyio.abc
import msgspec

from actors.channels.adapters.references import digits_reference, hex_reference
from actors.channels.callback_receiver import CallbackReceiver
from actors.channels.channel import (
    Callback,
    CallbackAnswer,
    CallbackRefused,
    Closed,
    Failed,
    NotFound,
    Outcome,
    PayOrder,
    Pending,
    RefundOrder,
    Succeeded,
    Unknown,
)
from actors.channels.configuration import TERMS
from actors.channels.terms import ChannelTerms
from actors.parts import Parts
from kernel.clock import Clock
from kernel.randomness import SeededRandomness
from zhihui.channel_simulator.behaviour import Draw, Fate, fate_of, notices_of
from zhihui.channel_simulator.books import Books, Order
from zhihui.channel_simulator.dialect import Call, Verdict
from zhihui.channel_simulator.engine import Engine
from zhihui.channel_simulator.profile import ChannelProfile, outage_at
from zhihui.simulation.pausing import context_of

__all__ = ("MemoryChannel", "Outside")

_EXPIRES_S = 20
_GRACE_S = 5


class Outside:
    """All that is outside of the bank; ``nodes`` returns the parts of those that live.

    Their books are kept in a file in ``folder``, or in memory only.
    """

    def __init__(
        self,
        folder: Path | None,
        clock: Clock,
        seed: int,
        tasks: anyio.abc.TaskGroup,
        profile: ChannelProfile,
        nodes: Callable[[], list[Parts]],
    ) -> None:
        self.clock = clock
        self.profile = profile
        self.books = Books(Path(os.devnull) if folder is None else folder / "books.jsonl")
        self._engine = Engine(self.books)
        self._seed = seed
        self._began_s = clock.monotonic_s()
        self._randomness = SeededRandomness(seed)
        self._tasks = tasks
        self._nodes = nodes
        self._asked: dict[tuple[str, str, str], int] = {}
        # Orders that were paid after the channel had said that they never would be.
        self.broken_words: set[tuple[str, str]] = set()
        self.channels = {name: MemoryChannel(name, self) for name in TERMS}

    async def exchange(self, channel: str, call: Call, timeout_s: float) -> Outcome:
        """Do what is asked, or what is the fate of the request."""
        if outage_at(self.profile, self.clock.monotonic_s() - self._began_s):
            await self.clock.sleep(timeout_s)
            return Unknown(reason="no answer")
        key = (channel, call.reference, call.operation)
        asked = self._asked[key] = self._asked.get(key, 0) + 1
        number = self.books.number(channel, call.reference)
        profile = self.profile
        fate = fate_of(
            profile,
            Draw(self._seed, channel, number),
            Draw(self._seed, channel, number, call.operation, asked),
            changes=call.operation in ("pay", "close", "refund"),
        )
        await self.clock.sleep(min(fate.latency_s, timeout_s) + 0.001)
        if fate.takes_effect == "late":
            self._start(self._later, channel, call, fate)
        outcome = self._apply(channel, call, fate) if fate.takes_effect == "now" else None
        if outcome is None or not fate.answered:
            await self.clock.sleep(timeout_s)
            return Unknown(reason="no answer")
        return outcome

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        # It is of the channel, and goes on whatever becomes of the node that has asked.
        context_of("").run(self._tasks.start_soon, work, *args)

    async def _later(self, channel: str, call: Call, fate: Fate) -> None:
        await self.clock.sleep(self.profile.late_effect_s)
        self._apply(channel, call, fate)

    def _apply(self, channel: str, call: Call, fate: Fate) -> Outcome:
        now_ms = self.clock.now_ms()
        known = self.books.get(channel, call.reference)
        verdict, order = self._engine.apply(channel, call, fate.refusal, now_ms)
        if order is not None and known is None and order.state == "pending":
            self._start(self._settle, order, fate)
        elif order is not None and (known is None or call.operation == "close"):
            self._follow(order, fate)
        return _outcome(channel, call, verdict, order)

    async def _settle(self, order: Order, fate: Fate) -> None:
        # Some take longer than their orders live, so that closings meet payments.
        draw = Draw(self._seed, order.channel, order.number, "settle")
        await self.clock.sleep(draw.between(0.0, _EXPIRES_S * 1.3))
        now_ms = self.clock.now_ms()
        self._engine.expire(order, now_ms)
        if order.state == "pending":
            refusal = "" if order.kind == "refund" else fate.refusal
            self._engine.settle(order, refusal, now_ms)
            self._follow(order, fate)

    def _follow(self, order: Order, fate: Fate) -> None:
        if order.state == "paid":
            plan = notices_of(self.profile, Draw(self._seed, order.channel, order.number, "notice"))
            for delay_s in plan.delays_s:
                self._start(self._tell, order, delay_s)
        elif fate.breaks_word and order.state in ("declined", "closed"):
            self._start(self._break_word, order)

    async def _break_word(self, order: Order) -> None:
        await self.clock.sleep(self.profile.broken_word_s)
        if self._engine.pay_after_all(order, self.clock.now_ms()):
            self.broken_words.add((order.channel, order.reference))
            self._start(self._tell, order, 0.1)

    async def _tell(self, order: Order, delay_s: float) -> None:
        """Tell any node that lives, until one has taken it."""
        told = Callback(
            notice_id=f"{order.number}",
            reference=order.reference,
            refund=order.kind == "refund",
            outcome=Succeeded(
                channel_reference=order.channel_reference, amount_minor=order.amount_minor
            ),
        )
        body = msgspec.json.encode(told)
        for pause_s in (delay_s, 1.0, 3.0, 10.0):
            await self.clock.sleep(pause_s)
            nodes = self._nodes()
            if not nodes:
                continue
            parts = nodes[self._randomness.bits(8) % len(nodes)]
            taking = CallbackReceiver(parts)._take(self.channels[order.channel], {}, body)
            if await asyncio.create_task(taking, context=context_of(parts.node.name)):
                return


class MemoryChannel:
    """One of them, as the actors see it."""

    def __init__(self, name: str, outside: Outside) -> None:
        self.name = name
        self._outside = outside
        self.terms: ChannelTerms = msgspec.structs.replace(
            TERMS[name], order_expires_s=_EXPIRES_S, settle_grace_s=_GRACE_S
        )

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return the number that the real adapter gives."""
        if self.name == "netsunion":
            return digits_reference(self.name, order_id, created_at)
        return hex_reference(self.name, order_id)

    async def _ask(self, timeout_s: float, **call: Any) -> Outcome:
        closing = {"own_bank": "for_good", "unionpay": "reverse"}.get(self.name, "unpaid")
        return await self._outside.exchange(
            self.name, msgspec.convert({"closing": closing, **call}, Call), timeout_s
        )

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Make the order."""
        return await self._ask(
            timeout_s, operation="pay", reference=order.reference,
            amount_minor=order.amount_minor, payer=order.payer_token,
            expires_ms=int(order.expires_at.timestamp() * 1000),
            settles_later=self.name in ("wechat", "unionpay"),
        )  # fmt: skip

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Ask what became of it."""
        return await self._ask(timeout_s, operation="query", reference=order.reference)

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Close it, where that can be done."""
        if self.name == "netsunion":
            return await self.query(order, timeout_s)
        return await self._ask(timeout_s, operation="close", reference=order.reference)

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Give money back."""
        return await self._ask(
            timeout_s, operation="refund", reference=order.reference,
            amount_minor=order.amount_minor, pay_reference=order.pay_reference,
            settles_later=self.name in ("wechat", "unionpay"),
        )  # fmt: skip

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Ask what became of a refund."""
        return await self._ask(timeout_s, operation="query_refund", reference=order.reference)

    def parse_callback(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Callback:
        """Read what :class:`Outside` tells."""
        try:
            return msgspec.json.decode(body, type=Callback)
        except msgspec.MsgspecError as error:
            raise CallbackRefused(str(error)) from error

    def callback_answer(self, *, accepted: bool) -> CallbackAnswer:
        """Return what nobody reads here."""
        return CallbackAnswer(status=200 if accepted else 500, content_type="", body=b"")


def _outcome(channel: str, call: Call, verdict: Verdict, order: Order | None) -> Outcome:
    """Return what the channel's adapter makes of an answer."""
    match verdict:
        case "not_found":
            return NotFound()
        case "closed":
            return Closed()
        case "expired" | "refused":
            return Failed(code=verdict, reason="", final=True)
        case "conflict":
            return Unknown(reason="a conflict")
        case "paid" if channel != "own_bank":
            return Unknown(reason="paid")
    order = cast("Order", order)
    if call.operation == "close" and order.state in ("closed", "reversed"):
        return Closed()
    match order.state:
        case "paid":
            return Succeeded(
                channel_reference=order.channel_reference, amount_minor=order.amount_minor
            )
        case "declined":
            final = channel != "wechat"
            return Failed(code=order.code, reason="", final=final, payer=order.by_payer)
        case "closed" | "reversed":
            return Closed()
        case _:
            return Pending()
