"""Small days of all packs through the whole service, and `zhihui demo` from end to end."""

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from rich.console import Console

from plugins.campus.samples.generate import generate as generate_campus
from plugins.parking.samples.generate import generate as generate_parking
from plugins.wholesale_market.samples.generate import generate as generate_wholesale
from schemas.bank_events import BANK_EVENTS
from schemas.catalogue import BANK_OPERATIONS
from schemas.subjects import OPERATOR_APP
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.demo.books import read_books
from zhihui.demo.city.bundle import load_city
from zhihui.demo.day import Day, load_day
from zhihui.demo.days.date import SandboxDate
from zhihui.demo.days.manifest import Figures
from zhihui.demo.days.result import DayResult
from zhihui.demo.driver import DayDriver
from zhihui.demo.report import SUMMARY_TITLE, print_figures, print_outcomes, print_summary
from zhihui.demo.run import play_and_compare
from zhihui.embedded.platform import running_platform
from zhihui.embedded.servers import started_servers
from zhihui.packs import bundled_event_data, bundled_packs
from zhihui.sandbox import SANDBOX_VARIABLE

pytestmark = pytest.mark.anyio

_DEMO = (sys.executable, "-m", "zhihui", "demo")
# Kinds of events by operation, in either of the tests that look at them.
_TOLD_MIN = 20

# It takes a little less than a minute, most of it waiting for the date that it moves.
_DEMO_S_MAX = 280


async def test_every_outcome_and_balance_is_the_models(tmp_path: Path) -> None:
    """The service and each pack's own model agree on every message, balance and debt of its day."""
    parking, wholesale, campus = (tmp_path / name for name in ("parking", "market", "school"))
    generate_parking(seed=41, vehicles=250, out=parking)
    generate_wholesale(seed=41, size=0.2, out=wholesale)
    generate_campus(seed=41, houses=4, out=campus)
    said = io.StringIO()
    console = Console(file=said, width=120)
    async with running_platform(tmp_path / "data", settings={SANDBOX_VARIABLE: "1"}) as platform:
        url, dsn = platform.servers.nats_url, platform.servers.postgres_dsn
        results = [await _play(console, url, "parking", parking)]
        audit = await run_audit(dsn)
        assert audit.totals.payments == load_day(parking).manifest.payments
        results.append(await _play(console, url, "wholesale_market", wholesale))
        results.append(await _play(console, url, "campus", campus))
        print_summary(console, results)
        audit = await run_audit(dsn)
        undeclared = await _undeclared_events(dsn)
    assert all(one.agree for one in results), said.getvalue()
    assert "mismatch " not in said.getvalue()
    assert [one.mismatched for one in results] == [0, 0, 0]
    assert min(one.rejected for one in results) > 0
    assert min(one.repeated for one in results) > 0
    assert all(one.figures == one.figures_right > 8 for one in results)
    assert audit.ok
    assert audit.totals.dead_letters == 0
    assert undeclared == []


async def _play(console: Console, url: str, name: str, folder: Path) -> DayResult:
    """Play a day of a folder, and see to it that what its manifest should not say is noticed."""
    day = load_day(folder)
    app = day.manifest.app
    async with Client(app=app, url=url) as client, Client(app=OPERATOR_APP, url=url) as office:
        driver = DayDriver(client, app=app)
        result = await play_and_compare(console, name, day, driver, SandboxDate(office))
        assert result.messages == day.manifest.messages_in_all
        await _assert_a_false_manifest_is_noticed(driver, day)
    return result


async def _assert_a_false_manifest_is_noticed(driver: DayDriver, day: Day) -> None:
    """One fen more on an account, or one who owes a fen, is not what the books say."""
    found = await read_books(driver, day)
    figures = day.manifest.figures()
    assert found == figures
    silent = Console(file=io.StringIO(), width=120)
    for what in figures.keys() & {"balances", "debts"}:
        name, amount = next(iter(figures[what].items()), ("nobody", 0))
        false: Figures = {**figures, what: {**figures[what], name: (amount or 0) + 1}}
        assert not print_figures(silent, false, found)
    outcomes = {**day.manifest.outcomes, "account.open": {"ok": 1}}
    assert not print_outcomes(silent, "false", replace(day.manifest, outcomes=outcomes), ())


@pytest.mark.timeout(_DEMO_S_MAX + 40)
async def test_the_demo_of_the_city_ends_as_it_must(tmp_path: Path) -> None:
    """`zhihui demo` plays the city's year, says that all agrees, and exits with 0."""
    done = await asyncio.to_thread(_run_demo, tmp_path / "data")
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr}"
    said = " ".join(done.stdout.split())
    city = load_city().manifest
    balances = len(city.balances)
    for sentence in (
        f"The city: {city.name}. {city.messages:,} messages",
        "The channel wechat is down (silent).",
        "The channel alipay is back.",
        "The channels' books and ours agree, and nothing is in suspense",
        "It is 12 days later.",
        "The plans are paid to their end: 2 messages",
        f"{balances:,} of {balances:,} balances are the manifest's, to the fen.",
        "After city the audit holds:",
        SUMMARY_TITLE,
        f"{balances:,} of {balances:,} │",
        "The audit holds:",
        "Every outcome, every balance, the channels' books and the audit are as they must be.",
        "Try next:",
    ):
        assert sentence in said
    assert "mismatch " not in said
    # Once in the story, while refunds are on their way, and once at the end.
    assert said.count("The channels' books and ours agree") == 2
    async with started_servers(tmp_path / "data") as pair:
        assert await _undeclared_events(pair.postgres_dsn) == []


async def test_ctrl_c_ends_the_demo_and_all_that_it_started(tmp_path: Path) -> None:
    """Interrupted amid a day, it stops servers and nodes, says so, and exits as shells expect."""
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    command = [*_DEMO, "--only", "parking", "--data-dir", str(tmp_path / "data")]
    running = await asyncio.create_subprocess_exec(
        *command, env=inherited, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    seen = b""
    while b"Before the day:" not in seen:
        seen = await running.stdout.readline()
        assert seen
    assert len(_commands_that_name(tmp_path)) > 2
    running.send_signal(signal.SIGINT)
    rest, errors = await asyncio.wait_for(running.communicate(), _DEMO_S_MAX)
    assert running.returncode == 130
    assert rest.decode().rstrip().endswith("Stopped before the end.")
    assert errors == b""
    assert _commands_that_name(tmp_path) == []


def _commands_that_name(folder: Path) -> list[str]:
    """Return the command lines of running processes in which the folder stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words:
                found.append(words)
    return found


def _run_demo(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    return subprocess.run(
        [*_DEMO, "--only", "city", "--data-dir", str(data_dir)],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=_DEMO_S_MAX,
        check=False,
    )


async def _undeclared_events(postgres_dsn: str) -> list[str]:
    """Return what was told in the demo by an operation that does not say that it tells it.

    Timers and channels make changes of their own, which tell what some operation began. A pack
    pays through the payment service, whose word a payment then is.
    """
    connection = await asyncpg.connect(postgres_dsn)
    try:
        told = await connection.fetch(
            "SELECT DISTINCT c.operation, e.type FROM zhihui.event AS e"
            " JOIN zhihui.change AS c ON c.seq = e.change_seq"
        )
    finally:
        await connection.close()
    assert len(told) > _TOLD_MIN
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
