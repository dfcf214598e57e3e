"""``zhihui up --reload``: a pack is loaded again whenever a file of it is saved."""

from collections.abc import Callable
from pathlib import Path

import nats.errors
from watchfiles import awatch

from kernel.clock import SystemClock
from kernel.plugins.archive import Archive
from schemas.errors import Rejected, ZhihuiError
from schemas.plugins import PluginChanged
from zhihui.commands.back_office import back_office
from zhihui.commands.plugin_nodes import LOOK_EVERY_S, NodePlugins, PluginWatch
from zhihui.commands.plugin_office import Office, archive_at, signature_of

__all__ = ("NODES_S", "Reloader", "follow")

# A node loads a pack in tenths of a second. What takes longer is stuck in its self-test.
NODES_S = 20.0
# Editors write a file in several steps; after this pause they are done, milliseconds.
_DEBOUNCE_MS = 300
_REASON = "saved"


async def follow(
    folder: Path, *, nats_url: str, data_dir: Path, report: Callable[[str], None]
) -> None:
    """Serve the pack of a folder as it is now, and again after each save, until cancelled."""
    async with (
        back_office(nats_url, data_dir) as client,
        PluginWatch(nats_url) as watch,
    ):
        reloader = Reloader(Office(client), watch, folder, data_dir, report)
        await reloader.bring()
        async for _ in awatch(folder, debounce=_DEBOUNCE_MS, step=_DEBOUNCE_MS // 3):
            await reloader.bring()


class Reloader:
    """Bring one folder to the nodes, version after version.

    Whatever is wrong with a version is told, and the one before serves on.
    """

    def __init__(
        self, office: Office, watch: PluginWatch, folder: Path, data_dir: Path,
        report: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._office = office
        self._watch = watch
        self._folder = folder
        self._data_dir = data_dir
        self._report = report
        self._clock = SystemClock()
        self._sha256 = ""

    async def bring(self) -> bool:
        """Have the folder as it is now served by all nodes; tell whether it is."""
        try:
            archive = archive_at(self._folder)
            if archive.sha256 == self._sha256:
                return True
            # What was refused is not tried again before it is saved again.
            self._sha256 = archive.sha256
            return await self._serve(archive)
        except Rejected as error:
            self._say(f"not loaded: {error.message}")
        except (ZhihuiError, nats.errors.Error, OSError) as error:
            self._say(f"not loaded: {error}")
            self._sha256 = ""
        return False

    async def _serve(self, archive: Archive) -> bool:
        began_s = self._clock.monotonic_s()
        name, version = archive.manifest.name, archive.manifest.version
        signature, _ = signature_of(archive, self._folder, None, self._data_dir)
        await self._office.upload(archive, lambda _done, _total: None)
        loaded = await self._office.change(
            "load", _REASON, name=name, sha256=archive.sha256, signature=signature
        )
        if not await self._nodes_do(loaded):
            await self._office.change("unload", _REASON, name=name, generation=loaded.generation)
            return False
        promoted = await self._office.change(
            "promote", _REASON, name=name, generation=loaded.generation
        )
        if not await self._nodes_do(promoted):
            return False
        took_ms = (self._clock.monotonic_s() - began_s) * 1000
        self._say(f"{version} serves as generation {loaded.generation}, after {took_ms:.0f} ms")
        await self._forget_others(name, loaded.generation)
        return True

    async def _nodes_do(self, change: PluginChanged) -> bool:
        """Wait until all nodes have done it; say what is wrong where they cannot."""
        give_up_s = self._clock.monotonic_s() + NODES_S
        while True:
            nodes = await self._watch.look()
            if nodes and all(one.follows(change.plan_version) for one in nodes):
                return True
            trouble = _trouble(nodes, change)
            if trouble or self._clock.monotonic_s() >= give_up_s:
                self._say(trouble or f"the nodes are not there after {NODES_S:g} s")
                return False
            await self._clock.sleep(LOOK_EVERY_S)

    async def _forget_others(self, name: str, number: int) -> None:
        shown = await self._office.read("show", name=name)
        for one in shown["generations"]:
            other = one["generation"]["generation"]
            if other != number:
                await self._office.change("drain", _REASON, name=name, generation=other)
                await self._office.change("unload", _REASON, name=name, generation=other)

    def _say(self, text: str) -> None:
        self._report(f"Reload    {self._folder.name}: {text}")


def _trouble(nodes: tuple[NodePlugins, ...], change: PluginChanged) -> str:
    for node in nodes:
        for one in node.troubles:
            if (one.plugin, one.generation) == (change.name, change.generation):
                return one.error
    return ""
