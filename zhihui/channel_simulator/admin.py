"""The simulator's back door: the books, the counts, the profile, the time, and outages by hand."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from actors.channels.adapters.money import BEIJING
from zhihui.channel_simulator.books import Order
from zhihui.channel_simulator.profile import OutageKind, Profile
from zhihui.channel_simulator.profiles import PROFILES
from zhihui.channel_simulator.server import DIALECTS, Simulator

__all__ = ("BookLine", "Statement", "admin_routes")


class BookLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a channel's books; ``at_ms`` is when it last changed, Unix milliseconds."""

    reference: str
    kind: str
    amount_minor: int
    state: str
    channel_reference: str
    pay_reference: str
    at_ms: int


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The books of one channel, of one day in Beijing or of all."""

    channel: str
    day: str | None
    lines: tuple[BookLine, ...]


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    elapsed_s: float


class _Outage(msgspec.Struct, forbid_unknown_fields=True):
    channel: str
    kind: OutageKind | None


class _Pay(msgspec.Struct, forbid_unknown_fields=True):
    channel: str
    reference: str


class _Name(msgspec.Struct, forbid_unknown_fields=True):
    name: str


def admin_routes(simulator: Simulator) -> list[web.RouteDef]:
    """Return the routes of the back door."""

    async def statement(request: web.Request) -> web.Response:
        channel, day = request.query.get("channel", ""), request.query.get("day")
        if channel not in DIALECTS:
            return _json({"error": f"there is no channel {channel!r}"}, status=404)
        lines = tuple(
            _line(order)
            for order in simulator.books.orders(channel)
            if day is None or _day(order.changed_ms) == day
        )
        return _json(Statement(channel=channel, day=day, lines=lines))

    async def statistics(request: web.Request) -> web.Response:
        callbacks = simulator.callbacks
        return _json(
            {
                "profile": simulator.profile.name,
                "elapsed_s": simulator.elapsed_s(),
                "counts": simulator.counts,
                "callbacks_sent": callbacks.sent,
                "callbacks_taken": callbacks.taken,
                "callbacks_given_up": callbacks.given_up,
            }
        )

    async def put_profile(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            simulator.profile = PROFILES[msgspec.json.decode(body, type=_Name).name]
        except KeyError as error:
            return _json({"error": f"there is no profile {error}"}, status=404)
        except msgspec.ValidationError:
            # Not a name alone: then it is a whole profile.
            simulator.profile = msgspec.json.decode(body, type=Profile)
        return _json({"profile": simulator.profile.name})

    async def post_clock(request: web.Request) -> web.Response:
        simulator.set_elapsed(msgspec.json.decode(await request.read(), type=_Clock).elapsed_s)
        return _json({"elapsed_s": simulator.elapsed_s()})

    async def post_outage(request: web.Request) -> web.Response:
        wanted = msgspec.json.decode(await request.read(), type=_Outage)
        simulator.set_outage(wanted.channel, wanted.kind)
        return _json(wanted)

    async def post_pay(request: web.Request) -> web.Response:
        wanted = msgspec.json.decode(await request.read(), type=_Pay)
        return _json({"paid": simulator.pay_by_hand(wanted.channel, wanted.reference)})

    return [
        web.get("/admin/statement", statement),
        web.get("/admin/statistics", statistics),
        web.put("/admin/profile", _guarded(put_profile)),
        web.post("/admin/clock", _guarded(post_clock)),
        web.post("/admin/outage", _guarded(post_outage)),
        web.post("/admin/pay", _guarded(post_pay)),
    ]


def _guarded(handler: Any) -> Any:
    async def guarded(request: web.Request) -> web.Response:
        try:
            response: web.Response = await handler(request)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _json({"error": str(error)}, status=400)
        return response

    return guarded


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json"
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(BEIJING).date().isoformat()


def _line(order: Order) -> BookLine:
    return BookLine(
        reference=order.reference,
        kind=order.kind,
        amount_minor=order.amount_minor,
        state=order.state,
        channel_reference=order.channel_reference,
        pay_reference=order.pay_reference,
        at_ms=order.changed_ms,
    )
