"""Secrets come from files and the environment, and from there go nowhere else.

A whole platform runs with all its secrets, is used rightly and wrongly, loses a server and a node,
and is stopped. Then every log, every row of the database, every stream of NATS and everything that
commands printed is searched for each secret, in the forms in which one could stand there.
"""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import asyncpg
import msgspec
import orjson
import pytest

from schemas.errors import ZhihuiError
from tests.eventually import eventually
from zhihui.client import Client
from zhihui.embedded.platform import Platform, running_platform

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(180)]

# A person whose numbers are real in form and nobody's.
_PERSON = {"name": "欧阳测试者", "id_number": "110101190001010014", "phone": "13900135791"}
_WRONG = "secret-of-a-wrong-login-5f2a"
# What may hold a secret, because it is one: files for their owner alone.
_KEEPERS = frozenset(
    {
        "keys.json",
        "nats.access.conf",
        "nats.conf",
        "nats.password",
        "plugin.key.pem",
        "postgres.password",
        "run.json",
        "shop.nk",
    }
)


def _command(data_dir: Path, *arguments: str, **variables: str) -> str:
    """Run a command as an operator does, and return all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "zhihui", *arguments, "--data-dir", str(data_dir)],
        capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **variables},
    )  # fmt: skip
    return done.stdout + done.stderr


async def _commands(data_dir: Path) -> str:
    """Run those that know secrets, and some that fail."""
    wrong = {"ZHIHUI_POSTGRES_DSN": f"postgresql://zhihui:{_WRONG}@127.0.0.1:1/zhihui"}
    said = [
        await anyio.to_thread.run_sync(partial(_command, data_dir, *line.split()))
        for line in ("app add shop", "app rotate shop", "keys new", "keys rotate", "status")
    ]
    said.append(await anyio.to_thread.run_sync(partial(_command, data_dir, "audit", **wrong)))
    assert "has a new key" in said[1]
    assert "encrypted under" in said[3]
    assert "does not answer" in said[-1]
    return "\n".join(said)


def _secrets(data_dir: Path) -> dict[str, list[bytes]]:
    """Return each secret of the data directory by its name, in the forms that it may have."""
    found: dict[str, list[bytes]] = {"a wrong password": [_WRONG.encode()]}
    for name in ("nats.password", "postgres.password"):
        found[name] = [(data_dir / name).read_bytes().strip()]
    found["the seed of an app"] = [(data_dir / "credentials" / "shop.nk").read_bytes().strip()]
    for number, key in enumerate(_texts(orjson.loads((data_dir / "keys.json").read_bytes()))):
        try:
            raw = base64.b64decode(key, validate=True)
        except ValueError:
            continue
        if len(raw) >= 16:
            found[f"data key {number}"] = [key.encode(), raw.hex().encode(), raw]
    for path in data_dir.rglob("*.pem"):
        text = path.read_text()
        if "PRIVATE" in text:
            found[path.name] = ["".join(text.splitlines()[1:-1]).encode()]
    for name, value in _PERSON.items():
        found[f"the {name} of a person"] = [
            value.encode(),
            orjson.dumps(value),
            repr(value).encode(),
        ]
    return found


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _leaks(secrets: dict[str, list[bytes]], where: str, data: bytes) -> list[str]:
    return [
        f"{name} stands in {where}"
        for name, forms in secrets.items()
        if any(form in data for form in forms)
    ]


async def _rows(dsn: str) -> dict[str, bytes]:
    """Return all that the database holds, by table, as text and as bytes."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'zhihui' AND table_type = 'BASE TABLE'"
        )
        found = {}
        for (table,) in tables:
            rows = await connection.fetch(f'SELECT * FROM zhihui."{table}"')
            found[table] = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in rows
                for value in row.values()
            )
    finally:
        await connection.close()
    return found


async def _use(platform: Platform) -> int:
    """Use it rightly and wrongly, before and after a server and a node die."""
    refused = 0
    async with Client(app="shop", url=platform.servers.nats_url) as client:
        for number in range(3):
            account = (await client.accounts.open(holder="Li")).account_id
            await client.accounts.deposit(account, 100, source="external:cash")
            for body in (
                {"request_id": f"c{number}", **_PERSON},
                {"request_id": f"w{number}", **_PERSON, "id_number": _PERSON["id_number"][:-1]},
                {"request_id": f"x{number}", **_PERSON, "no_such_field": _PERSON["phone"]},
            ):
                try:
                    await client.call("customer", "register", body, timeout_s=15.0)
                except ZhihuiError as error:
                    refused += 1
                    text = msgspec.json.encode(error.body()).decode()
                    assert _PERSON["id_number"] not in text
                    assert _PERSON["phone"] not in text
            if number == 0:
                assert platform.postgres is not None
                await platform.postgres.kill()
                await platform.postgres.start()
            elif number == 1:
                (pid,) = platform.node_pids().values()
                os.kill(pid, signal.SIGKILL)
                await _replaced(platform, pid)
    return refused


async def _replaced(platform: Platform, pid: int) -> None:
    def is_back() -> bool:
        pids = set(platform.node_pids().values())
        return bool(pids) and pid not in pids

    await eventually(is_back, "the node is back", within_s=40.0)


async def test_no_secret_leaves_its_file(tmp_path: Path) -> None:
    """Not in a log, a row, a stream, an error or what a command prints; their files are private."""
    data_dir = tmp_path / "data"
    async with running_platform(data_dir) as platform:
        before = _secrets_before(data_dir)
        said = await _commands(data_dir)
        refused = await _use(platform)
        rows = await _rows(platform.servers.postgres_dsn)
    secrets = {**before, **_secrets(data_dir)}
    assert {"nats.password", "postgres.password", "the seed of an app"} <= secrets.keys()
    assert sum(name.startswith("data key") for name in secrets) >= 2
    assert refused == 6, "what is wrong, and nothing else"
    found = _leaks(secrets, "what commands print", said.encode())
    for table, data in rows.items():
        found += _leaks(secrets, f"the table {table}", data)
    searched = 0
    for path in _files(data_dir):
        searched += 1
        found += _leaks(secrets, path.name, path.read_bytes())
    assert found == []
    assert searched > 3
    assert any(path.suffix == ".log" for path in _files(data_dir))
    # Where a secret does stand, nobody but the owner may read.
    holders = {
        path.name: path.stat().st_mode & 0o077
        for path in data_dir.rglob("*")
        if path.name in _KEEPERS and _leaks(secrets, path.name, path.read_bytes())
    }
    assert {"nats.password", "keys.json", "shop.nk"} <= holders.keys()
    assert not any(holders.values()), holders


def _secrets_before(data_dir: Path) -> dict[str, list[bytes]]:
    # Those that a rotation takes out of their files must not have been told either.
    keys = (data_dir / "keys.json").read_bytes()
    return {
        f"first {text[:4]}": [text.encode()]
        for text in _texts(orjson.loads(keys))
        if len(text) > 40
    }


def _files(data_dir: Path) -> Iterator[Path]:
    """Return what may hold no secret: logs and streams, not Postgres's files nor the keepers."""
    for path in sorted(data_dir.rglob("*")):
        parts = path.relative_to(data_dir).parts
        if path.is_file() and parts[0] != "postgres" and path.name not in _KEEPERS:
            if path.suffix == ".pem":
                continue
            yield path


def test_the_search_finds_a_leak() -> None:
    """A secret in any of its forms is found, and nothing else is."""
    secrets = {"a": [b"abc", b"xyz"], "b": [b"nothing"]}
    assert _leaks(secrets, "a log", b"1 xyz 2") == ["a stands in a log"]
    assert _leaks(secrets, "a log", b"1 2") == []
