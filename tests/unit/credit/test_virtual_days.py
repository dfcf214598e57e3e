"""A loan paid to its end under virtual days, on nodes that come and go."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import read_reference
from actors.customers.services import DATA_KEYS_SETTING
from actors.regulation.calendar import start_of_day
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World

_START = datetime(2026, 1, 31, 2, 0, tzinfo=UTC)
# Longer than a lease, so that a new node finds nobody before it.
_PAUSE = timedelta(seconds=30)


class _Days:
    """Nodes that run only when something is due: an idle day costs nothing that way."""

    def __init__(self, world: World, clock: VirtualClock) -> None:
        self.world = world
        self.clock = clock
        self._node = "n1"
        self._nodes = 1

    async def until(self, day: date) -> None:
        """Sleep until just before the day, and let the day begin with a new node."""
        await self.world.stop(self._node)
        begins = start_of_day(day) - _PAUSE
        await self.clock.sleep((begins - self.clock.now()).total_seconds())
        self._nodes += 1
        self._node = f"n{self._nodes}"
        await self.world.start(self._node)
        await self.clock.sleep(2 * _PAUSE.total_seconds())


async def _loan(app: Caller, staff: Caller) -> tuple[str, str, str]:
    """Return the customer's account, a line and a plan of three terms with automatic repayment."""
    person = read_reference().people[0]
    customer = await app.call(
        "customer.register", request_id="reg", name=person.name, id_number=person.id_number,
        phone=person.phone,
    )  # fmt: skip
    account = await app.call("account.open", request_id="open", holder="Wang")
    account_id = account["account_id"]
    await app.call(
        "account.deposit", request_id="in", account_id=account_id, amount_minor=50_000,
        source="external:cash",
    )  # fmt: skip
    line = await app.call(
        "credit.apply", request_id="apply", customer_id=customer["customer_id"], kind="loan",
        account_id=account_id, limit_minor=1_000_000, autopay=True,
    )  # fmt: skip
    line_id = line["line_id"]
    await staff.call(
        "credit.grant", request_id="grant", line_id=line_id, limit_minor=900_000,
        decided_by="clerk-7",
    )  # fmt: skip
    quote = await app.call(
        "credit.quote", request_id="quote", line_id=line_id, amount_minor=900_000, terms=3
    )
    plan = await app.call(
        "credit.draw", request_id="draw", line_id=line_id, quote_id=quote["quote_id"]
    )
    return account_id, line_id, plan["plan_id"]


def _balance(world: World, account_id: str) -> int:
    rows = {row["account_id"]: row["posted_minor"] for row in world.rows("balance")}
    return int(rows[account_id])


def _story(folder: Path, seed: int) -> tuple[dict[str, Any], list[str], int]:
    keys = folder / "keys.json"

    async def main(
        clock: VirtualClock, randomness: SeededRandomness
    ) -> tuple[dict[str, Any], list[str], int]:
        ensure_keyring(keys, SeededRandomness(7), clock.now())
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, {DATA_KEYS_SETTING: str(keys)})
            app, staff = Caller(world, "shop"), Caller(world, "ops")
            await app.open()
            await staff.open()
            await world.start("n1")
            account_id, line_id, plan_id = await _loan(app, staff)
            days = _Days(world, clock)
            for day in (date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)):
                await days.until(day)
            plan = await app.call("credit.plan", plan_id=plan_id)
            events = [row for row in world.rows("event") if row["subject"] == plan_id]
            types = [row["type"] for row in sorted(events, key=lambda row: int(row["seq"]))]
            left = _balance(world, account_id)
            assert _balance(world, line_id) == 0
            assert sum(int(row["posted_minor"]) for row in world.rows("balance")) == 0
            assert [row for row in world.rows("timer") if row["key"] == plan_id] == []
            tasks.cancel_scope.cancel()
        return plan, types, left

    return run_virtual(main, seed=seed, start=_START)


def test_a_loan_is_paid_to_its_end_under_virtual_days(tmp_path: Path) -> None:
    """Three months pass, every term is billed and paid on its day by timers, by three nodes."""
    plan, types, left = _story(tmp_path, 1)
    assert plan["status"] == "paid"
    assert [(term["due_on"], term["paid_on"]) for term in plan["terms"]] == [
        ("2026-02-28", "2026-02-28"),
        ("2026-03-31", "2026-03-31"),
        ("2026-04-30", "2026-04-30"),
    ]
    # 28 days of 9,000.00, 31 of 6,000.00 and 30 of 3,000.00 at 100 ppm a day.
    interest = [2_520, 1_860, 900]
    assert [term["charge_minor"] for term in plan["terms"]] == interest
    assert left == 50_000 - sum(interest)
    assert types == ["credit.drawn", *["credit.billed"] * 3, "credit.ended"]


def test_the_same_seed_gives_the_same_loan(tmp_path: Path) -> None:
    """The whole story, with its identifiers, is repeated by its seed."""
    assert _story(tmp_path, 5) == _story(tmp_path, 5)
