"""`zhihui app`: from the command line to what the running server lets through."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from kernel.nats_security import NatsSecurity, SecureClient, read_key
from schemas.errors import Forbidden
from zhihui.cli import app
from zhihui.embedded.data_dir import find_running
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.servers import started_servers
from zhihui.errors import SetupError
from zhihui.migrate import migrate

pytestmark = pytest.mark.anyio


class _Here:
    """A data directory whose NATS runs, on a database of the test's own."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.directory = directory
        self.dsn = dsn

    async def zhihui(self, *arguments: str, code: int = 0, **given: str) -> str:
        """Run a command in this process, beside what runs, and return what it printed."""
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["app", *arguments], env=self.variables(given)
        )
        said = f"{done.output}{done.exception if isinstance(done.exception, SetupError) else ''}"
        assert done.exit_code == code, said
        return said

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        return {
            "ZHIHUI_DATA_DIR": str(self.directory),
            "ZHIHUI_POSTGRES_DSN": self.dsn,
            "ZHIHUI_NATS_URL": "",
            **given,
        }

    def seed_file(self, app: str) -> Path:
        return self.directory / "credentials" / f"{app}.nk"


@pytest.fixture
async def here(tmp_path: Path, postgres_dsn: str) -> AsyncIterator[_Here]:
    """Servers as `zhihui up` starts them, without nodes."""
    directory = tmp_path / "data"
    environment = {"ZHIHUI_POSTGRES_DSN": postgres_dsn}
    async with started_servers(directory, environment=environment) as pair:
        assert pair.nats is not None
        yield _Here(directory, postgres_dsn)


def _operator_url(here: _Here) -> str:
    """Return the operator's address of what runs."""
    running = find_running(here.directory)
    assert running is not None
    return running.nats_url


async def _connects(here: _Here, seed_file: Path) -> bool:
    address = f"nats://{_operator_url(here).rpartition('@')[2]}"
    client = SecureClient()
    try:
        await client.connect_secure(
            address, NatsSecurity(seed_file=str(seed_file)), allow_reconnect=False
        )
    except Forbidden:
        return False
    finally:
        await client.close()
    return True


async def test_an_app_is_added_shown_rotated_and_revoked(here: _Here, tmp_path: Path) -> None:
    """Each command counts on the running server at once, and the seed is in its file alone."""
    said = await here.zhihui("add", "city-park", "--rate", "100", "--in-flight", "8")
    seed_file = here.seed_file("city-park")
    assert str(seed_file) in said
    assert "counts from now on" in said
    assert stat.S_IMODE(seed_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(seed_file.parent.stat().st_mode) == 0o700
    seed = seed_file.read_text().strip()
    assert await _connects(here, seed_file)

    public_key = read_key(seed_file).public_key
    listed = json.loads(await here.zhihui("list", "--json"))
    assert [(one["app"], one["public_key"]) for one in listed] == [("city-park", public_key)]
    assert (listed[0]["rate_per_s"], listed[0]["in_flight_max"]) == (100, 8)
    assert public_key in await here.zhihui("show", "city-park")
    config = await here.zhihui("config")
    assert f"nkey: {public_key}" in config

    await here.zhihui("limit", "city-park", "--rate", "7")
    shown = json.loads(await here.zhihui("show", "city-park", "--json"))
    assert (shown["rate_per_s"], shown["in_flight_max"]) == (7, 0)

    old = tmp_path / "old.nk"
    old.write_text(seed)
    await here.zhihui("rotate", "city-park")
    assert seed_file.read_text().strip() != seed
    assert not await _connects(here, old)
    assert await _connects(here, seed_file)

    await here.zhihui("revoke", "city-park")
    assert not await _connects(here, seed_file)
    assert "revoked" in await here.zhihui("list")
    assert public_key not in await here.zhihui("config")
    # And again, with a new key in another file.
    other = tmp_path / "other.nk"
    await here.zhihui("add", "city-park", "--out", str(other))
    assert await _connects(here, other)

    for name in ("nats.log", "nats.conf", "nats.access.conf"):
        text = (here.directory / name).read_text()
        assert seed not in text
        assert other.read_text().strip() not in text


async def test_a_call_uses_the_credentials_that_it_is_given(here: _Here) -> None:
    """Beside a running server a call goes out as the app whose key is named, not as operator."""
    await here.zhihui("add", "shop")
    given = {"ZHIHUI_NATS_URL": _operator_url(here)}
    for app_name, credentials, code in (
        ("shop", str(here.seed_file("shop")), "not_ready"),
        ("gym", str(here.seed_file("shop")), "forbidden"),
        ("gym", "", "not_ready"),
    ):
        option = ("--credentials", credentials) if credentials else ()
        done = await asyncio.to_thread(
            CliRunner().invoke,
            app,
            ["call", app_name, "account.get", "{}", "--timeout", "0.5", *option],
            env=here.variables(given),
        )
        # No node runs here, so what the broker lets through finds nobody.
        assert json.loads(done.stderr)["code"] == code


async def test_what_cannot_be_done_is_said_and_changes_nothing(here: _Here) -> None:
    """A name that is taken or impossible, or a file that is there, is refused in one sentence."""
    await here.zhihui("add", "shop")
    seed = here.seed_file("shop").read_bytes()
    for arguments, said in (
        (("add", "bank"), "the platform itself"),
        (("add", "City.Park"), "cannot be an app"),
        (("add", "shop"), "never overwritten"),
        (("add", "shop", "--out", str(here.directory / "second.nk")), "there already"),
        (("add", "gym", "--out", str(here.seed_file("shop"))), "never overwritten"),
        (("rotate", "gym"), "no app 'gym'"),
        (("revoke", "gym"), "no app 'gym'"),
        (("limit", "gym", "--rate", "1"), "no app 'gym'"),
        (("show", "gym"), "no app 'gym'"),
    ):
        assert said in " ".join((await here.zhihui(*arguments, code=1)).split())
    assert here.seed_file("shop").read_bytes() == seed
    assert sorted(path.name for path in here.seed_file("shop").parent.iterdir()) == ["shop.nk"]
    assert not (here.directory / "second.nk").exists()
    assert await _connects(here, here.seed_file("shop"))


async def test_apps_added_at_once_are_all_let_in(here: _Here) -> None:
    """Commands that run at the same time do not undo each other's work."""
    names = [f"app-{number}" for number in range(3)]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "zhihui", "app", "add", name,
            env={**os.environ, **here.variables({})}, stdout=subprocess.DEVNULL,
        )
        for name in names
    ]  # fmt: skip
    assert [await process.wait() for process in processes] == [0, 0, 0]
    for name in names:
        assert await _connects(here, here.seed_file(name))


async def test_a_nats_of_ones_own_takes_the_printed_configuration(
    here: _Here, tmp_path: Path
) -> None:
    """The block makes a server that knows the nodes by their key and the apps by theirs."""
    node_key = tmp_path / "node.nk"
    said = await here.zhihui("add", "shop", ZHIHUI_NATS_URL="nats://127.0.0.1:1")
    assert "zhihui app config" in said
    block = await here.zhihui("config", "--node-key", str(node_key))
    assert block == await here.zhihui("config", "--node-key", str(node_key))
    assert stat.S_IMODE(node_key.stat().st_mode) == 0o600
    async with _own_nats(tmp_path / "own", block) as address:
        for seed_file, inbox in ((node_key, "_INBOX"), (here.seed_file("shop"), "_INBOX_shop")):
            client = SecureClient()
            await client.connect_secure(
                address, NatsSecurity(seed_file=str(seed_file)), inbox_prefix=inbox
            )
            if seed_file == node_key:
                assert (await client.jetstream().account_info()).streams == 0
            await client.close()


@asynccontextmanager
async def _own_nats(directory: Path, block: str) -> AsyncIterator[str]:
    class Own(EmbeddedNats):
        """A server whose accounts are the printed ones, as an operator would run it."""

        def _spawn(self):  # type: ignore[no-untyped-def]
            (directory / "nats.access.conf").write_text(block)
            return super()._spawn()

        async def _answers(self) -> bool:
            # The password of the embedded server is nothing to this one.
            return b"Server is ready" in (directory / "nats.log").read_bytes()

    server = Own(directory)
    await server.start()
    try:
        yield server.public_url
    finally:
        await server.stop()


async def test_apps_are_kept_while_nothing_runs(tmp_path: Path, postgres_dsn: str) -> None:
    """What the table says counts at the next start, whatever the old configuration said."""
    directory = tmp_path / "data"
    environment = {"ZHIHUI_POSTGRES_DSN": postgres_dsn}
    here = _Here(directory, postgres_dsn)
    async with started_servers(directory, environment=environment):
        await here.zhihui("add", "shop")
    said = await here.zhihui("add", "gym")
    assert "next `zhihui up`" in said
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("UPDATE zhihui.app SET revoked_at = now() WHERE app = 'shop'")
    await connection.close()
    async with started_servers(directory, environment=environment):
        assert await _connects(here, here.seed_file("gym"))
        assert not await _connects(here, here.seed_file("shop"))


async def test_a_database_behind_is_named(empty_postgres_dsn: str, tmp_path: Path) -> None:
    """Without the table the command says what to run, and then works."""
    here = _Here(tmp_path / "data", empty_postgres_dsn)
    assert "zhihui migrate" in await here.zhihui("add", "shop", code=1)
    assert not here.seed_file("shop").exists()
    await migrate(empty_postgres_dsn)
    await here.zhihui("add", "shop")
    assert here.seed_file("shop").exists()
