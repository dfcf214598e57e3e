"""The actor that says why: the choices of a payment as stored, and those of one not yet made."""

from typing import ClassVar

import msgspec

from actors.channels.desk import desk_of
from actors.channels.router_port import RouteRequest
from actors.channels.routing.port import reasons_of, router_of
from actors.parts import Parts
from kernel.actor import BatchActor, Delivery
from kernel.host import Host
from kernel.store import Query, Where
from schemas.errors import InvalidField, NotFound, ZhihuiError
from schemas.routing import (
    ExplainRoute,
    ImaginedPayment,
    RouteExplanation,
    RouteRecord,
    StoredChoice,
)

__all__ = ("ExplainActor", "hosts")

_COLUMNS = ("number", "at", "chosen", "propensity_ppm", "rules_version", "body")

_record_decoder = msgspec.json.Decoder(RouteRecord)


class ExplainActor(BatchActor):
    """Answer `route.explain`, from the read pool or from the router of this node."""

    kind = "route"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {"route.explain": ExplainRoute}

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._decoder = msgspec.msgpack.Decoder(ExplainRoute)

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Answer each question."""
        for delivery in deliveries:
            request = self._decoder.decode(delivery.envelope.body)
            try:
                delivery.reply(await self._explain(request))
            except ZhihuiError as error:
                delivery.fail(error)

    async def _explain(self, request: ExplainRoute) -> RouteExplanation:
        if request.payment_id is not None and request.payment is None:
            return await self._stored(request.payment_id)
        if request.payment is not None and request.payment_id is None:
            return self._imagined(request.payment)
        raise InvalidField("give either payment_id or payment, not both", field="payment_id")

    async def _stored(self, payment_id: str) -> RouteExplanation:
        rows = await self._parts.store.fetch(
            Query(
                table="route_choice",
                columns=_COLUMNS,
                where=(Where("payment_id", "=", payment_id),),
                order_by=("number",),
            )
        )
        if not rows:
            raise NotFound(
                f"no channel was ever chosen for payment {payment_id!r}", field="payment_id"
            )
        choices = []
        for number, at, chosen, propensity_ppm, rules_version, body in rows:
            record = _record_decoder.decode(body)
            choices.append(
                StoredChoice(
                    number=number,
                    at=at,
                    chosen=chosen,
                    propensity_ppm=propensity_ppm,
                    rules_version=rules_version,
                    payment=record.payment,
                    decision=record.decision,
                )
            )
        return RouteExplanation(node=self._parts.node.name, choices=tuple(choices))

    def _imagined(self, payment: ImaginedPayment) -> RouteExplanation:
        desk = desk_of(self._parts)
        opened = [desk.channel(name) for name in desk.names()]
        record = router_of(self._parts).explain(
            RouteRequest(
                payment_id="",
                app=payment.app or "",
                amount_minor=payment.amount_minor,
                method=payment.method,
                wanted=payment.channel or "",
                excluded=payment.excluded,
                payee_type=payment.payee_type or "",
            ),
            [channel.terms for channel in opened if channel is not None],
            self._parts.clock.now_ms(),
            payment.hour,
        )
        return RouteExplanation(
            node=self._parts.node.name, now=record, reasons=reasons_of(record.decision)
        )


def hosts(parts: Parts) -> tuple[Host, ...]:
    """Return the host of the actor."""
    return (parts.batch_host(lambda: ExplainActor(parts)),)
