"""One page of a day's income: who gets what, and the change that says so.

A run walks over all holders in the order of their accounts. Each page is one change, with the place
it has come to: a node that dies between two pages leaves a timer and a place, and the next one goes
on from there. What a holder earned follows from the flows of his units alone, so it is the same
whenever the run comes to him.
"""

from collections.abc import Iterable, Mapping
from datetime import date

import msgspec

from actors.entity import Part, Record, RecordChange
from actors.wealth.fund_accounts import fund_accounts, fund_move
from actors.wealth.money_market import daily_income
from actors.wealth.order_days import day_after
from actors.wealth.records import HOLDING_TABLE, HoldingState, Run, flow_fact, flows_until
from kernel.store import Query, Store, Where
from schemas.change import Event, Fact
from schemas.ledger import Moves, Posting
from schemas.money import CNY
from schemas.wealth import HoldingIncome

__all__ = ("HOLDERS_MAX", "IncomePage", "income_page", "read_page")

# Three rows and an event for each: a change of this size takes a few milliseconds to commit, and
# holds up nobody's payment for longer.
HOLDERS_MAX = 200

_json = msgspec.json.Encoder()


class IncomePage(msgspec.Struct, frozen=True):
    """The change of a page, and the run after it."""

    part: Part
    run: Run
    is_last: bool


class _Share(msgspec.Struct, frozen=True):
    """What one holder gets. ``account`` is empty when both his accounts are closed."""

    holding: Record[HoldingState]
    earning_minor: int
    income_minor: int
    carried: int
    account: str

    @property
    def units_minor(self) -> int:
        """The units that earned. What was redeemed on the very day it was bought earns nothing."""
        return max(self.earning_minor, 0)


async def read_page(store: Store, fund: str, run: Run, through: date | None) -> IncomePage:
    """Return the next page of the run; ``through`` is the last day that was distributed before."""
    holdings = await HOLDING_TABLE.search(
        store,
        Where("fund", "=", fund),
        Where(HOLDING_TABLE.key, ">", run.cursor),
        order_by=(HOLDING_TABLE.key,),
        limit=HOLDERS_MAX,
    )
    flows = await flows_until(store, [one.key for one in holdings], through, run.day)
    closed = await _closed(store, holdings)
    return income_page(fund, run, holdings, flows, closed)


async def _closed(store: Store, holdings: Iterable[Record[HoldingState]]) -> frozenset[str]:
    names = [name for one in holdings for name in (one.key, one.state.cash_account)]
    if not names:
        return frozenset()
    rows = await store.fetch(
        Query(
            table="account",
            columns=("account_id", "status"),
            where=(Where("account_id", "in", names),),
        )
    )
    return frozenset(name for name, status in rows if status == "closed")


def income_page(
    fund: str,
    run: Run,
    holdings: list[Record[HoldingState]],
    flows: Mapping[str, int],
    closed: frozenset[str],
) -> IncomePage:
    """Return the page that credits these holdings; ``flows`` are new since the day before."""
    shares = [_share(one, run, flows.get(one.key, 0), closed) for one in holdings]
    moved = [
        one
        for one in shares
        if one.units_minor or one.earning_minor != one.holding.state.earning_minor
    ]
    paid = [one for one in moved if one.account and one.income_minor]
    part = Part(
        moves=Moves(postings=_postings(fund, paid)),
        facts=tuple(fact for one in moved for fact in _facts(fund, run, one)),
        events=tuple(_event(fund, run, one) for one in paid),
        also=tuple(_record(run, one) for one in moved),
    )
    run = msgspec.structs.replace(
        run,
        cursor=holdings[-1].key if holdings else run.cursor,
        page=run.page + 1,
        holders=run.holders + sum(one.units_minor > 0 for one in shares),
        units_minor=run.units_minor + sum(one.units_minor for one in shares),
        income_minor=run.income_minor + sum(one.income_minor for one in paid),
    )
    return IncomePage(part, run, len(holdings) < HOLDERS_MAX)


def _share(
    holding: Record[HoldingState], run: Run, flow_minor: int, closed: frozenset[str]
) -> _Share:
    state = holding.state
    earning = state.earning_minor + flow_minor
    income = daily_income(max(earning, 0), run.rate, state.carried)
    open_ones = [one for one in (holding.key, state.cash_account) if one not in closed]
    account = open_ones[0] if open_ones else ""
    return _Share(holding, earning, income.income_minor, income.carried, account)


def _postings(fund: str, paid: list[_Share]) -> tuple[Posting, ...]:
    """Return the moves: the fund earns what it credits as units, or pays it as money."""
    accounts = fund_accounts(fund)
    as_units = sum(one.income_minor for one in paid if one.account == one.holding.key)
    postings = []
    if as_units:
        postings.append(fund_move(accounts.income, accounts.cash, as_units, CNY, "income"))
    for one in paid:
        source, asset, purpose = accounts.units, accounts.asset, "credit_income"
        if one.account != one.holding.key:
            # The units account was closed since: what it earned before is paid out.
            source, asset, purpose = accounts.income, CNY, "pay_income"
        postings.append(fund_move(source, one.account, one.income_minor, asset, purpose))
    return tuple(postings)


def _facts(fund: str, run: Run, one: _Share) -> list[Fact]:
    day = run.day.isoformat()
    row = (
        one.holding.key, day, fund, one.units_minor, run.rate, one.income_minor, one.carried,
        one.account,
    )  # fmt: skip
    facts = [Fact("wealth_income", row)]
    if one.income_minor and one.account == one.holding.key:
        # By the day that earned it, so the database itself refuses to credit a day twice.
        flow_id = f"{one.holding.key}.{day}"
        facts.append(
            flow_fact(flow_id, one.holding.key, "income", one.income_minor, day_after(run.day))
        )
    return facts


def _event(fund: str, run: Run, one: _Share) -> Event:
    income = HoldingIncome(
        units_account=one.holding.key,
        fund=fund,
        day=run.day,
        units_minor=one.units_minor,
        rate=run.rate,
        income_minor=one.income_minor,
        credited_to=one.account,
    )
    data = _json.encode(income).decode()
    return Event("wealth.income_credited", one.holding.key, data, one.holding.app)


def _record(run: Run, one: _Share) -> RecordChange:
    holding = one.holding
    credited = one.income_minor if one.account else 0
    state = msgspec.structs.replace(
        holding.state,
        earning_minor=one.earning_minor,
        carried=one.carried,
        income_minor=holding.state.income_minor + credited,
        last_income_minor=credited,
        income_through=run.day,
    )
    return RecordChange(HOLDING_TABLE, holding.key, holding.version, holding.app, state)
