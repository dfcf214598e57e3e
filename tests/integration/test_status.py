"""`zhihui status` on a running service, and on one that is not well."""

import json
import os
import subprocess
import sys
from functools import partial

import anyio.to_thread
import asyncpg
import pytest

from kernel.clock import SystemClock
from tests.eventually import eventually
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.node import NodeConfig, running_node
from zhihui.status import Gatherer

pytestmark = pytest.mark.anyio


def _config(name: str, nats_url: str, dsn: str) -> NodeConfig:
    return NodeConfig(name=name, nats_url=nats_url, postgres_dsn=dsn)


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _status(nats_url: str, dsn: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    return subprocess.run(
        [sys.executable, "-m", "zhihui", "status", *arguments],
        env={**inherited, "ZHIHUI_NATS_URL": nats_url, "ZHIHUI_POSTGRES_DSN": dsn},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


async def test_two_nodes_and_their_partitions_are_shown(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """Both nodes are ready, every partition has an owner, and nothing is off."""
    url = nats_server.url
    async with (
        running_node(_config("n1", url, postgres_dsn)) as first,
        running_node(_config("n2", url, postgres_dsn)) as second,
    ):
        await eventually(
            lambda: len(first.ownership.owned()) == len(second.ownership.owned()) == 32,
            "equal shares",
            within_s=20,
        )
        async with Client(app="shop", url=url) as client:
            await client.accounts.open(holder="Li")
        report = await Gatherer(url, postgres_dsn, SystemClock()).report()
        assert report.ok
        assert report.warnings == ()
        assert [(node.name, node.partitions) for node in report.nodes] == [("n1", 32), ("n2", 32)]
        assert sum(node.requests for node in report.nodes) == 1
        assert report.nodes[0].epoch_min >= 1
        assert {one.owner for one in report.partitions} == {"n1", "n2"}
        assert report.lag is not None
        assert report.rows["account"] is not None
        done = await anyio.to_thread.run_sync(partial(_status, url, postgres_dsn))
        assert done.returncode == 0, done.stderr
        assert "n2" in done.stdout
        as_json = await anyio.to_thread.run_sync(partial(_status, url, postgres_dsn, "--json"))
        assert json.loads(as_json.stdout)["nodes"][1]["name"] == "n2"
        password = postgres_dsn.split("@", maxsplit=1)[0].rpartition(":")[2]
        assert password not in done.stdout + as_json.stdout


async def test_what_is_off_is_in_the_report(nats_server: EmbeddedNats, postgres_dsn: str) -> None:
    """A node that is silent, orphaned partitions, overdue timers and waiting events are seen."""
    await _execute(
        postgres_dsn,
        "INSERT INTO zhihui.node VALUES"
        " ('n9', 'n9_1', now(), clock_timestamp() + interval '1 hour', false);"
        "UPDATE zhihui.partition SET owner = 'n9', epoch = 1,"
        " lease_until = clock_timestamp() + interval '1 hour' WHERE partition < 60;"
        "INSERT INTO zhihui.timer VALUES ('t1', 1, 0, now() - interval '1 minute', 0, 'k', 'k',"
        " 't', 'shop', '\\x01');"
        "INSERT INTO zhihui.event_cursor VALUES ('ZHIHUI_EVENTS', 0);",
    )
    report = await Gatherer(nats_server.url, postgres_dsn, SystemClock()).report()
    assert not report.ok
    assert [(node.name, node.answers, node.partitions) for node in report.nodes] == [
        ("n9", False, 60)
    ]
    assert [(one.first, one.last, one.owner) for one in report.partitions] == [
        (0, 59, "n9"),
        (60, 63, ""),
    ]
    assert report.lag is not None
    assert report.lag.timers_overdue == 1
    assert 50 < report.lag.timers_overdue_s < 600
    said = " ".join(report.warnings)
    for part in ("4 of 64 partitions", "n9 lives by its row", "1 timers are overdue"):
        assert part in said


async def test_watching_ends_with_the_reader_and_counts_rarely(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """`--watch --json` writes a report a second; rows are not counted again each time."""
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    async with await anyio.open_process(
        [sys.executable, "-m", "zhihui", "status", "--watch", "--json"],
        env={
            **inherited,
            "ZHIHUI_NATS_URL": nats_server.url,
            "ZHIHUI_POSTGRES_DSN": postgres_dsn,
        },
    ) as process:
        assert process.stdout is not None
        seen = b""
        async for part in process.stdout:
            seen += part
            if seen.count(b"\n") >= 2:
                break
        process.kill()
    first, second = (json.loads(line) for line in seen.splitlines()[:2])
    assert first["rows"] == second["rows"]
    assert not first["ok"]


async def test_rows_are_counted_once_in_a_while(
    nats_server: EmbeddedNats, postgres_dsn: str
) -> None:
    """A second report soon after the first takes its counts from it."""
    gatherer = Gatherer(nats_server.url, postgres_dsn, SystemClock())
    before = (await gatherer.report()).rows["dead_letter"]
    await _execute(
        postgres_dsn,
        "INSERT INTO zhihui.dead_letter VALUES ('d', now(), 'n', 'k', 'k', 't', 'a', 'r', 2, '')",
    )
    report = await gatherer.report()
    assert (before, report.rows["dead_letter"]) == (0, 0)
    assert report.lag is not None
    assert report.lag.dead_letters == 1
