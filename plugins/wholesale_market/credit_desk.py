"""Buyers and their credit: buy now, pay by the close of the day or of the week.

At the close everything that is due is collected from the buyer's account: all of it, else the
oldest debt alone, else nothing. What could not be collected is overdue; as long as anything is, the
buyer has no more credit, and every close of a day tries again.
"""

from datetime import date

from msgspec.structs import replace

from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    Notice,
    Pack,
    Plan,
    on_timer,
    operation,
)

from .arrears import arrears_news, overdue_of
from .buyer import Buyer
from .credit_messages import (
    BuyerRegistered,
    BuyerView,
    CreditSet,
    DebtsCollected,
    DebtsOverdue,
    DebtView,
    GetBuyer,
    RegisterBuyer,
    Repaid,
    RepayDebts,
    SetCredit,
)
from .deal_desk import known_buyer
from .debts import Debt, collect, in_order, interest_minor, owed_minor, principal_minor, repayments
from .market_clock import day_of
from .registry import market_of
from .settlement import DebtsDue, due_timer
from .state import Market

__all__ = ("collect_due", "get_buyer", "register_buyer", "repay_debts", "set_credit")


@operation(
    "register_buyer",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=BuyerRegistered,
    errors=("not_found",),
    events=("wholesale_market.buyer_registered",),
)
async def register_buyer(
    pack: Pack, context: Context, message: RegisterBuyer, buyer: Buyer | None
) -> Plan:
    """Enter a buyer of a market, or another account of one."""
    await market_of(context, message.market_id)
    if buyer is not None and buyer.market_id != message.market_id:
        raise InvalidField(
            f"buyer {message.buyer_id!r} is in market {buyer.market_id!r}", field="market_id"
        )
    known = buyer or Buyer(
        buyer_id=message.buyer_id, market_id=message.market_id, account_id=message.account_id
    )
    entered = replace(known, account_id=message.account_id)
    result = BuyerRegistered(
        buyer_id=entered.buyer_id,
        market_id=entered.market_id,
        account_id=entered.account_id,
        status="registered" if buyer is None else "unchanged" if buyer == entered else "updated",
    )
    notice = Notice(type="wholesale_market.buyer_registered", subject=entered.buyer_id, data=result)
    return Plan(
        state=entered, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "set_credit",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=CreditSet,
    errors=("not_found",),
    events=("wholesale_market.credit_set",),
)
async def set_credit(pack: Pack, context: Context, message: SetCredit, buyer: Buyer | None) -> Plan:
    """Give a buyer credit, change it, or take it away."""
    known = known_buyer(buyer, message.buyer_id)
    changed = replace(known, limit_minor=message.limit_minor, credit_terms=message.terms)
    result = CreditSet(
        buyer_id=changed.buyer_id,
        limit_minor=changed.limit_minor,
        terms=changed.credit_terms,
        used_minor=changed.used_minor,
        left_minor=changed.credit_left_minor,
    )
    notice = Notice(type="wholesale_market.credit_set", subject=changed.buyer_id, data=result)
    return Plan(state=changed, result=result, notices=(notice,))


@operation(
    "repay",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=Repaid,
    errors=("not_found", "invalid_state", "insufficient_funds"),
    events=("wholesale_market.debts_repaid",),
)
async def repay_debts(
    pack: Pack, context: Context, message: RepayDebts, buyer: Buyer | None
) -> Plan:
    """Pay back what the buyer owes, all of it or an amount, the oldest first."""
    known = known_buyer(buyer, message.buyer_id)
    if not known.debts:
        raise InvalidState(f"{known.buyer_id} owes nothing", field="buyer_id")
    market = await market_of(context, known.market_id)
    now = context.clock.now()
    today = day_of(market.terms, now)
    left, paid = collect(known.debts, today, message.amount_minor)
    if not paid and len(left) == len(known.debts):
        raise InvalidField(
            f"{message.amount_minor} pays none of the debts to sellers, which are paid as a whole",
            field="amount_minor",
        )
    repaid, told = arrears_news(known, replace(known, debts=left))
    paid_minor = sum(one.paid_minor for one in paid)
    asked = paid_minor if message.amount_minor is None else message.amount_minor
    result = Repaid(
        buyer_id=known.buyer_id,
        paid_minor=paid_minor,
        interest_minor=sum(one.interest_minor for one in paid),
        unused_minor=asked - paid_minor,
        owed_minor=owed_minor(left, today),
        blocked=repaid.blocked,
    )
    notice = Notice(type="wholesale_market.debts_repaid", subject=known.buyer_id, data=result)
    return Plan(
        state=repaid,
        effects=(
            *repayments(known.account_id, market.interest_account, paid),
            due_timer(repaid, market.terms, now),
            *told,
        ),
        result=result,
        notices=(notice,),
    )


@on_timer(
    "collect_due",
    collection="buyer",
    state=Buyer,
    body=DebtsDue,
    events=("wholesale_market.debts_collected", "wholesale_market.debts_overdue"),
)
async def collect_due(
    pack: Pack, context: Context, body: DebtsDue, buyer: Buyer | None
) -> tuple[Plan, ...]:
    """Collect what is due at the close of a day; what cannot be collected is overdue."""
    if buyer is None or not buyer.debts:
        return (Plan(),)
    market = await market_of(context, buyer.market_id)
    now = context.clock.now()
    due = in_order(debt for debt in buyer.debts if debt.due_at <= now)
    if not due:
        return (Plan(effects=(due_timer(buyer, market.terms, now),)),)
    ways = [_collected(context, buyer, market, due, late=())]
    if len(due) > 1:
        ways.append(_collected(context, buyer, market, due[:1], late=due[1:]))
    ways.append(_collected(context, buyer, market, (), late=due))
    return tuple(ways)


def _collected(
    context: Context,
    buyer: Buyer,
    market: Market,
    paid_off: tuple[Debt, ...],
    *,
    late: tuple[Debt, ...],
) -> Plan:
    """Return the way in which ``paid_off`` is paid and the rest of what is due is overdue."""
    now = context.clock.now()
    today = day_of(market.terms, now)
    gone, overdue = ({debt.number for debt in some} for some in (paid_off, late))
    debts = tuple(
        replace(debt, overdue=True) if debt.number in overdue else debt
        for debt in buyer.debts
        if debt.number not in gone
    )
    _, paid = collect(paid_off, today)
    after, told = arrears_news(buyer, replace(buyer, debts=debts))
    collected = DebtsCollected(
        buyer_id=buyer.buyer_id,
        paid_minor=sum(one.paid_minor for one in paid),
        interest_minor=sum(one.interest_minor for one in paid),
        owed_minor=owed_minor(debts, today),
    )
    return Plan(
        state=after,
        effects=(
            *repayments(buyer.account_id, market.interest_account, paid),
            due_timer(after, market.terms, now),
            *told,
        ),
        result=collected,
        notices=_close_notices(buyer, after, collected, today),
    )


def _close_notices(
    before: Buyer, after: Buyer, collected: DebtsCollected, today: date
) -> tuple[Notice, ...]:
    notices = []
    if len(after.debts) < len(before.debts):
        notices.append(
            Notice(type="wholesale_market.debts_collected", subject=after.buyer_id, data=collected)
        )
    overdue = overdue_of(after)
    if len(overdue) > len(overdue_of(before)):
        told = DebtsOverdue(
            buyer_id=after.buyer_id,
            overdue_minor=owed_minor(overdue, today),
            deal_ids=tuple(debt.deal_id for debt in overdue),
        )
        notices.append(
            Notice(type="wholesale_market.debts_overdue", subject=after.buyer_id, data=told)
        )
    return tuple(notices)


@operation(
    "get_buyer",
    collection="buyer",
    key="buyer_id",
    state=Buyer,
    result=BuyerView,
    mutates=False,
    errors=("not_found",),
)
async def get_buyer(
    pack: Pack, context: Context, message: GetBuyer, buyer: Buyer | None
) -> BuyerView:
    """Read a buyer's credit and debts, with today's interest."""
    known = known_buyer(buyer, message.buyer_id)
    market = await market_of(context, known.market_id)
    today = day_of(market.terms, context.clock.now())
    return BuyerView(
        buyer_id=known.buyer_id,
        market_id=known.market_id,
        account_id=known.account_id,
        limit_minor=known.limit_minor,
        used_minor=known.used_minor,
        left_minor=known.credit_left_minor,
        owed_minor=owed_minor(known.debts, today),
        overdue_minor=principal_minor(overdue_of(known)),
        open_deals=sum(deal.status in ("weighing", "open", "held") for deal in known.deals),
        debts=tuple(
            DebtView(
                deal_id=debt.deal_id,
                principal_minor=debt.principal_minor,
                interest_minor=interest_minor(debt, today),
                source="advance" if debt.advance_account else "sellers",
                due_at=debt.due_at,
                overdue=debt.overdue,
            )
            for debt in in_order(known.debts)
        ),
        status="blocked" if known.blocked else "good",
    )
