"""The instruments of a node on real servers: what is told is what happened."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import anyio.to_thread
import asyncpg
import pytest

from kernel.clock import SystemClock
from schemas.errors import InsufficientFunds
from tests.documents import ROOT
from tests.eventually import eventually
from tests.unit.instruments.lab import samples
from tests.unit.instruments.named import named_metrics
from zhihui.client import Client
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.instruments import Instruments, InstrumentsConfig, serving_instruments
from zhihui.instruments.database import DatabaseWatch
from zhihui.node import NodeConfig, running_node

pytestmark = pytest.mark.anyio

_Page = dict[str, dict[tuple[tuple[str, str], ...], float]]


async def _get(instruments: Instruments, path: str) -> tuple[int, str]:
    return await anyio.to_thread.run_sync(partial(_get_now, f"http://{instruments.target}{path}"))


def _get_now(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def _page(instruments: Instruments) -> _Page:
    status, text = await _get(instruments, "/metrics")
    assert status == 200
    return samples(text)


def _only(page: _Page, name: str, **labels: str) -> float:
    return page.get(name, {}).get(tuple(sorted(labels.items())), -1.0)


def _config(nats_url: str, dsn: str) -> NodeConfig:
    return NodeConfig(name="n1", nats_url=nats_url, postgres_dsn=dsn)


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.mark.timeout(180)
async def test_a_node_tells_what_it_did(
    nats_server: EmbeddedNats, postgres_dsn: str, tmp_path: Path
) -> None:
    """Payments, rejections, commits and the books are counted; a lost NATS shows in /readyz."""
    config = InstrumentsConfig(targets=str(tmp_path))
    async with serving_instruments(config, node="n1", postgres_dsn=postgres_dsn) as shown:
        assert (await _get(shown, "/livez"))[0] == 200
        assert (await _get(shown, "/startupz"))[0] == 503
        async with running_node(_config(nats_server.url, postgres_dsn)) as running:
            shown.follow(running)
            await _pay(nats_server.url)

            async def counted() -> bool:
                page = await _page(shown)
                return (
                    _only(page, "zhihui_requests_total",
                          service="payment", verb="create", code="ok") == 3
                    and _only(page, "zhihui_ledger_imbalance_minor_units", check="changes") == 0
                    # The first is measured a second after the start.
                    and _only(page, "zhihui_store_round_trip_seconds") > 0
                )  # fmt: skip

            await eventually(counted, "three payments and a look at the books", within_s=60)
            await _check_counts(await _page(shown))
            assert json.loads((tmp_path / "n1.json").read_bytes()) == [
                {"targets": [shown.target], "labels": {"node": "n1"}}
            ]
            await _check_outage(shown, nats_server)
        # The node has stopped in order, and was watched until the end.
        assert (await _get(shown, "/readyz"))[0] == 503
    assert not (tmp_path / "n1.json").exists()
    with pytest.raises(urllib.error.URLError):
        await _get(shown, "/livez")


async def _pay(url: str) -> None:
    async with Client(app="shop", url=url) as client:
        payer = (await client.accounts.open(holder="Li Lei")).account_id
        payee = (await client.accounts.open(holder="Han Mei")).account_id
        await client.accounts.deposit(payer, 100, source="external:cash")
        for _ in range(3):
            await client.payments.create(payer=payer, payee=payee, amount_minor=30)
        with pytest.raises(InsufficientFunds):
            await client.payments.create(payer=payer, payee=payee, amount_minor=30)


async def _check_counts(page: _Page) -> None:
    refused = _only(page, "zhihui_requests_total",
                    service="payment", verb="create", code="insufficient_funds")  # fmt: skip
    assert refused == 1
    took = _only(page, "zhihui_request_duration_seconds_count", service="payment", verb="create")
    assert took == 4
    assert _only(page, "zhihui_ledger_postings_total") == 4
    for check in ("written", "balances", "changes"):
        assert _only(page, "zhihui_ledger_imbalance_minor_units", check=check) == 0
    assert _only(page, "zhihui_ready") == 1
    assert _only(page, "zhihui_journal_owned") == 1
    batches = _only(page, "zhihui_journal_batch_changes_count")
    assert 0 < batches == _only(page, "zhihui_journal_commit_duration_seconds_count")
    assert _only(page, "zhihui_partitions_owned") == 64
    assert 0 < _only(page, "zhihui_bus_round_trip_seconds") < 5
    assert 0 < _only(page, "zhihui_store_round_trip_seconds") < 5
    assert _only(page, "zhihui_event_loop_lag_seconds_count") > 0
    assert _only(page, "zhihui_plugin_generation", plugin="parking", role="promoted") > 0
    named = named_metrics()
    missing = [name for name in named if not _is_told(page, name)]
    assert missing == [], f"named in a paper and told by no node: {missing}"


def _is_told(page: _Page, name: str) -> bool:
    return name in page or f"{name}_bucket" in page or name in _WITHOUT_SAMPLES


# On a node without channels, trouble or a second server; their families are told all the same,
# which a test of the exposition proves.
_WITHOUT_SAMPLES = {
    "zhihui_channel_breaker_open",
    "zhihui_channel_choices_total",
    "zhihui_channel_exchanges_total",
    "zhihui_channel_oldest_open_order_seconds",
    "zhihui_channel_orders_open",
    "zhihui_channel_success_ratio",
}


async def _check_outage(shown: Instruments, nats_server: EmbeddedNats) -> None:
    assert (await _get(shown, "/readyz"))[0] == 200
    await nats_server.stop()

    async def told() -> bool:
        status, body = await _get(shown, "/readyz")
        return status == 503 and "NATS does not answer" in body

    await eventually(told, "a node without NATS is not ready", within_s=40)
    assert (await _get(shown, "/livez"))[0] == 200
    assert (await _get(shown, "/startupz"))[0] == 200
    await nats_server.start()

    async def well() -> bool:
        return (await _get(shown, "/readyz"))[0] == 200

    await eventually(well, "a node with NATS again is ready", within_s=40)


async def test_damaged_books_are_found(postgres_dsn: str) -> None:
    """A balance that somebody changed and an entry without its other half are told in minor units.

    What is right again is 0 again, and a look that fails leaves the last answer.
    """
    await _execute(postgres_dsn, _ROWS)
    clock = SystemClock()
    watch = DatabaseWatch(postgres_dsn, "test", clock, clock.now)
    try:
        await watch.look()
        assert watch.latest is not None
        assert watch.latest.ledger is not None
        assert (watch.latest.ledger.balances_minor, watch.latest.ledger.changes_minor) == (5, 40)
        assert watch.latest.dead_letters == 0
        await _execute(postgres_dsn, "UPDATE zhihui.balance SET posted_minor = 0")
        watch.forget()
        await watch.look()
        assert watch.latest is not None
        assert watch.latest.ledger is not None
        assert watch.latest.ledger.balances_minor == 0
        await _execute(postgres_dsn, "ALTER TABLE zhihui.dead_letter RENAME TO gone")
        before = watch.latest
        await watch.look()
        assert watch.latest is before
        assert watch.failures == 1
    finally:
        await watch.close()


# Two assets whose balances miss zero by 3 and by -2: together they would seem to miss it by 1.
_ROWS = """
INSERT INTO zhihui.change VALUES
    ('shop', 'r-1', 1, 'account.open', '', 'committed', '{}', now());
INSERT INTO zhihui.account (account_id, change_seq, app, type, asset, holder, opened_at, status,
                            customer_id, class)
VALUES ('acct_a', 1, 'shop', 'customer', 'CNY', 'a', now(), 'open', '', ''),
       ('acct_b', 1, 'shop', 'customer', 'POINT', 'b', now(), 'open', '', '');
INSERT INTO zhihui.balance (account_id, posted_minor, entries)
VALUES ('acct_a', 3, 1), ('acct_b', -2, 0);
INSERT INTO zhihui.entry VALUES ('acct_a', 1, 1, 40, 40);
"""


@pytest.mark.slow
async def test_a_node_process_logs_objects_and_says_where_its_metrics_are(
    nats_url: str, postgres_dsn: str
) -> None:
    """`zhihui node` writes JSON alone to its log and the address to its output."""
    inherited = {name: value for name, value in os.environ.items() if "ZHIHUI" not in name}
    process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, "-m", "zhihui", "node", "--name", "blue"],
        env={**inherited, "ZHIHUI_NATS_URL": nats_url, "ZHIHUI_POSTGRES_DSN": postgres_dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(await anyio.to_thread.run_sync(process.stdout.readline))
        assert (ready["ready"], ready["node"]) == (True, "blue")
        status, text = await anyio.to_thread.run_sync(partial(_get_now, ready["metrics"]))
        assert status == 200
        assert samples(text)["zhihui_node_info"] == {(("node", "blue"),): 1.0}
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = await anyio.to_thread.run_sync(process.communicate)
    assert process.returncode == 0, log
    lines = [json.loads(line) for line in log.splitlines()]
    assert lines
    assert {line["node"] for line in lines} == {"blue"}
    assert {"timestamp", "level", "logger", "event"} <= set(lines[0])


async def test_an_address_that_is_taken_ends_the_start(nats_url: str, postgres_dsn: str) -> None:
    """`zhihui node` on a port that is taken ends with a sentence that says what to do."""
    async with serving_instruments(
        InstrumentsConfig(), node="n1", postgres_dsn=postgres_dsn
    ) as taken:
        done = await anyio.run_process(
            [sys.executable, "-m", "zhihui", "node", "--metrics", taken.target,
             "--nats-url", nats_url, "--postgres-dsn", postgres_dsn],
            check=False, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"ZHIHUI_METRICS" in done.stderr
    assert b"Traceback" not in done.stderr
