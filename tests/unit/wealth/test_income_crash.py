"""A day's income while nodes die and connections are lost: every holder gets each day once."""

import json
from datetime import UTC, date, datetime
from typing import Any
from unittest import mock

import anyio
import pytest

from actors.wealth import income_page
from actors.wealth.money_market import daily_income
from kernel.partition import partition_of
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World

pytestmark = pytest.mark.timeout(300)

_HOLDERS = 30
_HOLDERS_A_PAGE = 4
_RATE = 7_777
# 25 November 2026, 18:00 in Shanghai.
_START = datetime(2026, 11, 25, 10, tzinfo=UTC)
_DAYS = [date(2026, 11, day) for day in (25, 26, 27)]
_AWAY_S = 3 * 86_400


class _Holder:
    def __init__(self, caller: Caller, number: int) -> None:
        self.caller = caller
        self.number = number
        self.amount = 100_000 * (number + 1) + 7
        self.units = ""

    async def buy(self) -> None:
        """Open an account and buy units, as often as it takes."""
        name = f"h{self.number}"
        account = await self.caller.call("account.open", request_id=f"{name}o", holder=name)
        account_id = account["account_id"]
        await self.caller.call(
            "account.deposit", request_id=f"{name}d", account_id=account_id,
            source="external:cash", amount_minor=self.amount,
        )  # fmt: skip
        order = await self.caller.call(
            "wealth.subscribe", request_id=f"{name}s", fund="MMF1", cash_account=account_id,
            amount_minor=self.amount,
        )  # fmt: skip
        self.units = order["units_account"]

    def incomes(self) -> list[int]:
        """Return what each day brings him: bought on the 25th, he earns from the 26th on."""
        units, carried, found = self.amount, 0, []
        for day in _DAYS:
            income = daily_income(0 if day == _DAYS[0] else units, _RATE, carried)
            units, carried = units + income.income_minor, income.carried
            found.append(income.income_minor)
        return found


def _owner(world: World, kind: str, key: str) -> str:
    return str(world.rows("partition")[partition_of(kind, key)]["owner"])


def _run(world: World) -> dict[str, Any] | None:
    """Return the income run under way."""
    (row,) = world.rows("fund")
    found: dict[str, Any] | None = json.loads(row["body"])["run"]
    return found


def _distributed(world: World) -> list[str]:
    return [row["day"] for row in world.rows("fund_income")]


async def _story(world: World, victim_kind: str, after_page: int) -> None:
    callers = [Caller(world, f"app{n}") for n in range(3)]
    staff = Caller(world, "ops")
    for caller in (*callers, staff):
        await caller.open()
    for name in ("n1", "n2"):
        await world.start(name)
    await staff.call(
        "fund.create", request_id="f", fund="MMF1", name="Money", standing_rate=_RATE,
        confirm_days=0,
    )  # fmt: skip
    holders = [_Holder(callers[n % 3], n) for n in range(_HOLDERS)]
    async with anyio.create_task_group() as tasks:
        for holder in holders:
            tasks.start_soon(holder.buy)
    # All are away for three days. Then they come back, into a bad night.
    for name in ("n1", "n2"):
        await world.stop(name)
    await world.clock.sleep(_AWAY_S)
    for name in ("n1", "n2"):
        await world.start(name)
    world.hostile = True
    # In the middle of the first day that brings them something.
    day = _DAYS[1].isoformat()
    while (run := _run(world)) is None or run["day"] != day or run["page"] < after_page:
        await world.clock.sleep(0.001)
    assert 0 < len(world.rows("wealth_income")) < _HOLDERS
    kind, key = ("fund", "MMF1") if victim_kind == "fund" else ("journal", "0")
    world.kill(_owner(world, kind, key))
    while len(_distributed(world)) < len(_DAYS):
        await world.clock.sleep(0.5)
    world.hostile = False
    _check(world, holders)


def _check(world: World, holders: list[_Holder]) -> None:
    assert _distributed(world) == [day.isoformat() for day in _DAYS]
    posted = {row["account_id"]: row["posted_minor"] for row in world.rows("balance")}
    credited = {(row["units_account"], row["day"]): row["income_minor"]
                for row in world.rows("wealth_income")}  # fmt: skip
    events = [row for row in world.rows("event") if row["type"] == "wealth.income_credited"]
    total = 0
    for holder in holders:
        incomes = holder.incomes()
        total += sum(incomes)
        assert posted[holder.units] == holder.amount + sum(incomes)
        for day, income in zip(_DAYS[1:], incomes[1:], strict=True):
            assert credited[holder.units, day.isoformat()] == income
        told = {row["app"] for row in events if row["subject"] == holder.units}
        assert told == {f"app{holder.number % 3}"}
    assert len(events) == 2 * len(holders)
    assert posted["fund:MMF1:income"] == -total
    assert posted["fund:MMF1:cash"] == -posted["fund:MMF1:units"]
    assert sum(row["income_minor"] for row in world.rows("fund_income")) == total


@pytest.mark.parametrize(
    ("victim_kind", "after_page", "seed"),
    [("fund", 1, 1), ("fund", 5, 2), ("journal", 3, 3), ("journal", 7, 4)],
)
def test_a_crash_in_the_middle_of_a_run_loses_and_doubles_nothing(
    victim_kind: str, after_page: int, seed: int
) -> None:
    """Whoever dies between which pages, and however many commits go unheard."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            with anyio.fail_after(_AWAY_S + 3_600):
                await _story(world, victim_kind, after_page)
            tasks.cancel_scope.cancel()

    with mock.patch.object(income_page, "HOLDERS_MAX", _HOLDERS_A_PAGE):
        run_virtual(main, seed=seed, start=_START)
