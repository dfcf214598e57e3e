"""Fixtures for all tests: real servers from the wheels, a fresh database and a fresh bus each.

An async test is marked ``@pytest.mark.anyio``.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import hypothesis
import psutil
import pytest

from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres
from zhihui.migrate import migrate

_TEMPLATE = "zhihui_template"
_database_numbers = itertools.count(1)

# The same examples in every run, so a red test is red again. To search for new ones:
# pytest --hypothesis-profile=explore
hypothesis.settings.register_profile(
    "deterministic",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    # One counterexample is enough, and the search for others takes minutes and a gigabyte.
    report_multiple_bugs=False,
)
hypothesis.settings.register_profile("explore", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on plain asyncio.

    Not on uvloop, though the product runs on it: pytest-timeout's signal never reaches a test that
    hangs there. Tests that start the product's processes cover uvloop.
    """
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def no_process_left() -> Iterator[None]:
    """Fail the run when it leaves a process behind, and end that process."""
    yield
    left = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]
    described = [f"{child.pid} {' '.join(child.cmdline())}" for child in left]
    for child in left:
        child.kill()
    assert not described, f"the tests left processes behind: {described}"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One Postgres server for the whole run, with a migrated database to copy from.

    Do not stop it: a test that needs a server to kill makes its own
    :class:`~zhihui.embedded.postgres_server.EmbeddedPostgres`.
    """
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    # The fixtures of servers are plain ones with a loop of their own for a moment: a child process
    # is not bound to a loop, and so each test's loop begins and ends with the test.
    try:
        asyncio.run(server.start())
        asyncio.run(_execute(server.dsn, f"CREATE DATABASE {_TEMPLATE}"))
        asyncio.run(migrate(server.dsn_of(_TEMPLATE)))
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, migrated database of the run's server."""
    with _database(postgres_server, template=_TEMPLATE) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh, migrated database for all tests of a module."""
    with _database(postgres_server, template=_TEMPLATE) as dsn:
        yield dsn


@pytest.fixture
def empty_postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh database without any schema."""
    with _database(postgres_server, template="template1") as dsn:
        yield dsn


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    """A NATS server of the test's own, running; the test may kill and start it."""
    with _running_nats(tmp_path / "nats-server") as server:
        yield server


@pytest.fixture(scope="module")
def module_nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    """A NATS server for all tests of a module, which leave it running."""
    with _running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@contextlib.contextmanager
def _running_nats(data_dir: Path) -> Iterator[EmbeddedNats]:
    server = EmbeddedNats(data_dir)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def nats_url(nats_server: EmbeddedNats) -> str:
    """The address of a NATS server of the test's own."""
    return nats_server.url


@contextlib.contextmanager
def _database(server: EmbeddedPostgres, *, template: str) -> Iterator[str]:
    name = f"test_{next(_database_numbers)}"
    asyncio.run(_execute(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield server.dsn_of(name)
    finally:
        # By force: a test that failed may have left connections open.
        asyncio.run(_execute(server.dsn, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
