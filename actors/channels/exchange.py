"""One exchange with a channel about an attempt: ask, and tell the router how it went."""

from actors.channels.attempts import PayStep, RefundStep
from actors.channels.channel import (
    Channel,
    Failed,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
)
from actors.channels.desk import ChannelDesk
from actors.channels.orders import ChannelOrder, pay_order, refund_order
from actors.channels.router_port import Observation

__all__ = (
    "COMMIT_WITHIN_S",
    "ask_about_pay",
    "ask_about_refund",
    "observe_end",
    "observe_pay",
    "time_left_s",
)

# What is kept of the time of a turn for its commit: a hundred times what one takes as a rule.
COMMIT_WITHIN_S = 1.5


def time_left_s(desk: ChannelDesk, order: ChannelOrder, deadline_ms: int) -> float:
    """Return how long an exchange may take: as configured, and with time left for the commit."""
    left_s = (deadline_ms - desk.clock.now_ms()) / 1000 - COMMIT_WITHIN_S
    return min(desk.timeout_s(order.channel), left_s)


async def ask_about_pay(
    desk: ChannelDesk, order: ChannelOrder, step: PayStep, deadline_ms: int
) -> Outcome:
    """Take one step of an attempt; a channel that this node cannot reach is as silent as any.

    What is not committed by ``deadline_ms`` was for nothing, so it is not waited for that long.
    """
    channel = desk.channel(order.channel)
    if channel is None:
        return Unknown(reason=f"this node has no way to {order.channel}")
    timeout_s = time_left_s(desk, order, deadline_ms)
    if timeout_s <= 0:
        return Unknown(reason="no time was left to ask")
    outcome = await _pay_step(channel, order, step, timeout_s)
    desk.count(outcome)
    return outcome


async def _pay_step(
    channel: Channel, order: ChannelOrder, step: PayStep, timeout_s: float
) -> Outcome:
    asked = pay_order(order)
    match step:
        case "pay":
            return await channel.pay(asked, timeout_s)
        case "query":
            return await channel.query(asked, timeout_s)
        case "close":
            return await channel.close(asked, timeout_s)
        case "decide_close":
            raise AssertionError("that a closing is begun is not asked of the channel")


async def ask_about_refund(
    desk: ChannelDesk, order: ChannelOrder, step: RefundStep, deadline_ms: int
) -> Outcome:
    """Take one step of a refund, within the same bounds."""
    channel = desk.channel(order.channel)
    if channel is None:
        return Unknown(reason=f"this node has no way to {order.channel}")
    asked, timeout_s = refund_order(order), time_left_s(desk, order, deadline_ms)
    if timeout_s <= 0:
        return Unknown(reason="no time was left to ask")
    if step == "refund":
        outcome = await channel.refund(asked, timeout_s)
    else:
        outcome = await channel.query_refund(asked, timeout_s)
    desk.count(outcome)
    return outcome


def observe_pay(desk: ChannelDesk, order: ChannelOrder, outcome: Outcome, latency_s: float) -> bool:
    """Tell the router how a channel answered the first request of an attempt.

    Return whether it was told: an order that was only accepted is told when it ends. Where the
    payer has to act, accepting is all that the channel can do.
    """
    observation: Observation = "failed"
    match outcome:
        case Pending() if order.payer_token:
            return False
        case Succeeded() | Pending():
            observation = "success"
        case Failed(payer=True):
            observation = "declined"
        case Unknown():
            observation = "unknown"
    desk.observe(order.channel, observation, latency_s)
    return True


def observe_end(desk: ChannelDesk, order: ChannelOrder, outcome: Outcome) -> None:
    """Tell the router how an attempt ended of which the first answer said nothing, or too little.

    The time it took is the channel's only when it had accepted the order at once.
    """
    took_s: float | None = None
    if not order.observed:
        took_s = (desk.clock.now() - order.created_at).total_seconds()
    if isinstance(outcome, Succeeded):
        desk.observe(order.channel, "success", took_s)
    else:
        desk.observe(order.channel, "declined" if order.payers_no else "failed", took_s)
