"""Servers and nodes together: started and stopped in order, restarted within bounds."""

import contextlib
import os
import signal
from pathlib import Path

import anyio
import psutil
import pytest

from zhihui.embedded import platform
from zhihui.embedded.platform import Platform, running_platform
from zhihui.errors import NodeFailed, ServerFailed

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the caller's own servers out of these tests."""
    monkeypatch.delenv("ZHIHUI_NATS_URL", raising=False)
    monkeypatch.delenv("ZHIHUI_POSTGRES_DSN", raising=False)


def _running(data_dir: Path) -> list[str]:
    """Name what still runs on the directory, and every node that we started."""
    found: list[str] = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if str(data_dir) in command or " node --name " in command:
                found.append(command)
    return found


async def test_a_platform_runs_and_ends_without_a_trace(tmp_path: Path) -> None:
    """Inside, the node and both servers run; after an error of the body none does."""
    lines: list[str] = []

    async def use() -> None:
        async with running_platform(tmp_path, report=lines.append) as running:
            assert list(running.node_pids()) == ["n1"]
            for pid in (running.servers.nats_pid, running.servers.postgres_pid):
                assert pid is not None
                assert psutil.Process(pid).is_running()
            assert len(_running(tmp_path)) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use()
    assert _running(tmp_path) == []
    assert [line.split()[0] for line in lines] == ["Postgres", "NATS", "Schema", "Node"]


async def test_a_node_that_cannot_start_quotes_its_log(tmp_path: Path) -> None:
    """A node that ends while starting is an error with its own last words; all else is stopped."""
    with pytest.raises(NodeFailed, match="no-such-option"):
        async with running_platform(tmp_path, node_arguments=("--no-such-option",)):
            pass
    assert _running(tmp_path) == []


async def _wait_other_pid(running: Platform, old: int) -> int:
    with anyio.fail_after(40):
        # The platform tells of a restart only by its result.
        while running.node_pids().get("n1", old) == old:  # noqa: ASYNC110
            await anyio.sleep(0.02)
    return running.node_pids()["n1"]


async def test_a_node_that_keeps_dying_ends_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the allowed restarts the body is cancelled with an error that says why."""
    monkeypatch.setattr(platform, "_RESTARTS_MAX", 1)
    restarted: list[int] = []

    async def use() -> None:
        async with running_platform(tmp_path) as running:
            first = running.node_pids()["n1"]
            os.kill(first, signal.SIGKILL)
            restarted.append(await _wait_other_pid(running, first))
            os.kill(restarted[0], signal.SIGKILL)
            await anyio.sleep_forever()

    with pytest.raises(NodeFailed, match="keeps failing"):
        await use()
    assert restarted
    assert _running(tmp_path) == []


async def test_a_server_that_keeps_dying_ends_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is given up in the same way, and named."""
    monkeypatch.setattr(platform, "_RESTARTS_MAX", 0)

    async def use() -> None:
        async with running_platform(tmp_path) as running:
            assert running.nats is not None
            assert running.nats.pid is not None
            os.kill(running.nats.pid, signal.SIGKILL)
            await anyio.sleep_forever()

    with pytest.raises(ServerFailed, match="NATS"):
        await use()
