"""What a customer holds: units, income, and what can be redeemed now."""

from typing import ClassVar

from actors.entity import Case, EntityActor, reads
from actors.wealth.instant import RULES, balances_of, instant_room
from actors.wealth.records import HOLDING_TABLE, ORDER_TABLE, HoldingState
from kernel.store import Where
from schemas.errors import Ineligible
from schemas.wealth import GetHolding, Holding

__all__ = ("ORDERS_MAX", "WealthHoldingActor")

# Orders under way that are looked at; a holding with more says less than it holds.
ORDERS_MAX = 1_000


class WealthHoldingActor(EntityActor):
    """One holding. Orders and income runs move it; this only reads."""

    kind = "wealth_holding"
    table: ClassVar = HOLDING_TABLE

    @reads("wealth.get", GetHolding)
    async def get(self, request: GetHolding, case: Case) -> Holding:
        """Return the holding as committed; sums of several reads, so only as exact as a moment."""
        state = case.state(HoldingState, "units account", "units_account")
        balances = await balances_of(case.store, (case.key,))
        posted, held = balances.get(case.key, (0, 0))
        waiting = {"subscribe": 0, "redeem": 0}
        for order in await ORDER_TABLE.search(
            case.store,
            Where("units_account", "=", case.key),
            Where("status", "in", ["accepted", "unpaid"]),
            limit=ORDERS_MAX,
        ):
            waiting[order.state.order.kind] += order.state.order.amount_minor
        return Holding(
            units_account=case.key,
            fund=state.fund,
            cash_account=state.cash_account,
            units_minor=posted,
            unconfirmed_minor=waiting["subscribe"],
            redeeming_minor=waiting["redeem"],
            redeemable_minor=posted - held,
            instant_minor=await self._instant_minor(state, case),
            income_minor=state.income_minor,
            last_income_minor=state.last_income_minor,
            income_through=state.income_through,
            opened_at=state.opened_at,
        )

    async def _instant_minor(self, state: HoldingState, case: Case) -> int:
        rule = self.parts.rules.current(RULES)
        tally_id = rule.tally_id(state.investor, state.fund, case.app, case.now)
        try:
            room = await instant_room(case.store, case.key, state.fund, rule, tally_id)
        except Ineligible:
            return 0
        return room.minor
