"""A fund: its terms, its daily income, and the clearing of what its bank advances."""

from datetime import date, time, timedelta
from typing import ClassVar

import msgspec

from actors.entity import Case, EntityActor, Part, Plan, Record, Tell, decides, merge, reads
from actors.regulation.calendar import day_of
from actors.wealth.asset_account import account_fact
from actors.wealth.clearing import advances_of, clearing_part, days_to_clear
from actors.wealth.fund_accounts import fund_accounts
from actors.wealth.income_page import IncomePage, read_page
from actors.wealth.instant import RULES, balances_of
from actors.wealth.money_market import YIELD_DAYS, seven_day_yield
from actors.wealth.order_days import (
    CLEARING_TIME,
    INCOME_TIME,
    POSTPONED_FOR,
    day_after,
    has_ended,
    next_time,
)
from actors.wealth.records import FUND_TABLE, FundState, Run
from schemas.change import Fact, Timer, TimerFired
from schemas.errors import InvalidState
from schemas.ledger import Moves
from schemas.wealth import CreateFund, Fund, FundCleared, FundIncome, GetFund, IncomeRun, RunIncome

__all__ = ("FundActor",)

_INCOME_DUE = "fund.income_due"
_INCOME_PAGE = "fund.income_page"
_CLEARING_DUE = "fund.clearing_due"

_DAILY_S = 86_400


class _Seen(msgspec.Struct, frozen=True):
    """What a timer's change answers when there was nothing to tell."""

    fund: str
    due: str


class FundActor(EntityActor):
    """One fund. Everybody may read it; the back office owns it."""

    kind = "fund"
    table: ClassVar = FUND_TABLE

    def may_see(self, record: Record[FundState], app: str) -> bool:
        """Tell that everybody may."""
        return True

    @decides("fund.create", CreateFund)
    async def create(self, request: CreateFund, case: Case) -> Plan:
        """Open the fund's accounts, and set the timers of its days."""
        if case.record is not None:
            raise InvalidState(f"fund {request.fund!r} exists already")
        if request.advance is not None:
            self.parts.rules.current(RULES).check_advance(request.advance.advanced_by)
        limit_minor = 0 if request.advance is None else request.advance.limit_minor
        opened = fund_accounts(request.fund).to_open(limit_minor)
        state = FundState(
            name=request.name,
            confirm_days=request.confirm_days,
            advance=request.advance,
            created_at=case.now,
            standing_rate=request.standing_rate,
        )
        fund = _public(case.key, state, 0, 0)
        return Plan(
            answer=fund,
            state=state,
            moves=Moves(open=opened),
            facts=tuple(account_fact(one, one.account_id, "internal", case.now) for one in opened),
            events=(case.tell("fund.created", case.key, fund),),
            timers=(
                self._daily(case, _INCOME_DUE, INCOME_TIME),
                self._daily(case, _CLEARING_DUE, CLEARING_TIME),
            ),
        )

    def _daily(self, case: Case, type_: str, at: time) -> Timer:
        return case.timer(
            f"{type_}.{case.key}", next_time(case.now, at), self.kind, case.key, type_,
            every_s=_DAILY_S,
        )  # fmt: skip

    @reads("fund.get", GetFund)
    async def get(self, request: GetFund, case: Case) -> Fund:
        """Return the fund and its figures as committed."""
        state = case.state(FundState, "fund", "fund")
        accounts = fund_accounts(case.key)
        balances = await balances_of(case.store, (accounts.units, accounts.advance))
        units, advance = (
            balances.get(one, (0, 0))[0] for one in (accounts.units, accounts.advance)
        )
        return _public(case.key, state, -units, -advance)

    # Income.

    @decides("wealth.income", RunIncome)
    async def income(self, request: RunIncome, case: Case) -> Plan:
        """Publish the rate of a day, and begin to credit it."""
        state = case.state(FundState, "fund", "fund")
        if state.run is not None:
            raise InvalidState(f"the income of {state.run.day} is being distributed")
        if not has_ended(request.day, case.now):
            raise InvalidState(f"{request.day} is not over; its income is credited after it")
        if state.income_through is not None and request.day != day_after(state.income_through):
            raise InvalidState(
                f"the income of {day_after(state.income_through)} is the next, not {request.day}"
            )
        if request.standing:
            state = msgspec.structs.replace(state, standing_rate=request.rate)
        return self._begin(state, request.day, request.rate, case)

    @decides(_INCOME_DUE, TimerFired)
    async def income_due(self, fired: TimerFired, case: Case) -> Plan:
        """Publish the standing rate for the next day, if there is one and the day is over."""
        state = case.state(FundState, "fund", "fund")
        day = _next_day(state)
        if state.standing_rate is None or state.run is not None or not has_ended(day, case.now):
            return Plan(answer=_Seen(case.key, _INCOME_DUE))
        return self._begin(state, day, state.standing_rate, case)

    def _begin(self, state: FundState, day: date, rate: int, case: Case) -> Plan:
        run = IncomeRun(fund=case.key, day=day, rate=rate)
        state = msgspec.structs.replace(state, run=Run(day=day, rate=rate))
        return Plan(
            answer=run,
            state=state,
            events=(case.tell("fund.income_published", case.key, run),),
        ).plus(self._next_page(state, case))

    def _next_page(self, state: FundState, case: Case) -> Part:
        """Return what makes the next page come.

        A timer that is due now comes within half a second, whatever happens to this node. The same
        firing, told at once, makes thousands of pages follow one another without that pause; it
        counts as one, since it is known by the id of the firing.
        """
        timer = self._page_timer(state, case)
        fired = TimerFired(timer.timer_id, timer.due_at_ms, 0, timer.body)
        return Part(
            timers=(timer,), tells=(Tell(self.kind, case.key, _INCOME_PAGE, fired, case.owner),)
        )

    def _page_timer(self, state: FundState, case: Case, after: timedelta = timedelta()) -> Timer:
        assert state.run is not None
        timer_id = _page_timer_id(case.key, state.run)
        return case.timer(timer_id, case.now + after, self.kind, case.key, _INCOME_PAGE)

    @decides(_INCOME_PAGE, TimerFired)
    async def credit_page(self, fired: TimerFired, case: Case) -> tuple[Plan, ...]:
        """Credit the next page of holders, and go on or end the run."""
        state = case.state(FundState, "fund", "fund")
        if state.run is None or fired.timer_id != _page_timer_id(case.key, state.run):
            raise InvalidState(f"{fired.timer_id!r} is not the page that is next")
        page = await read_page(case.store, case.key, state.run, state.income_through)
        plan = self._ended(state, page, case) if page.is_last else self._going_on(state, page, case)
        # An account may have been closed since it was read. Then nothing of the page stands, and it
        # is read anew.
        postponed = Plan(
            answer=_Seen(case.key, _INCOME_PAGE),
            cancels=(fired.timer_id,),
            timers=(self._page_timer(state, case, POSTPONED_FOR),),
        )
        return (plan.plus(page.part, Part(cancels=(fired.timer_id,))), postponed)

    def _going_on(self, state: FundState, page: IncomePage, case: Case) -> Plan:
        state = msgspec.structs.replace(state, run=page.run)
        plan = Plan(answer=_Seen(case.key, _INCOME_PAGE), state=state)
        return plan.plus(self._next_page(state, case))

    def _ended(self, state: FundState, page: IncomePage, case: Case) -> Plan:
        run = page.run
        told = FundIncome(
            fund=case.key,
            day=run.day,
            rate=run.rate,
            holders=run.holders,
            units_minor=run.units_minor,
            income_minor=run.income_minor,
        )
        state = msgspec.structs.replace(
            state,
            run=None,
            income_through=run.day,
            rates=(*state.rates, run.rate)[-YIELD_DAYS:],
        )
        following = Part()
        day, rate = _next_day(state), state.standing_rate
        if rate is not None and has_ended(day, case.now):
            # Days that an outage left behind follow at once.
            state = msgspec.structs.replace(state, run=Run(day=day, rate=rate))
            published = IncomeRun(fund=case.key, day=day, rate=rate)
            following = merge(
                Part(events=(case.tell("fund.income_published", case.key, published),)),
                self._next_page(state, case),
            )
        row = (
            case.key, run.day.isoformat(), run.rate, run.holders, run.units_minor,
            run.income_minor,
        )  # fmt: skip
        return Plan(
            answer=told,
            state=state,
            facts=(Fact("fund_income", row),),
            events=(case.tell("fund.income_distributed", case.key, told),),
        ).plus(following)

    # Clearing.

    @decides(_CLEARING_DUE, TimerFired)
    async def clear(self, fired: TimerFired, case: Case) -> Plan:
        """Pay back what was advanced for the business days whose T+1 has come."""
        state = case.state(FundState, "fund", "fund")
        today = day_of(case.now)
        # The last day that was cleared is looked at once more; see `clearing_part`.
        days = days_to_clear(state.cleared_through or day_of(state.created_at), today)
        if not days:
            return Plan(answer=_Seen(case.key, _CLEARING_DUE))
        advances = await advances_of(case.store, case.key, days)
        told = FundCleared(
            fund=case.key,
            ordered_on=days[-1],
            cleared_on=today,
            amount_minor=sum(one.amount_minor for one in advances),
        )
        events = (case.tell("fund.cleared", case.key, told),) if advances else ()
        return Plan(
            answer=told,
            state=msgspec.structs.replace(state, cleared_through=days[-1]),
            events=events,
        ).plus(clearing_part(case.key, advances, today))


def _page_timer_id(fund: str, run: Run) -> str:
    return f"{_INCOME_PAGE}.{fund}.{run.day.isoformat()}.{run.page}"


def _next_day(state: FundState) -> date:
    """Return the day whose income is the next to be distributed."""
    if state.income_through is None:
        return day_of(state.created_at)
    return day_after(state.income_through)


def _public(code: str, state: FundState, units_minor: int, advanced_minor: int) -> Fund:
    advance = state.advance
    return Fund(
        fund=code,
        name=state.name,
        asset=fund_accounts(code).asset,
        confirm_days=state.confirm_days,
        advanced_by=None if advance is None else advance.advanced_by,
        advance_limit_minor=0 if advance is None else advance.limit_minor,
        advanced_minor=advanced_minor,
        units_minor=units_minor,
        standing_rate=state.standing_rate,
        income_through=state.income_through,
        rate=state.rates[-1] if state.rates else None,
        seven_day_yield_ppm=(
            seven_day_yield(state.rates) if len(state.rates) == YIELD_DAYS else None
        ),
        created_at=state.created_at,
    )
