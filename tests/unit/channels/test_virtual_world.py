"""The platform and its channels on virtual time, from one seed: crashes between any two steps."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from actors.channels.desk import desk_of
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.change import TimerFired, due_ms
from tests.simulation.world import Caller, World
from zhihui.channel_simulator.profile import ChannelProfile, Outage
from zhihui.simulation.outside import Outside

_PAYMENTS = 40
_STORY_S_MAX = 3 * 3_600.0

_WORST = ChannelProfile(
    latency_median_s=0.05,
    latency_sigma=1.0,
    decline_ppm=80_000,
    failure_ppm=80_000,
    timeout_before_ppm=80_000,
    timeout_after_ppm=120_000,
    late_effect_ppm=60_000,
    late_effect_s=9.0,
    query_timeout_ppm=150_000,
    broken_word_ppm=60_000,
    broken_word_s=4.0,
    callback_delay_s=(0.0, 1.5),
    callback_lost_ppm=150_000,
    callback_duplicate_ppm=500_000,
    callback_late_ppm=250_000,
    callback_late_s=8.0,
    # All channels at once, for longer than their orders live.
    outages=(Outage(from_s=2.5, to_s=40),),
)


class _Story:
    """Payments that come in while nodes die, and what became of them."""

    def __init__(self, world: World, outside: Outside) -> None:
        self.world = world
        self.outside = outside
        self.living: list[str] = []
        self.payments: dict[str, int] = {}

    async def start(self, name: str) -> None:
        # A node does not start without its store; whoever runs it starts it again until it does.
        hostile, self.world.hostile = self.world.hostile, False
        node = await self.world.start(name)
        self.world.hostile = hostile
        desk_of(node._parts).use(self.outside.channels)
        self.living.append(name)

    async def pay(self, caller: Caller, payee: str, numbers: Any) -> None:
        for number in numbers:
            amount = 1_000 + number
            created = await caller.call(
                "payment.create", request_id=f"p{number}", payee=payee, amount_minor=amount,
                funding=[{"type": "channel", "payer_reference": f"payer-{number}"}],
            )  # fmt: skip
            self.payments[created["payment_id"]] = amount

    async def pay_once(self) -> None:
        """Make the only payment."""
        caller = Caller(self.world)
        await caller.open()
        opened = await caller.call("account.open", request_id="o1", holder="Shop")
        await self.pay(caller, opened["account_id"], [1])

    async def die(self, times: int) -> None:
        """Kill a node again and again, and start it after a while."""
        for number in range(times):
            await self.world.clock.sleep(0.5 + self.world.randomness.bits(10) / 500)
            name = self.living.pop(number % len(self.living))
            self.world.kill(name)
            await self.world.clock.sleep(0.2 + self.world.randomness.bits(10) / 1_000)
            await self.start(name)

    def is_settled(self) -> bool:
        return not any(row["state"] == "open" for row in self.world.rows("channel_order"))

    def balance(self, account_id: str) -> int:
        (row,) = [one for one in self.world.rows("balance") if one["account_id"] == account_id]
        return int(row["posted_minor"])

    def side(self, name: str) -> dict[str, int]:
        return {
            channel: self.balance(f"channel:{channel}:{name}") for channel in self.outside.channels
        }

    def kept(self) -> Counter[str]:
        """Return what the channels keep for each payment, by their own books."""
        owners = {
            (row["channel"], row["reference"]): row["payment_id"]
            for row in self.world.rows("channel_order")
        }
        kept: Counter[str] = Counter()
        for channel in self.outside.channels:
            for order in self.outside.books.orders(channel):
                if order.state == "paid":
                    sign = 1 if order.kind == "pay" else -1
                    kept[owners[channel, order.reference]] += sign * order.amount_minor
        return kept


async def _reconcile(story: _Story, operator: Caller, run: int) -> None:
    """Post all lines of the channels' books, and ask about what we do not know of."""
    orders = {(row["channel"], row["reference"]): row for row in story.world.rows("channel_order")}
    for channel in story.outside.channels:
        lines = []
        for order in list(story.outside.books.orders(channel)):
            ours = orders[channel, order.reference]
            if order.state == "paid" and ours["state"] not in ("paid", "paid_late"):
                await operator.call(
                    "channel.recheck", request_id=f"r{run}-{order.reference}",
                    payment_id=ours["payment_id"], order_id=ours["order_id"],
                )  # fmt: skip
            elif order.state == "paid":
                lines.append({"reference": order.reference, "kind": order.kind,
                              "amount_minor": order.amount_minor})  # fmt: skip
        if lines:
            answer = await operator.call(
                "channel.reconcile", request_id=f"c{run}-{channel}", channel=channel, lines=lines
            )
            assert not answer["refused"]


async def _play(story: _Story, caller: Caller, operator: Caller) -> dict[str, Any]:
    for name in ("n1", "n2"):
        await story.start(name)
    opened = await caller.call("account.open", request_id="o1", holder="Shop", type="merchant")
    payee = opened["account_id"]
    story.world.hostile = True
    numbers = iter(range(_PAYMENTS))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(story.die, 6)
        for _ in range(6):
            tasks.start_soon(story.pay, caller, payee, numbers)
    story.world.hostile = False
    for run in range(3):
        await story.world.clock.sleep(30)
        while not story.is_settled():
            await story.world.clock.sleep(5)
        await _reconcile(story, operator, run)
    kept = story.kept()
    statuses = {row["payment_id"]: row["status"] for row in story.world.rows("payment_order")}
    assert set(statuses) >= set(story.payments)
    for payment_id, amount in story.payments.items():
        assert statuses[payment_id] in ("succeeded", "failed")
        assert kept.pop(payment_id, 0) == (amount if statuses[payment_id] == "succeeded" else 0)
    assert not any(kept.values())
    succeeded = [one for one in story.payments if statuses[one] == "succeeded"]
    assert story.balance(payee) == sum(story.payments[one] for one in succeeded)
    assert not any(story.side("suspense").values())
    assert not any(story.side("expected").values())
    orders = story.world.rows("channel_order")
    # No channel was asked while another could still have the money: what came late had been ruled
    # out by the channel itself.
    late = {(row["channel"], row["reference"]) for row in orders if row["state"] == "paid_late"}
    assert late <= story.outside.broken_words
    return {
        "succeeded": len(succeeded),
        "orders": Counter((row["kind"], row["state"]) for row in orders),
        "trace": len(story.world.trace),
        "at": story.world.clock.now(),
    }


def _run(folder: Path, seed: int) -> dict[str, Any]:
    async def main(clock: VirtualClock, randomness: SeededRandomness) -> dict[str, Any]:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            living: list[str] = []
            outside = Outside(
                folder, clock, seed, tasks, _WORST,
                lambda: [world.node(name)._parts for name in living],
            )  # fmt: skip
            story = _Story(world, outside)
            story.living = living
            callers = [Caller(world), Caller(world, app="ops")]
            for caller in callers:
                await caller.open()
            with anyio.fail_after(_STORY_S_MAX):
                found = await _play(story, *callers)
            tasks.cancel_scope.cancel()
        outside.books.close()
        return found

    folder.mkdir()
    found: dict[str, Any] = run_virtual(main, seed=seed)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_paid_twice_or_lost_whatever_dies(tmp_path: Path, seed: int) -> None:
    """Nodes, bus, store and channels fail as they like: at the end both sides' books agree."""
    found = _run(tmp_path / "a", seed)
    assert found["succeeded"] > _PAYMENTS // 3


def test_one_seed_is_one_history(tmp_path: Path) -> None:
    """The same seed leads through the same crashes to the same end, at the same moment."""
    assert _run(tmp_path / "a", 9) == _run(tmp_path / "b", 9)


def test_an_order_without_its_timer_is_not_forgotten(tmp_path: Path) -> None:
    """An order whose timer is gone, for whatever reason, is driven on by the watch."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> list[str]:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            living = ["n1"]
            # A mood in which the first request gets lost, so that something is left to do.
            lost = ChannelProfile(timeout_before_ppm=1_000_000)
            outside = Outside(
                tmp_path, clock, 1, tasks, lost, lambda: [world.node(one)._parts for one in living]
            )
            story = _Story(world, outside)
            await story.start("n1")
            await story.pay_once()
            await clock.sleep(6)
            timers = world.database.rows("timer")
            for key in [key for key, row in timers.items() if row["kind"] == "channel"]:
                del timers[key]
            outside.profile = ChannelProfile()
            await clock.sleep(20)
            assert not story.is_settled()
            await clock.sleep(200)
            states = [row["state"] for row in world.rows("channel_order")]
            tasks.cancel_scope.cancel()
        outside.books.close()
        return states

    # Its own time was over by then, so another one pays.
    first, *others = run_virtual(main, seed=1)
    assert first in ("failed", "closed", "not_received")
    assert others == ["paid"]


def test_a_timer_from_a_node_whose_clock_is_ahead_is_not_lost(tmp_path: Path) -> None:
    """What fires before our own clock says so takes its step all the same: it comes only once."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            silent = ChannelProfile(timeout_before_ppm=1_000_000, query_timeout_ppm=1_000_000)
            outside = Outside(tmp_path, clock, 1, tasks, silent, list)
            story = _Story(world, outside)
            await story.start("n1")
            await story.pay_once()
            await clock.sleep(2)
            # Until an exchange has just come to nothing, so that the next is some time away.
            while True:
                (row,) = [one for one in world.rows("timer") if one["kind"] == "channel"]
                if row["due_at"] > clock.now() + timedelta(seconds=0.5):
                    break
                await clock.sleep(0.1)
            (order,) = world.rows("channel_order")
            # The node that fired it has ended it, as it was answered.
            del world.database.rows("timer")[row["timer_id"],]
            fired = TimerFired(row["timer_id"], due_ms(row["due_at"]), 0, msgspec.Raw(row["body"]))
            world.node("n1").node.tell(
                row["kind"], row["key"], row["type"], fired, app=row["app"],
                deadline_ms=clock.now_ms() + 30_000,
            )  # fmt: skip
            await clock.sleep(6)
            (after,) = world.rows("channel_order")
            assert after["version"] == order["version"] + 1
            tasks.cancel_scope.cancel()
        outside.books.close()

    run_virtual(main, seed=1)
