"""Instant redemption (T+0 快速赎回): units for money at once, which the bank advances.

One chain in one change::

    units account ──units──▶ fund:<code>:pledged        the units are the bank's until T+1
    fund:<code>:advance ──money──▶ cash account         the bank's advance, a receivable
    + the cap of the investor, fund, sales channel and day, counted in the same commit

and on T+1, for all of a business day at once, the fund pays the bank and the pledged units end.
"""

from datetime import datetime

import msgspec

from actors.entity import Part, RecordChange
from actors.regulation.calendar import day_of
from actors.regulation.instant_redemption import InstantRedemption
from actors.wealth.fund_accounts import advance_tally, fund_accounts, fund_move
from actors.wealth.order_days import order_day
from actors.wealth.records import FUND_TABLE, ORDER_TABLE, HoldingState, OrderState, flow_fact
from kernel.store import Query, Store, Where
from schemas.change import Event
from schemas.errors import Ineligible, InsufficientFunds, LimitExceeded
from schemas.ledger import Moves, TallyStep
from schemas.money import CNY
from schemas.wealth import WealthOrder

__all__ = ("RULES", "Room", "balances_of", "instant_order", "instant_part", "instant_room")

# The rule set of instant redemption.
RULES = "instant_redemption"

_json = msgspec.json.Encoder()


class Room(msgspec.Struct, frozen=True):
    """What could be redeemed at once as last committed, by each of its bounds, minor units."""

    units_minor: int
    cap_minor: int
    advance_minor: int

    @property
    def minor(self) -> int:
        """What passes all bounds."""
        return max(0, min(self.units_minor, self.cap_minor, self.advance_minor))

    def refusal(self, amount_minor: int, rule: InstantRedemption, field: str) -> Exception:
        """Return why ``amount_minor`` does not pass."""
        if self.units_minor < amount_minor:
            return InsufficientFunds(
                f"the holding does not cover {amount_minor} minor units", field=field
            )
        if self.cap_minor < amount_minor:
            return LimitExceeded(rule.refusal(), field=field)
        return LimitExceeded(
            f"the bank does not advance {amount_minor} minor units more for this fund", field=field
        )


def instant_order(
    order_id: str, units_account: str, holding: HoldingState, amount_minor: int,
    sales_channel: str, now: datetime,
) -> WealthOrder:  # fmt: skip
    """Return an order that is paid at once; the units earn up to the day before."""
    return WealthOrder(
        order_id=order_id,
        kind="instant",
        status="paid",
        fund=holding.fund,
        units_account=units_account,
        cash_account=holding.cash_account,
        amount_minor=amount_minor,
        sales_channel=sales_channel,
        ordered_on=order_day(now),
        settles_on=day_of(now),
        earns_from=day_of(now),
        created_at=now,
    )


async def balances_of(store: Store, account_ids: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Return what stands in each account and what of it is held."""
    rows = await store.fetch(
        Query(
            table="balance",
            columns=("account_id", "posted_minor", "held_minor"),
            where=(Where("account_id", "in", list(account_ids)),),
        )
    )
    return {name: (posted, held) for name, posted, held in rows}


async def instant_room(
    store: Store, units_account: str, fund: str, rule: InstantRedemption, tally_id: str
) -> Room:
    """Return what could be redeemed at once; raise :class:`Ineligible` if the fund has no T+0."""
    found = await FUND_TABLE.load(store, fund)
    offered = None if found is None else found.state.advance
    if offered is None:
        raise Ineligible(f"fund {fund!r} has no instant redemption", field="fund")
    rule.check_advance(offered.advanced_by)
    advance = fund_accounts(fund).advance
    balances = await balances_of(store, (units_account, advance))
    used = await store.fetch(
        Query(table="tally", columns=("amount_minor",), where=(Where("tally_id", "=", tally_id),))
    )
    posted, held = balances.get(units_account, (0, 0))
    return Room(
        posted - held,
        rule.per_day_max_minor - (used[0][0] if used else 0),
        offered.limit_minor + balances.get(advance, (0, 0))[0],
    )


def instant_part(
    order: WealthOrder, app: str, investor: str, rule: InstantRedemption, now: datetime, field: str
) -> Part:
    """Return all that an instant redemption changes, but for what is done with the money.

    ``field`` is what the request calls the amount, for errors. The sender has made sure that the
    units account is the app's and that the cash account belongs to it.
    """
    accounts = fund_accounts(order.fund)
    amount = order.amount_minor
    fields = (field, field)
    return Part(
        moves=Moves(
            postings=(
                fund_move(
                    order.units_account, accounts.pledged, amount, accounts.asset, "pledge", fields
                ),
                fund_move(accounts.advance, order.cash_account, amount, CNY, "advance", fields),
            ),
            steps=(
                TallyStep(
                    rule.tally_id(investor, order.fund, order.sales_channel, now),
                    amount_minor=amount,
                    amount_max=rule.per_day_max_minor,
                    message=rule.refusal(),
                    field=field,
                ),
                TallyStep(advance_tally(order.fund, order.ordered_on), amount_minor=amount),
            ),
        ),
        facts=(
            flow_fact(order.order_id, order.units_account, "instant", -amount, order.earns_from),
        ),
        events=(Event("wealth.redeemed", order.order_id, _json.encode(order).decode(), app),),
        also=(RecordChange(ORDER_TABLE, order.order_id, 0, app, OrderState(order=order)),),
    )
