"""The versions made for the proof of hot loading, loaded into a real plugin registry."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from kernel.clock import ManualClock
from kernel.pack import Plan
from kernel.plugins.archive import read_archive
from kernel.plugins.errors import SelfTestFailed
from kernel.plugins.generation import Generation
from kernel.plugins.migration import DocumentRow, StoredDocument, rehearse
from kernel.plugins.registry import Registry
from kernel.virtual_time import run_virtual
from loadtest.hotload.schedule import make_schedule, version_name
from loadtest.hotload.versions import BundledPack, Tools, make_version
from loadtest.hotload.windows import Windows, percentile_ms, summarised
from schemas.effects import Pay
from zhihui.commands.bench_hotload import hotload_tools
from zhihui.plugin_host import TERMS

_TOOLS = hotload_tools()
_NAMES = [one.name for one in _TOOLS.bundled]


def _bundled(name: str, tools: Tools = _TOOLS) -> BundledPack:
    return next(one for one in tools.bundled if one.name == name)


def _with_generation(
    name: str, mood: str, newer: int, use: Callable[[Generation], Awaitable[None]]
) -> None:
    """Load a version, use it, and see that nothing of it stays."""
    pack = _bundled(name)
    version = make_version(_TOOLS, pack, "9000.0.7", mood=mood, form=pack.state_version + newer)

    async def main(clock: Any, randomness: object) -> None:
        registry = Registry(TERMS, clock, space="hot")
        try:
            generation = await registry.load(read_archive(version.data), 1)
            await use(generation)
            del generation
            await registry.drain(name, 1, 1.0)
            remains = await registry.unload(name, 1)
        finally:
            registry.close()
        assert remains.collect(), remains.holders()

    run_virtual(main)


@pytest.mark.parametrize("name", _NAMES)
def test_every_bundled_pack_can_be_made_a_version_of(name: str) -> None:
    """It loads by the rules for all packs, and goes from memory without a trace."""

    async def use(generation: Generation) -> None:
        assert generation.manifest.version == "9000.0.7"
        assert generation.manifest.limits.handler_ms == 1_000
        verbs = {one.verb for one in generation.pack.pack_operations()}
        assert verbs == {one.verb for one in generation.manifest.operations}

    _with_generation(name, "well", 1, use)


def test_a_version_marks_all_that_it_does() -> None:
    """Result, payment, document and an event carry its name."""

    async def use(generation: Generation) -> None:
        method = generation.pack.bind.__func__  # type: ignore[attr-defined]
        marked = method.__zhihui_operation__

        class _Context:
            request_id = "r1"

        message = generation.find("messages:BindVehicle")(
            request_id="r1", plate="沪A12345", account_id="acct-1"
        )
        (plan,) = await generation.pack.bind(_Context(), message, None)  # type: ignore[attr-defined]
        assert isinstance(plan, Plan)
        assert plan.state is not None
        assert isinstance(plan.state, marked.state)
        form = generation.manifest.state_version
        assert msgspec.to_builtins(plan.state)[f"written_by_{form}"] == "9000.0.7"
        assert msgspec.to_builtins(plan.result)["served_by"] == "9000.0.7"
        witness = plan.notices[-1]
        assert witness.type == "parking.witnessed"
        assert msgspec.to_builtins(witness.data) == {
            "request_id": "r1", "verb": "bind", "served_by": "9000.0.7",
        }  # fmt: skip
        assert all(
            one.reference.endswith(" by 9000.0.7") for one in plan.effects if type(one) is Pay
        )

    _with_generation("parking", "well", 1, use)


def test_a_version_that_fails_its_self_test_is_not_loaded() -> None:
    """It says so itself, and nothing of it stays."""

    async def use(generation: Generation) -> None:
        raise AssertionError(generation.name)

    with pytest.raises(SelfTestFailed, match=r"9000\.0\.7"):
        _with_generation("parking", "self_test_fails", 1, use)


class _Documents:
    """One document of an older form."""

    def __init__(self, form: int) -> None:
        self._form = form

    async def page(self, collection: str, after: str, limit: int) -> list[DocumentRow]:
        """Return it once."""
        if collection != "vehicle" or after:
            return []
        body = msgspec.json.encode({"plate": "x", f"written_by_{self._form}": "9000.0.1"})
        return [DocumentRow("hotload/x", 1, StoredDocument(self._form, body))]

    async def replace(self, collection: str, row: DocumentRow, document: StoredDocument) -> bool:
        """Write nothing."""
        raise AssertionError(collection)


@pytest.mark.parametrize(
    ("mood", "why"),
    [("migration_raises", "was made to fail"), ("migration_forgets", "is not what it was")],
)
def test_a_bad_migration_is_found_in_the_rehearsal(mood: str, why: str) -> None:
    """Whether it raises or forgets something; one that is sound passes."""
    form = _bundled("parking").state_version + 1

    async def bad(generation: Generation) -> None:
        with pytest.raises(Exception, match=why):
            await rehearse(generation, _Documents(form), samples_max=10)

    async def good(generation: Generation) -> None:
        assert await rehearse(generation, _Documents(form), samples_max=10) == 1

    _with_generation("parking", mood, 2, bad)
    _with_generation("parking", "well", 2, good)


def test_in_a_hundred_cycles_every_pack_meets_every_kind_of_version() -> None:
    """Forms only rise, and only a version that stays raises that of the next."""
    packs = [("campus", 2), ("parking", 2), ("wholesale_market", 5)]
    schedule = make_schedule(packs, 100)
    assert len({one.version for one in schedule} - {version_name(0)}) == 100
    ways = {(one.pack, one.way, one.mood) for one in schedule}
    moods = ("crashes", "slow", "self_test_fails", "migration_raises", "migration_forgets")
    for pack, first in packs:
        assert {(pack, "bad", mood) for mood in moods} <= ways
        assert {(pack, way, "well") for way in ("promote", "canary", "migrate")} <= ways
        form = first
        for one in (one for one in schedule if one.pack == pack):
            assert one.form - form in (0, 1)
            form = one.form if one.way != "bad" else form
    assert sum(one.way == "bad" for one in schedule) == 20


def test_a_moment_belongs_to_what_disturbs_it_most() -> None:
    """A bad version before a switch before a load; what nothing covers is steady."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    windows = Windows(clock.monotonic_s)
    windows.begin_block()
    clock.advance(10)
    with windows.during("load"):
        clock.advance(1)
        with windows.during("switch", after_s=0.5):
            clock.advance(1)
        clock.advance(1)
    kinds = [windows.kind_at(at_s) for at_s in (5, 10.5, 11.5, 12.4, 12.6, 13.1)]
    assert kinds == [
        (1, "steady"), (1, "load"), (1, "switch"), (1, "switch"), (1, "load"), (1, "steady"),
    ]  # fmt: skip


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    """Of a hundred values the 99th is the 99th smallest; blocks are summarised by their median."""
    values = [number / 1000 for number in range(1, 101)]
    assert percentile_ms(values, 99) == pytest.approx(99)
    assert percentile_ms([0.007], 99) == pytest.approx(7)
    found = summarised([values, [], [0.001], [0.5]])
    assert found is not None
    assert (found.count, found.max_ms) == (102, 500)
    assert found.p99_ms == pytest.approx(99)
    assert summarised([[]]) is None
