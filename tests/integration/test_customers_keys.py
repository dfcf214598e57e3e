"""`zhihui keys`: a rotation under way, interrupted and gone on with, on a real database."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest
from typer.testing import CliRunner

from actors.customers.keyring import decode_keyring, encode_keyring, new_keyring
from actors.customers.sample_people import sample_person
from actors.customers.services import DATA_KEYS_SETTING
from actors.customers.vault import Vault
from kernel.randomness import SeededRandomness, SystemRandomness
from tests.unit.customers.customer_lab import registration
from zhihui.client import Client
from zhihui.commands import keys
from zhihui.embedded.nats_server import EmbeddedNats
from zhihui.errors import SetupError
from zhihui.node import NodeConfig, running_node

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

_VALUES = 3  # of each person: name, identity number, phone


class _Here:
    """A file of keys and a database, with the command beside it."""

    def __init__(self, file: Path, dsn: str) -> None:
        self.file = file
        self.dsn = dsn

    async def keys(self, *arguments: str, code: int = 0) -> str:
        """Run ``zhihui keys`` and return what it printed."""
        done = await asyncio.to_thread(
            CliRunner().invoke,
            keys.keys,
            list(arguments),
            env={"ZHIHUI_DATA_KEYS": str(self.file), "ZHIHUI_POSTGRES_DSN": self.dsn},
        )
        said = f"{done.output}{done.exception if isinstance(done.exception, SetupError) else ''}"
        assert done.exit_code == code, f"{said}{done.exception!r}"
        return said

    async def stored(self) -> dict[str, int]:
        """Return how much is stored under each key, as `list` says."""
        rows = json.loads(await self.keys("list", "--json"))
        return {row["key"]: row["stored"] for row in rows}

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Return the rows of a statement."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()

    async def plain(self) -> dict[tuple[str, str], str]:
        """Return every value that is stored, opened with the keys of the file."""
        ring = decode_keyring(self.file.read_bytes())
        vault = Vault(lambda: ring, SystemRandomness())
        rows = await self.fetch("SELECT owner_id, field, sealed FROM zhihui.personal_data")
        return {
            (owner, field): vault.open(sealed, owner=owner, field=field)
            for owner, field, sealed in rows
        }


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> _Here:
    """No file of keys yet."""
    return _Here(tmp_path / "keys.json", postgres_dsn)


@pytest.fixture
async def app(here: _Here, nats_server: EmbeddedNats) -> AsyncIterator[Client]:
    """An app of a node that has the keys."""
    await here.keys("new")
    config = NodeConfig(
        name="n1",
        nats_url=nats_server.url,
        postgres_dsn=here.dsn,
        settings={DATA_KEYS_SETTING: str(here.file)},
    )
    async with running_node(config), Client(app="campus", url=nats_server.url) as client:
        yield client


async def _register(app: Client, number: int, **changes: Any) -> Any:
    body = registration(sample_person(number), app.new_request_id(), **changes)
    return await app.call("customer", "register", body)


async def test_the_file_is_for_its_owner_alone(here: _Here) -> None:
    """It is made with mode 0600, and refused when others may read it; no command shows a key."""
    said = await here.keys("new")
    assert "k1" in said
    assert stat.S_IMODE(here.file.stat().st_mode) == 0o600
    ring = decode_keyring(here.file.read_bytes())
    said = await here.keys("new") + await here.keys("list") + await here.keys("list", "--json")
    raw = json.loads(here.file.read_bytes())
    assert raw["index_key"] not in said
    assert not any(one["secret"] in said for one in raw["keys"])
    assert decode_keyring(here.file.read_bytes()).index_key == ring.index_key
    assert "waits already" in await here.keys("new", code=1)
    here.file.chmod(0o640)
    assert "chmod 600" in await here.keys("list", code=1)
    here.file.chmod(0o600)
    here.file.write_bytes(b"{}")
    assert "no file of keys" in await here.keys("rotate", code=1)


async def test_a_rotation_under_traffic_loses_nothing(here: _Here, app: Client) -> None:
    """While people register, everything moves to the new key, and every value opens after it."""
    for number in range(30):
        await _register(app, number)
    before = await here.plain()
    done = anyio.Event()

    async def go_on() -> None:
        number = 30
        while not done.is_set():
            await _register(app, number)
            await _register(app, number % 30, phone=f"1391234{number:04d}")
            number += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        await anyio.sleep(0.2)
        said = await here.keys("rotate")
        await anyio.sleep(0.2)
        done.set()
    assert "k2" in said
    stored = await here.stored()
    # A registration that was sealed under the old key just before may have been stored just after.
    assert stored["k1"] <= _VALUES
    assert stored["k2"] > len(before)
    after = await here.plain()
    unchanged = {key: value for key, value in before.items() if key[1] != "phone"}
    assert unchanged.items() <= after.items()
    assert decode_keyring(here.file.read_bytes()).rotating is False
    # The same person is still the same, found by the key that does not rotate.
    again = await _register(app, 1, phone="13912340099")
    assert (again["customer_id"], "id_number") in before


async def test_an_interrupted_rotation_goes_on(
    here: _Here, app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was moved stays moved; run again it moves the rest, and makes no third key."""
    for number in range(10):
        await _register(app, number)
    before = await here.plain()
    monkeypatch.setattr(keys, "ROWS_A_STEP", 4)
    moved = keys._moved

    async def interrupted(connection: Any, ring: Any, advance: Any) -> Any:
        steps = []

        def count(rows: int) -> None:
            steps.append(rows)
            if len(steps) == 3:
                raise KeyboardInterrupt

        return await moved(connection, ring, count)

    monkeypatch.setattr(keys, "_moved", interrupted)
    await here.keys("rotate", code=130)
    monkeypatch.setattr(keys, "_moved", moved)
    assert await here.stored() == {"k1": 10 * _VALUES - 12, "k2": 12}
    assert "active, rotation under way" in await here.keys("list")
    assert await here.plain() == before
    assert "Going on" in await here.keys("rotate")
    assert await here.stored() == {"k1": 0, "k2": 10 * _VALUES}
    assert await here.plain() == before


async def test_what_does_not_open_is_named_and_the_rest_is_moved(here: _Here, app: Client) -> None:
    """A damaged value stops nothing, is told without its content, and keeps the exit code at 1."""
    customer_id = (await _register(app, 1))["customer_id"]
    await _register(app, 2)
    await here.fetch(
        "UPDATE zhihui.personal_data SET sealed = overlay(sealed PLACING 'AAAA' FROM 30)"
        " WHERE owner_id = $1 AND field = 'phone' RETURNING 1",
        customer_id,
    )
    said = await here.keys("rotate", code=1)
    assert f"phone of {customer_id} does not open" in said
    assert sample_person(1).phone not in said
    assert await here.stored() == {"k1": 1, "k2": 2 * _VALUES - 1}


async def test_a_missing_key_is_shown(here: _Here, app: Client) -> None:
    """Values whose key is not in the file are listed under it, before somebody needs them."""
    await _register(app, 1)
    other = new_keyring(SeededRandomness(1), datetime(2026, 11, 25, tzinfo=UTC))
    renamed = msgspec.structs.replace(
        other, active="k9", keys=(msgspec.structs.replace(other.keys[0], key_id="k9"),)
    )
    here.file.write_bytes(encode_keyring(renamed))
    rows = json.loads(await here.keys("list", "--json"))
    assert [(row["key"], row["state"], row["stored"]) for row in rows] == [
        ("k9", "active", 0), ("k1", "MISSING", _VALUES),
    ]  # fmt: skip
