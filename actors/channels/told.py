"""What a channel told on its own, on its way from the receiver of callbacks to an actor."""

from hashlib import blake2b

import msgspec

from actors.channels.channel import Callback, Outcome

__all__ = ("TOLD_TYPE", "Told", "told_of")

TOLD_TYPE = "told"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A callback about one order of ours; ``request_id`` is the same for the same news."""

    request_id: str
    order_id: str
    outcome: Outcome


def told_of(order_id: str, callback: Callback) -> Told:
    """Return the message about an order.

    Two notices that say the same have one id, so the second has no effect of its own, whatever
    number the channel gave it.
    """
    news = msgspec.json.encode(callback.outcome)
    digest = blake2b(news, digest_size=8).hexdigest()
    return Told(
        request_id=f"~told.{order_id}.{digest}", order_id=order_id, outcome=callback.outcome
    )
