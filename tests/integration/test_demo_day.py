"""A small day of the car parks through the whole service, and `zhihui demo` from end to end."""

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from rich.console import Console

from plugins.parking.samples.generate import generate
from schemas.bank_events import BANK_EVENTS
from schemas.catalogue import BANK_OPERATIONS
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.demo.books import Books, read_books
from zhihui.demo.city.bundle import load_city
from zhihui.demo.day import Day, load_day
from zhihui.demo.driver import DayDriver, Tally
from zhihui.demo.report import print_books, print_outcomes, print_speed
from zhihui.embedded.platform import running_platform
from zhihui.embedded.servers import started_servers
from zhihui.packs import bundled_event_data, bundled_packs

pytestmark = pytest.mark.anyio

# It takes a little more than a minute, most of it waiting for the date that it moves.
_DEMO_S_MAX = 280


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


@pytest.mark.timeout(_DEMO_S_MAX + 40)
async def test_the_whole_demo_ends_as_it_must(tmp_path: Path) -> None:
    """`zhihui demo` plays the day and the city's year, says that all agrees, and exits with 0."""
    done = await asyncio.to_thread(_run_demo, tmp_path / "data")
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr}"
    said = " ".join(done.stdout.split())
    city = load_city().manifest
    balances = len(city.balances)
    for sentence in (
        "Every outcome, every balance and the audit are as they must be.",
        f"The city: {city.name}. {city.messages:,} messages",
        "The channel wechat is down (silent).",
        "The channel alipay is back.",
        "The channels' books and ours agree, and nothing is in suspense.",
        "It is 12 days later.",
        "The plans are paid to their end: 2 messages",
        f"{balances:,} of {balances:,} balances are the manifest's, to the fen.",
        "The city's year turned out as it must: every outcome, every balance, the channels' books",
        "Try next:",
    ):
        assert sentence in said
    assert "mismatch" not in said
    # One audit after the day and one after the year.
    assert said.count("The audit holds:") == 2
    assert await _undeclared_events(tmp_path / "data") == []


def _run_demo(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    return subprocess.run(
        [sys.executable, "-m", "zhihui", "demo", "--data-dir", str(data_dir)],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=_DEMO_S_MAX,
        check=False,
    )


async def _undeclared_events(data_dir: Path) -> list[str]:
    """Return what was told in the demo by an operation that does not say that it tells it.

    Timers and channels make changes of their own, which tell what some operation began. A pack
    pays through the payment service, whose word a payment then is.
    """
    async with started_servers(data_dir) as pair:
        connection = await asyncpg.connect(pair.postgres_dsn)
        try:
            told = await connection.fetch(
                "SELECT DISTINCT c.operation, e.type FROM zhihui.event AS e"
                " JOIN zhihui.change AS c ON c.seq = e.change_seq"
            )
        finally:
            await connection.close()
    assert len(told) > 50
    declared = {operation.name: operation.events for operation in BANK_OPERATIONS}
    declared |= {
        operation.name: (*operation.events, "payment.succeeded")
        for pack in bundled_packs()
        for operation in pack.operations()
    }
    known = BANK_EVENTS | bundled_event_data()
    return sorted(
        f"{record['operation']} tells {record['type']}"
        for record in told
        if record["type"] not in declared.get(record["operation"], known)
    )
