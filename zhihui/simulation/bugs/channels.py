"""A service that takes silence for a no."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from actors.channels import attempt_actor
from actors.channels.attempts import Turn, after_pay
from actors.channels.channel import Outcome, Unknown
from actors.channels.orders import ChannelOrder
from zhihui.simulation.bugs.replacing import replaced

__all__ = ("failover_on_unknown",)


@contextmanager
def failover_on_unknown() -> Iterator[None]:
    """Try another channel when the first one has not answered."""

    def give_up(
        order: ChannelOrder, step: Any, outcome: Outcome, now: datetime, settle_grace_s: int,
        *, first: bool = False,
    ) -> Turn:  # fmt: skip
        if not isinstance(outcome, Unknown):
            return after_pay(order, step, outcome, now, settle_grace_s, first=first)
        ended = msgspec.structs.replace(
            order, asked=order.asked + 1, sent=order.sent + 1, state="not_received",
            settled_at=now, next_at=None,
        )  # fmt: skip
        return Turn(order=ended, verdict="dead")

    with replaced(attempt_actor, "after_pay", give_up):
        yield
