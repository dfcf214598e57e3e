"""The router as the attempts see it: it chooses a channel, and is told how the choice turned out.

An implementation keeps its scores in memory, one for each node. It reads no clock and draws no
random number but from what it was made with, and neither method waits for anything.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from actors.channels.terms import ChannelTerms
from schemas.money import CNY

__all__ = ("Choice", "Observation", "RouteRequest", "Router")

# What the channel showed of itself. `declined`: it answered in time, and said no for a reason that
# lies with the payer (no money, wrong code, payer closed the window). `failed`: it answered, and
# said no for a reason of its own (out of order, limit of its own, maintenance). `unknown`: no
# answer, a late one, garbage, or a bad signature. A query that finds out later what became of an
# `unknown` is told once more, with the outcome, and no latency.
Observation = Literal["success", "declined", "failed", "unknown"]


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One decision to take: a payment, or the next try of one.

    ``method`` is the payment's (:data:`~actors.channels.terms.ChannelMethod`). ``wanted`` is the
    channel that the request names, or empty. ``excluded`` were tried before and are confirmed
    not to have taken the money. ``payee_type`` is what the payment knows of its payee, for rules
    that name it; empty when it knows nothing.
    """

    payment_id: str
    app: str
    amount_minor: int
    method: str
    wanted: str = ""
    excluded: tuple[str, ...] = ()
    payee_type: str = ""
    currency: str = CNY


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen, and why: both are stored with the attempt.

    ``channel`` is None when no candidate is eligible. ``reasons`` are sentences, the deciding one
    first; among them one for each candidate that was passed over. ``propensity`` is the probability
    with which this channel was chosen in this moment, above 0 and at most 1 (0 when none was).
    ``scores`` are those that were compared, by channel, higher is better. ``probe`` tells that the
    choice tests a channel whose circuit is half open. When none was chosen and time alone may
    change that, ``retry_after_s`` says when. ``rules_version`` are the rules that were used, and
    ``body`` is the whole decision with all its candidates as finished JSON.
    """

    channel: str | None
    reasons: tuple[str, ...]
    propensity: float
    scores: dict[str, float] = {}
    probe: bool = False
    rules_version: int = 0
    retry_after_s: float | None = None
    body: str = ""


class Router(Protocol):
    """See the module."""

    def choose(
        self, request: RouteRequest, candidates: Sequence[ChannelTerms], now_ms: int
    ) -> Choice:
        """Choose one of the candidates, which are the channels configured on this node.

        All rules are the router's: which are eligible by method, amount, ``wanted`` and
        ``excluded`` (:meth:`~actors.channels.terms.ChannelTerms.takes` knows the first two), and
        which of those is best. ``now_ms`` are Unix milliseconds.
        """

    def observe(
        self, channel: str, observation: Observation, latency_s: float | None, now_ms: int
    ) -> None:
        """Note how a channel did. ``latency_s`` is None when the answer came by another way.

        Every choice is followed by at least one observation, except when the node dies in between;
        so a half-open circuit must not wait for it for ever.
        """
