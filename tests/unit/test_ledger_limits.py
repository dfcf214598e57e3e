"""Limits of accounts by day and year, and tallies: what passes, what is refused, what is undone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.accounts import ACCOUNT_TABLE
from actors.ledger import LedgerBook
from actors.ledger._limits import today
from kernel.book import StaleDecision, TableRows
from kernel.store import Commit
from schemas.errors import LimitExceeded, NotReady, Rejected
from schemas.ledger import (
    AccountLimits,
    BoundsStep,
    LimitsStep,
    Moves,
    NewAccount,
    Posting,
    Step,
    TallyStep,
)
from tests.book_state import serialised
from tests.memory_store import MemoryStore

pytestmark = pytest.mark.anyio

_CASH = "external:cash"
# Noon of a Wednesday in Shanghai.
_NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
_LIMITS = AccountLimits(1_000, 800, 2_500, 2_000, "bound")


class _Lab:
    """A book with a limited account, its bound account, and a shop; each change is a batch."""

    def __init__(self) -> None:
        self.store = MemoryStore({0: 1})
        self.book = LedgerBook(self.store)
        self.at = _NOON
        self.seq = 0

    async def start(self) -> None:
        opened = (
            NewAccount("limited", "shop", "CNY", 0, 5_000, _LIMITS),
            NewAccount("bound", "shop", "CNY", 0, None),
            NewAccount("mall", "shop", "CNY", 0, None),
        )
        fund = (Posting(_CASH, "bound", 100_000, "CNY"), Posting("bound", "limited", 5_000, "CNY"))
        await self.decide(Moves(open=opened, postings=fund))

    async def decide(self, moves: Moves) -> dict[str, int]:
        """Decide and keep one change, or leave everything as it was."""
        missing = set(self.book.missing(moves))
        if missing:
            await self.book.load(missing)
        self.seq += 1
        self.book.begin(self.at)
        before = serialised(self.book)
        try:
            found = self.book.decide("shop", moves, self.seq)
        except (Rejected, StaleDecision):
            assert serialised(self.book) == before
            self.book.rollback()
            raise
        await self.store.commit(Commit({}, self._account_rows(moves) + self.book.rows()))
        self.book.commit()
        return dict(found or {})

    def _account_rows(self, moves: Moves) -> list[TableRows]:
        """Return the rows that a change brings as facts."""
        rows: list[tuple[Any, ...]] = [
            (self.seq, one.account_id, one.app, "holder", "customer", one.asset, one.floor_minor,
             one.ceiling_minor, "open", self.at, "", "")
            for one in moves.open
        ]  # fmt: skip
        columns = ("change_seq", *ACCOUNT_TABLE.columns)
        types = ("bigint", *ACCOUNT_TABLE.types)
        return [TableRows("account", columns, types, rows)] if rows else []

    async def pay(self, debit: str, credit: str, amount: int, *, exempt: bool = False) -> None:
        await self.decide(Moves(postings=(Posting(debit, credit, amount, "CNY", exempt=exempt),)))

    async def take(self, *steps: Step) -> dict[str, int]:
        return await self.decide(Moves(steps=steps))

    def row(self, table: str, key: str) -> dict[str, Any]:
        return self.store.tables[table][(key,)]

    async def restart(self) -> None:
        """Forget everything, as after a change of owner."""
        self.book.forget()


@pytest.fixture
async def lab() -> _Lab:
    lab = _Lab()
    await lab.start()
    return lab


async def test_a_day_ends_at_midnight_in_shanghai(lab: _Lab) -> None:
    """What left on one day counts until 16:00 UTC, and in the year beyond it."""
    lab.at = datetime(2026, 11, 25, 15, 59, tzinfo=UTC)
    await lab.pay("limited", "mall", 1_000)
    with pytest.raises(LimitExceeded, match="this day"):
        await lab.pay("limited", "mall", 1)
    lab.at += timedelta(minutes=1)
    await lab.restart()
    await lab.pay("limited", "mall", 1_000)
    lab.at += timedelta(days=1)
    with pytest.raises(LimitExceeded, match="this year"):
        await lab.pay("limited", "mall", 501)
    await lab.pay("limited", "mall", 500)
    lab.at = datetime(2026, 12, 31, 16, 0, tzinfo=UTC)
    await lab.pay("limited", "mall", 501)


async def test_the_bound_account_is_exempt(lab: _Lab) -> None:
    """Moves to and from the bound account count against nothing, nor does an exempt posting."""
    await lab.pay("limited", "bound", 3_000)
    await lab.pay("bound", "limited", 1_500)
    await lab.pay("limited", _CASH, 1_200, exempt=True)
    assert lab.row("account_limit", "limited")["day_out"] == 0
    with pytest.raises(LimitExceeded) as refused:
        await lab.pay(_CASH, "limited", 801)
    assert refused.value.field == "payee"


async def test_limits_may_be_given_later_and_keep_what_was_used(lab: _Lab) -> None:
    """A step gives other limits, or the first ones; what was used of the old ones stays used."""
    await lab.pay("limited", "mall", 900)
    await lab.take(LimitsStep("limited", AccountLimits(day_out_max=950)))
    await lab.take(LimitsStep("mall", AccountLimits(day_out_max=10)))
    await lab.restart()
    with pytest.raises(LimitExceeded):
        await lab.pay("limited", "mall", 51)
    with pytest.raises(LimitExceeded):
        await lab.pay("mall", "bound", 11)
    await lab.pay("mall", "bound", 10)
    assert lab.row("account_limit", "mall")["day_out"] == 10


async def test_bounds_move(lab: _Lab) -> None:
    """A floor below zero lets a balance be negative; raising it stops further debits."""
    await lab.take(BoundsStep("mall", -700, None))
    await lab.pay("mall", "bound", 600)
    await lab.take(BoundsStep("mall", -500, None))
    assert lab.row("account", "mall")["floor_minor"] == -500
    with pytest.raises(Rejected):
        await lab.pay("mall", "bound", 1)
    await lab.restart()
    with pytest.raises(Rejected):
        await lab.pay("mall", "bound", 1)


async def test_a_closed_tally_takes_only_what_is_given_back(lab: _Lab) -> None:
    """Closing refuses what comes later, gives back what was counted, and can be undone.

    Who gives back more than is counted has not seen that it was given back.
    """
    await lab.take(TallyStep("m", 2, 50))
    await lab.take(TallyStep("m", 0, 0, closes=True))
    for step in (TallyStep("m"), TallyStep("m", 0, 0)):
        with pytest.raises(LimitExceeded, match="closed"):
            await lab.take(step)
    found = await lab.take(TallyStep("m", -1, -20, name="back"))
    assert found == {"back.count": 1, "back.amount": 30}
    await lab.take(TallyStep("m", opens=True))
    assert lab.row("tally", "m")["closed"] is False
    with pytest.raises(StaleDecision, match="given back"):
        await lab.take(TallyStep("m", 0, -31))


async def test_a_store_that_is_away_makes_no_counter_zero(lab: _Lab) -> None:
    """A read that fails leaves nothing in memory, least of all a used counter as an unused one."""
    await lab.take(TallyStep("m", 3, amount_max=0, count_max=3))
    await lab.restart()
    moves = Moves(
        steps=(TallyStep("m", count_max=3),), postings=(Posting(_CASH, "mall", 1, "CNY"),)
    )
    lab.store.cut()
    with pytest.raises(NotReady):
        await lab.book.load(set(lab.book.missing(moves)))
    lab.store.mend()
    with pytest.raises(LimitExceeded):
        await lab.decide(moves)


async def test_a_refusal_speaks_in_the_words_of_the_step(lab: _Lab) -> None:
    """Code, message and field of a refusal are the sender's."""
    step = TallyStep(
        "risk", 1, 5, amount_max=4, code="risk_declined", message="R7", field="amount_minor"
    )
    with pytest.raises(Rejected) as refused:
        await lab.take(step)
    error = refused.value
    assert (error.code, error.message, error.field) == ("risk_declined", "R7", "amount_minor")


_ADDS = st.tuples(
    st.integers(0, 4), st.integers(-3, 5), st.integers(-40, 60), st.booleans(), st.booleans()
)


@given(st.lists(st.lists(_ADDS, min_size=1, max_size=4), max_size=30))
async def test_tallies_are_what_a_plain_count_says(changes: list[list[Any]]) -> None:
    """Over any changes of several steps, windows are sums, and what is refused leaves no trace."""
    lab = _Lab()
    model: dict[int, list[int]] = {}
    for number, steps in enumerate(changes):
        trial = {day: list(sums) for day, sums in model.items()}
        refused: type[Exception] | None = None
        for day, count, amount, in_window, _ in steps:
            now = trial.setdefault(day, [0, 0])
            others = [trial.get(one, [0, 0]) for one in (day - 1, day - 2)] if in_window else []
            now[0] += count
            now[1] += amount
            sums = [sum(one[n] for one in (now, *others)) for n in (0, 1)]
            adds = count > 0 or amount > 0
            if min(now) < 0 or (adds and (sums[0] > 8 or sums[1] > 100)):
                refused = StaleDecision if min(now) < 0 else Rejected
                break
        taken = tuple(
            TallyStep(
                f"d{day}", count, amount, 8, 100,
                tuple(f"d{one}" for one in (day - 1, day - 2)) if in_window else (),
            )
            for day, count, amount, in_window, _ in steps
        )  # fmt: skip
        if refused is not None:
            with pytest.raises(refused):
                await lab.take(*taken)
        else:
            await lab.take(*taken)
            model = trial
        if number % 5 == 4:
            await lab.restart()
    for day, (count, amount) in model.items():
        row = lab.row("tally", f"d{day}")
        assert (row["count"], row["amount_minor"]) == (count, amount)


_MOVES = st.tuples(
    st.sampled_from(("in", "out", "in_bound", "out_bound")),
    st.integers(1, 900),
    st.sampled_from((0, 0, 0, 7, 24, 24 * 90)),
)


@given(st.lists(_MOVES, max_size=40))
async def test_limits_hold_over_any_history(moves: list[tuple[str, int, int]]) -> None:
    """No day and no year ever sees more than its limit, and nothing below it is refused."""
    lab = _Lab()
    await lab.start()
    used: dict[tuple[str, str, int], int] = {}
    for way, amount, hours in moves:
        lab.at += timedelta(hours=hours)
        debit, credit = ("limited", "mall") if "out" in way else (_CASH, "limited")
        if way.endswith("bound"):
            debit, credit = [("bound" if one != "limited" else one) for one in (debit, credit)]
        posted = lab.store.balances()["limited"]
        fits = posted >= amount if "out" in way else posted + amount <= 5_000
        day, year = today(lab.at)
        direction = way.partition("_")[0]
        keys = [(direction, "day", day), (direction, "year", year)]
        most = {"out": (1_000, 2_500), "in": (800, 2_000)}[direction]
        counted = not way.endswith("bound")
        within = not counted or all(
            used.get(key, 0) + amount <= limit for key, limit in zip(keys, most, strict=True)
        )
        if fits and within:
            await lab.pay(debit, credit, amount)
            for key in keys if counted else ():
                used[key] = used.get(key, 0) + amount
        else:
            with pytest.raises(LimitExceeded if fits else Rejected):
                await lab.pay(debit, credit, amount)
