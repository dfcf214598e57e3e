"""`zhihui up --reload`: a pack is served from its folder, again after each save."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from kernel.plugins.archive import Archive
from tests.eventually import eventually
from zhihui.client import Client
from zhihui.commands.plugin_reload import follow
from zhihui.embedded.platform import running_platform
from zhihui.simulation.counter_pack import counter

pytestmark = pytest.mark.anyio


def _write(folder: Path, archive: Archive) -> None:
    for name, data in archive.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_what_is_saved_serves_and_what_is_broken_does_not(tmp_path: Path) -> None:
    """A save is served within seconds; one that does not load is told, and the old one stays."""
    folder, data_dir = tmp_path / "counter", tmp_path / "data"
    _write(folder, counter("1.0.0"))
    lines: list[str] = []

    async def said(text: str) -> None:
        await eventually(lambda: any(text in line for line in lines), text, within_s=30)

    async with running_platform(data_dir) as platform:
        url = platform.servers.nats_url
        async with anyio.create_task_group() as tasks, Client(app="shop", url=url) as client:
            tasks.start_soon(partial(follow, nats_url=url, data_dir=data_dir, report=lines.append),
                             folder)  # fmt: skip

            async def add(number: int) -> str:
                body = {"request_id": f"r{number}", "counter_id": "c", "amount_minor": 1}
                return str((await client.call("counter", "add", body))["by"])

            await said("1.0.0 serves as generation 1")
            assert await add(1) == "1.0.0"
            _write(folder, counter("1.1.0"))
            await said("1.1.0 serves as generation 2")
            assert await add(2) == "1.1.0"
            (folder / "pack.py").write_text("oops this is no Python\n")
            await said("LoadFailed")
            assert await add(3) == "1.1.0"
            (folder / "plugin.toml").write_text("name = 1\n")
            await said("not loaded")
            _write(folder, counter("1.2.0"))
            await said("1.2.0 serves as generation 4")
            assert await add(4) == "1.2.0"
            tasks.cancel_scope.cancel()


def test_it_is_for_servers_that_are_started_here(tmp_path: Path) -> None:
    """On servers that somebody else runs, nothing is loaded by a save."""
    done = subprocess.run(
        [sys.executable, "-m", "zhihui", "up", "--reload", str(tmp_path)],
        env={"ZHIHUI_NATS_URL": "nats://127.0.0.1:1", "PATH": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--reload is for the servers that are started here" in done.stderr
