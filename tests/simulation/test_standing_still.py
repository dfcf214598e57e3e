"""Nodes that stand still: what they do not see, and what goes on without them."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import anyio
import msgspec
import pytest

from kernel.memory_bus import MemoryBroker, MemoryBus
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock
from zhihui.simulation.backend import Heard, Record
from zhihui.simulation.evidence import check_evidence
from zhihui.simulation.faults import Fault, Faults, make_schedule
from zhihui.simulation.pausing import RUNS_ON, PausableLoop, context_of, run_pausable
from zhihui.simulation.replayed import Replayed
from zhihui.simulation.requests import Asked
from zhihui.simulation.workload import Step
from zhihui.simulation.world import World


class _Wire:
    """A node 'n1' and the world around it, on one broker; ``heard`` says when what was heard."""

    def __init__(self, clock: VirtualClock, delay_s: float) -> None:
        self.clock = clock
        broker = MemoryBroker(fate=lambda _: (delay_s,))
        self.node, self.world = MemoryBus(broker), MemoryBus(broker)
        self.heard: list[tuple[str, str, float]] = []

    async def open(self) -> None:
        await asyncio.create_task(
            self.node.subscribe("to.node", self._hear), context=context_of("n1")
        )
        await self.world.subscribe("to.world", self._hear)

    def _hear(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        self.heard.append((subject, RUNS_ON.get(), self.clock.monotonic_s()))


@pytest.mark.parametrize("delay_s", [0.0, 0.5])
def test_what_arrives_at_a_node_that_stands_still_waits(delay_s: float) -> None:
    """It is looked at by the node when it goes on, and not while whoever sent it runs."""

    async def main(clock: VirtualClock, randomness: SeededRandomness, loop: PausableLoop) -> None:
        wire = _Wire(clock, delay_s)
        await wire.open()
        loop.pause("n1")
        wire.world.publish("to.node", b"")
        await clock.sleep(3.0)
        assert wire.heard == []
        loop.resume("n1")
        await clock.sleep(0.1)
        assert wire.heard == [("to.node", "n1", 3.0)]

    run_pausable(main, seed=1)


def test_what_a_node_sent_arrives_though_it_stands_still() -> None:
    """A message on its way is the network's: it takes as long as it takes."""

    async def main(clock: VirtualClock, randomness: SeededRandomness, loop: PausableLoop) -> None:
        wire = _Wire(clock, 0.5)
        await wire.open()
        context_of("n1").run(wire.node.publish, "to.world", b"")
        await clock.sleep(0.1)
        loop.pause("n1")
        await clock.sleep(4.0)
        assert wire.heard == [("to.world", "", 0.5)]

    run_pausable(main, seed=1)


def test_for_how_long_a_node_stood_still() -> None:
    """Pauses of one node add up as far as they fall into the time; those of two nodes do not."""

    async def main(clock: VirtualClock, randomness: SeededRandomness, loop: PausableLoop) -> None:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks)
            for name in ("n1", "n2"):
                await world.start(name)
            pauses = tuple(
                Fault(at_s=at_s, kind="pause", node=node, lasts_s=lasts_s)
                for at_s, node, lasts_s in ((1.0, "n1", 2.0), (1.5, "n2", 1.0), (4.0, "n1", 0.5))
            )
            schedule = msgspec.structs.replace(make_schedule(1, 1.0), nodes=("n1", "n2"),
                                               faults=pauses)  # fmt: skip
            faults = Faults(world, loop, schedule, 1, tasks, lambda _: None)
            begun_s = clock.monotonic_s()
            await faults.play()
            await faults.calm_down()
            for since_s, until_s, expected_s in (
                (0.0, 9.0, 2.5), (2.0, 9.0, 1.5), (0.0, 2.0, 1.0), (4.1, 4.3, 0.2), (3.1, 3.9, 0.0),
            ):  # fmt: skip
                found_s = faults.stood_still_s(begun_s + since_s, begun_s + until_s)
                assert found_s == pytest.approx(expected_s)
            tasks.cancel_scope.cancel()

    run_pausable(main, seed=1)


# What the judge makes of it.

_STEP = Step(number=7, kind="pay", at_s=0.0, args={}, timeout_s=1.0, attempts=1)


def _evidence(record: Record, seq: int | None, allowed_s: float = 1.0) -> Iterator[str]:
    """Return what is wrong about a payment that stands as change ``seq``, or not at all."""
    answer = {"payment_id": "p"}
    row = SimpleNamespace(seq=seq, outcome="committed", answer=answer, number=7, request_id="s7")
    known: dict[str, Any] = {} if seq is None else {"s7": row}
    replayed = SimpleNamespace(rows=list(known.values()), by_request=known)
    return check_evidence(cast("Replayed", replayed), {7: record}, lambda *_: allowed_s)


def _record(**fields: Any) -> Record:
    return Record(
        step=_STEP, asked=Asked(app="shop", operation="payment.create", body={}), **fields
    )


@pytest.mark.parametrize(
    ("seq", "found", "between", "wrong"),
    [
        (5, True, (5, 5), ""),
        (5, True, (4, 5), ""),
        (5, False, (4, 5), ""),
        (5, False, (4, 4), ""),
        (None, False, (4, 5), ""),
        (5, True, (4, 4), "before it stood"),
        (None, True, (4, 5), "before it stood"),
        (5, False, (5, 5), "was not found"),
    ],
)
def test_a_payment_may_come_to_stand_while_it_is_looked_up(
    seq: int | None, found: bool, between: tuple[int, int], wrong: str
) -> None:
    """It is found if it stood before, and not if it did not stand yet when that was answered."""
    said = list(_evidence(_record(found=found, found_between=between), seq))
    assert len(said) == bool(wrong)
    assert all(wrong in one for one in said)


def test_an_answer_past_its_time_is_wrong() -> None:
    """As long as is allowed between asking and hearing it is right, and beyond it is not."""
    heard = Heard(at_s=9.0, after_s=6.0, answer={"ok": True, "result": {"payment_id": "p"}})
    record = _record(heard=[heard])
    assert list(_evidence(record, 5, allowed_s=6.0)) == []
    (said,) = _evidence(record, 5, allowed_s=5.9)
    assert said == "step 7 (pay) was answered 6.000 s after it was asked"
