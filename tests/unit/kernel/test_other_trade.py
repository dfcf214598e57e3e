"""The kernel is generic: greenhouses on a host that is made of the kernel and nothing else."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec
import pytest

from kernel.memory_bus import MemoryBroker
from kernel.memory_database import MemoryDatabase
from kernel.plugins.archive import Archive, pack_files, read_archive
from kernel.plugins.errors import CapabilityRefused, DocumentTooNew
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.errors import InvalidState
from tests.tidy.source import imports, modules, test_modules
from tests.unit.kernel.garden import Garden

_MANIFEST = """\
name = "greenhouse"
version = "1.0.0"
summary = "Beds that want water."
entry = "pack:Greenhouse"
kernel_api = ">=1,<2"
capabilities = ["wake"]

[[collections]]
name = "bed"
key = "bed"
state = "pack:Bed"

[[operations]]
verb = "sow"
collection = "bed"
mutates = true

[[operations]]
verb = "water"
collection = "bed"
mutates = true

[[operations]]
verb = "look"
collection = "bed"
mutates = false

[[events]]
type = "greenhouse.dry"
data = ["pack:Bed"]
"""

_PACK = '''\
"""Beds that want water."""

from datetime import timedelta

import msgspec

from kernel.pack import Notice, Pack, Plan, on_timer, operation
from schemas.errors import InvalidState
from tests.unit.kernel.garden import Wake


class Ask(msgspec.Struct, frozen=True):
    request_id: str = ""
    plant: str = ""


class Thirst(msgspec.Struct, frozen=True):
    pass


class Bed(msgspec.Struct, frozen=True):
    plant: str
    watered: int = 0
    dry: bool = False


class Greenhouse(Pack):
    name = "greenhouse"

    @operation("sow", collection="bed", key="bed", state=Bed, result=Bed)
    async def sow(self, context, message: Ask, bed):
        if bed is not None:
            raise InvalidState("something grows there")
        return self._wet(context, Bed(message.plant))

    @operation("water", collection="bed", key="bed", state=Bed, result=Bed)
    async def water(self, context, message: Ask, bed):
        return self._wet(context, Bed(bed.plant, bed.watered + 1))

    def _wet(self, context, bed):
        due_at = context.now + timedelta(minutes=1)
        return Plan(state=bed, result=bed, effects=(Wake("thirst", due_at, Thirst()),))

    @on_timer("thirst", collection="bed", state=Bed, body=Thirst, events=("greenhouse.dry",))
    async def thirst(self, context, body, bed):
        dry = msgspec.structs.replace(bed, dry=True)
        return Plan(state=dry, notices=(Notice(type="greenhouse.dry", subject="bed", data=dry),))

    @operation("look", collection="bed", key="bed", state=Bed, result=Bed, mutates=False)
    async def look(self, context, message: Ask, bed):
        return bed
'''

# The second edition counts in litres, and knows the way there and back.
_MIGRATE = '''\
    def migrate(self, collection, from_version, to_version, document):
        factor = (5, 1) if to_version == 2 else (1, 5)
        names = ("watered", "litres") if to_version == 2 else ("litres", "watered")
        document[names[1]] = document.pop(names[0]) * factor[0] // factor[1]
        return document

    @operation("sow"'''


class _Ask(msgspec.Struct, frozen=True):
    request_id: str = ""
    plant: str = ""


def _first() -> Archive:
    return _archive(_MANIFEST, _PACK)


def _second() -> Archive:
    manifest = _MANIFEST.replace('version = "1.0.0"', 'version = "2.0.0"\nstate_version = 2')
    text = _PACK.replace("watered: int", "litres: int").replace("bed.watered + 1", "bed.litres + 5")
    return _archive(manifest, text.replace('    @operation("sow"', _MIGRATE))


def _archive(manifest: str, text: str) -> Archive:
    return read_archive(pack_files({"plugin.toml": manifest.encode(), "pack.py": text.encode()}))


class _World:
    """A database, a bus, and the garden that serves at present."""

    def __init__(self, clock: VirtualClock, randomness: SeededRandomness) -> None:
        self.clock = clock
        self.database = MemoryDatabase(clock)
        self.broker = MemoryBroker()
        self._randomness = randomness
        self._requests = 0

    @contextmanager
    def _kept(self, garden: Garden) -> Iterator[None]:
        try:
            yield
        finally:
            garden.registry.close()

    async def live(self, story: Callable[[Garden], Awaitable[None]]) -> None:
        """Let a garden serve while a story is told, then end it at once, as a crash does."""
        garden = Garden(
            "shed", self.database, self.broker, self.clock,
            SeededRandomness(self._randomness.bits(32)), "greenhouse",
        )  # fmt: skip
        with self._kept(garden):
            async with anyio.create_task_group() as tasks:
                await garden.start(tasks)
                await story(garden)
                garden.bus.close()
                garden.store.cut()
                tasks.cancel_scope.cancel()

    async def ask(self, garden: Garden, verb: str, bed: str = "north", plant: str = "") -> Any:
        """Ask under a new request id."""
        self._requests += 1
        return await garden.ask(verb, bed, _Ask(f"r{self._requests}", plant))

    def events(self) -> list[str]:
        """Return the types of all events."""
        return [row["type"] for _, row in sorted(self.database.rows("event").items())]


def _play(story: Callable[[_World], Awaitable[None]]) -> None:
    async def main(clock: VirtualClock, randomness: SeededRandomness) -> None:
        await story(_World(clock, randomness))

    run_virtual(main, seed=5)


def test_a_bed_lives_through_timers_a_crash_and_an_upgrade() -> None:
    """Documents and timers outlive a node; a new edition reads what the old one wrote, and back."""

    async def story(world: _World) -> None:
        async def first_minutes(garden: Garden) -> None:
            await garden.registry.load(_first(), 1)
            garden.registry.promote("greenhouse", 1)
            assert await world.ask(garden, "sow", plant="basil") == _bed(watered=0)
            assert await world.ask(garden, "water") == _bed(watered=1)
            await world.clock.sleep(61)
            # Watered after it was sown: the timer was moved, and came once.
            assert world.events() == ["greenhouse.dry"]
            assert await world.ask(garden, "look") == _bed(watered=1, dry=True)
            assert await world.ask(garden, "water") == _bed(watered=2)

        async def after_the_crash(garden: Garden) -> None:
            await garden.registry.load(_first(), 1)
            garden.registry.promote("greenhouse", 1)
            await world.clock.sleep(61)
            assert world.events() == ["greenhouse.dry"] * 2
            await garden.registry.load(_second(), 2)
            garden.registry.promote("greenhouse", 2)
            assert await world.ask(garden, "water") == _bed(litres=15)
            garden.registry.rollback("greenhouse")
            assert await world.ask(garden, "water") == _bed(watered=4)
            with pytest.raises(InvalidState):
                await world.ask(garden, "sow", plant="mint")

        await world.live(first_minutes)
        await world.live(after_the_crash)
        assert world.database.rows("dead_letter") == {}

    _play(story)


def test_work_in_flight_ends_in_its_edition_and_nothing_stays() -> None:
    """A message under way when another edition is promoted ends where it began; then it is gone."""

    async def story(world: _World) -> None:
        async def switch(garden: Garden) -> None:
            await garden.registry.load(_first(), 1)
            garden.registry.promote("greenhouse", 1)
            await world.ask(garden, "sow", plant="basil")
            await garden.registry.load(_second(), 2)

            async def slow(moment: str) -> None:
                if moment == "commit":
                    await world.clock.sleep(0.5)

            garden.store.disturb = slow
            answers: list[Any] = []

            async def water() -> None:
                answers.append(await world.ask(garden, "water"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(water)
                await world.clock.sleep(0.1)
                garden.registry.promote("greenhouse", 2)
                await garden.registry.drain("greenhouse", 1, 5.0)
                assert world.database.rows("document")["greenhouse", "bed", "north"]["version"] == 2
            assert answers == [_bed(watered=1)]
            remains = await garden.registry.unload("greenhouse", 1)
            assert remains.collect(), remains.holders()
            assert await world.ask(garden, "water") == _bed(litres=10)

        await world.live(switch)

    _play(story)


def test_an_older_edition_alone_leaves_newer_documents_as_they_are() -> None:
    """Without the edition that knows the way back a document is told to be too new, and stays."""

    async def story(world: _World) -> None:
        async def newer(garden: Garden) -> None:
            await garden.registry.load(_second(), 1)
            garden.registry.promote("greenhouse", 1)
            await world.ask(garden, "sow", plant="basil")

        async def older(garden: Garden) -> None:
            await garden.registry.load(_first(), 2)
            garden.registry.promote("greenhouse", 2)
            before = dict(world.database.rows("document"))
            with pytest.raises(Exception, match="no newer version is loaded") as told:
                await world.ask(garden, "water")
            assert getattr(told.value, "code", "") == DocumentTooNew.code
            assert world.database.rows("document") == before

        await world.live(newer)
        await world.live(older)

    _play(story)


def test_what_is_not_asked_for_is_refused_and_nothing_is_written() -> None:
    """Without the capability the message is a dead letter, and the bed stays empty."""

    async def story(world: _World) -> None:
        async def greedy(garden: Garden) -> None:
            archive = _archive(_MANIFEST.replace('["wake"]', "[]"), _PACK)
            await garden.registry.load(archive, 1)
            garden.registry.promote("greenhouse", 1)
            with pytest.raises(Exception, match="dead letter"):
                await world.ask(garden, "sow", plant="basil")
            await world.clock.sleep(3)

        await world.live(greedy)
        assert world.database.rows("document") == {}
        (letter,) = world.database.rows("dead_letter").values()
        assert CapabilityRefused.__name__ in letter["reason"]

    _play(story)


def test_the_host_is_made_of_the_kernel_alone() -> None:
    """Neither the bank nor the front door is imported by the garden or by this test."""
    (host,) = [one for one in test_modules() if one.path == "tests/unit/kernel/garden.py"]
    found = {target.partition(".")[0] for _, target in imports(host)}
    assert "kernel" in found
    assert not found & {"actors", "plugins", "zhihui", "loadtest"}
    assert not [one for one in modules("kernel") if "greenhouse" in one.text]


def _bed(**fields: Any) -> dict[str, Any]:
    name = "litres" if "litres" in fields else "watered"
    return {"plant": "basil", name: fields[name], "dry": fields.get("dry", False)}
