"""Orders to a fund: subscriptions and redemptions, from the request to their settlement.

::

    subscribe   accepted ──on settles_on──▶ confirmed
    redeem      accepted ──on settles_on──▶ paid
                    └──an account is closed or frozen──▶ unpaid ──a business day later──▶ paid
    instant     paid
"""

from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Part, Plan, RecordChange, decides, reads
from actors.regulation.calendar import add_business_days, day_of, start_of_day
from actors.wealth.asset_account import asset_account
from actors.wealth.cash_account import CashAccount, cash_account_of, investor_of
from actors.wealth.fund_accounts import fund_accounts, fund_move, units_account_of
from actors.wealth.instant import RULES, instant_order, instant_part, instant_room
from actors.wealth.order_days import clearing_at, confirmation_day, day_after, order_day
from actors.wealth.records import (
    FUND_TABLE,
    HOLDING_TABLE,
    ORDER_TABLE,
    HoldingState,
    OrderState,
    flow_fact,
)
from schemas.change import TimerFired
from schemas.errors import InvalidState, NotFound
from schemas.ledger import CaptureStep, Moves, PlaceStep, ReleaseStep
from schemas.money import CNY
from schemas.wealth import GetOrder, Redeem, Subscribe, WealthOrder

__all__ = ("REDEEM_DAYS", "WealthOrderActor")

# An ordinary redemption is paid on T+1.
REDEEM_DAYS = 1

_CONFIRM = "wealth_order.confirm"
_PAY = "wealth_order.pay"

# What holds of units are for, so that nobody can void them like an authorisation of his own.
_UNCONFIRMED = "confirmation"
_REDEEMING = "redemption"


class WealthOrderActor(EntityActor):
    """One order; requests that make one are addressed to the account that they are about."""

    kind = "wealth_order"
    table: ClassVar = ORDER_TABLE

    @decides("wealth.subscribe", Subscribe)
    async def subscribe(self, request: Subscribe, case: Case) -> tuple[Plan, ...]:
        """Take the money, issue the units, and hold them until they are confirmed."""
        fund = await FUND_TABLE.load(case.store, request.fund)
        if fund is None:
            raise NotFound(f"fund {request.fund!r} does not exist", field="fund")
        cash = await cash_account_of(case.store, request.cash_account, case.app)
        units_account = units_account_of(cash.account_id, request.fund)
        days = fund.state.confirm_days
        settles_on = confirmation_day(case.now, days)
        order = WealthOrder(
            order_id=case.ids.new("word"),
            kind="subscribe",
            status="accepted" if days else "confirmed",
            fund=request.fund,
            units_account=units_account,
            cash_account=cash.account_id,
            amount_minor=request.amount_minor,
            sales_channel=cash.app,
            ordered_on=order_day(case.now),
            settles_on=settles_on,
            earns_from=settles_on if days else day_after(day_of(case.now)),
            created_at=case.now,
        )
        plan = _bought(order, cash, case)
        if await HOLDING_TABLE.load(case.store, units_account) is not None:
            return (plan,)
        # The second way is for an account that another node has opened a moment ago.
        investor = await investor_of(case.store, cash)
        return (_opening(plan, order, cash, investor, case), plan)

    @decides("wealth.redeem", Redeem)
    async def redeem(self, request: Redeem, case: Case) -> Plan:
        """Pay at once, or hold the units until T+1."""
        found = await HOLDING_TABLE.load(case.store, request.units_account)
        if found is None or found.app != case.app:
            raise NotFound(
                f"units account {request.units_account!r} does not exist", field="units_account"
            )
        holding = found.state
        rule = self.parts.rules.current(RULES)
        channel = rule.channel(request.sales_channel, case.app)
        if not request.instant:
            return _redeeming(request, holding, channel, case)
        order = instant_order(
            case.ids.new("word"), found.key, holding, request.amount_minor, channel, case.now
        )
        tally_id = rule.tally_id(holding.investor, holding.fund, channel, case.now)
        room = await instant_room(case.store, found.key, holding.fund, rule, tally_id)
        if room.minor < request.amount_minor:
            # So that the reason is told by name; what meanwhile moved, the ledger decides.
            raise room.refusal(request.amount_minor, rule, "amount_minor")
        part = instant_part(order, found.app, holding.investor, rule, case.now, "amount_minor")
        return Plan(answer=order).plus(part)

    @reads("wealth.order", GetOrder)
    async def get(self, request: GetOrder, case: Case) -> WealthOrder:
        """Return the order as committed."""
        return case.state(OrderState, "order", "order_id").order

    @decides(_CONFIRM, TimerFired)
    async def confirm(self, fired: TimerFired, case: Case) -> Plan:
        """Let go of the units that were bought."""
        state = _accepted(case)
        order = msgspec.structs.replace(state.order, status="confirmed")
        return Plan(
            answer=order,
            state=OrderState(order=order),
            moves=Moves(steps=(ReleaseStep(state.hold_id, "expired", "", _UNCONFIRMED),)),
            events=(case.tell("wealth.confirmed", order.order_id, order),),
        )

    @decides(_PAY, TimerFired)
    async def pay(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Pay for the units that were redeemed, or try again on the next business day."""
        state = _accepted(case)
        accounts = fund_accounts(state.order.fund)
        amount = state.order.amount_minor
        paid = msgspec.structs.replace(state.order, status="paid")
        back = fund_move(accounts.cash, paid.cash_account, amount, CNY, "redeem")
        capture = CaptureStep(state.hold_id, payee=accounts.units, final=True, purpose=_REDEEMING)
        unpaid = msgspec.structs.replace(state.order, status="unpaid")
        next_day = add_business_days(day_of(case.now), 1)
        news = () if state.order.status == "unpaid" else (
            case.tell("wealth.unpaid", unpaid.order_id, unpaid),
        )  # fmt: skip
        return (
            Plan(
                answer=paid,
                state=OrderState(order=paid),
                moves=Moves(postings=(back,), steps=(capture,)),
                events=(case.tell("wealth.redeemed", paid.order_id, paid),),
            ),
            Plan(
                answer=unpaid,
                state=OrderState(order=unpaid, hold_id=state.hold_id),
                events=news,
                cancels=(_timer_id(unpaid),),
                timers=(
                    case.timer(_timer_id(unpaid), clearing_at(next_day), self.kind, case.key, _PAY),
                ),
            ),
        )


def _timer_id(order: WealthOrder) -> str:
    return f"wealth.{order.order_id}"


def _accepted(case: Case) -> OrderState:
    state = case.state(OrderState, "order", "order_id")
    if state.order.status not in ("accepted", "unpaid"):
        raise InvalidState(f"order {case.key!r} is {state.order.status}")
    return state


def _bought(order: WealthOrder, cash: CashAccount, case: Case) -> Plan:
    """Return the plan of a subscription whose units account is there."""
    accounts = fund_accounts(order.fund)
    amount = order.amount_minor
    fields = ("cash_account", "fund")
    hold_id = case.ids.new("hold") if order.status == "accepted" else ""
    hold = PlaceStep(
        hold_id, order.units_account, amount, accounts.asset, case.now, purpose=_UNCONFIRMED,
        capturable=False, reference=order.order_id, fields=fields,
    )  # fmt: skip
    timer = case.timer(
        _timer_id(order), start_of_day(order.settles_on), "wealth_order", order.order_id, _CONFIRM
    )
    return Plan(
        answer=order,
        key=order.order_id,
        state=OrderState(order=order, hold_id=hold_id),
        moves=Moves(
            postings=(
                fund_move(cash.account_id, accounts.cash, amount, CNY, "subscribe", fields),
                fund_move(
                    accounts.units, order.units_account, amount, accounts.asset, "issue", fields
                ),
            ),
            steps=(hold,) if hold_id else (),
        ),
        facts=(
            flow_fact(order.order_id, order.units_account, order.kind, amount, order.earns_from),
        ),
        events=(case.tell("wealth.subscribed", order.order_id, order),),
        timers=(timer,) if hold_id else (),
    )


def _opening(plan: Plan, order: WealthOrder, cash: CashAccount, investor: str, case: Case) -> Plan:
    """Return the plan with the units account and the holding, which are opened first."""
    opening = asset_account(
        order.units_account, cash.app, fund_accounts(order.fund).asset, holder=cash.holder,
        type_="wealth", customer_id=cash.customer_id, opened_at=case.now,
    )  # fmt: skip
    holding = HoldingState(
        fund=order.fund, cash_account=cash.account_id, investor=investor, opened_at=case.now
    )
    record = RecordChange(HOLDING_TABLE, order.units_account, 0, cash.app, holding)
    return plan.plus(opening, Part(also=(record,)))


def _redeeming(request: Redeem, holding: HoldingState, channel: str, case: Case) -> Plan:
    """Return the plan of an ordinary redemption: the units are held, and earn, until T+1."""
    accounts = fund_accounts(holding.fund)
    settles_on = confirmation_day(case.now, REDEEM_DAYS)
    order = WealthOrder(
        order_id=case.ids.new("word"),
        kind="redeem",
        status="accepted",
        fund=holding.fund,
        units_account=request.units_account,
        cash_account=holding.cash_account,
        amount_minor=request.amount_minor,
        sales_channel=channel,
        ordered_on=order_day(case.now),
        settles_on=settles_on,
        earns_from=settles_on,
        created_at=case.now,
    )
    hold_id = case.ids.new("hold")
    hold = PlaceStep(
        hold_id, order.units_account, order.amount_minor, accounts.asset, case.now,
        purpose=_REDEEMING, reference=order.order_id, fields=("units_account", "units_account"),
    )  # fmt: skip
    return Plan(
        answer=order,
        key=order.order_id,
        state=OrderState(order=order, hold_id=hold_id),
        moves=Moves(steps=(hold,)),
        facts=(
            flow_fact(
                order.order_id, order.units_account, order.kind, -order.amount_minor, settles_on
            ),
        ),
        events=(case.tell("wealth.redeeming", order.order_id, order),),
        timers=(
            case.timer(
                _timer_id(order), clearing_at(settles_on), "wealth_order", order.order_id, _PAY
            ),
        ),
    )
