"""Versions come and go while the load runs: upload, load, promote, drain, unload."""

import time
from collections.abc import Mapping

import anyio
import msgspec

from loadtest.hotload.office import Office
from loadtest.hotload.schedule import CANARY_PPM, Cycle
from loadtest.hotload.timeline import Serving, Timeline
from loadtest.hotload.versions import Version
from loadtest.hotload.windows import AFTER_SWITCH_S, Windows

__all__ = ("CycleReport", "Cycles")

# How long a canary serves its share before it serves all.
_CANARY_S = 0.6
# A bad version is found out by its guard in seconds; this is for a machine that is busy otherwise.
_ROLLBACK_S_MAX = 45.0
# Nothing happens after a promotion that cannot be done; as long as this it is looked at.
_UNDONE_S = 0.5


class CycleReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one cycle went. Times in seconds; ``switch_s`` is from the asking until all nodes did it.

    ``rollback_s`` is how long a bad version served, 0 for one that never did. ``wrong`` says what
    was not as it should be.
    """

    number: int
    pack: str
    version: str
    way: str
    mood: str
    load_s: float
    switch_s: float = 0.0
    rollback_s: float = 0.0
    wrong: str = ""


class Cycles:
    """Runs them one after the other."""

    def __init__(
        self, office: Office, timeline: Timeline, windows: Windows, versions: Mapping[str, Version]
    ) -> None:
        """``versions`` are the archives, by pack and version: ``parking 9000.0.1``."""
        self._office = office
        self._timeline = timeline
        self._windows = windows
        self._versions = versions
        # What serves, by pack: the number of its generation.
        self._serving: dict[str, int] = {}

    async def begin(self, pack: str, version: str) -> None:
        """Have the first version of a pack that marks what it does, and only that."""
        bundled = (await self._office.look())[0].slot(pack).promoted
        await self._load(pack, version)
        await self._promote(pack, version)
        await self._take_away(pack, bundled)

    async def run(self, cycle: Cycle) -> CycleReport:
        """Let one version come."""
        if cycle.mood in ("well", "crashes", "slow"):
            began_s = time.monotonic()
            with self._windows.during("load"):
                generation = await self._load(cycle.pack, cycle.version)
            load_s = time.monotonic() - began_s
            if cycle.mood == "well":
                return await self._good(cycle, generation, load_s)
            return await self._bad(cycle, generation, load_s)
        return await self._refused(cycle)

    # Each way.

    async def _good(self, cycle: Cycle, generation: int, load_s: float) -> CycleReport:
        pack, old = cycle.pack, self._serving[cycle.pack]
        if cycle.way == "canary":
            serving = Serving(
                promoted=self._timeline.now(pack).promoted, canary=cycle.version, ppm=CANARY_PPM
            )
            with self._windows.during("switch", after_s=AFTER_SWITCH_S):
                await self._switch(pack, serving, generation, canary_ppm=CANARY_PPM)
            await anyio.sleep(_CANARY_S)
        began_s = time.monotonic()
        with self._windows.during("switch", after_s=AFTER_SWITCH_S):
            await self._promote(pack, cycle.version, generation)
        switch_s = time.monotonic() - began_s
        # Not before what the switch may have disturbed is over.
        await anyio.sleep(AFTER_SWITCH_S)
        with self._windows.during("unload"):
            await self._take_away(pack, old)
        return _report(cycle, load_s, switch_s=switch_s)

    async def _bad(self, cycle: Cycle, generation: int, load_s: float) -> CycleReport:
        """Promote one that fails, and wait until the nodes have gone back by themselves."""
        pack, old = cycle.pack, self._serving[cycle.pack]
        before = self._timeline.now(pack)
        with self._windows.during("bad", after_s=AFTER_SWITCH_S):
            began_s = time.monotonic()
            self._timeline.ask(pack, Serving(promoted=cycle.version), began_s)
            await self._office.change("promote", name=pack, generation=generation)
            await self._office.wait_serving(pack, generation, timeout_s=_ROLLBACK_S_MAX)
            seen_s = await self._office.wait_serving(pack, old, timeout_s=_ROLLBACK_S_MAX)
            self._timeline.ask(pack, before, began_s)
            self._timeline.settle(pack, seen_s)
        await self._take_away(pack, generation)
        return _report(cycle, load_s, rollback_s=seen_s - began_s)

    async def _refused(self, cycle: Cycle) -> CycleReport:
        """Load one that cannot be loaded, and ask for it all the same: the old one goes on."""
        pack, old = cycle.pack, self._serving[cycle.pack]
        began_s = time.monotonic()
        version = self._versions[f"{pack} {cycle.version}"]
        with self._windows.during("load"):
            await self._office.upload(version)
            generation = (await self._office.load(version)).generation
            why = await self._office.wait_refused(pack, generation)
        load_s = time.monotonic() - began_s
        wrong = "" if cycle.version in why or "is not what it was" in why else f"refused by: {why}"
        with self._windows.during("bad", after_s=AFTER_SWITCH_S):
            await self._office.change("promote", name=pack, generation=generation)
            await anyio.sleep(_UNDONE_S)
            if any(one.slot(pack).promoted != old for one in await self._office.look()):
                wrong = "the old version does not serve any more"
            await self._office.change("rollback", name=pack)
        await self._take_away(pack, generation)
        return _report(cycle, load_s, wrong=wrong)

    # The steps.

    async def _load(self, pack: str, name: str) -> int:
        version = self._versions[f"{pack} {name}"]
        await self._office.upload(version)
        loaded = await self._office.load(version)
        await self._office.wait_converged(loaded.plan_version)
        return loaded.generation

    async def _promote(self, pack: str, version: str, generation: int = 0) -> None:
        if not generation:
            (generation,) = {
                one.generation
                for view in await self._office.look()
                for one in view.slot(pack).generations
                if one.version == version
            }
        await self._switch(pack, Serving(promoted=version), generation)
        self._serving[pack] = generation

    async def _switch(self, pack: str, serving: Serving, generation: int, **fields: int) -> None:
        self._timeline.ask(pack, serving, time.monotonic())
        done = await self._office.change("promote", name=pack, generation=generation, **fields)
        self._timeline.settle(pack, await self._office.wait_converged(done.plan_version))

    async def _take_away(self, pack: str, generation: int) -> None:
        await self._office.change("drain", name=pack, generation=generation)
        gone = await self._office.unload(pack, generation)
        await self._office.wait_converged(gone.plan_version)


def _report(cycle: Cycle, load_s: float, **fields: float | str) -> CycleReport:
    return msgspec.convert(
        {
            "number": cycle.number, "pack": cycle.pack, "version": cycle.version,
            "way": cycle.way, "mood": cycle.mood, "load_s": load_s, **fields,
        },
        CycleReport,
    )  # fmt: skip
