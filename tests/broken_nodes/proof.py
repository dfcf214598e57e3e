"""Loads a node, broken or sound, for a moment and returns what the run came to.

``python -m tests.broken_nodes.proof --times 10`` does so with every bug, and exits with 0 when each
was noticed every time, and a sound node never.
"""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import asyncpg

from loadtest.harness.invariants.exactly_once import PAYMENT_SOURCES
from loadtest.harness.invariants.observer import BooksObserver
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import ExitCode, RunResult
from loadtest.harness.runner import run_load
from loadtest.harness.target import Target
from tests.broken_nodes.bugs import BUGS, Bug
from zhihui.embedded._node_process import NodeProcess
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.embedded.servers import NATS_URL_VARIABLE, POSTGRES_DSN_VARIABLE
from zhihui.migrate import migrate

__all__ = ("APP", "load_node", "main", "make_payments", "running_node")

APP = "load"
_EVERY = 29
_TEMPLATE = "broken_template"
_STOP_GRACE_S = 10.0


@asynccontextmanager
async def running_node(
    bug: Bug | None, *, nats_url: str, postgres_dsn: str, folder: Path
) -> AsyncIterator[None]:
    """Run a node, with a bug or without."""
    program = ("tests.broken_nodes", bug, "--every", str(_EVERY)) if bug else ("zhihui", "node")
    node = NodeProcess(
        "broken" if bug else "sound",
        data_dir=folder,
        variables={NATS_URL_VARIABLE: nats_url, POSTGRES_DSN_VARIABLE: postgres_dsn},
        arguments=(),
        program=program,
    )
    await node.start()
    try:
        yield
    finally:
        await node.stop(_STOP_GRACE_S)


async def make_payments(nats_url: str, postgres_dsn: str, *, seed: int = 1) -> RunResult:
    """Make 600 payments in one second, and judge the books."""
    plan = RunPlan(
        scenario="payments",
        engine="lean",
        app=APP,
        arrivals="600",
        duration_s=1.0,
        warmup_s=0.0,
        seed=seed,
        settings={"payers": "20", "payees": "4"},
    )
    return await run_load(
        plan,
        observers=[BooksObserver(postgres_dsn, app=APP, sources=PAYMENT_SOURCES)],
        target=Target(nats_url, postgres_dsn),
    )


async def load_node(
    bug: Bug | None, *, nats_url: str, postgres_dsn: str, folder: Path, seed: int = 1
) -> RunResult:
    """Run a node, and make payments through it."""
    async with running_node(bug, nats_url=nats_url, postgres_dsn=postgres_dsn, folder=folder):
        return await make_payments(nats_url, postgres_dsn, seed=seed)


async def _prove(times: int, folder: Path) -> int:
    nats, postgres = EmbeddedNats(folder), EmbeddedPostgres(folder)
    kinds: tuple[Bug | None, ...] = (*BUGS, None)
    caught = dict.fromkeys(kinds, 0)
    try:
        await nats.start()
        await postgres.start()
        await _execute(postgres.dsn, f"CREATE DATABASE {_TEMPLATE}")
        await migrate(postgres.dsn_of(_TEMPLATE))
        for number in range(times):
            for bug in kinds:
                name = f"broken_{number}_{(bug or 'sound').replace('-', '_')}"
                await _execute(postgres.dsn, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
                result = await load_node(
                    bug,
                    nats_url=nats.url,
                    postgres_dsn=postgres.dsn_of(name),
                    folder=folder,
                    seed=number + 1,
                )
                caught[bug] += result.exit_code == ExitCode.INVARIANT
                broken = [one.claim for one in result.invariants if not one.ok]
                _say(f"{bug or 'sound node'}, run {number + 1}: {result.exit_code} {broken or ''}")
                await _execute(postgres.dsn, f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        with anyio.CancelScope(shield=True):
            await nats.stop()
            await postgres.stop()
    for bug, count in caught.items():
        _say(f"{bug or 'sound node'}: exit code {ExitCode.INVARIANT:d} in {count} of {times} runs")
    return 0 if all(count == (times if bug else 0) for bug, count in caught.items()) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def main() -> int:
    """Prove that each bug is noticed every time; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken_nodes.proof")
    parser.add_argument("--times", type=int, default=10, help="runs of each node")
    times = parser.parse_args().times
    with TemporaryDirectory() as folder:
        # Postgres may run as another user, who has to be able to reach its data.
        Path(folder).chmod(0o711)
        return anyio.run(_prove, times, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
