"""The simulator: one HTTP server that is all channels at once, each with its own face and books."""

import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import msgspec
from aiohttp import web

from kernel.clock import Clock, SystemClock
from zhihui.channel_simulator.alipay import AlipayDialect
from zhihui.channel_simulator.behaviour import Draw, Fate, fate_of, notices_of
from zhihui.channel_simulator.books import Books, Order
from zhihui.channel_simulator.callbacks import Callbacks
from zhihui.channel_simulator.dialect import Call, Dialect, Incoming, Refused, Reply
from zhihui.channel_simulator.engine import Engine, Refusal
from zhihui.channel_simulator.keys import KeyRing, write_merchant_file
from zhihui.channel_simulator.netsunion import NetsUnionDialect
from zhihui.channel_simulator.own_bank import OwnBankDialect
from zhihui.channel_simulator.profile import (
    ChannelProfile,
    OutageKind,
    Profile,
    in_force,
    outage_at,
)
from zhihui.channel_simulator.unionpay import UnionPayDialect
from zhihui.channel_simulator.wechat import WechatDialect

__all__ = ("DIALECTS", "Simulator", "SimulatorConfig", "serving_simulator")

_log = logging.getLogger(__name__)

DIALECTS: dict[str, Any] = {
    "own_bank": OwnBankDialect,
    "wechat": WechatDialect,
    "alipay": AlipayDialect,
    "unionpay": UnionPayDialect,
    "netsunion": NetsUnionDialect,
}
# The largest request of a merchant is some kilobytes.
_REQUEST_BYTES_MAX = 64 * 1024
_CHANGES = frozenset({"pay", "close", "refund"})


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the simulator lives, and what it tells the merchant.

    ``port`` 0 takes a free one. ``callbacks_url`` is where the merchant takes callbacks, on
    ``callbacks_port``; ``timeout_s`` is how long the merchant's file says to wait for an answer,
    ``order_expires_s`` how long its orders live (None for as long as each channel's terms say).
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    callbacks_url: str = ""
    callbacks_port: int = 0
    timeout_s: float = 5.0
    order_expires_s: int | None = None


class Simulator:
    """All channels; see the module. Made by :func:`serving_simulator`."""

    def __init__(
        self, config: SimulatorConfig, profile: Profile, clock: Clock, tasks: anyio.abc.TaskGroup
    ) -> None:
        self.config = config
        self.profile = profile
        self._clock = clock
        self._tasks = tasks
        keys = config.folder / "keys"
        self.rings = {name: KeyRing(keys, name) for name in DIALECTS}
        self._dialects: dict[str, Dialect] = {
            name: make(self.rings[name]) for name, make in DIALECTS.items()
        }
        self.books = Books(config.folder / "books.jsonl")
        self.engine = Engine(self.books)
        self.callbacks = Callbacks(clock, tasks)
        self.url = ""
        self._started_s = clock.monotonic_s()
        self._outages: dict[str, OutageKind] = {}
        self._asked: dict[tuple[str, int, str], int] = {}
        self.counts: dict[str, int] = {}

    # Time and mood.

    def elapsed_s(self) -> float:
        """Return the seconds by which outages and phases are counted."""
        return self._clock.monotonic_s() - self._started_s

    def set_elapsed(self, elapsed_s: float) -> None:
        """Move that time to another moment."""
        self._started_s = self._clock.monotonic_s() - elapsed_s

    def set_outage(self, channel: str, kind: OutageKind | None) -> None:
        """Begin or end an outage that is in no profile."""
        if kind is None:
            self._outages.pop(channel, None)
        else:
            self._outages[channel] = kind

    def _mood(self, channel: str) -> ChannelProfile:
        return in_force(self.profile.of(channel), self.elapsed_s())

    def _outage(self, channel: str) -> OutageKind | None:
        return self._outages.get(channel) or outage_at(self.profile.of(channel), self.elapsed_s())

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # Requests.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a merchant, late or never if that is its fate."""
        channel = request.match_info["channel"]
        dialect = self._dialects.get(channel)
        if dialect is None:
            return web.Response(status=404)
        body = await request.read()
        self._count("requests")
        outage = self._outage(channel)
        if outage is not None:
            self._count("outage")
            return await self._fail(request, outage, self._mood(channel))
        incoming = Incoming(
            method=request.method,
            target=request.raw_path.removeprefix(f"/{channel}"),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        try:
            call = dialect.read(incoming, self._clock.now_ms())
        except Refused as refused:
            self._count("refused")
            return _response(refused.reply)
        return await self._answer(request, dialect, call)

    async def _answer(
        self, request: web.Request, dialect: Dialect, call: Call
    ) -> web.StreamResponse:
        mood = self._mood(dialect.name)
        fate = self._fate(dialect.name, call, mood)
        if fate.latency_s:
            await self._clock.sleep(fate.latency_s)
        if fate.takes_effect == "never":
            self._count("lost")
            return await self._fail(request, "silent", mood)
        if fate.takes_effect == "late":
            self._count("late")
            self._tasks.start_soon(self._apply_late, dialect, call, fate, mood)
            return await self._fail(request, "silent", mood)
        reply = self._apply(dialect, call, fate, mood)
        if not fate.answered:
            self._count("unanswered")
            return await self._fail(request, "silent", mood)
        return _response(reply)

    async def _fail(
        self, request: web.Request, kind: OutageKind, mood: ChannelProfile
    ) -> web.StreamResponse:
        if kind == "error":
            return web.Response(status=503, text="service unavailable")
        if kind == "silent":
            await self._clock.sleep(mood.hang_s)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

    def _fate(self, channel: str, call: Call, mood: ChannelProfile) -> Fate:
        number = self.books.number(channel, call.reference)
        key = (channel, number, call.operation)
        asked = self._asked[key] = self._asked.get(key, 0) + 1
        seed = self.profile.seed
        return fate_of(
            mood,
            Draw(seed, channel, number),
            Draw(seed, channel, number, call.operation, asked),
            changes=call.operation in _CHANGES,
        )

    async def _apply_late(
        self, dialect: Dialect, call: Call, fate: Fate, mood: ChannelProfile
    ) -> None:
        await self._clock.sleep(mood.late_effect_s)
        self._apply(dialect, call, fate, mood)

    def _apply(self, dialect: Dialect, call: Call, fate: Fate, mood: ChannelProfile) -> Reply:
        now_ms = self._clock.now_ms()
        known = self.books.get(dialect.name, call.reference)
        if known is not None:
            self.engine.expire(known, now_ms)
        verdict, order = self.engine.apply(dialect.name, call, fate.refusal, now_ms)
        if order is not None and known is None:
            self._follow(dialect, order, call.settles_later, fate, mood)
        elif order is not None and call.operation == "close" and order.state == "closed":
            self._maybe_break_word(dialect, order, fate, mood)
        return dialect.answer(call, verdict, order, now_ms)

    # What happens later.

    def resume(self) -> None:
        """Go on with what an earlier process of this simulator left undecided."""
        for name, dialect in self._dialects.items():
            mood = self._mood(name)
            for order in self.books.orders(name):
                if order.state == "pending" and (order.kind == "refund" or order.payer):
                    fate = self._order_fate(order, mood)
                    self._follow(dialect, order, True, fate, mood)

    def _order_fate(self, order: Order, mood: ChannelProfile) -> Fate:
        draw = Draw(self.profile.seed, order.channel, order.number)
        return fate_of(mood, draw, Draw("resumed"), changes=True)

    def _follow(
        self, dialect: Dialect, order: Order, settles_later: bool, fate: Fate, mood: ChannelProfile
    ) -> None:
        """See to a new order: it is decided later, or told now."""
        if order.state != "pending":
            self._tell(dialect, order, mood)
            self._maybe_break_word(dialect, order, fate, mood)
            return
        refusal: Refusal = fate.refusal
        delay_s = mood.settle_delay_s
        draw = Draw(self.profile.seed, order.channel, order.number, "settle")
        if order.kind == "refund":
            refusal = "channel" if draw.happens(mood.refund_failure_ppm) else ""
            delay_s = mood.refund_delay_s
        elif not order.payer:
            if draw.happens(mood.payer_leaves_ppm):
                return
            delay_s = mood.payer_delay_s
        elif not settles_later:
            return
        self._tasks.start_soon(self._settle, dialect, order, refusal, delay_s, fate, mood)

    async def _settle(
        self,
        dialect: Dialect,
        order: Order,
        refusal: Refusal,
        delay_s: float,
        fate: Fate,
        mood: ChannelProfile,
    ) -> None:
        if delay_s:
            await self._clock.sleep(delay_s)
        now_ms = self._clock.now_ms()
        self.engine.expire(order, now_ms)
        if order.state == "pending":
            self.engine.settle(order, refusal, now_ms)
            self._tell(dialect, order, mood)
            self._maybe_break_word(dialect, order, fate, mood)

    def pay_by_hand(self, channel: str, reference: str) -> bool:
        """Let the payer of an order pay now; tell whether there was something to pay."""
        order = self.books.get(channel, reference)
        if order is None or order.state != "pending":
            return False
        self.engine.settle(order, "", self._clock.now_ms())
        self._tell(self._dialects[channel], order, self._mood(channel))
        return True

    def _tell(self, dialect: Dialect, order: Order, mood: ChannelProfile) -> None:
        draw = Draw(self.profile.seed, order.channel, order.number, "notice", order.state)
        plan = notices_of(mood, draw)
        pay = self.books.get(order.channel, order.pay_reference) if order.pay_reference else None
        self.callbacks.plan(dialect, order, pay, plan.delays_s, mood.callback_retries_s)

    def _maybe_break_word(
        self, dialect: Dialect, order: Order, fate: Fate, mood: ChannelProfile
    ) -> None:
        if fate.breaks_word and order.kind == "pay" and order.state in ("declined", "closed"):
            self._tasks.start_soon(self._break_word, dialect, order, mood)

    async def _break_word(self, dialect: Dialect, order: Order, mood: ChannelProfile) -> None:
        await self._clock.sleep(mood.broken_word_s)
        if self.engine.pay_after_all(order, self._clock.now_ms()):
            self._count("broken_words")
            self._tell(dialect, order, mood)


def _response(reply: Reply) -> web.Response:
    headers = dict(reply.headers)
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return web.Response(status=reply.status, body=reply.body, headers=headers)


@contextlib.asynccontextmanager
async def serving_simulator(
    config: SimulatorConfig, profile: Profile, clock: Clock | None = None
) -> AsyncIterator[Simulator]:
    """Run the simulator; it answers when entered, and has written the merchant's file."""
    from zhihui.channel_simulator.admin import admin_routes

    config.folder.mkdir(parents=True, exist_ok=True)
    async with anyio.create_task_group() as tasks:
        simulator = Simulator(config, profile, clock or SystemClock(), tasks)
        app = web.Application(client_max_size=_REQUEST_BYTES_MAX)
        app.router.add_routes(admin_routes(simulator))
        app.router.add_route("*", "/{channel}/{rest:.*}", simulator.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, config.host, config.port)
            await site.start()
            port = runner.addresses[0][1]
            simulator.url = f"http://{config.host}:{port}"
            write_merchant_file(
                config.folder,
                simulator.rings,
                base_url=simulator.url,
                callbacks_url=config.callbacks_url,
                callbacks_port=config.callbacks_port,
                timeout_s=config.timeout_s,
                order_expires_s=config.order_expires_s,
            )
            simulator.resume()
            yield simulator
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
                await simulator.callbacks.close()
            simulator.books.close()
