"""A small day of the car parks through the whole service on real servers."""

import io
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from plugins.parking.samples.generate import generate
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.demo.books import Books, read_books
from zhihui.demo.day import Day, load_day
from zhihui.demo.driver import DayDriver, Tally
from zhihui.demo.report import print_books, print_outcomes, print_speed
from zhihui.embedded.platform import running_platform

pytestmark = pytest.mark.anyio


async def test_every_outcome_and_balance_is_the_models(tmp_path: Path) -> None:
    """The service and the generator's own model agree on every message, balance and arrear."""
    generate(seed=41, vehicles=250, out=tmp_path / "day")
    day = load_day(tmp_path / "day")
    async with running_platform(tmp_path / "data") as platform:
        async with Client(app="citypark", url=platform.servers.nats_url) as client:
            driver = DayDriver(client, day, app="citypark")
            setup = await driver.run_setup()
            events = await driver.run_day()
            books = await read_books(driver, day)
        audit = await run_audit(platform.servers.postgres_dsn)
    _assert_all_agree(day, setup, events, books)
    assert audit.ok
    assert audit.totals.payments == day.manifest.payments
    assert audit.totals.dead_letters == 0
    _assert_a_false_manifest_is_noticed(day, setup, events, books)


def _assert_all_agree(day: Day, setup: Tally, events: Tally, books: Books) -> None:
    assert [setup.mismatches, events.mismatches] == [[], []]
    assert setup.done + events.done == day.manifest.setup_messages + day.manifest.messages
    console = Console(file=io.StringIO(), width=120)
    assert print_outcomes(console, day.manifest, (setup, events))
    assert print_books(console, day.manifest, books)
    print_speed(console, setup, events)
    assert "mismatch" not in console.file.getvalue()  # type: ignore[attr-defined]


def _assert_a_false_manifest_is_noticed(
    day: Day, setup: Tally, events: Tally, books: Books
) -> None:
    """The report finds one outcome, one fen or one arrear that is not as the manifest says."""
    console = Console(file=io.StringIO(), width=120)
    manifest = day.manifest
    outcomes = {**manifest.outcomes, "parking.bind": {"bound": 1}}
    assert not print_outcomes(console, replace(manifest, outcomes=outcomes), (setup, events))
    lot = manifest.lots["railway-station"]
    lots = {**manifest.lots, "railway-station": replace(lot, balance_minor=lot.balance_minor + 1)}
    assert not print_books(console, replace(manifest, lots=lots), books)
    arrears = {**manifest.arrears, "沪A00001": 1}
    assert not print_books(console, replace(manifest, arrears=arrears), books)
