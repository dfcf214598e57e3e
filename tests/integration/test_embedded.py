"""The embedded servers: up with an answer, down without a trace, and their data kept."""

import os
import signal
import socket
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import nats
import psutil
import pytest

from zhihui.embedded import _postgres_user, postgres_server, servers
from zhihui.embedded.child import RunAs, wait_gone
from zhihui.embedded.data_dir import find_running, locked
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.embedded.postgres_server import EmbeddedPostgres, running_postgres
from zhihui.embedded.servers import check_nats, running_servers, started_servers
from zhihui.errors import (
    AlreadyRunning,
    DataDirUnusable,
    RootRefused,
    ServerFailed,
    ServerUnreachable,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the caller's own servers out of these tests."""
    monkeypatch.delenv("ZHIHUI_NATS_URL", raising=False)
    monkeypatch.delenv("ZHIHUI_POSTGRES_DSN", raising=False)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _gone(*pids: int | None) -> bool:
    for pid in pids:
        assert pid is not None
        if psutil.pid_exists(pid) and not await wait_gone(psutil.Process(pid), 10):
            return False
    return True


async def test_both_servers_answer_and_leave_no_process(tmp_path: Path) -> None:
    """Within the context both servers work; after it no process and no run file is left."""
    async with running_servers(tmp_path) as running:
        async with _connected(running.postgres_dsn) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        client = await nats.connect(running.nats_url)
        assert (await client.jetstream().account_info()).limits is not None
        await client.close()
        found = find_running(tmp_path)
        assert found is not None
        assert (found.pid, found.nats_url) == (os.getpid(), running.nats_url)
    assert await _gone(running.nats_pid, running.postgres_pid)
    assert find_running(tmp_path) is None


async def test_data_and_addresses_survive_a_restart(tmp_path: Path) -> None:
    """A second run finds rows and streams of the first, at the same addresses."""
    async with running_servers(tmp_path) as first:
        async with _connected(first.postgres_dsn) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        client = await nats.connect(first.nats_url)
        await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
        await client.jetstream().publish("kept", b"message")
        await client.close()
    async with running_servers(tmp_path) as second:
        assert (second.nats_url, second.postgres_dsn) == (first.nats_url, first.postgres_dsn)
        async with _connected(second.postgres_dsn) as connection:
            assert await connection.fetchval("SELECT answer FROM kept") == 42
        client = await nats.connect(second.nats_url)
        assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
        await client.close()


async def test_postgres_is_durable_and_private(postgres_server: EmbeddedPostgres) -> None:
    """Commits reach the disk, and nobody connects without the password or from elsewhere."""
    async with _connected(postgres_server.dsn) as connection:
        settings = {
            name: await connection.fetchval("SELECT current_setting($1)", name)
            for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        }
    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "127.0.0.1",
    }
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://zhihui:wrong@127.0.0.1:{postgres_server.port}/zhihui")


async def test_servers_listen_on_the_loopback_address_only(tmp_path: Path) -> None:
    """No socket of either server is bound to another address."""
    async with running_servers(tmp_path) as running:
        for pid in (running.nats_pid, running.postgres_pid):
            listening = [
                connection.laddr.ip
                for connection in psutil.Process(pid).net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
            assert set(listening) == {"127.0.0.1"}


async def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    """Files that hold the password are readable by their owner alone."""
    async with running_servers(tmp_path):
        for name in (
            "run.json", "postgres.password", "nats.password", "nats.conf", "nats.access.conf"
        ):  # fmt: skip
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_a_second_start_says_what_runs(tmp_path: Path) -> None:
    """Starting twice on one directory raises an error with the pid, the address and the remedy."""
    async with running_servers(tmp_path) as running:
        with pytest.raises(AlreadyRunning) as caught:
            async with running_servers(tmp_path):
                pass
        address = servers.without_password(running.nats_url)
        for part in (f"pid {os.getpid()}", address, "--data-dir"):
            assert part in str(caught.value)
        async with _connected(running.postgres_dsn) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_failure_inside_still_stops_the_servers(tmp_path: Path) -> None:
    """An error in the body stops both servers and comes out unchanged."""
    pids: list[int | None] = []

    async def fail() -> None:
        async with running_servers(tmp_path) as running:
            pids.extend((running.nats_pid, running.postgres_pid))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _gone(*pids)


async def test_cancellation_still_stops_the_servers(tmp_path: Path) -> None:
    """A cancelled body stops both servers before the cancellation goes on."""
    async with anyio.create_task_group() as group, running_servers(tmp_path) as running:
        group.cancel_scope.cancel()
        await anyio.sleep_forever()
    assert await _gone(running.nats_pid, running.postgres_pid)


async def test_given_servers_replace_the_embedded_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_dsn: str, nats_url: str
) -> None:
    """Each variable alone replaces its server, and only that one."""
    monkeypatch.setenv("ZHIHUI_POSTGRES_DSN", postgres_dsn)
    async with running_servers(tmp_path / "own-nats") as running:
        assert running.postgres_dsn == postgres_dsn
        assert running.postgres_pid is None
        assert running.nats_pid is not None
    monkeypatch.setenv("ZHIHUI_NATS_URL", nats_url)
    async with running_servers(tmp_path / "none") as running:
        assert (running.nats_url, running.nats_pid) == (nats_url, None)
        assert running.postgres_pid is None


async def test_a_given_server_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address where nothing answers is reported without its password, with its variable."""
    monkeypatch.setenv("ZHIHUI_POSTGRES_DSN", "postgresql://me:secret@127.0.0.1:1/db")
    with pytest.raises(ServerUnreachable, match="ZHIHUI_POSTGRES_DSN") as caught:
        async with running_servers(tmp_path):
            pass
    assert "secret" not in str(caught.value)
    with pytest.raises(ServerUnreachable, match="ZHIHUI_NATS_URL"):
        await check_nats("nats://127.0.0.1:1", timeout_s=1)


async def test_nats_keeps_port_and_messages_over_a_crash(nats_server: EmbeddedNats) -> None:
    """A killed NATS started again listens on the same port with its streams."""
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.close()
    address = nats_server.url
    await nats_server.kill()
    assert nats_server.pid is None
    await nats_server.start()
    assert nats_server.url == address
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("KEPT")).config.name == "KEPT"
    await client.close()


async def test_nats_carries_more_than_the_largest_request(nats_url: str) -> None:
    """The server passes a body of more than 1 MiB, so that the edge can refuse it in words."""
    client = await nats.connect(nats_url)
    assert client.max_payload >= 2 * 1024 * 1024
    await client.close()


async def test_postgres_keeps_commits_over_a_crash(tmp_path: Path) -> None:
    """A killed Postgres started again has what was committed, on the same port."""
    server = EmbeddedPostgres(tmp_path)
    await server.start()
    try:
        async with _connected(server.dsn) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        address = server.dsn
        await server.kill()
        await server.start()
        assert server.dsn == address
        async with _connected(server.dsn) as connection:
            assert await connection.fetchval("SELECT answer FROM kept") == 42
    finally:
        await server.stop()


async def test_a_server_that_dies_is_noticed(nats_server: EmbeddedNats) -> None:
    """An end from outside wakes whoever waits for it, with the signal that caused it."""
    assert nats_server.pid is not None
    os.kill(nats_server.pid, signal.SIGKILL)
    with anyio.fail_after(10):
        assert await nats_server.wait_died() == -signal.SIGKILL
    await nats_server.start()


async def test_a_failed_start_quotes_the_log(tmp_path: Path) -> None:
    """When Postgres refuses to start, the error carries its own words, and no process is left."""
    async with running_postgres(tmp_path):
        pass
    (tmp_path / "postgres" / "postgresql.local.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ServerFailed, match="no_such_setting"):
        async with running_postgres(tmp_path):
            pass


async def test_a_lost_password_is_explained(tmp_path: Path) -> None:
    """A database whose password file is gone is refused with the way out."""
    async with running_postgres(tmp_path):
        pass
    (tmp_path / "postgres.password").unlink()
    with pytest.raises(DataDirUnusable, match="password"):
        async with running_postgres(tmp_path):
            pass


async def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    """What a crash left of the making of the database does not stand in the way."""
    (tmp_path / "postgres.partial").mkdir()
    (tmp_path / "postgres.partial" / "PG_VERSION").write_text("half made")
    async with running_postgres(tmp_path) as dsn, _connected(dsn) as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    """When the port of the last run belongs to somebody else now, another one is chosen."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        server = EmbeddedNats(tmp_path, preferred_port=taken)
        await server.start()
        try:
            assert server.port != taken
        finally:
            await server.stop()


async def test_the_handles_restart_what_runs(tmp_path: Path) -> None:
    """The servers of a running context can be stopped and started by hand."""
    async with started_servers(tmp_path) as pair:
        assert pair.nats is not None
        before = pair.servers()
        await pair.nats.stop()
        await pair.nats.start()
        assert pair.servers().nats_url == before.nats_url
        assert pair.servers().nats_pid != before.nats_pid


async def test_the_lock_is_free_after_the_holder(tmp_path: Path) -> None:
    """The directory can be locked again at once after it was let go."""
    with locked(tmp_path), pytest.raises(AlreadyRunning), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


async def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A data directory below a file is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirUnusable, match="file"), locked(tmp_path / "file" / "data"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_falls_back_to_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without user namespaces root runs Postgres as nobody, or says that nobody cannot."""
    nobody = _postgres_user._nobody()
    if nobody is None or not _postgres_user._can_run(nobody):
        pytest.skip("nobody cannot reach the binaries on this machine")
    # Below the system's own temporary directory, where nobody may pass; pytest's is private.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(postgres_server, "choose_user", lambda: nobody)
        async with running_postgres(Path(name) / "data") as dsn, _connected(dsn) as connection:
            assert await connection.fetchval("SELECT 1") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_without_any_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When neither way works, the error says to use an ordinary user or a given server."""

    def cannot_run(_run_as: RunAs) -> bool:
        return False

    monkeypatch.setattr(_postgres_user, "_can_run", cannot_run)
    with pytest.raises(RootRefused, match="ordinary user"):
        _postgres_user.choose_user.__wrapped__()


async def test_passwords_are_left_out_of_addresses() -> None:
    """An address for people has no password, and an address without one is unchanged."""
    hide = servers.without_password
    assert hide("postgresql://me:p@ss@host:1/db") == "postgresql://me@host:1/db"
    assert hide("nats://127.0.0.1:4222") == "nats://127.0.0.1:4222"
