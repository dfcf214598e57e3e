"""A world whose back office brings plugins: a small pack, in any version that a test needs."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import anyio

from actors.plugins.archives import parts_of
from actors.plugins.trust import UNSIGNED_SETTING
from kernel.plugins.archive import Archive, pack_files, read_archive
from kernel.plugins.signature import SigningKey
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

__all__ = ("UNSIGNED", "Office", "greeter", "play")

UNSIGNED = {UNSIGNED_SETTING: "1"}

_STORY_S_MAX = 10_000

_MANIFEST = """
name = "{name}"
version = "{version}"
summary = "Greets whoever comes."
entry = "pack:Greeter"
kernel_api = ">=0.1,<0.2"
state_version = {state_version}

[[collections]]
name = "guest"
key = "who"
state = "pack:Guest"

[[operations]]
verb = "greet"
collection = "guest"
mutates = true
"""

_PACK = '''
"""Greets."""

import msgspec

from zhihui.plugin import Context, Pack, Plan, operation


class Greet(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    who: str


class Guest(msgspec.Struct, frozen=True):
    times: int


class Greeting(msgspec.Struct, frozen=True):
    text: str


class Greeter(Pack):
    name = "{name}"

    @operation("greet", collection="guest", key="who", state=Guest, result=Greeting)
    async def greet(self, context: Context, message: Greet, guest: Guest | None) -> Plan:
        """Greet a guest."""
        times = 1 if guest is None else guest.times + 1
        return Plan(state=Guest(times), result=Greeting("{version} " + message.who))

    def migrate(self, collection, from_version, to_version, document):
        return document

    async def self_test(self):
        {self_test}
'''


def greeter(
    version: str, *, state_version: int = 1, name: str = "greeter", self_test: str = "pass",
    extra: bytes = b"",
) -> Archive:  # fmt: skip
    """Return the archive of a version of the greeter; ``extra`` is a file that makes it larger."""
    manifest = _MANIFEST.format(name=name, version=version, state_version=state_version)
    code = _PACK.replace("{version}", version).replace("{self_test}", self_test)
    files = {"plugin.toml": manifest.encode(), "pack.py": code.replace("{name}", name).encode()}
    if extra:
        files["samples/extra.bin"] = extra
    return read_archive(pack_files(files))


class Office(Caller):
    """The back office, with ids that are new for each request."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "ops")
        self._requests = 0

    def new_id(self) -> str:
        """Return a request id."""
        self._requests += 1
        return f"r-{self._requests}"

    async def try_(self, verb: str, **fields: Any) -> Any:
        """Ask for one change or read, as often as it takes; return the answer, ``ok`` or not."""
        if verb not in ("list", "show"):
            fields.setdefault("request_id", self.new_id())
        while True:
            try:
                answer = await self.ask(f"plugin.{verb}", **fields)
            except TimeoutError:
                continue
            if answer["ok"] or not answer["error"]["retryable"]:
                return answer

    async def do(self, verb: str, **fields: Any) -> Any:
        """Ask, and return the result."""
        answer = await self.try_(verb, **fields)
        assert answer["ok"], answer
        return answer["result"]

    async def upload(self, archive: Archive) -> Any:
        """Bring all parts of an archive; return the last answer."""
        parts = parts_of(archive.data)
        answer: Any = None
        for index, part in enumerate(parts):
            answer = await self.try_(
                "upload", sha256=archive.sha256, index=index, total=len(parts),
                data=part,
            )  # fmt: skip
        return answer

    async def load(self, archive: Archive, key: SigningKey | None = None) -> Any:
        """Bring an archive and have it loaded; return the answer, ``ok`` or not."""
        uploaded = await self.upload(archive)
        if not uploaded["ok"]:
            return uploaded
        fields: dict[str, Any] = {}
        if key is not None:
            signature = key.sign(archive)
            fields["signature"] = {
                name: getattr(signature, name) for name in signature.__struct_fields__
            }
        return await self.try_("load", name=archive.manifest.name, sha256=archive.sha256, **fields)

    async def serve(self, archive: Archive) -> int:
        """Load and promote an archive; return its generation."""
        loaded = await self.load(archive)
        assert loaded["ok"], loaded
        number = int(loaded["result"]["generation"])
        await self.do("promote", name=archive.manifest.name, generation=number)
        return number

    async def stages(self, name: str = "greeter") -> dict[int, str]:
        """Return the generations that the plan has of a plugin, with their states."""
        plan = await self.do("list")
        return {
            one["generation"]: one["state"]
            for plugin in plan["plugins"]
            if plugin["name"] == name
            for one in plugin["generations"]
        }


def play(
    story: Callable[[World, Office], Awaitable[Any]], *, settings: dict[str, str] | None = None,
    archives: Iterable[Archive] = (), nodes: int = 1, seed: int = 1,
) -> Any:  # fmt: skip
    """Play a story in a world of its own with that many nodes."""
    worlds: list[World] = []

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, settings, archives=archives)
            worlds.append(world)
            for number in range(1, nodes + 1):
                await world.start(f"n{number}")
            office = Office(world)
            await office.open()
            with anyio.fail_after(_STORY_S_MAX):
                result = await story(world, office)
            tasks.cancel_scope.cancel()
        return result

    try:
        return run_virtual(main, seed=seed)
    finally:
        for world in worlds:
            # Nodes that are over stay in memory in a test, where many live in one process.
            for node in world._past:
                node.edge.endpoints.clear()
                node.edge._routes.clear()
            world.forget_code()
