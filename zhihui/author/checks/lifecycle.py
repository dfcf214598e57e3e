"""Checks 6, 7 and 8: versions that come, serve and go."""

import re
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec

from kernel.plugins.archive import Archive, pack_files, read_archive
from kernel.plugins.generation import State
from kernel.plugins.manifest import MANIFEST_NAME
from zhihui.author.checks.check import Case, Check, Finding
from zhihui.author.checks.interruption import decides
from zhihui.author.packing import code_of
from zhihui.author.platform import NODE, PackBroken
from zhihui.author.rehearsal import tell, unexpected
from zhihui.author.stage import Stage
from zhihui.author.story import Call, Story, story_of
from zhihui.errors import SetupError

__all__ = ("Drain", "Unload", "Upgrade", "with_version")

_VERSION = re.compile(r'^version\s*=\s*"[^"]*"', re.MULTILINE)
# What is under way when a version is drained ends within this, beyond the time of one message.
_ENDS_S = 1.0
# Proofs that memory is free are looked for every ten seconds, three times at most.
_PROVEN_S = 45.0


def with_version(archive: Archive, version: str) -> Archive:
    """Return the archive as another version of the same code."""
    text = archive.files[MANIFEST_NAME].decode()
    changed, found = _VERSION.subn(f'version = "{version}"', text, count=1)
    assert found == 1, "a manifest has a version"
    return read_archive(pack_files({**archive.files, MANIFEST_NAME: changed.encode()}))


def _following(archive: Archive, step: int) -> Archive:
    """Return the same code as one of the versions after it."""
    numbers = archive.manifest.version.partition("-")[0].partition("+")[0].split(".")
    return with_version(code_of(archive), f"{numbers[0]}.{numbers[1]}.{int(numbers[2]) + step}")


class Drain(Check):
    """A new version is promoted and the old one drained while each call is in work."""

    number = 6
    name = "drain"
    proves = "what is in work when its version is replaced comes to its end there, and soon"

    def run(self, case: Case) -> Finding:
        """Replace the version during each call, with and without stalled reads."""
        problems: list[str] = []
        limit_s = case.archive.manifest.limits.handler_ms / 1000
        for stalled in (False, True):
            problems += self._drained(case, limit_s, stalled)
        return Finding.of(problems)

    @staticmethod
    def _drained(case: Case, limit_s: float, stalled: bool) -> list[str]:
        problems: list[str] = []

        async def send(stage: Stage, number: int, call: Call) -> Any:
            answer, problem = await _drained(stage, number, call, case, limit_s, stalled)
            problems.extend([f"{call.text(number)}: {problem}"] if problem else [])
            return answer

        differ = case.told(send)
        return problems + differ


async def _drained(
    stage: Stage, number: int, call: Call, case: Case, limit_s: float, stalled: bool
) -> tuple[Any, str]:
    """Send a call and replace its version meanwhile; return its answer and what was wrong."""
    old = stage.serving()
    new = await stage.load(_following(case.archive, old))
    gate = anyio.Event()

    async def hold(node: str, moment: str) -> None:
        reads = moment == "load_document" and decides(stage)
        if reads if stalled else moment == "commit":
            await gate.wait()

    answers: list[Any] = []
    problem = ""
    async with anyio.create_task_group() as tasks:
        # The plan says so already when the call begins, and the node hears of it in its middle.
        await stage.operate("promote", name=stage.plugin, generation=new)
        await stage.operate("drain", name=stage.plugin, generation=old)
        stage.world.intrude = hold

        async def ask() -> None:
            answers.append(await stage.settle(number, call))

        tasks.start_soon(ask)
        await stage.world.clock.sleep(0.01)
        stage.world.node(NODE).plugins.convergence.wake()
        await stage.world.clock.sleep(0.1)
        if stalled:
            await stage.world.clock.sleep(limit_s + _ENDS_S)
            problem = _not_stopped(stage, old, limit_s)
        gate.set()
        stage.world.intrude = None
    if not stalled:
        await stage.world.clock.sleep(_ENDS_S)
        problem = _not_stopped(stage, old, limit_s)
    stage.world.intrude = None
    await _until_stopped(stage, old)
    await stage.operate("unload", name=stage.plugin, generation=old)
    await stage.follow(f"unload generation {old}")
    return answers[0], problem


def _not_stopped(stage: Stage, old: int, limit_s: float) -> str:
    found = stage.generation(old)
    if found is None or found.state is State.STOPPED:
        return ""
    return (
        f"its version was drained and {found.turns.under_way} messages of it did not end within "
        f"{limit_s + _ENDS_S:g} s: a handler waits for something, or works on when it is cancelled"
    )


async def _until_stopped(stage: Stage, old: int) -> None:
    for _ in range(60):
        found = stage.generation(old)
        if found is None or found.state is State.STOPPED:
            return
        await stage.world.clock.sleep(1.0)
    raise PackBroken(f"generation {old} cannot be drained: a handler never ends")


class Unload(Check):
    """The pack is unloaded after the story, and Python's memory is searched for it."""

    number = 7
    name = "unload leaves nothing alive"
    proves = "when a version is unloaded, no object of it stays in memory"

    def run(self, case: Case) -> Finding:
        """Unload, and wait for the proof."""
        problems: list[str] = []

        async def leave(stage: Stage) -> None:
            serving = stage.serving()
            await stage.operate(
                "unload", name=stage.plugin, generation=serving, leave_documents=True
            )
            node = stage.world.node(NODE)
            node.plugins.convergence.wake()
            await stage.world.clock.sleep(_PROVEN_S)
            statistics = node.plugins.statistics().convergence
            if stage.generation(serving) is not None:
                why = statistics.troubles[0].error if statistics.troubles else "nobody knows why"
                problems.append(f"it is not unloaded: {why}")
            elif statistics.leaked or statistics.unproven:
                holders = "; ".join(statistics.holders) or "nobody knows what"
                problems.append(
                    f"it is unloaded and still in memory, held by: {holders}. Look for threads, "
                    "tasks, `atexit`, caches and registries of libraries."
                )

        tell(case.archive, case.story, after=leave, seed=case.seed)
        return Finding.of(problems)


class Upgrade(Check):
    """Half of the old version's story, an upgrade, the other half, a rollback, forward again."""

    number = 8
    name = "upgrade with work in flight"
    proves = "a new version goes on where the old one was, and the old one again after a rollback"

    def run(self, case: Case) -> Finding:
        """Tell the story of the old version, and go on with the new one."""
        if case.before is None:
            old, new = code_of(case.archive), _following(case.archive, 1)
            return Finding.of(
                self._told(case, old, new, case.story),
                note="from itself; name the version before with --before",
            )
        if case.before.manifest.name != case.archive.manifest.name:
            raise SetupError(
                f"The version before is of the pack {case.before.manifest.name!r}, and this one of "
                f"{case.archive.manifest.name!r}."
            )
        problems = self._told(case, case.before, code_of(case.archive), story_of(case.before))
        return Finding.of(
            problems,
            note=f"from {case.before.manifest.version} to {case.archive.manifest.version}",
        )

    def _told(self, case: Case, old: Archive, new: Archive, story: Story) -> Sequence[str]:
        half = len(story.calls) // 2
        problems: list[str] = []

        async def send(stage: Stage, number: int, call: Call) -> Any:
            if number == half:
                return await self._upgraded(stage, number, call, new)
            return await stage.settle(number, call)

        async def back_and_forth(stage: Stage) -> None:
            await self._read_all(stage, story, problems, "the new version")
            serving = stage.serving()
            await stage.operate("rollback", name=stage.plugin)
            await stage.follow("go back to the old version")
            await stage.world.clock.sleep(10)
            await self._read_all(stage, story, problems, "the old version after the rollback")
            await stage.promote(serving)
            await self._read_all(stage, story, problems, "the new version once more")

        try:
            told = tell(old, story, send, after=back_and_forth, seed=case.seed)
        except PackBroken as error:
            return [f"in the upgrade from {old.manifest.version}: {error}"]
        if not problems:
            problems += told.troubles()
            problems += [f"after the upgrade: {one}" for one in unexpected(story, told)]
        return problems

    @staticmethod
    async def _upgraded(stage: Stage, number: int, call: Call, new: Archive) -> Any:
        """Send a call and promote the new version while its commit is under way."""
        generation = await stage.load(new)
        gate = anyio.Event()
        answers: list[Any] = []

        async def hold(node: str, moment: str) -> None:
            if moment == "commit":
                await gate.wait()

        async def ask() -> None:
            answers.append(await stage.settle(number, call))

        async with anyio.create_task_group() as tasks:
            await stage.operate("promote", name=stage.plugin, generation=generation)
            stage.world.intrude = hold
            tasks.start_soon(ask)
            await stage.world.clock.sleep(0.01)
            stage.world.node(NODE).plugins.convergence.wake()
            await stage.world.clock.sleep(0.1)
            gate.set()
        stage.world.intrude = None
        await stage.follow("promote the new version")
        return answers[0]

    @staticmethod
    async def _read_all(stage: Stage, story: Story, problems: list[str], who: str) -> None:
        """Let a version read every document, as a read of the story does."""
        for number, call in enumerate(story.calls):
            if call.mutates or not call.operation.startswith(f"{stage.plugin}."):
                continue
            answer = await stage.settle(number, call)
            code = "ok" if answer["ok"] else answer["error"]["code"]
            if code != call.expect:
                said = msgspec.json.encode(answer).decode()
                problems.append(f"{who}: {call.text(number)} answered {said}")
