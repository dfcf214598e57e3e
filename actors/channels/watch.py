"""The watch over open orders: none is ever left without somebody who asks about it.

Each order has a durable timer, and that is how it is driven. Should a timer end without having
moved its order (a change that the ledger refused, a fault that made it a dead letter), the order
would be forgotten, and money would stand in suspense for ever. So each node looks now and then for
open orders whose time has long come, and drives those that are its own.
"""

import logging
from datetime import timedelta

import msgspec

from actors.channels.attempts import PAY_KIND, REFUND_KIND, WORK_TYPE, Work
from actors.channels.orders import ORDERS, ChannelOrder
from actors.parts import Parts
from kernel.partition import partition_of
from kernel.store import Where
from schemas.change import TimerFired
from schemas.errors import ZhihuiError

__all__ = ("OVERDUE_S", "SWEEP_EVERY_S", "SWEEP_MAX", "Watch")

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode

# A timer that is late by this much is not merely waiting for its turn.
OVERDUE_S = 60.0
SWEEP_EVERY_S = 30.0
# Orders of one sweep: as many as the timers have under way. The rest is found by the next.
SWEEP_MAX = 200


class Watch:
    """See the module."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.driven = 0

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._parts.clock.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except ZhihuiError as error:
                _log.warning("overdue orders wait for the store: %s", error.message)

    async def sweep(self) -> int:
        """Drive the overdue orders of this node; return how many there were."""
        parts = self._parts
        overdue_since = parts.clock.now() - timedelta(seconds=OVERDUE_S)
        found = await ORDERS.search(
            parts.store,
            # Set for open orders alone.
            Where("next_at", "<=", overdue_since),
            order_by=("next_at",),
            limit=SWEEP_MAX,
        )
        owned = set(parts.ownership.owned())
        driven = 0
        for record in found:
            kind, key = _actor_of(record.state)
            if partition_of(kind, key) in owned:
                driven += 1
                self._drive(record.app, record.state, kind, key)
        if driven:
            _log.warning("%d orders at channels were overdue and are asked about", driven)
        self.driven += driven
        return driven

    def _drive(self, app: str, order: ChannelOrder, kind: str, key: str) -> None:
        # A firing of its own: that of the order's timer is decided already, for whatever it was.
        now_ms = self._parts.clock.now_ms()
        body = msgspec.Raw(_encode(Work(order_id=order.order_id)))
        fired = TimerFired(f"watch.{order.order_id}", now_ms, 0, body)
        self._parts.node.tell(
            kind, key, f"{kind}.{WORK_TYPE}", fired, app=app, deadline_ms=now_ms + 30_000
        )


def _actor_of(order: ChannelOrder) -> tuple[str, str]:
    if order.kind == "pay":
        return PAY_KIND, order.payment_id
    return REFUND_KIND, order.order_id
