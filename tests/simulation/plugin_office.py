"""The back office of a simulated world, as far as plugins are concerned."""

from base64 import b64encode
from typing import Any
from zlib import compress

from kernel.plugins.archive import Archive
from schemas.plugins import PART_BYTES
from tests.simulation.world import Caller, World

__all__ = ("UNSIGNED", "PluginOffice")

# Settings of nodes that take archives without a signature.
UNSIGNED = {"ZHIHUI_PLUGIN_UNSIGNED": "1"}


class PluginOffice:
    """Bring archives, and change the plan."""

    def __init__(self, world: World) -> None:
        self.caller = Caller(world, "ops")
        self._world = world
        self._numbers = 0

    async def open(self) -> None:
        """Begin to hear answers."""
        await self.caller.open()

    async def call(self, verb: str, **body: Any) -> Any:
        """Ask under a new request id until there is an answer, and return its result."""
        self._numbers += 1
        return await self.caller.call(f"plugin.{verb}", request_id=f"p{self._numbers}", **body)

    async def refused(self, verb: str, **body: Any) -> dict[str, Any]:
        """Ask and return the error."""
        self._numbers += 1
        answer = await self.caller.ask(
            f"plugin.{verb}", timeout_s=5, request_id=f"p{self._numbers}", **body
        )
        assert not answer["ok"], answer
        error: dict[str, Any] = answer["error"]
        return error

    async def load(self, archive: Archive) -> int:
        """Upload an archive and have it loaded; return its generation."""
        data = archive.data
        parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
        for index, part in enumerate(parts):
            await self.call(
                "upload", sha256=archive.sha256, index=index, total=len(parts),
                data=b64encode(compress(part)).decode(),
            )  # fmt: skip
        loaded = await self.call("load", name=archive.manifest.name, sha256=archive.sha256)
        return int(loaded["generation"])

    async def put(self, archive: Archive) -> int:
        """Have an archive loaded and promoted, and wait until all nodes have done so."""
        number = await self.load(archive)
        await self.call("promote", name=archive.manifest.name, generation=number)
        await self.settle()
        return number

    async def settle(self, seconds: float = 3.0) -> None:
        """Wait until every node has had the time for what the plan says."""
        await self._world.clock.sleep(seconds)
