"""The states of a generation, and the work that is pinned to it."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from kernel.plugins.archive import Archive
from kernel.plugins.capabilities import Grants
from kernel.plugins.entry import make_pack
from kernel.plugins.errors import (
    DrainIncomplete,
    PluginPaused,
    SelfTestFailed,
    TransitionRefused,
    TurnCutOff,
)
from kernel.plugins.generation import NEXT, Generation, State
from kernel.plugins.guard import GuardPolicy
from kernel.plugins.loader import load_code
from kernel.virtual_time import VirtualClock, run_virtual
from tests.unit.plugins_host.lab import RULES, News, changed, library

_V1 = library(1)
_SELF_TEST = "        assert per_reader_max() >= 1\n"


def _with_self_test(lines: str) -> Archive:
    text = _V1.files["pack.py"].decode()
    assert _SELF_TEST in text
    body = "".join(f"        {line}\n" for line in lines.splitlines())
    return changed(_V1, {"pack.py": text.replace(_SELF_TEST, body)})


def _never(generation: Generation, reason: str) -> None:
    raise AssertionError(f"{generation.name}: {reason}")


def _run(
    main: Callable[[Generation, News, VirtualClock], Awaitable[None]], archive: Archive = _V1
) -> News:
    async def run(clock: VirtualClock, randomness: object) -> News:
        news = News()
        code = await load_code(archive, number=1, rules=RULES)
        generation = Generation(
            archive.manifest,
            1,
            archive.sha256,
            code,
            make_pack(code, archive.manifest),
            grants=Grants(archive.manifest, frozenset({"notify"})),
            clock=clock,
            policy=GuardPolicy(),
            listener=news,
            trip=_never,
        )
        await main(generation, news, clock)
        # A task that was cancelled and went on holds the error until it waits again.
        await anyio.lowlevel.checkpoint()
        if generation.state is not State.UNLOADED:
            if generation.state is not State.STOPPED:
                await generation.drain(0.0)
            remains = generation.unload()
            assert remains.collect(), remains.holders()
        return news

    return run_virtual(run)


def test_a_whole_life_is_told() -> None:
    """From loaded to unloaded, each step is told once, with what it was before."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)
        await generation.drain(1.0)
        assert generation.unload().collect()

    news = _run(main)
    assert news.states(1) == ["loaded", "starting", "running", "draining", "stopped", "unloaded"]
    steps = [(one.before, one.after) for one in news.all]  # type: ignore[union-attr]
    assert all(before == earlier for (_, earlier), (before, _) in itertools.pairwise(steps))
    assert {one.sha256 for one in news.all} == {_V1.sha256}  # type: ignore[union-attr]


def test_the_table_has_an_end_and_no_dead_ends() -> None:
    """From every state a generation can be unloaded, and nothing follows that."""
    assert NEXT.keys() == set(State)
    assert NEXT[State.UNLOADED] == frozenset()
    for state in State:
        reached = {state}
        while more := {after for one in reached for after in NEXT[one]} - reached:
            reached |= more
        assert State.UNLOADED in reached
        if state not in (State.UNLOADED, State.FAULTED):
            assert State.FAULTED in NEXT[state]


def test_steps_out_of_order_are_refused() -> None:
    """What the table does not have raises, names the states, and changes nothing."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        with pytest.raises(TransitionRefused, match="loaded and cannot become unloaded"):
            generation.unload()
        with pytest.raises(TransitionRefused):
            generation.take_back()
        await generation.start(1.0)
        with pytest.raises(TransitionRefused, match="running and cannot become starting"):
            await generation.start(1.0)
        with pytest.raises(TransitionRefused):
            generation.cut_off()
        await generation.drain(1.0)
        with pytest.raises(TransitionRefused, match="nothing to drain"):
            await generation.drain(1.0)
        remains = generation.unload()
        for step in (lambda: generation.fault("x"), generation.unload, lambda: generation.pack):
            with pytest.raises(TransitionRefused):
                step()
        assert remains.collect()

    assert _run(main).states(1)[-1] == "unloaded"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("raise ValueError('no rules')", "ValueError: no rules"),
        ("assert per_reader_max() > 100", "AssertionError"),
        ("import anyio\nawait anyio.sleep(3600)", "no end of the self-test after 2 s"),
    ],
)
def test_a_self_test_that_fails_keeps_it_out(lines: str, reason: str) -> None:
    """It never runs, the reason is told, and nothing of it stays in memory."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        with pytest.raises(SelfTestFailed) as caught:
            await generation.start(2.0)
        assert reason in caught.value.message
        assert clock.monotonic_s() <= 2.0
        assert generation.state is State.FAULTED

    news = _run(main, _with_self_test(lines))
    assert news.states(1) == ["loaded", "starting", "faulted", "stopped", "unloaded"]
    assert reason in [one.reason for one in news.all][2]


def test_the_host_may_check_as_well() -> None:
    """Its check comes after the pack's own, under the same limit."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        async def refuse(one: Generation) -> None:
            assert one is generation
            assert one.state is State.STARTING
            raise LookupError("no such table")

        with pytest.raises(SelfTestFailed, match="LookupError: no such table"):
            await generation.start(2.0, refuse)

    _run(main)


def test_a_start_that_is_cut_off_is_a_fault() -> None:
    """A node that stops in the middle leaves nothing that looks as if it ran."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        with anyio.move_on_after(0.5):
            await generation.start(2.0)
        assert generation.state is State.FAULTED

    _run(main, _with_self_test("import anyio\nawait anyio.sleep(1)"))


def test_it_takes_work_only_while_it_runs() -> None:
    """Before and after, and while it is paused, a turn is refused with the reason."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        def refused(kind: type[Exception], text: str) -> None:
            with pytest.raises(kind, match=text), generation.lease():
                pytest.fail("it was begun")

        refused(TransitionRefused, "loaded and takes no work")
        await generation.start(1.0)
        with generation.lease():
            generation.pause()
            refused(PluginPaused, "paused")
        assert generation.paused
        generation.resume()
        with generation.lease():
            pass
        generation.pause()
        await generation.drain(1.0)
        refused(TransitionRefused, "stopped and takes no work")

    _run(main)


def test_work_under_way_keeps_it() -> None:
    """Draining waits for what has begun, and stops as soon as it has ended."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)

        async def work() -> None:
            with generation.lease() as turn:
                await turn.run(anyio_sleep(0.3))
                await anyio.sleep(1.0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep(0.1)
            with pytest.raises(DrainIncomplete, match=r"1 messages in work after 0\.5 s"):
                await generation.drain(0.5)
            assert generation.state is State.DRAINING
            with pytest.raises(TransitionRefused), generation.lease():
                pass
            await generation.drain(10.0)
        assert clock.monotonic_s() == pytest.approx(1.3)

    assert "stopped" in _run(main).states(1)


async def anyio_sleep(seconds: float) -> None:
    await anyio.sleep(seconds)


def test_a_draining_one_may_be_taken_back() -> None:
    """A rollback needs it: who waits for the drain is told, and it works on."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)
        told: list[str] = []

        async def drain() -> None:
            with pytest.raises(TransitionRefused, match="taken back into service"):
                await generation.drain(10.0)
            told.append("drain")

        async with anyio.create_task_group() as tasks:
            with generation.lease():
                tasks.start_soon(drain)
                await anyio.sleep(0.1)
                generation.take_back()
                await anyio.sleep(0.1)
                assert told == ["drain"]
                with generation.lease():
                    pass

    _run(main)


def test_what_does_not_end_is_cut_off() -> None:
    """When patience is over the pack's work is cancelled, and the drain comes to its end."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)
        ended: list[str] = []

        async def work() -> None:
            with pytest.raises(TurnCutOff), generation.lease() as turn:
                await turn.run(anyio_sleep(0.4))
            ended.append("cut off")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await anyio.sleep(0.01)
            with pytest.raises(DrainIncomplete):
                await generation.drain(0.1)
            assert generation.cut_off() == 1
            await generation.drain(0.1)
        assert ended == ["cut off"]

    _run(main)


def test_those_who_hold_something_let_go() -> None:
    """Who keeps documents of a generation is told when it is unloaded, and is not kept alive."""

    class Keeper:
        def __init__(self, book: Any) -> None:
            self.book = book
            self.told: list[str] = []

        def let_go(self, generation: Generation) -> None:
            self.told.append(generation.name)
            self.book = None

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)
        keeper = Keeper(generation.find("state:Book")(isbn="i", copies=1))
        generation.hold(keeper)
        generation.hold(Keeper(None))
        generation.shelf["a decoder"] = generation.find("state:Book")
        await generation.drain(0.0)
        remains = generation.unload()
        assert keeper.told == ["library g1"]
        assert remains.collect(), remains.holders()

    _run(main)


def test_a_stopped_one_may_start_again() -> None:
    """With its self-test, as before."""

    async def main(generation: Generation, news: News, clock: VirtualClock) -> None:
        await generation.start(1.0)
        generation.fault("an operator said so")
        await generation.drain(1.0)
        await generation.start(1.0)
        with generation.lease():
            pass

    states = _run(main).states(1)
    assert states[2:7] == ["running", "faulted", "stopped", "starting", "running"]
