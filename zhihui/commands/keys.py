"""``zhihui keys``: the keys under which customers' data is encrypted."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zhihui.commands.addresses import reachable_postgres
from zhihui.commands.console import DataDir, PostgresDsn, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.errors import MigrationFailed, SetupError

if TYPE_CHECKING:
    from actors.customers.keyring import DataKey, Keyring

__all__ = ("ROWS_A_STEP", "keys", "list_", "new", "rotate")

keys = typer.Typer(
    name="keys",
    help="See and rotate the keys under which customers' data is encrypted.",
    no_args_is_help=True,
)

# Re-encrypted in one statement: some milliseconds, in which a row of these waits to be written.
ROWS_A_STEP = 500

_TIMEOUT_S = 30.0
# Any number that nobody else uses for an advisory lock of this database: "zh" and "key" in ASCII.
_LOCK = 0x7A68_6B6579

_COUNT = "SELECT key_id, count(*) FROM zhihui.personal_data GROUP BY key_id"
_OLDER = """
SELECT owner_id, field, sealed FROM zhihui.personal_data
 WHERE key_id <> $1 AND (owner_id, field) > ($2, $3)
 ORDER BY owner_id, field LIMIT $4
"""
# What was written anew meanwhile is under the active key already, and is left as it is.
_MOVE = """
UPDATE zhihui.personal_data AS p SET sealed = u.new, key_id = $1
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS u(owner_id, field, old, new)
 WHERE p.owner_id = u.owner_id AND p.field = u.field AND p.sealed = u.old
"""

_Keys = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        envvar="ZHIHUI_DATA_KEYS",
        dir_okay=False,
        help="File with the keys; else keys.json in the data directory.",
        show_default=False,
    ),
]


@keys.command()
def new(file: _Keys = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Make a key that waits to be used; without a file, make the file with its first key.

    Bring the file to every machine with a node before `zhihui keys rotate` lets them use it.
    """
    from actors.customers.keyring import ensure_keyring, write_keyring
    from kernel.clock import SystemClock
    from kernel.randomness import SystemRandomness

    path, now = file or data_dir / "keys.json", SystemClock().now()
    if ensure_keyring(path, SystemRandomness(), now):
        _say(f"Made {path} with the key k1, which is used from now on. Keep a copy of the file in")
        _say("a safe place: without it nobody can read what was stored under it.")
        return
    keyring = _read(path)
    if (standby := keyring.standby()) is not None:
        raise SetupError(f"the key {standby.key_id} waits already: zhihui keys rotate")
    keyring = _with_new_key(path, keyring)
    write_keyring(path, keyring)
    _say(f"Made the key {keyring.keys[-1].key_id}. {keyring.active} is used as before. When every")
    _say("node has the file: zhihui keys rotate")


@keys.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    file: _Keys = None,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show the keys, and how much is stored under each; never the keys themselves."""
    keyring = _read(file or data_dir / "keys.json")
    counts = run_async(lambda: _counts(postgres_dsn, data_dir))
    rows = [
        {
            "key": one.key_id,
            "state": _state(keyring, one),
            "created_at": one.created_at.isoformat(),
            "stored": counts.pop(one.key_id, 0),
        }
        for one in keyring.keys
    ]
    rows += [
        {"key": key_id, "state": "MISSING", "created_at": "", "stored": stored}
        for key_id, stored in sorted(counts.items())
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table()
    for column in ("Key", "State", "Made", "Values stored"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            str(row["key"]), str(row["state"]), str(row["created_at"])[:10], f"{row['stored']:,}"
        )
    output.print(table)


@keys.command()
def rotate(
    file: _Keys = None, postgres_dsn: PostgresDsn = "", data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Use a new key from now on, and encrypt under it what is stored under older ones.

    Works while the service runs. Interrupted, it goes on when it is run again. The older keys stay
    in the file, for backups. Exits with 1 when something stored cannot be opened.
    """
    path = file or data_dir / "keys.json"
    broken = run_async(lambda: _rotate(path, postgres_dsn, data_dir))
    for line in broken:
        _say(f"cannot be opened: {line}")
    if broken:
        raise typer.Exit(1)


def _read(path: Path) -> "Keyring":
    from actors.customers.keyring import decode_keyring

    try:
        if path.stat().st_mode & 0o077:
            raise SetupError(f"{path} can be read by others than its owner: chmod 600 {path}")
        return decode_keyring(path.read_bytes())
    except OSError as error:
        raise SetupError(
            f"{path} cannot be read: {error.strerror}. Make one with `zhihui keys new`, or name it"
            " with --keys."
        ) from None
    except ValueError as error:
        raise SetupError(f"{path} is no file of keys: {error}") from None


def _with_new_key(path: Path, keyring: "Keyring") -> "Keyring":
    from actors.customers.keyring import with_new_key
    from kernel.clock import SystemClock
    from kernel.randomness import SystemRandomness

    try:
        return with_new_key(keyring, SystemRandomness(), SystemClock().now())
    except ValueError as error:
        raise SetupError(f"{path}: {error}. Take out the oldest that nothing needs.") from None


def _state(keyring: "Keyring", key: "DataKey") -> str:
    if key.key_id == keyring.active:
        return "active, rotation under way" if keyring.rotating else "active"
    return "waiting" if key.activated_at is None else "older"


@asynccontextmanager
async def _database(postgres_dsn: str, data_dir: Path) -> AsyncIterator[Any]:
    import asyncpg

    from zhihui.migrate import pending_revisions

    async with reachable_postgres(postgres_dsn, data_dir) as dsn:
        if pending := await pending_revisions(dsn):
            raise MigrationFailed(
                f"the database is behind this program by revision {', '.join(pending)}. Run "
                "`zhihui migrate` first."
            )
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            yield connection
        finally:
            await connection.close(timeout=_TIMEOUT_S)


async def _counts(postgres_dsn: str, data_dir: Path) -> dict[str, int]:
    async with _database(postgres_dsn, data_dir) as connection:
        return dict(await connection.fetch(_COUNT))


async def _rotate(path: Path, postgres_dsn: str, data_dir: Path) -> list[str]:
    """Return what could not be opened, without its content."""
    import msgspec
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from actors.customers.keyring import write_keyring

    async with _database(postgres_dsn, data_dir) as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise SetupError("another rotation is running on this database; let it end")
        keyring = _begun(path)
        counts = dict(await connection.fetch(_COUNT))
        total = sum(stored for key_id, stored in counts.items() if key_id != keyring.active)
        with Progress(
            TextColumn("Re-encrypting"), BarColumn(), MofNCompleteColumn(), console=output
        ) as progress:
            task = progress.add_task("", total=total)
            broken = await _moved(connection, keyring, lambda n: progress.advance(task, n))
    if not broken:
        write_keyring(path, msgspec.structs.replace(_read(path), rotating=False))
    _say(f"Everything that can be opened is under {keyring.active}; the older keys stay in {path}.")
    return broken


def _begun(path: Path) -> "Keyring":
    """Return the ring of a rotation that is under way: the one before it, if that did not end."""
    from actors.customers.keyring import activated, write_keyring
    from kernel.clock import SystemClock

    keyring = _read(path)
    if keyring.rotating:
        _say(f"Going on with the rotation to {keyring.active}.")
        return keyring
    if keyring.standby() is None:
        keyring = _with_new_key(path, keyring)
    standby = keyring.standby()
    assert standby is not None, "it was just made"
    keyring = activated(keyring, standby.key_id, SystemClock().now())
    # Before anything is encrypted under it: a key that is lost must not be in use.
    write_keyring(path, keyring)
    _say(f"New data is encrypted under {keyring.active} from now on.")
    return keyring


async def _moved(
    connection: Any, keyring: "Keyring", advance: Callable[[int], object]
) -> list[str]:
    """Move everything to the active key, step by step; return what does not open."""
    from actors.customers.vault import SealBroken, Vault
    from kernel.randomness import SystemRandomness

    vault = Vault(lambda: keyring, SystemRandomness())
    broken: list[str] = []
    after = ("", "")
    while rows := await connection.fetch(_OLDER, keyring.active, *after, ROWS_A_STEP):
        moved = []
        for owner, field, sealed in rows:
            try:
                again = vault.resealed(sealed, owner=owner, field=field)
            except SealBroken as error:
                broken.append(str(error))
            else:
                moved.append((owner, field, sealed, again))
        if moved:
            await connection.execute(_MOVE, keyring.active, *map(list, zip(*moved, strict=True)))
        advance(len(rows))
        after = tuple(rows[-1][:2])
    return broken


def _say(line: str) -> None:
    output.print(line, markup=False, highlight=False, soft_wrap=True)
