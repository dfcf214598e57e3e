"""The service is killed in the middle of a scenario backend's stream, and nothing is lost."""

import os
import signal
from pathlib import Path

import pytest

from plugins.parking.samples.generate import generate
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.demo.books import read_books
from zhihui.demo.day import load_day
from zhihui.demo.driver import DayDriver
from zhihui.embedded.platform import running_platform

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_killed_service_completes_the_stream(tmp_path: Path) -> None:
    """After ``kill -9`` of the node, twice, retries complete the day as if nothing had happened."""
    generate(seed=42, vehicles=400, out=tmp_path / "day")
    day = load_day(tmp_path / "day")
    killed = []
    async with running_platform(tmp_path / "data") as platform:

        def kill_on_the_way(done: int) -> None:
            if done in (day.manifest.messages // 3, 2 * day.manifest.messages // 3):
                (pid,) = platform.node_pids().values()
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        async with Client(app="citypark", url=platform.servers.nats_url) as client:
            # A short wait for an answer: the kill leaves a few hundred requests without one.
            driver = DayDriver(client, app="citypark", attempt_s=2.0)
            setup = await driver.run_lines(day.of_phase(0))
            events = await driver.run_lines(day.of_phase(1), kill_on_the_way)
            books = await read_books(driver, day)
        audit = await run_audit(platform.servers.postgres_dsn)
    assert len(set(killed)) == 2
    assert events.sent_again > 0
    assert [setup.mismatches, events.mismatches] == [[], []]
    assert books == day.manifest.figures()
    assert audit.ok
    assert audit.totals.payments == day.manifest.payments
