"""The back office: it brings versions and has nodes switch, by the public interface."""

import base64
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from loadtest.hotload.versions import Tools, Version
from schemas.errors import InvalidState
from schemas.plugins import PART_BYTES, PluginChanged
from schemas.subjects import OPERATOR_APP
from zhihui.client import Client

__all__ = ("NodeView", "NotConverged", "Office", "SlotView", "Trouble")

_STATS = "$SRV.STATS.zhihui"
_CALL_S = 10.0
_LOOK_EVERY_S = 0.05
# A node looks by itself every second; all it has to do takes milliseconds.
_CONVERGE_S_MAX = 30.0
# What an older version is kept for is written again within a few seconds.
_UNLOAD_S_MAX = 60.0
_UNLOAD_AGAIN_S = 0.5
_ASK_AGAIN_S = 0.1


class NotConverged(Exception):
    """The nodes did not get to where the plan wants them."""


class Trouble(msgspec.Struct, frozen=True):
    """A step that fails on a node."""

    plugin: str
    generation: int
    error: str


class _GenerationView(msgspec.Struct, frozen=True):
    generation: int
    version: str
    state: str


class SlotView(msgspec.Struct, frozen=True):
    """A plugin as a node has it; 0 stands for no generation."""

    plugin: str
    promoted: int
    canary: int
    rollbacks: int
    generations: tuple[_GenerationView, ...]


class _Convergence(msgspec.Struct, frozen=True):
    planned: int
    converged: bool
    unproven: int
    leaked: int
    holders: tuple[str, ...]
    troubles: tuple[Trouble, ...]


class _Registry(msgspec.Struct, frozen=True):
    plugins: tuple[SlotView, ...]
    loaded: int
    load_failures: int
    unloaded: int


class NodeView(msgspec.Struct, frozen=True):
    """The plugins of a node."""

    convergence: _Convergence
    registry: _Registry

    def slot(self, pack: str) -> SlotView:
        """Return one plugin."""
        return next(one for one in self.registry.plugins if one.plugin == pack)


class _Statistics(msgspec.Struct, frozen=True):
    plugins: NodeView


class _Answer(msgspec.Struct, frozen=True):
    id: str
    node: _Statistics


class _Ping(msgspec.Struct, frozen=True):
    id: str


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_ping = msgspec.json.Decoder(_Ping).decode


class Office:
    """Change the plan, and see how far the nodes are. Open it with :meth:`open`."""

    def __init__(self, client: Client, tools: Tools, data_dir: Path) -> None:
        self._client = client
        self._tools = tools
        self._data_dir = data_dir
        self._nodes: tuple[str, ...] = ()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, tools: Tools, data_dir: Path, nodes: int
    ) -> AsyncIterator["Office"]:
        """Connect and find all nodes."""
        async with Client(app=OPERATOR_APP, url=url, timeout_s=_CALL_S) as client:
            office = cls(client, tools, data_dir)
            with anyio.fail_after(_CONVERGE_S_MAX):
                await office._find(nodes)
            yield office

    async def _find(self, nodes: int) -> None:
        # One question has one answer here, and any node may be the first.
        found: set[str] = set()
        while len(found) < nodes:
            raw = await self._client.request_raw("$SRV.PING.zhihui", b"", timeout_s=_CALL_S)
            found.add(_decode_ping(raw).id)
            await anyio.sleep(_LOOK_EVERY_S)
        self._nodes = tuple(sorted(found))

    # What the nodes say.

    async def look(self) -> list[NodeView]:
        """Return the plugins of every node."""
        views = []
        for node in self._nodes:
            raw = await self._client.request_raw(f"{_STATS}.{node}", b"", timeout_s=_CALL_S)
            views.append(_decode_answer(raw).node.plugins)
        return views

    async def wait_converged(self, plan_version: int) -> float:
        """Wait until all nodes have done a version of the plan; return when that was seen."""
        give_up_s = time.monotonic() + _CONVERGE_S_MAX
        while True:
            views = await self.look()
            if all(
                one.convergence.planned >= plan_version and one.convergence.converged
                for one in views
            ):
                return time.monotonic()
            if time.monotonic() > give_up_s:
                raise NotConverged(
                    f"version {plan_version} of the plan is not done after {_CONVERGE_S_MAX:.0f} s:"
                    f" {[one.convergence for one in views]}"
                )
            await anyio.sleep(_LOOK_EVERY_S)

    async def wait_refused(self, pack: str, generation: int) -> str:
        """Wait until every node has failed to load a generation; return why."""
        give_up_s = time.monotonic() + _CONVERGE_S_MAX
        while True:
            views = await self.look()
            errors = [
                one.error
                for view in views
                for one in view.convergence.troubles
                if (one.plugin, one.generation) == (pack, generation)
            ]
            if len(errors) >= len(views):
                return errors[0]
            if time.monotonic() > give_up_s:
                raise NotConverged(f"{pack} g{generation} was expected to fail, and did not")
            await anyio.sleep(_LOOK_EVERY_S)

    async def wait_serving(self, pack: str, generation: int, *, timeout_s: float) -> float:
        """Wait until a generation serves all keys on every node; return when that was seen."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            slots = [one.slot(pack) for one in await self.look()]
            if all(one.promoted == generation and not one.canary for one in slots):
                return time.monotonic()
            if time.monotonic() > give_up_s:
                raise NotConverged(
                    f"{pack} g{generation} does not serve after {timeout_s:.0f} s: {slots}"
                )
            await anyio.sleep(_LOOK_EVERY_S)

    # What the office does.

    async def upload(self, version: Version) -> None:
        """Bring an archive."""
        parts = range(0, len(version.data), PART_BYTES)
        for index, start in enumerate(parts):
            part = zlib.compress(version.data[start : start + PART_BYTES])
            body = {
                "sha256": version.sha256, "index": index, "total": len(parts),
                "data": base64.b64encode(part).decode(),
            }  # fmt: skip
            await self._call("upload", body)

    async def load(self, version: Version) -> PluginChanged:
        """Have every node load an archive that was brought."""
        signature = self._tools.sign(self._data_dir, version.data)
        fields = {"name": version.pack, "sha256": version.sha256}
        return await self.change("load", **fields, signature=msgspec.to_builtins(signature))

    async def change(self, verb: str, **fields: Any) -> PluginChanged:
        """Change the plan; return what became of the generation."""
        answer = await self._call(verb, {"reason": "proof of hot loading", **fields})
        return msgspec.convert(answer, PluginChanged)

    async def unload(self, pack: str, generation: int) -> PluginChanged:
        """Have a generation forgotten, as soon as no document needs it any more."""
        give_up_s = time.monotonic() + _UNLOAD_S_MAX
        while True:
            try:
                return await self.change("unload", name=pack, generation=generation)
            except InvalidState as error:
                if time.monotonic() > give_up_s:
                    raise NotConverged(
                        f"{pack} g{generation} cannot be unloaded: {error}"
                    ) from error
            await anyio.sleep(_UNLOAD_AGAIN_S)

    async def _call(self, verb: str, fields: dict[str, Any]) -> Any:
        body = {"request_id": self._client.new_request_id(), **fields}
        return await self._client.call("plugin", verb, body, timeout_s=_CALL_S)
