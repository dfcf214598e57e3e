"""The router as the channels' attempts ask it: their terms in, sentences and a stored text out."""

from collections.abc import Sequence

import msgspec

from actors.channels.router_port import Choice, Observation, RouteRequest
from actors.channels.routing.router import Router, RouterStatistics
from actors.channels.routing.rules import ROUTING_RULES
from actors.channels.terms import PPM, ChannelTerms
from actors.parts import Parts
from schemas.routing import Candidate, ChannelOffer, RouteDecision, RoutedPayment, RouteRecord

__all__ = ("PortRouter", "make_router", "reasons_of", "router_of")

_HOUR_MS = 3_600_000
# Asia/Shanghai is eight hours ahead of UTC at all times since 1991.
_SHANGHAI_HOURS = 8

_json = msgspec.json.Encoder()


class PortRouter:
    """A :class:`~actors.channels.routing.router.Router` behind the port of the attempts."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def choose(
        self, request: RouteRequest, candidates: Sequence[ChannelTerms], now_ms: int
    ) -> Choice:
        """Draw one of the candidates; see the port."""
        payment = _payment(request, _hour(now_ms))
        decision = self._router.choose(payment, _offers(request, candidates), now_ms / 1000)
        return Choice(
            channel=decision.chosen,
            reasons=reasons_of(decision),
            propensity=decision.propensity_ppm / PPM,
            scores={one.channel: one.score for one in decision.candidates if not one.excluded},
            probe=decision.probe,
            rules_version=decision.rules_version,
            retry_after_s=decision.retry_after_s,
            body=_json.encode(RouteRecord(payment=payment, decision=decision)).decode(),
        )

    def explain(
        self,
        request: RouteRequest,
        candidates: Sequence[ChannelTerms],
        now_ms: int,
        hour: int | None = None,
    ) -> RouteRecord:
        """Return what :meth:`choose` would draw from, at another hour if one is given."""
        payment = _payment(request, _hour(now_ms) if hour is None else hour)
        return RouteRecord(
            payment=payment,
            decision=self._router.explain(payment, _offers(request, candidates), now_ms / 1000),
        )

    def observe(
        self, channel: str, observation: Observation, latency_s: float | None, now_ms: int
    ) -> None:
        """Learn how a channel did; see the port."""
        self._router.observe(channel, observation, latency_s, now_ms / 1000)

    def statistics(self) -> RouterStatistics:
        """Return the router's counts."""
        return self._router.statistics()


def make_router(parts: Parts) -> PortRouter:
    """Make the router of a node, which takes over new rules as soon as the node knows them.

    There is one, as it learns from all attempts of the node.
    """
    name = ROUTING_RULES.name
    router = Router(parts.rules.current(name), parts.randomness, version=parts.rules.version(name))
    parts.rules.on_change(name, router.reload)
    made = PortRouter(router)
    parts.shared["router"] = made
    return made


def router_of(parts: Parts) -> PortRouter:
    """Return the router of a node, made when it is first asked for."""
    known: PortRouter | None = parts.shared.get("router")
    return make_router(parts) if known is None else known


def reasons_of(decision: RouteDecision) -> tuple[str, ...]:
    """Return the decision in sentences, the deciding one first and then one for each candidate."""
    by_name = {one.channel: one for one in decision.candidates}
    said = []
    if decision.chosen is None:
        said.append("no channel may be tried")
    else:
        chosen = by_name.pop(decision.chosen)
        why = "drawn as a probe after an outage" if decision.probe else "drawn"
        said.append(f"{_standing(chosen)}: {why} with probability {_share(chosen)}")
    for one in by_name.values():
        if one.excluded is not None:
            said.append(f"{one.channel}: {one.excluded}")
        else:
            said.append(f"{_standing(one)}: passed over, its probability was {_share(one)}")
    return tuple(said)


def _standing(one: Candidate) -> str:
    return (
        f"{one.channel}: score {one.score:.4f} by a success rate of {one.success_rate:.1%}, "
        f"{one.latency_s:.2f} s and {one.cost_minor} fen"
    )


def _share(one: Candidate) -> str:
    return f"{one.propensity_ppm / PPM:.6f}"


def _hour(now_ms: int) -> int:
    return (now_ms // _HOUR_MS + _SHANGHAI_HOURS) % 24


def _payment(request: RouteRequest, hour: int) -> RoutedPayment:
    return RoutedPayment(
        method=request.method,
        amount_minor=request.amount_minor,
        app=request.app,
        payee_type=request.payee_type,
        hour=hour,
        excluded=request.excluded,
    )


def _offers(request: RouteRequest, candidates: Sequence[ChannelTerms]) -> list[ChannelOffer]:
    return [_offer(request, terms) for terms in candidates]


def _offer(request: RouteRequest, terms: ChannelTerms) -> ChannelOffer:
    refused = ""
    if request.wanted and request.wanted != terms.name:
        refused = f"the payment names {request.wanted}"
    elif request.currency != terms.currency:
        refused = f"it takes {terms.currency} only"
    elif not terms.takes(request.method, request.amount_minor):
        refused = f"it does not take {request.amount_minor} fen by {request.method}"
    return ChannelOffer(
        channel=terms.name, cost_minor=terms.fee_minor(request.amount_minor), refused=refused
    )
