"""A credit line as a source of a payment (信用卡分期, 网捷贷支付): see the port of payments.

The payment debits the line; this part of its change uses up the quote that the customer consented
to and begins the plan. A refund of the payment credits the line and recomputes the plan.
"""

from datetime import datetime

import msgspec

from actors.credit.draw import (
    check_drawable,
    drawn,
    drawn_of_reserved,
    load_line,
    load_quote,
    reserved,
)
from actors.credit.due_run import run_until
from actors.credit.line_accounts import posted_minor
from actors.credit.plan_change import PURPOSE_RETURN, event, plan_change, transfer
from actors.credit.records import PLAN_TABLE, LineState, PlanState, QuoteState
from actors.credit.refund import refunded
from actors.entity import Part, Record, merge
from actors.payments.funding import Leg, LegRequest, PaidLeg, RefundLeg
from actors.regulation.calendar import day_of
from kernel.randomness import IdFactory
from kernel.store import Store, Where
from schemas.credit import CreditRefund
from schemas.errors import InvalidField, InvalidState
from schemas.funding import CreditSource
from schemas.ledger import Moves, Step

__all__ = ("CreditFunding", "CreditLegRecord")

_json = msgspec.json.Encoder()


class CreditLegRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund needs to know of a leg: its plans are those of the payment with this quote."""

    quote_id: str
    line_id: str


class CreditFunding:
    """See :class:`actors.payments.funding.Funding`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pay(self, wanted: LegRequest) -> Leg:
        """Return the leg of exactly the amount that was quoted, or of nothing.

        A quote for more than the payment needs is refused, since the plan could not be the one that
        the customer saw; of a payment that needs more, the sources after it pay the rest. A capture
        of an authorised payment is a plan of its own, under the quote that was reserved.
        """
        line, source = await self._line_of(wanted)
        plan_id = wanted.ids.new("plan")
        reserved_for = wanted.payment_id if wanted.method == "authorized" else ""
        quote = await load_quote(
            self._store, source.quote_id, line.key, wanted.now, reserved_for=reserved_for
        )
        if quote.state.payment_id:
            amount = wanted.amount_minor
            _, part = drawn_of_reserved(line, quote, plan_id, wanted.now, amount)
        else:
            await self._check_usable(wanted, line, quote)
            amount = quote.state.amount_minor
            _, part = drawn(line, quote, plan_id, wanted.now, wanted.payment_id)
            if not wanted.strict and amount > await self._available(line):
                return _leg(line, 0)
        record = CreditLegRecord(quote_id=quote.key, line_id=line.key)
        return _leg(line, amount, part, _json.encode(record).decode())

    async def reserve(self, wanted: LegRequest) -> Leg:
        """Return the leg of an authorisation: the amount to hold of ``pay_from``, as quoted.

        ``before`` keeps the quote for the payment; each capture then calls :meth:`pay` with the
        method ``authorized`` and the amount captured.
        """
        line, source = await self._line_of(wanted)
        quote = await load_quote(self._store, source.quote_id, line.key, wanted.now)
        await self._check_usable(wanted, line, quote)
        return _leg(line, quote.state.amount_minor, reserved(line, quote, wanted.payment_id))

    async def _line_of(self, wanted: LegRequest) -> tuple[Record[LineState], CreditSource]:
        source = wanted.source
        assert isinstance(source, CreditSource)
        return await load_line(self._store, source.line_id, wanted.app), source

    async def _check_usable(
        self, wanted: LegRequest, line: Record[LineState], quote: Record[QuoteState]
    ) -> None:
        await check_drawable(self._store, line)
        quoted = quote.state.amount_minor
        if quoted > wanted.amount_minor or (wanted.strict and quoted != wanted.amount_minor):
            raise InvalidField(
                f"quote {quote.key!r} is for {quoted} minor units, and {wanted.amount_minor} are"
                " to be paid; ask for a quote of what the line is to pay",
                field="quote_id",
            )

    async def _available(self, line: Record[LineState]) -> int:
        posted, held = (await posted_minor(self._store, (line.key,))).get(line.key, (0, 0))
        return line.state.limit_minor + posted - held

    async def refund(
        self, leg: PaidLeg, amount_minor: int, *, app: str, payment_id: str, refund_id: str,
        whole: bool, now: datetime, ids: IdFactory,
    ) -> RefundLeg:  # fmt: skip
        """Return how a refund goes to the plan, and what of it the customer had paid already.

        That part goes to the line's account. Where a refund does both, the money comes to the line
        first and leaves it from there; a frozen line lets nothing out, and then it comes to the
        account first. Of an authorised payment with several captures the latest plan is refunded
        first.
        """
        known = msgspec.json.decode(leg.record, type=CreditLegRecord)
        line = await load_line(self._store, known.line_id, app)
        plans = await PLAN_TABLE.search(
            self._store, Where("payment_id", "=", payment_id), order_by=("plan_id",)
        )
        told_of = CreditRefund(
            plan_id="", line_id=line.key, customer_id=line.state.customer_id,
            payment_id=payment_id, refund_id=refund_id, amount_minor=0, reduced_minor=0,
            returned_minor=0, returned_to=None,
        )  # fmt: skip
        left, reduced, parts = amount_minor, 0, []
        for record in reversed(plans):
            plan = record.state.plan
            share = min(left, plan.principal_minor - plan.refunded_minor)
            if share and record.state.quote_id == known.quote_id:
                left -= share
                part, told = _refund_plan(record, share, told_of, line.state.account_id, now)
                reduced += told.reduced_minor
                parts.append(part)
        if left:
            raise InvalidState(
                f"the plans of payment {payment_id!r} can take back {amount_minor - left} of"
                f" {amount_minor} minor units",
                field="amount_minor",
            )
        credit_to, after = _way_back(line, reduced, amount_minor - reduced)
        return RefundLeg(credit_to=credit_to, after=merge(*parts, after))


def _refund_plan(
    record: Record[PlanState], amount_minor: int, told_of: CreditRefund, account_id: str,
    now: datetime,
) -> tuple[Part, CreditRefund]:  # fmt: skip
    run = run_until(record.state.plan, day_of(now))
    result = refunded(run.plan, amount_minor)
    told = msgspec.structs.replace(
        told_of,
        plan_id=record.key,
        amount_minor=amount_minor,
        reduced_minor=result.reduced_minor,
        returned_minor=result.returned_minor,
        returned_to=account_id if result.returned_minor else None,
    )
    first = Part(events=(event(record.app, "credit.refunded", record.key, told),))
    return merge(first, plan_change(record, run, result.plan)), told


def _way_back(line: Record[LineState], reduced_minor: int, returned_minor: int) -> tuple[str, Part]:
    """Return the account that the payee's money comes to, and how it goes on from there."""
    account_id = line.state.account_id
    if not returned_minor:
        return line.key, Part()
    if not reduced_minor:
        return account_id, Part()
    if line.state.status == "frozen":
        return account_id, Part(moves=Moves(steps=_return(account_id, line.key, reduced_minor)))
    return line.key, Part(moves=Moves(steps=_return(line.key, account_id, returned_minor)))


def _return(debit: str, credit: str, amount_minor: int) -> tuple[Step, ...]:
    return transfer(debit, credit, amount_minor, PURPOSE_RETURN, exempt=True)


def _leg(
    line: Record[LineState], amount_minor: int, before: Part | None = None, record: str = "{}"
) -> Leg:
    # The line belongs to the bank; that it is the app's to draw on was checked above.
    return Leg(
        amount_minor=amount_minor,
        pay_from=line.key,
        owner="",
        before=before or Part(),
        record=record,
        payer=line.state.account_id,
    )
