"""Where the channels' callbacks come in: verified, handed to the order's actor, then answered.

A channel is told "taken" only after the commit, and "come again" in every case of doubt. It comes
again by itself, so nothing here is kept or tried twice.
"""

import logging

import anyio
from aiohttp import web

from actors.channels.attempts import PAY_KIND, REFUND_KIND
from actors.channels.channel import Callback, CallbackRefused, Channel
from actors.channels.desk import ChannelDesk, desk_of
from actors.channels.orders import ORDERS, ChannelOrder
from actors.channels.told import TOLD_TYPE, told_of
from actors.entity import Record
from actors.parts import Parts
from kernel.store import Where
from schemas.errors import ZhihuiError

__all__ = ("CALLBACK_BYTES_MAX", "CALLBACK_PATH", "TOLD_WITHIN_S", "CallbackReceiver")

_log = logging.getLogger(__name__)

CALLBACK_PATH = "/callbacks/{channel}"
# The largest callback of the documentations is some kilobytes.
CALLBACK_BYTES_MAX = 64 * 1024
# WeChat Pay waits five seconds for an answer and then comes again.
TOLD_WITHIN_S = 4.0
# How long requests under way may take when the node stops.
_SHUTDOWN_S = 1.0


class CallbackReceiver:
    """A small HTTP server beside the actors of a node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._desk: ChannelDesk = desk_of(parts)
        self.port = 0

    async def run(self) -> None:
        """Serve until cancelled; return at once when the node is told to take no callbacks."""
        config = self._desk.config
        try:
            if not config.callbacks_port:
                await _forever(self._parts)
            app = web.Application(client_max_size=CALLBACK_BYTES_MAX)
            app.router.add_post(CALLBACK_PATH, self._receive)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
            await runner.setup()
            try:
                site = web.TCPSite(runner, config.callbacks_host, config.callbacks_port)
                await site.start()
                _log.info("callbacks on %s port %s", config.callbacks_host, config.callbacks_port)
                await _forever(self._parts)
            finally:
                with anyio.CancelScope(shield=True):
                    await runner.cleanup()
        finally:
            with anyio.CancelScope(shield=True):
                await self._desk.close()

    async def _receive(self, request: web.Request) -> web.Response:
        channel = self._desk.channel(request.match_info["channel"])
        if channel is None:
            return web.Response(status=404)
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        accepted = await self._take(channel, headers, body)
        answer = channel.callback_answer(accepted=accepted)
        return web.Response(
            status=answer.status, content_type=answer.content_type, body=answer.body
        )

    async def _take(self, channel: Channel, headers: dict[str, str], body: bytes) -> bool:
        """Return whether what the channel told has been committed."""
        self._desk.callbacks += 1
        try:
            callback = channel.parse_callback(headers, body, self._parts.clock.now())
        except CallbackRefused as error:
            self._desk.callbacks_refused += 1
            _log.warning("a callback of %s is refused: %s", channel.terms.name, error)
            return False
        try:
            record = await self._find(channel.terms.name, callback.reference)
            if record is None or (record.state.kind == "refund") != callback.refund:
                _log.warning(
                    "%s tells of %r, which is no order of ours",
                    *(channel.terms.name, callback.reference),
                )
                return False
            await self._tell(record, callback)
        except ZhihuiError as error:
            _log.info("a callback of %s has to come again: %s", channel.terms.name, error.message)
            return False
        return True

    async def _find(self, channel: str, reference: str) -> Record[ChannelOrder] | None:
        found = await ORDERS.search(
            self._parts.store,
            Where("channel", "=", channel),
            Where("reference", "=", reference),
            limit=1,
        )
        return found[0] if found else None

    async def _tell(self, record: Record[ChannelOrder], callback: Callback) -> None:
        order = record.state
        kind, key = (
            (REFUND_KIND, order.order_id) if callback.refund else (PAY_KIND, order.payment_id)
        )
        await self._parts.node.ask(
            kind,
            key,
            f"{kind}.{TOLD_TYPE}",
            told_of(order.order_id, callback),
            app=record.app,
            deadline_ms=self._parts.clock.now_ms() + int(TOLD_WITHIN_S * 1000),
        )


async def _forever(parts: Parts) -> None:
    """Wait until cancelled."""
    while True:
        await parts.clock.sleep(3_600)
