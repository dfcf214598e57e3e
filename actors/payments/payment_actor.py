"""Quick pay (快捷): from one account of the bank to another, at once."""

from datetime import datetime
from typing import ClassVar

import msgspec

from actors.digest import request_digest
from actors.payments.compose import compose_payment
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.randomness import IdFactory
from schemas.change import Alternative, Change
from schemas.errors import SelfPayment, ZhihuiError
from schemas.ledger import Moves, encode_moves
from schemas.money import check_currency
from schemas.pay import Pay
from schemas.payments import CreatePayment

__all__ = ("PaymentActor",)


class PaymentActor(BatchActor):
    """Turn payment requests into changes and hand them to the journal, which answers.

    It keeps nothing and waits for nothing, so a payer with many payments is never held up by one.
    """

    kind = "payment"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {"payment.create": CreatePayment}

    def __init__(self, clock: Clock, ids: IdFactory) -> None:
        self._clock = clock
        self._ids = ids
        self._decoder = msgspec.msgpack.Decoder(CreatePayment)

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Forward each payment to the journal, or refuse it."""
        now = self._clock.now()
        for delivery in deliveries:
            try:
                change = self._create(delivery, now)
            except ZhihuiError as error:
                delivery.fail(error)
            else:
                delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)

    def _create(self, delivery: Delivery, now: datetime) -> Change:
        envelope = delivery.envelope
        request = self._decoder.decode(envelope.body)
        check_currency(request.currency)
        if request.payer == request.payee:
            raise SelfPayment(f"account {request.payer!r} cannot pay itself", field="payee")
        composed = compose_payment(
            Pay(
                payer=request.payer,
                payee=request.payee,
                amount_minor=request.amount_minor,
                reference=request.reference,
                currency=request.currency,
            ),
            app=envelope.app,
            request_id=request.request_id,
            payment_id=self._ids.new("pay"),
            method="quick",
            created_at=now,
        )
        alternative = Alternative(
            encode_moves(Moves(postings=(composed.posting,))),
            (composed.fact,),
            (composed.event,),
            composed.answer.decode(),
        )
        return Change(
            envelope.app,
            request.request_id,
            envelope.type,
            request_digest(envelope.type, envelope.body),
            (alternative,),
        )
