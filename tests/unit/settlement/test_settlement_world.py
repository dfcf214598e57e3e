"""Merchants and settlements in a world of virtual time: nodes die, payments go on, sums hold."""

from typing import Any

import anyio
import pytest

from actors.settlement import collecting, steps
from kernel.partition import partition_of
from tests.simulation.world import Caller, World
from tests.unit.settlement.settlement_lab import Till, at, check_settled, open_merchant, play, run

_BEFORE_MIDNIGHT = at(4, 23, 50)


async def _deposit(caller: Caller, account_id: str, amount_minor: int) -> None:
    await caller.call(
        "account.deposit", request_id=f"top-up-{account_id}", account_id=account_id,
        amount_minor=amount_minor, source="external:cash",
    )  # fmt: skip


async def _after_the_daily_run(world: World) -> None:
    while world.clock.now() < at(5, 2, 40):
        await world.clock.sleep(30)


def test_a_day_is_settled_the_day_after() -> None:
    """D+1 pays the net of the day to the merchant's account, and what came later waits."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller, splits=True)
        till = Till(world, merchant_id)
        first = await till.pay(10_000)
        await till.pay(333)
        await till.refund(first, 2_500)
        yesterday = till.net_minor
        await world.clock.sleep(700)
        await till.pay(5_000)
        await _after_the_daily_run(world)
        (row,) = world.rows("settlement")
        settlement = await caller.call("settlement.get", settlement_id=row["settlement_id"])
        assert settlement["state"] == "settled"
        assert settlement["day"] == "2026-03-04"
        assert settlement["payout_minor"] == yesterday == settlement["net_minor"]
        assert settlement["gross_minor"] == 10_333
        assert settlement["refunded_minor"] == 2_500
        assert (await caller.call("account.get", account_id=own))["posted_minor"] == yesterday
        events = [row["type"] for row in world.rows("event") if row["type"].startswith("settle")]
        assert events == [
            "settlement.opened", "settlement.computed", "settlement.paying", "settlement.settled",
        ]  # fmt: skip

    play(story, start=_BEFORE_MIDNIGHT)


def test_a_statement_and_the_clearing_say_the_same() -> None:
    """Pages of lines add up to the settlements, and the clearing adds up to the same."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, _ = await open_merchant(caller, splits=True, cycle="T+0")
        till = Till(world, merchant_id)
        for round_ in range(3):
            payments = [await till.pay(amount) for amount in range(1_000, 1_007)]
            await till.refund(payments[-1], 100 + round_)
            await caller.call("settlement.run", request_id=f"r{round_}", merchant_id=merchant_id)
            await world.clock.sleep(1)
        lines: list[Any] = []
        after: int | None = 0
        while after is not None:
            page = await caller.call(
                "settlement.statement", merchant_id=merchant_id, day="2026-03-04", limit=5,
                after=after,
            )  # fmt: skip
            assert len(page["lines"]) <= 5
            lines += page["lines"]
            after = page["next_after"]
        assert len(lines) == 24
        assert sum(line["net_minor"] for line in lines) == till.net_minor
        found = await caller.call("settlement.list", merchant_id=merchant_id, limit=2)
        assert [one["number"] for one in found["settlements"]] == [1, 2]
        rest = await caller.call(
            "settlement.list", merchant_id=merchant_id, after=found["next_after"], day="2026-03-04"
        )
        settlements = [*found["settlements"], *rest["settlements"]]
        assert rest["next_after"] is None
        for one in settlements:
            own_lines = [line for line in lines if line["settlement_id"] == one["settlement_id"]]
            assert len(own_lines) == one["legs"] == 8
            assert sum(line["net_minor"] for line in own_lines) == one["net_minor"]
        clearing = await caller.call("settlement.clearing", day="2026-03-04")
        by_role = {line["role"]: line["amount_minor"] for line in clearing["lines"]}
        assert by_role == {
            "merchant": till.net_minor,
            "bank": sum(fee for _, fee, _ in till.legs.values()),
            "participant": sum(shared for _, _, shared in till.legs.values()),
        }

    play(story, start=at(4, 12))


def test_a_large_payment_is_settled_at_once() -> None:
    """T+0 settles from the agreed amount on without being asked, and everything before it."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller, cycle="T+0", settle_now_from_minor=5_000)
        till = Till(world, merchant_id)
        await till.pay(4_999)
        await world.clock.sleep(60)
        assert world.rows("settlement") == []
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(till.pay, 5_000)
        await world.clock.sleep(10)
        check_settled(world, till, merchant_id, own)

    play(story, start=at(4, 12))


def test_what_is_negative_is_carried() -> None:
    """Refunds above the payments of a day pay nothing out, and lessen the next settlement."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, _ = await open_merchant(caller, cycle="T+0")
        till = Till(world, merchant_id)

        async def settle(number: int) -> Any:
            run = await caller.call(
                "settlement.run", request_id=f"r{number}", merchant_id=merchant_id
            )
            await world.clock.sleep(2)
            return await caller.call("settlement.get", settlement_id=run["settlement_id"])

        payment_id = await till.pay(10_000)
        assert (await settle(1))["payout_minor"] == 9_962
        # It pays the refund out of its own pocket, since it has been paid out.
        await _deposit(caller, merchant_id, 9_000)
        await till.refund(payment_id, 8_000)
        second = await settle(2)
        assert (second["state"], second["payout_minor"]) == ("settled", 0)
        assert second["carried_out_minor"] == second["net_minor"] == -7_970
        answer = await caller.ask("settlement.run", request_id="r3", merchant_id=merchant_id)
        assert answer["error"]["code"] == "invalid_state"
        await till.pay(20_000)
        third = await settle(4)
        assert third["carried_in_minor"] == -7_970
        assert third["payout_minor"] == 19_924 - 7_970

    play(story, start=at(4, 12))


def test_what_cannot_be_paid_out_is_paid_with_the_next() -> None:
    """A payout that the account does not cover fails with its reason, and is made up later."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller, cycle="T+0")
        till = Till(world, merchant_id)
        await till.pay(10_000)
        await caller.call(
            "payment.create", request_id="spent", payer=merchant_id, payee=own, amount_minor=9_000
        )
        run = await caller.call("settlement.run", request_id="r1", merchant_id=merchant_id)
        await world.clock.sleep(2)
        failed = await caller.call("settlement.get", settlement_id=run["settlement_id"])
        assert failed["state"] == "failed"
        assert failed["reason"].startswith("insufficient_funds: 962 of 9962")
        assert failed["carried_out_minor"] == 9_962
        assert failed["payout_minor"] == 0
        await _deposit(caller, merchant_id, 9_000)
        # No new payment is needed for the second attempt.
        await caller.call("settlement.run", request_id="r2", merchant_id=merchant_id)
        await world.clock.sleep(2)
        second = world.rows("settlement")[-1]
        assert (second["number"], second["state"]) == (2, "settled")
        assert second["payout_minor"] == second["carried_in_minor"] == 9_962
        assert (await caller.call("account.get", account_id=own))["posted_minor"] == 18_962

    play(story, start=at(4, 12))


@pytest.mark.parametrize("seed", range(12))
def test_a_settlement_survives_a_crash_at_any_step(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes die while a settlement and payments go on: no leg is lost, none is paid twice."""
    # Many small turns, so that there are many places in which to die.
    monkeypatch.setattr(collecting, "PAGE_LEGS", 4)
    monkeypatch.setattr(collecting.legs_after, "__defaults__", (4,))
    monkeypatch.setattr(steps, "PAGES_PER_TURN", 2)

    async def story(world: World, caller: Caller) -> None:
        for name in ("n1", "n2"):
            await world.start(name)
        merchant_id, own = await open_merchant(caller, cycle="T+0", splits=True)
        till = Till(world, merchant_id)
        payments = [await till.pay(1_000 + n) for n in range(30)]

        async def go_on() -> None:
            for payment_id in payments[:10]:
                await till.pay(2_000)
                await till.refund(payment_id, 250)

        async def die() -> None:
            for name in ("n1", "n2", "n1"):
                await world.clock.sleep((1 + world.randomness.bits(7)) / 1_000)
                world.kill(name)
                await world.clock.sleep(6)
                await world.start(name)
                await run(caller, merchant_id, f"again-{world.clock.now_ms()}")

        await caller.call("settlement.run", request_id="run", merchant_id=merchant_id)
        world.hostile = seed % 2 == 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(go_on)
            tasks.start_soon(die)
        world.hostile = False
        await world.clock.sleep(3 * steps.RESUME_EVERY_S)
        await till.pay(1)
        await caller.call("settlement.run", request_id="last", merchant_id=merchant_id)
        await world.clock.sleep(3 * steps.RESUME_EVERY_S)
        check_settled(world, till, merchant_id, own)

    play(story, start=at(4, 12), seed=seed)


@pytest.mark.parametrize("version", range(1, 8))
def test_a_node_that_dies_right_after_a_step_is_replaced(
    version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step was the last one that stands, another node goes on from there."""
    monkeypatch.setattr(collecting.legs_after, "__defaults__", (4,))
    monkeypatch.setattr(steps, "PAGES_PER_TURN", 1)

    async def story(world: World, caller: Caller) -> int:
        for name in ("n1", "n2"):
            await world.start(name)
        merchant_id, own = await open_merchant(caller, cycle="T+0", splits=True)
        till = Till(world, merchant_id)
        for number in range(15):
            await till.pay(1_000 + number)
        await run(caller, merchant_id, "run")
        with anyio.fail_after(60):
            while not (rows := world.rows("settlement")) or rows[0]["version"] < version:
                await world.clock.sleep(0.000_5)
        # Whoever moves it on, and the one that writes for it.
        partition = partition_of("settlement", merchant_id)
        victim = str(world.rows("partition")[partition]["owner"])
        died_at: int = rows[0]["version"]
        world.kill(victim)
        await world.clock.sleep(3 * steps.RESUME_EVERY_S)
        check_settled(world, till, merchant_id, own)
        return died_at

    assert play(story, start=at(4, 12)) == version


def test_an_outage_of_days_gives_each_day_its_settlement() -> None:
    """After three days without a node D+1 settles each day on its own, as if in time."""

    async def story(world: World, caller: Caller) -> None:
        await world.start("n1")
        merchant_id, own = await open_merchant(caller)
        till = Till(world, merchant_id)
        await till.pay(1_000)
        await world.clock.sleep(900)
        await till.pay(2_000)
        world.kill("n1")
        await world.clock.sleep((at(8, 0, 30) - world.clock.now()).total_seconds())
        await world.start("n1")
        await world.clock.sleep(9_000)
        days = [row["day"] for row in check_settled(world, till, merchant_id, own)]
        assert days == ["2026-03-04", "2026-03-05"]

    play(story, start=_BEFORE_MIDNIGHT)
