"""The durable intake under virtual time: hostile servers, dying nodes, and each request once."""

from collections import Counter

import anyio
import pytest

from kernel.randomness import SeededRandomness
from kernel.streams import Outgoing
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.events import event_number
from schemas.requests import intake_subject
from schemas.subjects import DEAD_LETTER_STREAM, EVENT_STREAM, INTAKE_STREAM
from tests.simulation.world import Caller, World

_GOOD = 300
_AMOUNT = 3
_STORY_S_MAX = 1_800
_POISON = (b"", b"{", b'{"request_id":"bad"}', b"\xff")


async def _publish(world: World, payer: str, payee: str) -> None:
    """Publish good requests, every tenth twice, with poison in between."""
    subject = intake_subject("shop", "payment", "create")
    for number in range(_GOOD):
        body = b'{"request_id":"p-%d","payer":"%b","payee":"%b","amount_minor":%d}' % (
            number, payer.encode(), payee.encode(), _AMOUNT,
        )  # fmt: skip
        for _ in range(2 if number % 10 == 0 else 1):
            await world.streams.publish(Outgoing(subject, body))
        if number % 100 == 0:
            for poison in _POISON:
                await world.streams.publish(Outgoing(subject, poison + b" " * number))
        await world.clock.sleep(0.005)


async def _bodies(world: World, stream: str) -> list[bytes]:
    found = []
    message = await world.streams.read_next(stream, 1)
    while message is not None:
        found.append(message.body)
        message = await world.streams.read_next(stream, message.seq + 1)
    return found


async def _story(world: World) -> None:
    caller = Caller(world)
    await caller.open()
    for name in ("n1", "n2", "n3"):
        await world.start(name)
    opened = [
        await caller.call("account.open", request_id=f"o-{n}", holder="Li Lei") for n in range(2)
    ]
    payer, payee = (one["account_id"] for one in opened)
    await caller.call(
        "account.deposit", request_id="d-1", account_id=payer, source="external:cash",
        amount_minor=10_000,
    )  # fmt: skip
    world.hostile = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_publish, world, payer, payee)
        await world.clock.sleep(0.4)
        world.kill("n1")
        await world.clock.sleep(0.4)
        world.kill("n2")
        await world.clock.sleep(10)
        # A node that does not get through its start would be started again.
        world.hostile = False
        await world.start("n2")
        world.hostile = True
    world.streams.cut()
    await world.clock.sleep(5)
    world.streams.mend()
    state = await world.streams.state(INTAKE_STREAM)
    while state is None or state.messages:
        await world.clock.sleep(0.1)
        state = await world.streams.state(INTAKE_STREAM)
    world.hostile = False
    # Long enough for the relay to have brought everything.
    await world.clock.sleep(30)
    answers = Counter(
        (row["subject"], row["type"])
        for row in world.rows("event")
        if row["type"].startswith("request.")
    )
    expected = {(f"p-{n}", "request.succeeded"): 1 for n in range(_GOOD)}
    # Those of the three that can be read differ in their bodies, so each has its answer.
    assert answers == {**expected, ("bad", "request.rejected"): 3}
    assert len(world.rows("payment")) == _GOOD
    letters = await _bodies(world, DEAD_LETTER_STREAM)
    assert sorted(letters) == sorted(p + b" " * n for n in (0, 100, 200) for p in _POISON)
    events = [
        await world.streams.read(EVENT_STREAM, seq)
        for seq in range(1, len(world.rows("event")) + 1)
    ]
    numbers = [event_number(one.headers["Nats-Msg-Id"]) for one in events if one is not None]
    assert numbers == [row["seq"] for row in world.rows("event")]
    for name in ("n2", "n3"):
        await world.stop(name)


@pytest.mark.parametrize("seed", range(8))
def test_published_requests_survive_a_hostile_world(seed: int) -> None:
    """With nodes dying, messages lost and commits unheard, each is done and answered once."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(_STORY_S_MAX):
                await _story(World(clock, randomness, tasks))
            tasks.cancel_scope.cancel()

    run_virtual(main, seed=seed)
