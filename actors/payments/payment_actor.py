"""The door of payments: a plain one becomes a change at once, any other gets an actor of its own.

Plain is a quick payment (快捷) from one account of the bank to another: nothing of it has to be
looked up but what never changes of the accounts, and whether the payee is a merchant. So it is one
posting and one row, is forwarded and never waited for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import msgspec
from msgspec import UNSET

from actors.digest import request_digest
from actors.entity import Part
from actors.payments.authority import factors_of, geo_of, given
from actors.payments.compose import compose_payment
from actors.payments.desk import PaymentDesk
from actors.payments.progress import ORDER_KIND
from actors.settlement.division import Division
from actors.settlement.legs import LegOf, settle_capture
from actors.settlement.merchants import KnownMerchant
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.randomness import IdFactory
from schemas.change import Alternative, Change
from schemas.errors import SelfPayment, ZhihuiError
from schemas.funding import AccountSource
from schemas.ledger import Moves, encode_moves
from schemas.money import check_currency
from schemas.pay import Pay
from schemas.payments import CreatePayment
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts

__all__ = ("PaymentActor",)

# A delivery, its request, and the account that pays.
_Plain = tuple[Delivery, CreatePayment, str]

_METHOD = "quick"
_NO_PART = Part()


class PaymentActor(BatchActor):
    """Turn payment requests into changes and hand them on, to the risk check if there is one.

    It keeps nothing and waits for nothing but a read of what it has not seen yet, so a payer with
    many payments is never held up by one.
    """

    kind = "payment"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {"payment.create": CreatePayment}

    def __init__(self, desk: PaymentDesk, clock: Clock, ids: IdFactory, *, checked: bool) -> None:
        self._desk = desk
        self._clock = clock
        self._ids = ids
        self._checked = checked
        self._decoder = msgspec.msgpack.Decoder(CreatePayment)

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Forward each payment, or refuse it."""
        now = self._clock.now()
        plain: list[_Plain] = []
        accounts = set()
        for delivery in deliveries:
            request = self._decoder.decode(delivery.envelope.body)
            payer = _plain_payer(request)
            if payer is None:
                key = self._ids.new("pay")
                delivery.forward(ORDER_KIND, key, delivery.envelope.type, request)
                continue
            plain.append((delivery, request, payer))
            accounts.add(request.payee)
        if not plain:
            return
        merchants = await self._desk.merchants.by_account(accounts)
        if not self._checked:
            self._hand_on(plain, now, merchants)
            return
        known = self._desk.profiles.known
        unmet = [one for one in plain if not (known(one[2]) and known(one[1].payee))]
        if unmet:
            # Nobody else waits for what has to be read.
            met = [one for one in plain if known(one[2]) and known(one[1].payee)]
            self._hand_on(met, now, merchants)
            wanted = {name for _, request, payer in unmet for name in (payer, request.payee)}
            await self._desk.profiles.load(wanted)
            plain = unmet
        self._hand_on(plain, now, merchants)

    def _hand_on(
        self, plain: list[_Plain], now: datetime, merchants: Mapping[str, KnownMerchant]
    ) -> None:
        """Forward plain payments whose accounts are known, or refuse them."""
        for delivery, request, payer in plain:
            try:
                payment_id = self._ids.new("pay")
                change = self._create(delivery, request, payer, payment_id, now, merchants)
            except ZhihuiError as error:
                delivery.fail(error)
                continue
            if self._checked:
                facts = self._facts(delivery, request, payer, payment_id, now, merchants)
                check = RiskCheck(change, facts, reviewer=ORDER_KIND)
                delivery.forward(RISK_KIND, facts.customer, RISK_CHECK_TYPE, check)
            else:
                delivery.forward(JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change)

    def _create(
        self,
        delivery: Delivery,
        request: CreatePayment,
        payer: str,
        payment_id: str,
        now: datetime,
        merchants: Mapping[str, KnownMerchant],
    ) -> Change:
        envelope = delivery.envelope
        check_currency(request.currency)
        if payer == request.payee:
            raise SelfPayment(f"account {payer!r} cannot pay itself", field="payee")
        merchant = merchants.get(request.payee)
        division: Division | None = None
        part = _NO_PART
        if merchant is not None:
            leg = LegOf(
                leg_id=payment_id, payment_id=payment_id, app=envelope.app, method=_METHOD, at=now
            )
            division, part = settle_capture(request.amount_minor, merchant, merchants, leg)
        composed = compose_payment(
            Pay(
                payer=payer,
                payee=request.payee,
                amount_minor=request.amount_minor,
                reference=request.reference,
                currency=request.currency,
            ),
            app=envelope.app,
            request_id=request.request_id,
            payment_id=payment_id,
            method=_METHOD,
            created_at=now,
            division=division,
        )
        alternative = Alternative(
            encode_moves(Moves(postings=(composed.posting, *part.moves.postings))),
            (composed.fact, *part.facts),
            (composed.event,),
            composed.answer.decode(),
            part.timers,
        )
        return Change(
            envelope.app,
            request.request_id,
            envelope.type,
            request_digest(envelope.type, envelope.body),
            (alternative,),
        )

    def _facts(
        self,
        delivery: Delivery,
        request: CreatePayment,
        payer: str,
        payment_id: str,
        now: datetime,
        merchants: Mapping[str, KnownMerchant],
    ) -> RiskFacts:
        profiles = self._desk.profiles
        customer, payee = profiles.known(payer), profiles.known(request.payee)
        merchant = merchants.get(request.payee)
        category = request.merchant_category
        if category is UNSET:
            category = "" if merchant is None else merchant.category or ""
        return RiskFacts(
            delivery.envelope.app,
            payment_id,
            payer if customer is None else customer.customer_id or payer,
            payer,
            request.payee,
            request.amount_minor,
            _METHOD,
            int(now.timestamp() * 1000),
            request.currency,
            "" if payee is None else payee.type,
            given(request.device_id, ""),
            geo_of(request),
            category,
            factors_of(request),
        )


def _plain_payer(request: CreatePayment) -> str | None:
    """Return the account that pays a plain payment; None for a payment that is not plain."""
    for field in (
        request.mandate_id, request.mandate_token, request.qr, request.split, request.description,
        request.confirm_after_days, request.expires_in_s,
    ):  # fmt: skip
        if field is not UNSET:
            return None
    if request.method != _METHOD:
        return None
    funding, payer = request.funding, request.payer
    if funding is UNSET:
        return None if payer is UNSET else payer
    if payer is UNSET and len(funding) == 1:
        source = funding[0]
        if isinstance(source, AccountSource) and source.amount_minor in (
            None, request.amount_minor,
        ):  # fmt: skip
            return source.account_id
    return None
