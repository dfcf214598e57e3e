"""Backups taken with Postgres's own tools while payments go on, restored on servers elsewhere."""

import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import anyio
import asyncpg
import msgspec

from loadtest.adversity.cluster import running_cluster, wait_until
from loadtest.adversity.stream import PaymentStream, open_accounts
from loadtest.processes import ProcessFailed
from zhihui.audit import run_audit
from zhihui.client import Client
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded._postgres_user import choose_user, postgres_binary, prepare_directory
from zhihui.embedded.child import Child, log_tail
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE

__all__ = ("WAYS", "BackupReport", "Way", "prove_backup")

Way = Literal["pg_dump", "pg_basebackup"]
WAYS: tuple[Way, ...] = ("pg_dump", "pg_basebackup")

_APP = "backup"
_PAIRS = 16
_WORKERS = 16
_TIMEOUT_S = 15.0
_TOOL_TIMEOUT_S = 600.0
# Payments that stand before a backup begins, and acknowledged ones that are sent again afterwards.
_BEFORE, _RESENT = 500, 200
_RESTORED = "zhihui"


class BackupReport(msgspec.Struct, frozen=True, kw_only=True):
    """One way of backing up.

    ``acknowledged`` are payments that were acknowledged before it began: ``missing`` of them are
    not in it. ``unknown`` ones are in the backup and do not stand in the original. Of those sent
    again to a node on the restored database, ``differing`` got another answer than before.
    """

    way: Way
    payments: int
    acknowledged: int
    meanwhile: int
    missing: int
    unknown: int
    differing: int
    audit_ok: bool
    backup_s: float
    restore_s: float
    serving_s: float
    bytes: int

    @property
    def ok(self) -> bool:
        """Whether the backup holds what it must, and a node serves on it."""
        return self.audit_ok and not (self.missing or self.unknown or self.differing)


async def prove_backup(
    folder: Path,
    way: Way,
    *,
    migrate: Callable[[str], Awaitable[object]],
    payments: int,
    say: Callable[[str], None],
) -> BackupReport:
    """Take a backup under load once there are so many payments, restore it, and serve on it."""
    folder = folder.absolute()
    async with running_cluster(folder / "original", ("n1",), migrate=migrate) as cluster:
        url = cluster.servers.nats.url
        async with Client(app=_APP, url=url, timeout_s=_TIMEOUT_S) as client:
            stream = PaymentStream(await open_accounts(client, _PAIRS), prefix=way)
            async with anyio.create_task_group() as tasks:
                for _ in range(_WORKERS):
                    tasks.start_soon(stream.work, client, _TIMEOUT_S)
                say(f"{way}: making {payments:,} payments")
                await _acknowledged(stream, payments)
                before = dict(stream.acknowledged)
                began_s = time.monotonic()
                backup = await _take(way, folder, cluster.servers.postgres)
                backup_s = time.monotonic() - began_s
                meanwhile = len(stream.acknowledged) - len(before)
                await _acknowledged(stream, len(stream.acknowledged) + _BEFORE)
                stream.stopped = True
        original = await _payments(cluster.dsn)
        say(f"{way}: taken in {backup_s:.1f} s under load; restoring")
        return await _restored(
            folder, way, stream, before, original,
            backup=backup, backup_s=backup_s, meanwhile=meanwhile,
        )  # fmt: skip


async def _acknowledged(stream: PaymentStream, count: int) -> None:
    async def enough() -> bool:
        return len(stream.acknowledged) >= count

    await wait_until(enough, f"{count} payments", within_s=_TOOL_TIMEOUT_S)


async def _payments(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT request_id, payment_id FROM zhihui.payment")
    finally:
        await connection.close()
    return {row[0]: row[1] for row in rows}


# Taking it.


async def _take(way: Way, folder: Path, server: EmbeddedPostgres) -> Path:
    place = folder / way
    place.mkdir(parents=True)
    prepare_directory(place, choose_user())
    if way == "pg_dump":
        path = place / "zhihui.dump"
        await _run("pg_dump", "--format=custom", f"--file={path}", server.dsn, folder=folder)
        return path
    path = place / "postgres"
    await _run(
        "pg_basebackup", f"--pgdata={path}", "--wal-method=stream", "--checkpoint=fast",
        f"--dbname={server.dsn}", folder=folder,
    )  # fmt: skip
    await _run("pg_verifybackup", str(path), folder=folder)
    return path


async def _run(program: str, *arguments: str, folder: Path) -> None:
    """Run one of Postgres's tools, as the user that may read what the server wrote."""
    log = folder / f"{program}.log"
    child = Child.spawn(
        [postgres_binary(program), *arguments], log=log, death_signal=signal.SIGKILL,
        run_as=choose_user(),
    )  # fmt: skip
    try:
        with anyio.move_on_after(_TOOL_TIMEOUT_S):
            await child.wait()
        if child.returncode != 0:
            raise ProcessFailed(f"{program} failed. The end of {log}:\n{log_tail(log)}")
    finally:
        await child.stop(signal.SIGTERM, 10.0)


# Restoring it elsewhere.


async def _restored(
    folder: Path, way: Way, stream: PaymentStream, before: dict[str, str],
    original: dict[str, str], *, backup: Path, backup_s: float, meanwhile: int,
) -> BackupReport:  # fmt: skip
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    async with AsyncExitStack() as stack:
        began_s = time.monotonic()
        postgres = await _restore(way, elsewhere, backup, folder, stack)
        restore_s = time.monotonic() - began_s
        report = await run_audit(postgres.dsn)
        inside = await _payments(postgres.dsn)
        began_s = time.monotonic()
        differing = await _serve(elsewhere, postgres, stream, before, stack)
        serving_s = time.monotonic() - began_s
        again = await run_audit(postgres.dsn)
    return BackupReport(
        way=way,
        payments=len(inside),
        acknowledged=len(before),
        meanwhile=meanwhile,
        missing=sum(inside.get(one) != payment for one, payment in before.items()),
        unknown=sum(original.get(one) != payment for one, payment in inside.items()),
        differing=differing,
        audit_ok=report.ok and again.ok,
        backup_s=backup_s,
        restore_s=restore_s,
        serving_s=serving_s,
        bytes=_size(backup),
    )


async def _restore(
    way: Way, elsewhere: Path, backup: Path, folder: Path, stack: AsyncExitStack
) -> EmbeddedPostgres:
    """Return a server of its own that runs on what was restored."""
    server = EmbeddedPostgres(elsewhere)
    if way == "pg_basebackup":
        # The folder is the cluster as it was: it needs its password, and replays its log at start.
        backup.rename(elsewhere / "postgres")
        shutil.copy2(
            folder / "original" / "postgres" / "postgres.password", elsewhere / "postgres.password"
        )
    await server.start()
    stack.push_async_callback(server.stop)
    if way == "pg_dump":
        await _run(
            "pg_restore", "--exit-on-error", "--jobs=2", f"--dbname={server.dsn}", str(backup),
            folder=folder,
        )  # fmt: skip
    return server


async def _serve(
    elsewhere: Path, postgres: EmbeddedPostgres, stream: PaymentStream, before: dict[str, str],
    stack: AsyncExitStack,
) -> int:  # fmt: skip
    """Run a node on it, send acknowledged requests again, and pay anew; return what differs."""
    nats = EmbeddedNats(elsewhere)
    await nats.start()
    stack.push_async_callback(nats.stop)
    variables = {NATS_URL_VARIABLE: nats.url, POSTGRES_DSN_VARIABLE: postgres.dsn}
    node = NodeProcess("n1", data_dir=elsewhere, variables=variables, arguments=())
    await node.start()
    stack.push_async_callback(node.stop)
    differing = 0
    async with Client(app=_APP, url=nats.url, timeout_s=_TIMEOUT_S) as client:
        pairs = stream.pairs_by_request
        for request_id, payment_id in list(before.items())[-_RESENT:]:
            payer, payee = pairs[request_id]
            paid = await client.payments.create(
                payer=payer, payee=payee, amount_minor=1, request_id=request_id
            )
            differing += paid.payment_id != payment_id
        payer, payee = next(iter(pairs.values()))
        await client.payments.create(payer=payer, payee=payee, amount_minor=1)
    return differing


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    # A base backup was moved to where it runs; its size is that of the cluster now.
    cluster = path if path.exists() else path.parents[1] / "elsewhere" / "postgres"
    return sum(one.stat().st_size for one in cluster.rglob("*") if one.is_file())
