"""The back office of a simulated day, which promotes and rolls back versions of a pack."""

from random import Random
from typing import Any

from actors.plugins.archives import parts_of
from kernel.plugins.archive import Archive
from zhihui.simulation.backend import Backend
from zhihui.simulation.counter_pack import counter
from zhihui.simulation.workload import COUNTERS
from zhihui.simulation.world import World

__all__ = ("CONVERGED_S", "Releases")

_OFFICE = "ops"
_NAME = "counter"
_EVERY_S = (1.0, 4.0, 8.0)
# Within which every node that is well serves what the plan says.
CONVERGED_S = 5.0
_PROBES = 8


class Releases:
    """Loads two versions, and has one or the other promoted while requests come in."""

    def __init__(self, world: World, backend: Backend, seed: int) -> None:
        self._world = world
        self._backend = backend
        self._random = Random(f"{seed}/releases")  # noqa: S311 - reproducible on purpose
        self._requests = 0
        # Generation → version.
        self._versions: dict[int, str] = {}

    async def _do(self, verb: str, **fields: Any) -> Any:
        self._requests += 1
        fields["request_id"] = f"r-{self._requests}"
        return await self._backend.settle(_OFFICE, f"plugin.{verb}", fields)

    async def _load(self, archive: Archive) -> int:
        parts = parts_of(archive.data)
        for index, part in enumerate(parts):
            await self._do(
                "upload", sha256=archive.sha256, index=index, total=len(parts), data=part
            )
        loaded = await self._do("load", name=_NAME, sha256=archive.sha256)
        number = int(loaded["result"]["generation"])
        self._versions[number] = archive.manifest.version
        return number

    async def open(self) -> None:
        """Load both versions and have the first one serve."""
        first = await self._load(counter("1.0.0"))
        await self._load(counter("1.1.0"))
        await self._promote(first)
        await self._world.clock.sleep(CONVERGED_S)

    async def _promote(self, number: int) -> None:
        self._note(f"promote {self._versions[number]}")
        await self._do("promote", name=_NAME, generation=number)

    def _note(self, what: str) -> None:
        self._world.trace.append((self._world.clock.monotonic_s(), f"! {what}"))

    async def play(self, until_s: float) -> None:
        """Promote and roll back until the day is over."""
        clock, random = self._world.clock, self._random
        end_s = clock.monotonic_s() + until_s
        every_s = random.choice(_EVERY_S)
        while clock.monotonic_s() + every_s < end_s:
            await clock.sleep(every_s)
            if random.random() < 0.3:
                self._note("rollback")
                await self._do("rollback", name=_NAME)
            else:
                await self._promote(random.choice(sorted(self._versions)))

    async def check(self) -> list[str]:
        """Promote once more, let all nodes follow, and see that no other version answers."""
        wanted = self._random.choice(sorted(self._versions))
        await self._promote(wanted)
        await self._world.clock.sleep(CONVERGED_S)
        wrong = []
        for number in range(_PROBES):
            answer = await self._backend.settle(
                "shop", "counter.get", {"counter_id": COUNTERS[number % len(COUNTERS)]}
            )
            by = answer["result"]["by"] if answer["ok"] else answer["error"]["code"]
            if by != self._versions[wanted]:
                wrong.append(
                    f"{by} answered after {self._versions[wanted]} had been promoted for"
                    f" {CONVERGED_S} s"
                )
        return wrong
