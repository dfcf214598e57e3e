"""The adapters and the simulated channels, joined without a wire between them."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import msgspec

from actors.channels.adapters.transport import (
    ChannelAccess,
    HttpAdapter,
    HttpAnswer,
    HttpRequest,
    HttpSession,
)
from actors.channels.channel import Channel, Outcome, PayOrder, RefundOrder
from actors.channels.configuration import ADAPTERS
from kernel.clock import ManualClock
from kernel.randomness import SeededRandomness
from zhihui.channel_simulator.books import Books, Order
from zhihui.channel_simulator.dialect import Dialect, Incoming, Refused, Reply
from zhihui.channel_simulator.engine import Engine, Refusal
from zhihui.channel_simulator.keys import APP_IDS, MERCHANT_IDS, KeyRing
from zhihui.channel_simulator.server import DIALECTS

__all__ = ("NOON", "PAYERS", "Wire", "changed")

NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
# What the payer is known by at each channel, in a form that is charged at once.
PAYERS = {
    "own_bank": "mandate-1",
    "wechat": "134567890123456789",
    "alipay": "283456789012345678",
    "unionpay": "6212345678901234567",
    "netsunion": "SGN202611250001",
}
TIMEOUT_S = 1.0


class Wire:
    """One channel, both sides of it. ``fault`` stands between them and may spoil an answer."""

    def __init__(self, name: str, folder: Path, keys: Path) -> None:
        self.name = name
        self.clock = ManualClock(NOON)
        self.ring = KeyRing(keys, name)
        self.books = Books(folder / f"{name}.jsonl")
        self.engine = Engine(self.books)
        self.dialect: Dialect = DIALECTS[name](self.ring)
        self.refusal: Refusal = ""
        self.requests: list[HttpRequest] = []
        self.fault: Callable[[HttpAnswer], HttpAnswer] = lambda answer: answer
        access = ChannelAccess(
            base_url="http://nowhere",
            merchant_id=MERCHANT_IDS[name],
            app_id=APP_IDS.get(name, ""),
            private_key_file=str(self.ring.merchant_private),
            channel_key_file=str(self.ring.channel_public),
            secret_file=str(self.ring.secret_file),
            notify_url="http://merchant/callbacks",
        )
        self.adapter = cast("HttpAdapter", self._open(access))
        self.adapter._send = self._send  # type: ignore[method-assign]
        self._references = 0

    def _open(self, access: ChannelAccess) -> Channel:
        make = ADAPTERS[self.name]
        return make(access, cast("HttpSession", None), self.clock, SeededRandomness(1))

    @property
    def channel(self) -> Channel:
        """The adapter as the actors see it."""
        return cast("Channel", self.adapter)

    async def _send(self, request: HttpRequest, timeout_s: float) -> HttpAnswer:
        del timeout_s
        self.requests.append(request)
        reply = self.serve(request)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return self.fault(HttpAnswer(status=reply.status, headers=headers, body=reply.body))

    def serve(self, request: HttpRequest) -> Reply:
        """Let the channel answer a request."""
        now_ms = self.clock.now_ms()
        headers = {name.lower(): value for name, value in request.headers.items()}
        incoming = Incoming(
            method=request.method, target=request.target, headers=headers, body=request.body
        )
        try:
            call = self.dialect.read(incoming, now_ms)
        except Refused as refused:
            return refused.reply
        verdict, order = self.engine.apply(self.name, call, self.refusal, now_ms)
        return self.dialect.answer(call, verdict, order, now_ms)

    def ask(self, method: str, order: PayOrder | RefundOrder) -> Outcome:
        """Call a method of the adapter and return what it says."""
        call: Callable[..., Any] = getattr(self.adapter, method)
        return cast("Outcome", asyncio.run(call(order, TIMEOUT_S)))

    def order(self, amount_minor: int = 1_050, *, payer: str | None = None) -> PayOrder:
        """Return a new order of ours."""
        self._references += 1
        now = self.clock.now()
        return PayOrder(
            reference=self.channel.reference(f"cha_{self._references}", now),
            amount_minor=amount_minor,
            method="quick",
            payer_token=PAYERS[self.name] if payer is None else payer,
            description="茶 & <cake>",
            created_at=now,
            expires_at=now + timedelta(seconds=300),
        )

    def refund_of(self, paid: PayOrder, amount_minor: int, name: str = "chr_1") -> RefundOrder:
        """Return a refund of ours of a paid order."""
        now = self.clock.now()
        return RefundOrder(
            reference=self.channel.reference(name, now),
            pay_reference=paid.reference,
            channel_reference=self.booked(paid.reference).channel_reference,
            amount_minor=amount_minor,
            paid_minor=paid.amount_minor,
            reason="returned goods",
            created_at=now,
            pay_created_at=paid.created_at,
        )

    def booked(self, reference: str) -> Order:
        """Return an order as the channel has it."""
        order = self.books.get(self.name, reference)
        assert order is not None
        return order

    def settle(self, order: PayOrder | RefundOrder, refusal: Refusal = "") -> None:
        """Let the channel decide what it only accepted."""
        self.engine.settle(self.booked(order.reference), refusal, self.clock.now_ms())


def changed(answer: HttpAnswer, **changes: Any) -> HttpAnswer:
    """Return an answer with other fields."""
    return msgspec.structs.replace(answer, **changes)
