"""`zhihui plugin` against real servers: from the command line to what the nodes serve."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from actors.plugins.trust import KEYS_SETTING, OPERATOR_KEY_SETTING
from kernel.nats_security import NatsSecurity, SecureClient
from kernel.plugins.object_store import BUCKET
from kernel.plugins.signature import SigningKey
from tests.eventually import eventually
from tests.unit.plugin_plan.plan_lab import greeter
from zhihui.cli import app
from zhihui.client import Client
from zhihui.embedded.plugin_key import plugin_operator_key
from zhihui.errors import SetupError
from zhihui.node import NodeConfig, RunningNode, running_node

pytestmark = pytest.mark.anyio


class _Lab:
    """Two nodes, and a person at a terminal."""

    def __init__(self, folder: Path, nats_url: str, dsn: str, nodes: AsyncExitStack) -> None:
        self.folder = folder
        self.nats_url = nats_url
        self.dsn = dsn
        self.key = plugin_operator_key(folder / "data")
        self.partner = SigningKey.generate()
        (folder / "partner.pem").write_bytes(self.partner.public_pem)
        self._settings = {
            OPERATOR_KEY_SETTING: str(self.key),
            KEYS_SETTING: str(folder / "partner.pem"),
        }
        self._nodes = nodes
        self.running: dict[str, RunningNode] = {}

    async def start(self, name: str) -> RunningNode:
        """Start a node that trusts the operator and a partner."""
        config = NodeConfig(
            name=name, nats_url=self.nats_url, postgres_dsn=self.dsn, settings=self._settings
        )
        node = await self._nodes.enter_async_context(running_node(config))
        self.running[name] = node
        return node

    async def zhihui(self, *arguments: str, code: int = 0) -> str:
        """Run `zhihui plugin` in this process, and return what it said."""
        return (await self._run(arguments, code))[0]

    async def json(self, *arguments: str, code: int = 0) -> Any:
        """Run it with ``--json``, and return what that prints."""
        return json.loads((await self._run((*arguments, "--json"), code))[1])

    async def _run(self, arguments: tuple[str, ...], code: int) -> tuple[str, str]:
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["plugin", *arguments], env=self.variables()
        )
        said = f"{done.output}{done.exception if isinstance(done.exception, SetupError) else ''}"
        assert done.exit_code == code, said
        return said, done.stdout

    def variables(self) -> dict[str, str]:
        """Return how a command finds the service."""
        return {
            "ZHIHUI_DATA_DIR": str(self.folder / "data"),
            "ZHIHUI_NATS_URL": self.nats_url,
            "COLUMNS": "200",
        }

    def pack(self, version: str, **terms: Any) -> Path:
        """Return the folder of a version of the greeter."""
        folder = self.folder / f"greeter-{version}"
        for name, content in greeter(version, **terms).files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    async def greeted(self, who: str) -> str:
        """Return the greeting that somebody gets now."""
        async with Client(app="shop", url=self.nats_url) as client:
            body = {"request_id": client.new_request_id(), "who": who}
            return str((await client.call("greeter", "greet", body))["text"])


@pytest.fixture
async def lab(tmp_path: Path, nats_url: str, postgres_dsn: str) -> AsyncIterator[_Lab]:
    """Two nodes on servers of the test's own."""
    async with AsyncExitStack() as nodes:
        lab = _Lab(tmp_path, nats_url, postgres_dsn, nodes)
        await lab.start("n1")
        await lab.start("n2")
        yield lab


async def test_a_version_comes_and_goes_from_the_command_line(lab: _Lab) -> None:
    """Load, promote, canary, roll back, pause, drain, unload: said to people and to programs."""
    said = await lab.zhihui("load", str(lab.pack("1.0.0")), "--reason", "the first")
    assert "greeter 1.0.0 is generation 1, loaded." in said
    assert f"Signed by {lab.key}" in said
    for node in ("n1", "n2"):
        (line,) = [line for line in said.splitlines() if f" {node} " in line]
        assert "done" in line
    said = await lab.zhihui("promote", "greeter", "1")
    assert "promoted" in said
    assert await lab.greeted("Li") == "1.0.0 Li"
    loaded = await lab.json("load", str(lab.pack("1.1.0")), "--promote")
    assert (loaded["state"], loaded["generation"], loaded["done"]) == ("promoted", 2, True)
    assert [one["node"] for one in loaded["nodes"]] == ["n1", "n2"]
    assert await lab.greeted("Li") == "1.1.0 Li"
    back = await lab.json("rollback", "greeter")
    assert (back["generation"], back["previous"]) == (1, 2)
    assert await lab.greeted("Li") == "1.0.0 Li"
    assert "a canary for 12.5 % of the keys" in await lab.zhihui(
        "promote", "greeter", "2", "--canary", "12.5"
    )
    listed = await lab.zhihui("list")
    assert "canary, 12.5 %" in listed
    assert "wholesale_market" in listed
    assert "nobody" not in await lab.zhihui("show", "greeter")
    await lab.zhihui("promote", "greeter", "2", "--canary", "0")
    assert "promoted, and paused" in await lab.zhihui("pause", "greeter", "--reason", "lunch")
    assert "promoted." in await lab.zhihui("resume", "greeter")
    await lab.zhihui("drain", "greeter", "2")
    assert "it is unloaded" in await lab.zhihui("unload", "greeter", "2")
    plan = await lab.json("list")
    (plugin,) = [one for one in plan["plugins"] if one["name"] == "greeter"]
    assert [one["generation"] for one in plugin["generations"]] == [1]
    assert all(node["converged"] for node in plan["nodes"])


async def test_a_plugin_with_documents_is_not_unloaded_by_mistake(lab: _Lab) -> None:
    """On the real database: refused with the document, and done when it is said on purpose."""
    await lab.zhihui("load", str(lab.pack("1.0.0", state_version=2)), "--promote")
    await lab.greeted("Li")
    said = await lab.zhihui("unload", "greeter", "1", code=1)
    assert "invalid_state" in said
    assert "state version 2" in said
    await lab.zhihui("unload", "greeter", "1", "--leave-documents")
    connection = await asyncpg.connect(lab.dsn)
    try:
        kept = await connection.fetchval(
            "SELECT count(*) FROM zhihui.document WHERE pack = 'greeter'"
        )
    finally:
        await connection.close()
    assert kept == 1


async def test_what_is_refused_is_said_in_a_line(lab: _Lab) -> None:
    """Exit 2 for input that is none, 1 for what the service refuses; nothing is changed."""
    folder = lab.pack("1.0.0")
    broken = lab.folder / "broken"
    broken.mkdir()
    (broken / "plugin.toml").write_text('name = "Not A Name"\n')
    assert "plugin.toml" in await lab.zhihui("load", str(broken), code=2)
    file = lab.folder / "no.tar"
    file.write_bytes(b"nothing")
    assert "not an archive" in await lab.zhihui("load", str(file), code=2)
    stranger = lab.folder / "stranger.pem"
    stranger.write_bytes(SigningKey.generate().pem)
    said = await lab.zhihui("load", str(folder), "--key", str(stranger), code=1)
    assert said.count("forbidden:") == 1
    (lab.folder / "no.pem").write_text("no key")
    no_key = await lab.zhihui("load", str(folder), "--key", str(lab.folder / "no.pem"), code=2)
    assert "Ed25519" in no_key
    assert "not_found" in await lab.zhihui("promote", "greeter", "1", code=1)
    assert "not_found" in await lab.zhihui("show", "greeter", code=1)
    await lab.zhihui("load", str(folder), "--promote", "--no-wait", code=2)
    plan = await lab.json("list")
    assert "greeter" not in [one["name"] for one in plan["plugins"]]


async def test_a_signature_beside_the_archive_is_taken(lab: _Lab) -> None:
    """An archive with its signature's file needs no key here; one of another archive is refused."""
    archive, other = greeter("1.0.0"), greeter("1.0.1")
    file = lab.folder / "greeter.tar"
    file.write_bytes(archive.data)
    beside = lab.folder / "greeter.tar.sig"
    beside.write_bytes(lab.partner.sign(other).encode())
    assert "another archive" in await lab.zhihui("load", str(file), code=2)
    beside.write_bytes(lab.partner.sign(archive).encode())
    assert "Signed by" in await lab.zhihui("load", str(file))
    shown = await lab.json("show", "greeter")
    assert shown["generations"][0]["archive"]["vouched_by"] == "partner"


async def test_a_node_that_does_not_get_there_is_named(lab: _Lab) -> None:
    """The plan stands, the command says which node fails at what, and exits with 1."""
    bad = lab.pack("1.2.0", self_test='raise ValueError("the rates are empty")')
    said = await lab.zhihui("load", str(bad), "--timeout", "1.5", code=1)
    assert "the rates are empty" in said
    assert "stands, and after 1.5 s the nodes above are not there" in said
    late = await lab.json("load", str(bad), "--timeout", "0.5", code=1)
    assert late["done"] is False
    assert late["nodes"][0]["troubles"][0]["plugin"] == "greeter"
    assert "generation 1" in await lab.zhihui("load", str(bad), "--no-wait")


async def test_a_node_that_joins_gets_what_the_broker_forgot(lab: _Lab) -> None:
    """With the bucket gone the archive comes from the database, and is in the bucket again."""
    extra = bytes(range(256)) * 1_000
    await lab.zhihui("load", str(lab.pack("1.0.0", extra=extra)), "--promote")
    client = SecureClient()
    await client.connect_secure(lab.nats_url, NatsSecurity())
    try:
        jetstream = client.jetstream()
        await jetstream.delete_object_store(BUCKET)
        third = await lab.start("n3")
        assert third.plugins.statistics().convergence.converged
        store = await jetstream.object_store(BUCKET)
        names = {one.name for one in await store.list()}
    finally:
        await client.close()
    assert greeter("1.0.0", extra=extra).sha256 in names


async def test_nodes_hear_of_a_change_at_once(lab: _Lab) -> None:
    """Nodes that would look at the plan every ten minutes do what is told to them by its event."""
    rounds = {}
    for name, node in lab.running.items():
        convergence = node.plugins.convergence
        convergence._settings = replace(convergence._settings, interval_s=600.0)
        rounds[name] = convergence.statistics().rounds

    async def at_rest() -> bool:
        return all(
            node.plugins.statistics().convergence.rounds > rounds[name]
            for name, node in lab.running.items()
        )

    await eventually(at_rest, "the last look after a second")
    loaded = await lab.json("load", str(lab.pack("1.0.0")), "--promote")
    assert loaded["done"]
    assert await lab.greeted("Li") == "1.0.0 Li"


async def test_ctrl_c_ends_the_waiting_and_nothing_else(lab: _Lab) -> None:
    """The command ends quietly; what it changed stands."""
    bad = lab.pack("1.2.0", self_test='raise ValueError("the rates are empty")')
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zhihui", "plugin", "load", str(bad),
        env={**os.environ, **lab.variables()}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert command.stdout is not None
    said = b""
    while b"is generation 1, loaded" not in said:
        line = await asyncio.wait_for(command.stdout.readline(), 30)
        assert line, said
        said += line
    command.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(command.communicate(), 10)
    assert (command.returncode, errors) == (130, b"")
    shown = await lab.json("show", "greeter")
    assert shown["generations"][0]["generation"]["state"] == "loaded"
