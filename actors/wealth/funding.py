"""时时付: pay straight from a fund, whose units are redeemed in the instant of payment.

Units may not pay, so the bank advances their worth to the customer's own account, and that account
pays. A refund goes to that account as money: to buy units again is the customer's decision, and
would come on another day with another confirmation. For the same reason it gives nothing back of
the day's cap, since the redemption has happened.
"""

from datetime import datetime

import msgspec

from actors.parts import Parts
from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from actors.wealth.instant import RULES, instant_order, instant_part, instant_room
from actors.wealth.records import HOLDING_TABLE
from kernel.randomness import IdFactory
from schemas.errors import InvalidField, NotFound
from schemas.funding import WealthSource

__all__ = ("WealthFunding",)

_FIELD = "funding"

_json = msgspec.json.Encoder()


class _Redeemed(msgspec.Struct, frozen=True):
    """What a refund has to know: where the money came to first."""

    order_id: str
    cash_account: str


class WealthFunding:
    """See :class:`actors.payments.funding.Funding`."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._rules = parts.rules

    async def pay(self, wanted: LegRequest) -> Leg:
        """Redeem up to what is wanted, as far as units, the day's cap and the advance go.

        The sales channel is the app. What goes beyond is left to the next source, unless the
        customer named this very amount: then it is refused by its reason.
        """
        source = wanted.source
        assert isinstance(source, WealthSource)
        found = await HOLDING_TABLE.load(self._store, source.units_account)
        if found is None or found.app != wanted.app:
            raise NotFound(f"units account {source.units_account!r} does not exist", field=_FIELD)
        holding = found.state
        if holding.cash_account != source.cash_account:
            raise InvalidField(
                f"units of {found.key!r} are paid out to {holding.cash_account!r} only",
                field=_FIELD,
            )
        rule = self._rules.current(RULES)
        tally_id = rule.tally_id(holding.investor, holding.fund, wanted.app, wanted.now)
        room = await instant_room(self._store, found.key, holding.fund, rule, tally_id)
        amount = min(wanted.amount_minor, room.minor)
        if wanted.strict and amount < wanted.amount_minor:
            raise room.refusal(wanted.amount_minor, rule, _FIELD)
        if not amount:
            return Leg(amount_minor=0, pay_from=holding.cash_account, owner=wanted.app)
        order = instant_order(
            wanted.ids.new("word"), found.key, holding, amount, wanted.app, wanted.now
        )
        record = _Redeemed(order.order_id, holding.cash_account)
        return Leg(
            amount_minor=amount,
            pay_from=holding.cash_account,
            owner=wanted.app,
            before=instant_part(order, wanted.app, holding.investor, rule, wanted.now, _FIELD),
            record=_json.encode(record).decode(),
            charged_minor=amount,
            payer=holding.cash_account,
        )

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Return the money to the cash account; no units come back."""
        record = msgspec.json.decode(leg.record, type=_Redeemed)
        return RefundLeg(credit_to=record.cash_account)
