"""A story told once, undisturbed or with trouble, in a world of its own."""

from collections.abc import Awaitable, Callable
from difflib import unified_diff
from itertools import count
from typing import Any, Protocol

import anyio
import msgspec

from kernel.plugins.archive import Archive
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from zhihui.author.history import listening
from zhihui.author.packing import code_of
from zhihui.author.platform import NODE, SETTINGS, START, STORY_S_MAX, PackBroken
from zhihui.author.stage import Outcome, Stage
from zhihui.author.story import Call, Story
from zhihui.simulation.world import World

__all__ = ("Ending", "Send", "differences", "plain_send", "tell", "unexpected")

# A timer that was set for a moment after the last call still has its turn.
_ENDING_S = 30.0
_SHOWN_MAX = 3
_tales = count(1)


class Send(Protocol):
    """How a call of the story is sent; returns its definite answer."""

    async def __call__(self, stage: Stage, number: int, call: Call) -> Any:
        """Send it."""


Ending = Callable[[Stage], Awaitable[None]]


async def plain_send(stage: Stage, number: int, call: Call) -> Any:
    """Send a call as a sound backend does."""
    return await stage.settle(number, call)


def tell(
    archive: Archive, story: Story, send: Send = plain_send, *, before: Ending | None = None,
    after: Ending | None = None, moments: tuple[float, ...] = (), seed: int = 1,
) -> Outcome:  # fmt: skip
    """Tell a story and return what came of it.

    With ``moments`` each call is sent at its second of the story, and the story ends at the last
    of them, so that what was decided at odd times elsewhere can be held against an undisturbed
    telling. Raise :class:`PackBroken` when the
    pack does not load, and whatever ``send`` raises.
    """
    tale = f"tale{next(_tales)}"
    worlds: list[World] = []
    stages: list[Stage] = []

    def hear(line: str) -> None:
        for stage in stages:
            stage.heard(line)

    async def play(world: World) -> Outcome:
        node = await world.start(NODE)
        if troubles := node.plugins.statistics().convergence.troubles:
            raise PackBroken(f"the pack does not load: {troubles[0].error}")
        stage = Stage(world, story, archive, tale)
        stages.append(stage)
        await stage.open_accounts(story)
        if before is not None:
            await before(stage)
        answers: list[Any] = []
        decided: list[float] = []
        for number, call in enumerate(story.calls):
            await stage.wait_for(moments[number] if moments else stage.next_moment(call))
            answers.append(await send(stage, number, call))
            decided.append(stage.decided_at(number, call))
            await stage.arrive()
        await stage.wait_for(stage.elapsed_s() + _ENDING_S)
        if after is not None:
            await after(stage)
        await stage.wait_for(moments[-1] if moments else 0)
        return stage.outcome([*decided, stage.elapsed_s()], answers)

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        async with anyio.create_task_group() as tasks:
            world = World(
                clock, randomness, tasks, SETTINGS, archives=(code_of(archive),), steady=True
            )
            worlds.append(world)
            try:
                with anyio.fail_after(STORY_S_MAX):
                    return await play(world), None
            except Exception as error:  # noqa: BLE001 - it is raised below, outside of the group
                return None, error
            finally:
                tasks.cancel_scope.cancel()

    try:
        with listening(hear):
            outcome, error = run_virtual(main, seed=seed, start=START)
    finally:
        for world in worlds:
            world.forget_code()
    if error is not None:
        raise error
    assert isinstance(outcome, Outcome)
    return outcome


def unexpected(story: Story, outcome: Outcome) -> list[str]:
    """Return what is not as the story expects it."""
    wrong = []
    for number, (call, answer) in enumerate(zip(story.calls, outcome.answers, strict=True)):
        code = "ok" if answer["ok"] else answer["error"]["code"]
        if code != call.expect:
            wrong.append(f"{call.text(number)} was to answer {call.expect}: {_said(answer)}")
    return wrong


def differences(story: Story, quiet: Outcome, disturbed: Outcome) -> list[str]:
    """Return in what a disturbed telling differs from a quiet one, for the pack's author."""
    wrong = disturbed.troubles()
    for number, call in enumerate(story.calls):
        one, other = quiet.answers[number], disturbed.answers[number]
        if one != other:
            wrong.append(
                f"{call.text(number)} answered otherwise; undisturbed: {_said(one)}; "
                f"disturbed: {_said(other)}"
            )
    for name in sorted(quiet.documents.keys() | disturbed.documents.keys()):
        before, after = quiet.documents.get(name), disturbed.documents.get(name)
        if before != after:
            wrong.append(f"the document {name} is another one:\n{_diff(before, after)}")
    for name, balance in quiet.balances.items():
        if disturbed.balances.get(name) != balance:
            wrong.append(f"{name} has {disturbed.balances.get(name)}; undisturbed: {balance}")
    for name in sorted(quiet.events.keys() | disturbed.events.keys()):
        times, other_times = quiet.events.get(name, 0), disturbed.events.get(name, 0)
        if times != other_times:
            wrong.append(f"this event came {other_times} times, undisturbed {times}: {name}")
    if len(wrong) > _SHOWN_MAX:
        wrong = [*wrong[:_SHOWN_MAX], f"and {len(wrong) - _SHOWN_MAX} more differences"]
    return wrong


def _said(answer: Any) -> str:
    if answer["ok"]:
        return f"ok {msgspec.json.encode(answer['result']).decode()}"
    return f"{answer['error']['code']}: {answer['error']['message']}"


def _diff(before: Any, after: Any) -> str:
    def lines(value: Any) -> list[str]:
        return msgspec.json.format(msgspec.json.encode(value, order="sorted")).decode().splitlines()

    found = list(unified_diff(lines(before), lines(after), "undisturbed", "disturbed", lineterm=""))
    return "\n".join(f"    {line}" for line in found[2:])
